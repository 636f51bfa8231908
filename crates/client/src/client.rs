//! The client: its own node and state, or those of the program that holds the state.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use statuskit_core::{
    chat::{Composed, Destination, messenger::Messenger},
    crypto::PublicKey,
    envelope::Envelope,
    payload::{MessageId, PayloadMessage, group::Group, matching::Chat},
    time::{UnixMillis, UnixSeconds},
};
use statuskit_mailserver::client::ClientError as HistoryError;
use statuskit_net::node::{Event as NodeEvent, Handle};

use crate::{
    attached::{Answer, Attached},
    builder::Builder,
    delivery::{Delivery, SendId},
    engine::{Engine, MAX_BACKLOG},
    error::{ClientError, NoPeer},
    event::Event,
    groups::GroupChange,
    history::HistorySource,
    inbox::{Claim, Unhandled},
    miner::MiningProgress,
    peers::Peers,
    progress::Progress,
    share::{Holder, message::Work},
};

/// A program on the network. See the [crate](crate).
#[derive(Debug)]
pub struct Client {
    inner: Inner,
    connect_timeout: Duration,
    idle: Arc<MiningProgress>,
}

#[derive(Debug)]
enum Inner {
    /// It has a node, and holds its state if there is one.
    Own(Box<Engine>),
    /// Another program holds the state.
    Held(Box<Attached>),
}

impl Client {
    /// Returns the settings of a new client.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn own(engine: Engine, connect_timeout: Duration) -> Self {
        Self { inner: Inner::Own(Box::new(engine)), connect_timeout, idle: Arc::default() }
    }

    pub(crate) fn held(attached: Attached, connect_timeout: Duration) -> Self {
        Self { inner: Inner::Held(Box::new(attached)), connect_timeout, idle: Arc::default() }
    }

    /// Returns the program that holds the state. `None` if this one does, or if that changes at the
    /// moment.
    pub fn holder(&self) -> Option<&Holder> {
        match &self.inner {
            Inner::Own(_) => None,
            Inner::Held(attached) => attached.holder(),
        }
    }

    /// Returns the next event, and does all that is to be done until there is one; `None` when the
    /// node has ended. Cancel-safe: nothing is lost if it is dropped and called again.
    ///
    /// Calling it says that the event before was handled. With a store, messages that are not
    /// handled when a client ends, or its process is killed, are events of the next client of the
    /// store.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Inner::Own(engine) = &mut self.inner {
                return engine.next().await;
            }
            if let Some(event) = self.try_next() {
                return Some(event);
            }
            if self.has_ended() {
                return None;
            }
            self.step().await;
        }
    }

    /// Does all that is to be done while the program handles an event: acknowledges, repeats, and
    /// receives a little. Never returns. Cancel-safe.
    pub async fn work(&mut self) {
        loop {
            match &mut self.inner {
                Inner::Own(engine) => engine.work().await,
                Inner::Held(attached) if attached.has_ended() => std::future::pending().await,
                Inner::Held(_) => self.step().await,
            }
        }
    }

    /// Returns the next event that is there already, as [`next`](Self::next) does.
    pub fn try_next(&mut self) -> Option<Event> {
        match &mut self.inner {
            Inner::Own(engine) => engine.try_next(),
            Inner::Held(attached) => {
                if let Some(ticket) = attached.inbox.handled() {
                    attached.settle_ticket(&ticket, true);
                }
                attached.inbox.pop()
            }
        }
    }

    /// Takes the network events that wait, out of their order.
    pub fn take_network(&mut self) -> Vec<Arc<NodeEvent>> {
        match &mut self.inner {
            Inner::Own(engine) => engine.take_network(),
            Inner::Held(_) => Vec::new(),
        }
    }

    /// Notes that the event that was returned last was not handled, so that the next client of the
    /// store returns it again.
    pub fn put_back(&mut self) {
        if let Some(claim) = self.claim() {
            self.give_back(claim);
        }
    }

    /// Returns a claim on the event that was returned last: it counts as handled when
    /// [`handled`](Self::handled) takes the claim. `None` if nothing in it must be kept.
    pub fn claim(&mut self) -> Option<Claim> {
        match &mut self.inner {
            Inner::Own(engine) => engine.claim(),
            Inner::Held(attached) => attached.inbox.handled().map(Claim),
        }
    }

    /// Notes that an event was handled.
    pub fn handled(&mut self, claim: Claim) {
        match &mut self.inner {
            Inner::Own(engine) => engine.handled(claim),
            Inner::Held(attached) => attached.settle_ticket(&claim.0, true),
        }
    }

    /// Notes that an event was not handled, so that the next client of the store returns it again.
    pub fn give_back(&mut self, claim: Claim) {
        match &mut self.inner {
            Inner::Own(engine) => engine.give_back(claim),
            Inner::Held(attached) => attached.settle_ticket(&claim.0, false),
        }
    }

    /// Waits until each peer has answered or failed, and returns how many can be sent to. Events
    /// that come meanwhile wait for [`next`](Self::next).
    ///
    /// # Errors
    /// If no peer can be sent to within the time for connecting.
    pub async fn connect(&mut self) -> Result<usize, NoPeer> {
        let limit = self.connect_timeout;
        let deadline = Instant::now() + limit;
        loop {
            if let Inner::Own(engine) = &mut self.inner {
                return engine.connect().await;
            }
            if self.peers().count() > 0 || self.has_ended() {
                return self.peers().reached(limit);
            }
            let step = tokio::time::timeout_at(deadline.into(), self.step());
            if step.await.is_err() {
                return self.peers().reached(limit);
            }
        }
    }

    /// Returns the peers: those of the program that holds the state.
    pub fn peers(&self) -> &Peers {
        match &self.inner {
            Inner::Own(engine) => engine.peers(),
            Inner::Held(attached) => &attached.peers,
        }
    }

    /// Returns the node. `None` if another program holds the state.
    pub fn node(&self) -> Option<&Handle> {
        match &self.inner {
            Inner::Own(engine) => Some(engine.node()),
            Inner::Held(_) => None,
        }
    }

    /// Returns the messenger of the identity, for groups, contacts and devices. `None` without an
    /// identity, or if another program holds the state.
    pub fn messenger(&mut self) -> Option<&mut Messenger<impl statuskit_core::secure::Store>> {
        match &mut self.inner {
            Inner::Own(engine) => engine.messenger(),
            Inner::Held(_) => None,
        }
    }

    /// Returns what is being mined.
    pub fn mining(&self) -> Arc<MiningProgress> {
        match &self.inner {
            Inner::Own(engine) => engine.mining(),
            Inner::Held(_) => self.idle.clone(),
        }
    }

    /// Whether all that was to be sent has an outcome.
    pub fn is_idle(&self) -> bool {
        match &self.inner {
            Inner::Own(engine) => engine.is_idle(),
            Inner::Held(attached) => attached.is_idle(),
        }
    }

    /// Returns until when lost peers may come back, if all are lost. What is sent until then waits
    /// for them.
    pub fn give_up_at(&self) -> Option<Instant> {
        match &self.inner {
            Inner::Own(engine) => engine.give_up_at(),
            Inner::Held(_) => None,
        }
    }

    /// Returns from which second on some of the history is missing, and why if something went
    /// wrong.
    pub fn missing_history(&self) -> Option<(UnixSeconds, Option<&HistoryError>)> {
        match &self.inner {
            Inner::Own(engine) => engine.missing_history(),
            Inner::Held(_) => None,
        }
    }

    /// Returns the time for messages.
    pub fn now(&self) -> UnixMillis {
        match &self.inner {
            Inner::Own(engine) => engine.now(),
            Inner::Held(attached) => attached.now(),
        }
    }

    // Sending.

    /// Sends a finished envelope.
    pub fn send_envelope(&mut self, envelope: Envelope) -> SendId {
        match &mut self.inner {
            Inner::Own(engine) => engine.send_envelope(envelope),
            Inner::Held(attached) => attached.send(Work::Envelope(envelope)),
        }
    }

    /// Mines and sends what was composed.
    pub fn send_composed(&mut self, composed: Composed) -> SendId {
        match &mut self.inner {
            Inner::Own(engine) => engine.send_composed(composed),
            Inner::Held(attached) => {
                let Composed { envelope, message_id } = composed;
                attached.send(Work::Mine(envelope, message_id))
            }
        }
    }

    /// Sends a text to a public chat, a person or a group. Its outcome is an
    /// [`Event::Delivered`] or [`Event::NotSent`] whose contents name the id.
    ///
    /// With a store, messages to a person have sessions and are repeated until they are
    /// acknowledged. Without one, they are encrypted to the identity.
    ///
    /// # Errors
    /// If clients would refuse the text, the group is unknown, or the state fails.
    pub async fn send_text(
        &mut self,
        destination: &Destination,
        text: &str,
    ) -> Result<MessageId, ClientError> {
        loop {
            let attached = match &mut self.inner {
                Inner::Own(engine) => return engine.send_text(destination, text),
                Inner::Held(attached) => attached,
            };
            let work = match attached.compose(destination, text)? {
                Ok(composed) => {
                    let id = composed.message_id;
                    self.send_composed(composed);
                    return Ok(id.ok_or(statuskit_core::chat::ComposeError::NoChat)?);
                }
                Err(chat) => Work::Text(chat, text.to_owned()),
            };
            if let Some((Some(id), _)) = self.ask(work).await? {
                return Ok(id);
            }
        }
    }

    /// Sends a payload of any type to a person or a group, as it is.
    ///
    /// # Errors
    /// If clients would refuse it, the group is unknown, or the state fails.
    pub async fn send_payload(
        &mut self,
        chat: &Chat,
        message: PayloadMessage,
    ) -> Result<MessageId, ClientError> {
        loop {
            if let Inner::Own(engine) = &mut self.inner {
                return engine.send_payload(chat, message);
            }
            let work = Work::Payload(chat.clone(), message.clone());
            if let Some((Some(id), _)) = self.ask(work).await? {
                return Ok(id);
            }
        }
    }

    /// Returns a group that the state knows.
    ///
    /// # Errors
    /// If it is unknown, or the state fails.
    pub async fn group(&mut self, chat_id: &str) -> Result<Group, ClientError> {
        loop {
            let attached = match &mut self.inner {
                Inner::Own(engine) => return engine.group(chat_id),
                Inner::Held(attached) => attached,
            };
            if !attached.is_linked() {
                self.relink().await?;
                continue;
            }
            let request = attached.ask_group(chat_id);
            match self.answer(request).await? {
                Answer::Group(group) => return Ok(*group),
                Answer::Failed(error) => return Err(error),
                _ => {}
            }
        }
    }

    /// Sends the history of a group to its members. Returns `None` if there is no other member.
    ///
    /// # Errors
    /// If the state fails.
    pub async fn announce_group(&mut self, group: Group) -> Result<Option<MessageId>, ClientError> {
        loop {
            if let Inner::Own(engine) = &mut self.inner {
                return engine.announce_group(group);
            }
            if let Some((id, _)) = self.ask(Work::Announce(group.clone())).await? {
                return Ok(id);
            }
        }
    }

    /// Returns all chats with messages: with people, and groups.
    ///
    /// # Errors
    /// If the state fails.
    pub async fn chats(&mut self) -> Result<Vec<Chat>, ClientError> {
        loop {
            let attached = match &mut self.inner {
                Inner::Own(engine) => return engine.chats(),
                Inner::Held(attached) => attached,
            };
            if !attached.is_linked() {
                self.relink().await?;
                continue;
            }
            let request = attached.ask_chats();
            match self.answer(request).await? {
                Answer::Chats(chats) => return Ok(chats),
                Answer::Failed(error) => return Err(error),
                _ => {}
            }
        }
    }

    /// Creates a group, and invites its members.
    ///
    /// # Errors
    /// If the name is empty, or the state fails.
    pub async fn create_group(
        &mut self,
        name: &str,
        members: &[PublicKey],
    ) -> Result<Group, ClientError> {
        loop {
            if let Inner::Own(engine) = &mut self.inner {
                return engine.create_group(name, members);
            }
            let work = Work::Create(name.to_owned(), members.to_vec());
            if let Some(group) = self.ask_change(work).await? {
                return Ok(group);
            }
        }
    }

    /// Changes a group that the state knows, and sends the change to its members.
    ///
    /// # Errors
    /// If the group is unknown, its rules forbid the change, or the state fails.
    pub async fn change_group(
        &mut self,
        chat_id: &str,
        change: &GroupChange,
    ) -> Result<Group, ClientError> {
        loop {
            if let Inner::Own(engine) = &mut self.inner {
                return engine.change_group(chat_id, change);
            }
            let work = Work::Change(chat_id.to_owned(), change.clone());
            if let Some(group) = self.ask_change(work).await? {
                return Ok(group);
            }
        }
    }

    /// Receives what is sent to a public chat, or with a symmetric key, from now on.
    pub fn join(&mut self, destination: &Destination) {
        match &mut self.inner {
            Inner::Own(engine) => engine.join(destination),
            Inner::Held(attached) => attached.listen(destination, true),
        }
    }

    /// Receives no more of what is sent to a public chat, or with a symmetric key.
    pub fn leave(&mut self, destination: &Destination) {
        match &mut self.inner {
            Inner::Own(engine) => engine.leave(destination),
            Inner::Held(attached) => attached.listen(destination, false),
        }
    }

    /// Fetches what a mailserver has of all that is listened to. The messages are events as those
    /// that are sent now; then comes an [`Event::History`].
    pub fn fetch_history(&mut self, source: HistorySource) {
        match &mut self.inner {
            Inner::Own(engine) => engine.fetch_history(&source),
            Inner::Held(attached) => attached.fetch_history(source),
        }
    }

    /// Asks the holder for a change of a group. `None` if it was not done.
    async fn ask_change(&mut self, work: Work) -> Result<Option<Group>, ClientError> {
        let attached = match &mut self.inner {
            Inner::Held(attached) if attached.is_linked() => attached,
            _ => {
                self.relink().await?;
                return Ok(None);
            }
        };
        let request = attached.ask(work);
        match self.answer(request).await? {
            Answer::Group(group) => Ok(Some(*group)),
            Answer::Failed(error) => Err(error),
            _ => Ok(None),
        }
    }

    /// Asks the holder to send something. `None` if it was not done, since another program holds
    /// the state now.
    async fn ask(&mut self, work: Work) -> Result<Option<(Option<MessageId>, bool)>, ClientError> {
        let attached = match &mut self.inner {
            Inner::Held(attached) if attached.is_linked() => attached,
            _ => {
                self.relink().await?;
                return Ok(None);
            }
        };
        let request = attached.ask(work);
        match self.answer(request).await? {
            Answer::Sent(id, is_sent) => Ok(Some((id, is_sent))),
            Answer::Failed(error) => Err(error),
            _ => Ok(None),
        }
    }

    async fn answer(&mut self, request: u64) -> Result<Answer, ClientError> {
        loop {
            match &mut self.inner {
                // The answer was there before the state moved.
                Inner::Own(_) => return Ok(Answer::NotDone),
                Inner::Held(attached) => {
                    if let Some(answer) = attached.take_answer(request) {
                        return Ok(answer);
                    }
                }
            }
            self.step_on().await?;
        }
    }

    /// Waits until the state has a holder again.
    async fn relink(&mut self) -> Result<(), ClientError> {
        loop {
            match &self.inner {
                Inner::Own(_) => return Ok(()),
                Inner::Held(attached) if attached.is_linked() => return Ok(()),
                Inner::Held(_) => self.step_on().await?,
            }
        }
    }

    /// Waits for one thing, unless the client has ended.
    async fn step_on(&mut self) -> Result<(), ClientError> {
        if self.has_ended() {
            return Err(ClientError::Ended);
        }
        self.step().await;
        Ok(())
    }

    // Waiting for what becomes of it.

    /// Waits until the outcome of a message is known: each peer has it, and has confirmed or refused
    /// it, or did not in time. Events that come meanwhile wait for [`next`](Self::next).
    ///
    /// # Errors
    /// If it was not sent, no peer took it, or it is none of the latest thousands.
    pub async fn written(&mut self, id: MessageId) -> Result<Delivery, ClientError> {
        self.wait(|progress| progress.written(id)).await
    }

    /// Waits until a private message is acknowledged by a device of its recipient. Events that come
    /// meanwhile wait for [`next`](Self::next).
    ///
    /// # Errors
    /// If it was given up, or is none of the latest thousands.
    pub async fn acknowledged(&mut self, id: MessageId) -> Result<(), ClientError> {
        self.wait(|progress| progress.acknowledged(id)).await
    }

    async fn wait<T>(
        &mut self,
        done: impl Fn(&Progress) -> Option<Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        loop {
            match &mut self.inner {
                Inner::Own(engine) => return engine.wait(&done).await,
                Inner::Held(attached) => {
                    if let Some(done) = done(&attached.progress) {
                        return done;
                    }
                    if attached.inbox.bytes() > MAX_BACKLOG {
                        return Err(ClientError::Backlog);
                    }
                }
            }
            self.step_on().await?;
        }
    }

    // The end.

    /// Acknowledges what has come, and waits until all that was handed over is written, for `limit`
    /// at most.
    pub async fn finish(&mut self, limit: Duration) {
        // Else the holder does that.
        if let Inner::Own(engine) = &mut self.inner {
            engine.finish(limit).await;
        }
    }

    /// Says good-bye to the peers, in bounded time: nothing is sent or received any more.
    /// [`next`](Self::next) returns what has come, and then `None`.
    pub async fn stop(&mut self) {
        match &mut self.inner {
            Inner::Own(engine) => engine.stop().await,
            Inner::Held(attached) => attached.stop(),
        }
    }

    /// Returns what becomes of the messages and envelopes that were received and not handled. With
    /// a store, it keeps them. Call [`stop`](Self::stop) before.
    ///
    /// # Errors
    /// If the state fails.
    pub fn unhandled(&mut self) -> Result<Unhandled, ClientError> {
        match &mut self.inner {
            Inner::Own(engine) => engine.unhandled(),
            Inner::Held(attached) => {
                if let Some(ticket) = attached.inbox.handled() {
                    attached.settle_ticket(&ticket, true);
                }
                Ok(Unhandled { kept: attached.give_back_all(), lost: 0 })
            }
        }
    }

    /// Ends the client and says good-bye to the peers, in bounded time. With a store, messages that
    /// were not handled are kept for the next client.
    ///
    /// # Errors
    /// If the state fails.
    pub async fn close(mut self) -> Result<(), ClientError> {
        self.stop().await;
        let result = self.unhandled().map(|_| ());
        if let Inner::Held(attached) = &mut self.inner {
            attached.leave().await;
        }
        result
    }

    fn has_ended(&self) -> bool {
        match &self.inner {
            Inner::Own(_) => false,
            Inner::Held(attached) => attached.has_ended(),
        }
    }

    /// Waits for one thing of the holder, and takes over from it if it has ended.
    async fn step(&mut self) {
        let Inner::Held(attached) = &mut self.inner else { return };
        attached.step().await;
        if let Some(engine) = attached.take_engine() {
            self.inner = Inner::Own(engine);
        }
    }

    #[cfg(test)]
    pub(crate) fn engine(&mut self) -> &mut Engine {
        match &mut self.inner {
            Inner::Own(engine) => engine,
            Inner::Held(_) => panic!("another program holds the state"),
        }
    }
}
