//! What a program asks of the holder of a state, and what that tells it.

use std::{collections::HashSet, sync::Arc, time::Duration};

use statuskit_core::{
    account::InstallationId,
    chat::messenger::{ChatError, GiveUp, GivenUp, Layers, Oversized, PostKind, ReceivedPayload},
    crypto::PublicKey,
    devp2p::Enode,
    envelope::{Envelope, EnvelopeHash, SymKey, Topic},
    mailserver::Access,
    payload::{
        MessageId, PayloadMessage,
        check::Rejection,
        group::{Group, GroupEvent},
        matching::Chat,
    },
    secure::{
        Installation,
        store::{
            StoreError,
            codec::{Reader, Writer},
        },
    },
    sync::SyncMessageId,
    time::UnixSeconds,
    wire::packet::EnvelopeError,
};
use statuskit_net::node::{ConnectionId, PeerSummary};

use super::{HolderError, frame::Body, intern};
use crate::{
    delivery::{Contents, Delivery, DeliveryState, PeerDelivery, PostInfo, SendId},
    engine::Listening,
    error::{ClientError, SendFailure, TooMuchWork},
    event::UnreadMessage,
    groups::GroupChange,
    history::HistorySource,
};

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// What a program wants to receive.
#[derive(Debug, Clone)]
pub(crate) struct Wants {
    /// Private messages to the identity.
    pub private: bool,
    /// Envelopes as they are, private ones too.
    pub raw: bool,
    /// Whether private messages are acknowledged.
    pub acknowledge: bool,
    pub listening: Listening,
    /// Keys whose contact codes are watched for.
    pub contacts: Vec<PublicKey>,
}

impl Wants {
    /// Whether it wants the envelopes of a topic.
    pub fn takes(&self, topic: Topic) -> bool {
        match &self.listening {
            Listening::Nothing => false,
            Listening::Topics(topics) => topics.contains(&topic),
            Listening::Everything => true,
        }
    }
}

/// The first request.
#[derive(Debug)]
pub(crate) struct Attach {
    pub identity: Option<PublicKey>,
    pub wants: Wants,
    /// Whether it was attached to a holder before, or held the state itself.
    pub resumes: bool,
    /// Messages that it had sent before, whose outcomes are open.
    pub messages: Vec<MessageId>,
}

/// How something is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SendOptions {
    pub pow: Option<f64>,
    pub mine_timeout: Option<Duration>,
    pub ttl: u32,
    pub data_sync: bool,
}

/// Something to send.
#[derive(Debug)]
pub(crate) enum Work {
    Envelope(Envelope),
    Mine(Envelope, Option<MessageId>),
    Text(Chat, String),
    Payload(Chat, PayloadMessage),
    Announce(Group),
    Create(String, Vec<PublicKey>),
    Change(String, GroupChange),
}

#[derive(Debug)]
pub(crate) enum Request {
    Attach(Box<Attach>),
    /// What has this number was handled, or is not going to be.
    Done {
        number: u64,
        is_handled: bool,
    },
    Send {
        request: u64,
        options: SendOptions,
        work: Box<Work>,
    },
    Group {
        request: u64,
        chat_id: String,
    },
    Chats {
        request: u64,
    },
    /// It wants something else from now on.
    Listen(Wants),
    /// It wants what a mailserver has.
    History(Box<HistorySource>),
}

#[derive(Debug)]
pub(crate) enum Reply {
    Welcome {
        peers: usize,
        failure: Option<String>,
        /// The peers of the holder, for a program that names none and follows it.
        named: Vec<Enode>,
    },
    /// The holder parts with the program.
    Refused(HolderError),
    /// A message that the messenger accepted.
    Private {
        number: u64,
        /// The number of the message in its envelope.
        at: u32,
        is_first: bool,
        is_repeated: bool,
        /// The envelope, opened.
        saved: Vec<u8>,
        payload: Box<ReceivedPayload>,
    },
    Envelope {
        number: u64,
        is_repeated: bool,
        envelope: Envelope,
    },
    Unread(Box<UnreadMessage>),
    Bundle {
        envelope: Envelope,
        sender: PublicKey,
        learned: Vec<Installation>,
    },
    Acknowledged {
        peer: PublicKey,
        ids: Vec<(SyncMessageId, Option<MessageId>)>,
    },
    Repeated {
        envelope: EnvelopeHash,
        id: MessageId,
    },
    Empty {
        envelope: EnvelopeHash,
        sender: PublicKey,
    },
    /// A request was accepted; with the id of the message, and whether anyone gets it.
    Accepted {
        request: u64,
        id: Option<MessageId>,
        is_sent: bool,
    },
    Failed {
        request: u64,
        error: ClientError,
    },
    Group {
        request: u64,
        group: Group,
    },
    Chats {
        request: u64,
        chats: Vec<Chat>,
    },
    /// The history that was asked for is complete, or has failed.
    History(Result<u64, HolderError>),
    /// The id is the number of the request, or 0.
    Delivered(Box<Delivery>),
    NotSent {
        id: SendId,
        contents: Contents,
        error: SendFailure,
    },
    TooMuchWork(TooMuchWork),
    GivenUp(GivenUp),
    Peers {
        peers: usize,
        failure: Option<String>,
    },
    /// The holder ends. What it has not answered it has not done.
    Ending,
}

impl Request {
    pub fn encode(&self) -> Body {
        let mut writer = Writer::default();
        let w = &mut writer;
        match self {
            Self::Attach(attach) => {
                w.u8(0);
                let Attach { identity, wants, resumes, messages } = &**attach;
                w.opt(identity.as_ref(), write_key);
                write_wants(w, wants);
                w.flag(*resumes);
                write_list(w, messages, |w, id| w.array(&id.0));
            }
            Self::Done { number, is_handled } => {
                w.u8(1);
                w.u64(*number);
                w.flag(*is_handled);
            }
            Self::Send { request, options, work } => {
                w.u8(2);
                w.u64(*request);
                w.opt(options.pow, |w, pow| w.u64(pow.to_bits()));
                w.opt(options.mine_timeout, |w, limit| w.u64(limit.as_millis() as u64));
                w.u32(options.ttl);
                w.flag(options.data_sync);
                write_work(w, work);
            }
            Self::Group { request, chat_id } => {
                w.u8(3);
                w.u64(*request);
                w.bytes(chat_id.as_bytes());
            }
            Self::Chats { request } => {
                w.u8(4);
                w.u64(*request);
            }
            Self::Listen(wants) => {
                w.u8(5);
                write_wants(w, wants);
            }
            Self::History(source) => {
                w.u8(6);
                let HistorySource { mailserver, access, since } = &**source;
                w.bytes(mailserver.to_string().as_bytes());
                match access {
                    Access::Password(key) => {
                        w.u8(0);
                        w.array(key.as_bytes());
                    }
                    Access::Key(key) => {
                        w.u8(1);
                        write_key(w, key);
                    }
                }
                w.u32(since.0);
            }
        }
        writer.finish()
    }

    pub fn decode(body: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("request of a program", body);
        let r = &mut reader;
        let request = match r.u8()? {
            0 => Self::Attach(Box::new(Attach {
                identity: r.opt(read_key)?,
                wants: read_wants(r)?,
                resumes: r.flag()?,
                messages: read_list(r, |r| r.array().map(MessageId))?,
            })),
            1 => Self::Done { number: r.u64()?, is_handled: r.flag()? },
            2 => Self::Send {
                request: r.u64()?,
                options: SendOptions {
                    pow: r.opt(Reader::u64)?.map(f64::from_bits),
                    mine_timeout: r.opt(Reader::u64)?.map(Duration::from_millis),
                    ttl: r.u32()?,
                    data_sync: r.flag()?,
                },
                work: Box::new(read_work(r)?),
            },
            3 => Self::Group { request: r.u64()?, chat_id: read_text(r)? },
            4 => Self::Chats { request: r.u64()? },
            5 => Self::Listen(read_wants(r)?),
            6 => Self::History(Box::new(HistorySource {
                mailserver: r.text()?.parse().map_err(|_| r.corrupt())?,
                access: match r.u8()? {
                    0 => Access::Password(SymKey::from_bytes(r.array()?).ok_or(r.corrupt())?),
                    1 => Access::Key(read_key(r)?),
                    _ => return Err(r.corrupt()),
                },
                since: UnixSeconds(r.u32()?),
            })),
            _ => return Err(r.corrupt()),
        };
        reader.finish()?;
        Ok(request)
    }
}

impl Reply {
    pub fn encode(&self) -> Body {
        let mut writer = Writer::default();
        let w = &mut writer;
        match self {
            Self::Welcome { peers, failure, named } => {
                write_peers(w, 0, *peers, failure);
                write_list(w, named, |w, enode| w.bytes(enode.to_string().as_bytes()));
            }
            Self::Refused(error) => {
                w.u8(1);
                write_told(w, error);
            }
            Self::Private { number, at, is_first, is_repeated, saved, payload } => {
                w.u8(2);
                w.u64(*number);
                w.u32(*at);
                w.flag(*is_first);
                w.flag(*is_repeated);
                w.bytes(saved);
                payload.write(w);
            }
            Self::Envelope { number, is_repeated, envelope } => {
                w.u8(3);
                w.u64(*number);
                w.flag(*is_repeated);
                w.bytes(envelope.raw());
            }
            Self::Unread(unread) => {
                w.u8(4);
                let UnreadMessage { envelope, sender, code, reason, is_of_session, layers } =
                    &**unread;
                w.array(&envelope.0);
                w.opt(sender.as_ref(), write_key);
                w.bytes(code.as_bytes());
                w.bytes(reason.as_bytes());
                w.flag(*is_of_session);
                layers.write(w);
            }
            Self::Bundle { envelope, sender, learned } => {
                w.u8(5);
                w.bytes(envelope.raw());
                write_key(w, sender);
                write_list(w, learned, |w, installation| installation.write(w));
            }
            Self::Acknowledged { peer, ids } => {
                w.u8(6);
                write_key(w, peer);
                write_list(w, ids, |w, (sync_id, id)| {
                    w.array(&sync_id.0);
                    w.opt(*id, |w, id| w.array(&id.0));
                });
            }
            Self::Repeated { envelope, id } => {
                w.u8(7);
                w.array(&envelope.0);
                w.array(&id.0);
            }
            Self::Empty { envelope, sender } => {
                w.u8(8);
                w.array(&envelope.0);
                write_key(w, sender);
            }
            Self::Accepted { request, id, is_sent } => {
                w.u8(9);
                w.u64(*request);
                w.opt(*id, |w, id| w.array(&id.0));
                w.flag(*is_sent);
            }
            Self::Failed { request, error } => {
                w.u8(10);
                w.u64(*request);
                write_client_error(w, error);
            }
            Self::Group { request, group } => {
                w.u8(11);
                w.u64(*request);
                write_group(w, group);
            }
            Self::Delivered(delivery) => {
                w.u8(12);
                write_delivery(w, delivery);
            }
            Self::NotSent { id, contents, error } => {
                w.u8(13);
                w.u64(id.0);
                write_contents(w, contents);
                write_failure(w, error);
            }
            Self::TooMuchWork(error) => {
                w.u8(14);
                write_too_much(w, error);
            }
            Self::GivenUp(GivenUp { peer, sync_id, message, why }) => {
                w.u8(15);
                write_key(w, peer);
                w.array(&sync_id.0);
                w.opt(*message, |w, id| w.array(&id.0));
                w.opt(oversized(*why), write_oversized);
            }
            Self::Peers { peers, failure } => write_peers(w, 16, *peers, failure),
            Self::Ending => w.u8(17),
            Self::Chats { request, chats } => {
                w.u8(18);
                w.u64(*request);
                write_list(w, chats, write_chat);
            }
            Self::History(outcome) => {
                w.u8(19);
                w.flag(outcome.is_ok());
                match outcome {
                    Ok(envelopes) => w.u64(*envelopes),
                    Err(error) => write_told(w, error),
                }
            }
        }
        writer.finish()
    }

    pub fn decode(body: &[u8]) -> Result<Self> {
        let mut reader = Reader::new("reply of a holder", body);
        let r = &mut reader;
        let reply = match r.u8()? {
            0 => Self::Welcome {
                peers: r.u32()? as usize,
                failure: r.opt(read_text)?,
                named: read_list(r, |r| r.text()?.parse().map_err(|_| r.corrupt()))?,
            },
            1 => Self::Refused(read_told(r)?),
            2 => Self::Private {
                number: r.u64()?,
                at: r.u32()?,
                is_first: r.flag()?,
                is_repeated: r.flag()?,
                saved: r.bytes()?.to_vec(),
                payload: Box::new(ReceivedPayload::read(r)?),
            },
            3 => Self::Envelope {
                number: r.u64()?,
                is_repeated: r.flag()?,
                envelope: read_envelope(r)?,
            },
            4 => Self::Unread(Box::new(UnreadMessage {
                envelope: EnvelopeHash(r.array()?),
                sender: r.opt(read_key)?,
                code: intern(r.text()?),
                reason: read_text(r)?,
                is_of_session: r.flag()?,
                layers: Layers::read(r)?,
            })),
            5 => Self::Bundle {
                envelope: read_envelope(r)?,
                sender: read_key(r)?,
                learned: read_list(r, Installation::read)?,
            },
            6 => Self::Acknowledged {
                peer: read_key(r)?,
                ids: read_list(r, |r| Ok((SyncMessageId(r.array()?), r.opt(read_id)?)))?,
            },
            7 => Self::Repeated { envelope: EnvelopeHash(r.array()?), id: read_id(r)? },
            8 => Self::Empty { envelope: EnvelopeHash(r.array()?), sender: read_key(r)? },
            9 => Self::Accepted { request: r.u64()?, id: r.opt(read_id)?, is_sent: r.flag()? },
            10 => Self::Failed { request: r.u64()?, error: read_client_error(r)? },
            11 => Self::Group { request: r.u64()?, group: read_group(r)? },
            12 => Self::Delivered(Box::new(read_delivery(r)?)),
            13 => Self::NotSent {
                id: SendId(r.u64()?),
                contents: read_contents(r)?,
                error: read_failure(r)?,
            },
            14 => Self::TooMuchWork(read_too_much(r)?),
            15 => Self::GivenUp(GivenUp {
                peer: read_key(r)?,
                sync_id: SyncMessageId(r.array()?),
                message: r.opt(read_id)?,
                why: r.opt(read_oversized)?.map_or(GiveUp::Unacknowledged, GiveUp::Oversized),
            }),
            16 => Self::Peers { peers: r.u32()? as usize, failure: r.opt(read_text)? },
            17 => Self::Ending,
            18 => Self::Chats { request: r.u64()?, chats: read_list(r, read_chat)? },
            19 => Self::History(match r.flag()? {
                true => Ok(r.u64()?),
                false => Err(read_told(r)?),
            }),
            _ => return Err(r.corrupt()),
        };
        reader.finish()?;
        Ok(reply)
    }
}

// The parts.

fn write_list<T>(w: &mut Writer, items: &[T], mut write: impl FnMut(&mut Writer, &T)) {
    w.u32(items.len() as u32);
    items.iter().for_each(|item| write(w, item));
}

/// Reads a list. It grows as its items come, so that a number alone takes no memory.
fn read_list<'a, T>(
    r: &mut Reader<'a>,
    mut read: impl FnMut(&mut Reader<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut items = Vec::new();
    for _ in 0..r.u32()? {
        items.push(read(r)?);
    }
    Ok(items)
}

fn write_key(w: &mut Writer, key: &PublicKey) {
    w.array(&key.to_compressed());
}

fn read_key(r: &mut Reader<'_>) -> Result<PublicKey> {
    PublicKey::from_slice(&r.array::<33>()?).map_err(|_| r.corrupt())
}

fn read_id(r: &mut Reader<'_>) -> Result<MessageId> {
    r.array().map(MessageId)
}

fn read_text(r: &mut Reader<'_>) -> Result<String> {
    r.text().map(str::to_owned)
}

fn read_envelope(r: &mut Reader<'_>) -> Result<Envelope> {
    Envelope::decode(r.bytes()?).map_err(|_| r.corrupt())
}

fn write_peers(w: &mut Writer, kind: u8, peers: usize, failure: &Option<String>) {
    w.u8(kind);
    w.u32(peers as u32);
    w.opt(failure.as_ref(), |w, text| w.bytes(text.as_bytes()));
}

fn write_wants(w: &mut Writer, wants: &Wants) {
    let Wants { private, raw, acknowledge, listening, contacts } = wants;
    w.flag(*private);
    w.flag(*raw);
    w.flag(*acknowledge);
    match listening {
        Listening::Nothing => w.u8(0),
        Listening::Topics(topics) => {
            w.u8(1);
            let topics: Vec<_> = topics.iter().collect();
            write_list(w, &topics, |w, topic| w.array(&topic.0));
        }
        Listening::Everything => w.u8(2),
    }
    write_list(w, contacts, write_key);
}

fn read_wants(r: &mut Reader<'_>) -> Result<Wants> {
    Ok(Wants {
        private: r.flag()?,
        raw: r.flag()?,
        acknowledge: r.flag()?,
        listening: match r.u8()? {
            0 => Listening::Nothing,
            1 => {
                let topics = read_list(r, |r| r.array().map(Topic))?;
                Listening::Topics(topics.into_iter().collect::<HashSet<_>>())
            }
            2 => Listening::Everything,
            _ => return Err(r.corrupt()),
        },
        contacts: read_list(r, read_key)?,
    })
}

fn write_chat(w: &mut Writer, chat: &Chat) {
    w.u8(match chat {
        Chat::Public(_) => 0,
        Chat::OneToOne(_) => 1,
        Chat::Group(_) => 2,
    });
    w.bytes(chat.id().as_bytes());
}

fn read_chat(r: &mut Reader<'_>) -> Result<Chat> {
    let (kind, id) = (r.u8()?, read_text(r)?);
    Ok(match kind {
        0 => Chat::Public(id),
        1 => Chat::OneToOne(id.parse().map_err(|_| r.corrupt())?),
        2 => Chat::Group(id),
        _ => return Err(r.corrupt()),
    })
}

fn write_group(w: &mut Writer, group: &Group) {
    w.bytes(group.chat_id().as_bytes());
    write_list(w, group.events(), |w, event| w.bytes(event.raw()));
}

fn read_group(r: &mut Reader<'_>) -> Result<Group> {
    let chat_id = read_text(r)?;
    let events =
        read_list(r, |r| GroupEvent::decode(&chat_id, r.bytes()?).map_err(|_| r.corrupt()))?;
    Group::build(&chat_id, events).map_err(|_| r.corrupt())
}

fn write_work(w: &mut Writer, work: &Work) {
    match work {
        Work::Envelope(envelope) => {
            w.u8(0);
            w.bytes(envelope.raw());
        }
        Work::Mine(envelope, id) => {
            w.u8(1);
            w.bytes(envelope.raw());
            w.opt(*id, |w, id| w.array(&id.0));
        }
        Work::Text(chat, text) => {
            w.u8(2);
            write_chat(w, chat);
            w.bytes(text.as_bytes());
        }
        Work::Payload(chat, message) => {
            w.u8(3);
            write_chat(w, chat);
            w.u32(message.number() as u32);
            w.bytes(&message.encode());
        }
        Work::Announce(group) => {
            w.u8(4);
            write_group(w, group);
        }
        Work::Create(name, members) => {
            w.u8(5);
            w.bytes(name.as_bytes());
            write_list(w, members, write_key);
        }
        Work::Change(chat_id, change) => {
            w.u8(6);
            w.bytes(chat_id.as_bytes());
            match change {
                GroupChange::Rename(name) => {
                    w.u8(0);
                    w.bytes(name.as_bytes());
                }
                GroupChange::Add(keys) => {
                    w.u8(1);
                    write_list(w, keys, write_key);
                }
                GroupChange::Join => w.u8(2),
                GroupChange::Remove(key) => {
                    w.u8(3);
                    write_key(w, key);
                }
                GroupChange::Promote(keys) => {
                    w.u8(4);
                    write_list(w, keys, write_key);
                }
                GroupChange::Resign => w.u8(5),
                GroupChange::Leave => w.u8(6),
            }
        }
    }
}

fn read_work(r: &mut Reader<'_>) -> Result<Work> {
    Ok(match r.u8()? {
        0 => Work::Envelope(read_envelope(r)?),
        1 => Work::Mine(read_envelope(r)?, r.opt(read_id)?),
        2 => Work::Text(read_chat(r)?, read_text(r)?),
        3 => {
            let (chat, number) = (read_chat(r)?, r.u32()? as i32);
            let message = PayloadMessage::decode(number, r.bytes()?).map_err(|_| r.corrupt())?;
            Work::Payload(chat, message)
        }
        4 => Work::Announce(read_group(r)?),
        5 => Work::Create(read_text(r)?, read_list(r, read_key)?),
        6 => {
            let chat_id = read_text(r)?;
            let change = match r.u8()? {
                0 => GroupChange::Rename(read_text(r)?),
                1 => GroupChange::Add(read_list(r, read_key)?),
                2 => GroupChange::Join,
                3 => GroupChange::Remove(read_key(r)?),
                4 => GroupChange::Promote(read_list(r, read_key)?),
                5 => GroupChange::Resign,
                6 => GroupChange::Leave,
                _ => return Err(r.corrupt()),
            };
            Work::Change(chat_id, change)
        }
        _ => return Err(r.corrupt()),
    })
}

fn write_contents(w: &mut Writer, contents: &Contents) {
    match contents {
        Contents::Envelope => w.u8(0),
        Contents::Message(id) => {
            w.u8(1);
            w.array(&id.0);
        }
        Contents::Post(PostInfo { kind, to, messages, installations, acks }) => {
            w.u8(2);
            w.u8(KINDS.iter().position(|it| it == kind).unwrap_or_default() as u8);
            w.opt(to.as_ref(), write_key);
            write_list(w, messages, |w, id| w.array(&id.0));
            write_list(w, installations, |w, id| w.bytes(id.as_str().as_bytes()));
            w.u64(*acks as u64);
        }
    }
}

const KINDS: [PostKind; 6] = [
    PostKind::Direct,
    PostKind::Fallback,
    PostKind::Public,
    PostKind::ContactCode,
    PostKind::Advertisement,
    PostKind::Pairing,
];

fn read_contents(r: &mut Reader<'_>) -> Result<Contents> {
    Ok(match r.u8()? {
        0 => Contents::Envelope,
        1 => Contents::Message(read_id(r)?),
        2 => Contents::Post(PostInfo {
            kind: *KINDS.get(usize::from(r.u8()?)).ok_or(r.corrupt())?,
            to: r.opt(read_key)?,
            messages: read_list(r, read_id)?,
            installations: read_list(r, |r| r.text().map(InstallationId::new))?,
            acks: r.u64()? as usize,
        }),
        _ => return Err(r.corrupt()),
    })
}

fn write_delivery(w: &mut Writer, delivery: &Delivery) {
    let Delivery { id, contents, envelope, hash: _, peers, known, expired } = delivery;
    w.u64(id.0);
    write_contents(w, contents);
    w.bytes(envelope.raw());
    write_list(w, peers, |w, PeerDelivery { connection, peer, state }| {
        w.u64(connection.to_bits());
        w.opt(peer.as_ref(), |w, peer| {
            write_key(w, &peer.id);
            w.bytes(peer.addr.to_string().as_bytes());
            w.flag(peer.inbound);
            w.bytes(peer.client.as_bytes());
        });
        match state {
            DeliveryState::Queued => w.u8(0),
            DeliveryState::Written { confirms: false } => w.u8(1),
            DeliveryState::Written { confirms: true } => w.u8(2),
            DeliveryState::Confirmed => w.u8(3),
            DeliveryState::Refused(EnvelopeError { hash, code, description }) => {
                w.u8(4);
                w.array(&hash.0);
                w.u64(*code);
                w.bytes(description.as_bytes());
            }
            DeliveryState::Gone => w.u8(5),
            DeliveryState::Unanswered => w.u8(6),
            DeliveryState::Expired { ahead } => {
                w.u8(7);
                w.u64((*ahead).into());
            }
        }
    });
    w.flag(*known);
    w.flag(*expired);
}

fn read_delivery(r: &mut Reader<'_>) -> Result<Delivery> {
    let (id, contents) = (SendId(r.u64()?), read_contents(r)?);
    let envelope = Arc::new(read_envelope(r)?);
    let peers = read_list(r, |r| {
        let connection = ConnectionId::from_bits(r.u64()?);
        let peer = r.opt(|r| {
            Ok(Arc::new(PeerSummary {
                key: connection,
                id: read_key(r)?,
                addr: r.text()?.parse().map_err(|_| r.corrupt())?,
                inbound: r.flag()?,
                client: read_text(r)?,
            }))
        })?;
        let state = match r.u8()? {
            0 => DeliveryState::Queued,
            1 => DeliveryState::Written { confirms: false },
            2 => DeliveryState::Written { confirms: true },
            3 => DeliveryState::Confirmed,
            4 => DeliveryState::Refused(EnvelopeError {
                hash: EnvelopeHash(r.array()?),
                code: r.u64()?,
                description: read_text(r)?,
            }),
            5 => DeliveryState::Gone,
            6 => DeliveryState::Unanswered,
            7 => DeliveryState::Expired { ahead: r.u64()?.try_into().map_err(|_| r.corrupt())? },
            _ => return Err(r.corrupt()),
        };
        Ok(PeerDelivery { connection, peer, state })
    })?;
    let (known, expired) = (r.flag()?, r.flag()?);
    Ok(Delivery { id, contents, hash: envelope.hash(), envelope, peers, known, expired })
}

fn write_too_much(w: &mut Writer, error: &TooMuchWork) {
    w.u64(error.target.to_bits());
    w.u64(error.estimate.to_bits());
    w.u64(error.limit.as_millis() as u64);
}

fn read_too_much(r: &mut Reader<'_>) -> Result<TooMuchWork> {
    Ok(TooMuchWork {
        target: f64::from_bits(r.u64()?),
        estimate: f64::from_bits(r.u64()?),
        limit: Duration::from_millis(r.u64()?),
    })
}

fn write_told(w: &mut Writer, error: &HolderError) {
    w.bytes(error.code.as_bytes());
    w.bytes(error.message.as_bytes());
}

fn read_told(r: &mut Reader<'_>) -> Result<HolderError> {
    Ok(HolderError::new(intern(r.text()?), read_text(r)?))
}

fn write_failure(w: &mut Writer, error: &SendFailure) {
    match error {
        SendFailure::TooMuchWork(error) => {
            w.u8(0);
            write_too_much(w, error);
        }
        SendFailure::Cancelled => w.u8(1),
        SendFailure::Unwanted { topic, pow, requirements, is_topic } => {
            w.u8(2);
            w.array(&topic.0);
            w.u64(pow.to_bits());
            w.bytes(requirements.as_bytes());
            w.flag(*is_topic);
        }
        SendFailure::NoPeer => w.u8(3),
        other => {
            w.u8(4);
            write_told(w, &HolderError::new(other.code(), other.to_string()));
        }
    }
}

fn read_failure(r: &mut Reader<'_>) -> Result<SendFailure> {
    Ok(match r.u8()? {
        0 => SendFailure::TooMuchWork(read_too_much(r)?),
        1 => SendFailure::Cancelled,
        2 => SendFailure::Unwanted {
            topic: Topic(r.array()?),
            pow: f64::from_bits(r.u64()?),
            requirements: read_text(r)?,
            is_topic: r.flag()?,
        },
        3 => SendFailure::NoPeer,
        4 => SendFailure::Holder(read_told(r)?),
        _ => return Err(r.corrupt()),
    })
}

fn oversized(why: GiveUp) -> Option<Oversized> {
    match why {
        GiveUp::Oversized(oversized) => Some(oversized),
        _ => None,
    }
}

fn write_oversized(w: &mut Writer, Oversized { size, most, copies }: Oversized) {
    [size, most, copies].into_iter().for_each(|number| w.u64(number as u64));
}

fn read_oversized(r: &mut Reader<'_>) -> Result<Oversized> {
    let mut number = || r.u64().map(|number| number as usize);
    Ok(Oversized { size: number()?, most: number()?, copies: number()? })
}

/// What programs treat in different ways stays what it is.
fn write_client_error(w: &mut Writer, error: &ClientError) {
    match error {
        ClientError::Chat(ChatError::UnknownGroup(id)) => {
            w.u8(0);
            w.bytes(id.as_bytes());
        }
        ClientError::Chat(ChatError::NotJoined) => w.u8(1),
        ClientError::Chat(ChatError::NotForGroups(kind)) => {
            w.u8(2);
            w.u32(*kind as u32);
        }
        ClientError::Chat(ChatError::Oversized(oversized)) => {
            w.u8(3);
            write_oversized(w, *oversized);
        }
        ClientError::Chat(ChatError::Rejected(rejection)) => {
            w.u8(4);
            w.bytes(rejection.code().as_bytes());
        }
        ClientError::NoIdentity => w.u8(5),
        other => {
            w.u8(6);
            write_told(w, &HolderError::new(other.code(), other.to_string()));
        }
    }
}

fn read_client_error(r: &mut Reader<'_>) -> Result<ClientError> {
    let chat = match r.u8()? {
        0 => ChatError::UnknownGroup(read_text(r)?),
        1 => ChatError::NotJoined,
        2 => ChatError::NotForGroups(r.u32()? as i32),
        3 => ChatError::Oversized(read_oversized(r)?),
        4 => ChatError::Rejected(Rejection::from_code(r.text()?).ok_or(r.corrupt())?),
        5 => return Ok(ClientError::NoIdentity),
        6 => return Ok(ClientError::Holder(read_told(r)?)),
        _ => return Err(r.corrupt()),
    };
    Ok(ClientError::Chat(chat))
}

#[cfg(test)]
mod tests {
    use statuskit_core::crypto::{SecretKey, seeded_rng};

    use super::*;

    fn key() -> PublicKey {
        SecretKey::generate(&mut seeded_rng("key")).public_key()
    }

    fn envelope() -> Envelope {
        Envelope::new(UnixSeconds(100), 15, Topic([1, 2, 3, 4]), &[7; 40], 9)
    }

    fn wants(listening: Listening) -> Wants {
        let contacts = vec![key()];
        Wants { private: true, raw: false, acknowledge: true, listening, contacts }
    }

    fn requests() -> Vec<Request> {
        let options = SendOptions {
            pow: Some(0.5),
            mine_timeout: Some(Duration::from_secs(3)),
            ttl: 15,
            data_sync: false,
        };
        let id = MessageId([5; 32]);
        let work = [
            Work::Envelope(envelope()),
            Work::Mine(envelope(), Some(id)),
            Work::Text(Chat::OneToOne(key()), "text".to_owned()),
            Work::Payload(
                Chat::Group("g".to_owned()),
                PayloadMessage::Other { number: 99, bytes: vec![1] },
            ),
            Work::Create("name".to_owned(), vec![key()]),
            Work::Change("g".to_owned(), GroupChange::Rename("n".to_owned())),
            Work::Change("g".to_owned(), GroupChange::Add(vec![key()])),
            Work::Change("g".to_owned(), GroupChange::Join),
            Work::Change("g".to_owned(), GroupChange::Remove(key())),
            Work::Change("g".to_owned(), GroupChange::Promote(vec![key()])),
            Work::Change("g".to_owned(), GroupChange::Resign),
            Work::Change("g".to_owned(), GroupChange::Leave),
        ];
        let mailserver = enode();
        let source = |access| {
            let mailserver = mailserver.parse().unwrap();
            Request::History(Box::new(HistorySource { mailserver, access, since: UnixSeconds(7) }))
        };
        let mut requests = vec![
            Request::Attach(Box::new(Attach {
                identity: Some(key()),
                wants: wants(Listening::Topics(HashSet::from([Topic([9; 4])]))),
                resumes: true,
                messages: vec![id],
            })),
            Request::Done { number: 3, is_handled: true },
            Request::Group { request: 4, chat_id: "g".to_owned() },
            Request::Chats { request: 5 },
            Request::Listen(wants(Listening::Everything)),
            Request::Listen(wants(Listening::Nothing)),
            source(Access::Key(key())),
            source(Access::Password(SymKey::from_password("p"))),
        ];
        let send = |work| Request::Send { request: 2, options, work: Box::new(work) };
        requests.extend(work.into_iter().map(send));
        requests
    }

    fn enode() -> String {
        format!("enode://{}@127.0.0.1:1", hex(&key().to_xy()))
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn replies() -> Vec<Reply> {
        let id = MessageId([5; 32]);
        let sync_id = SyncMessageId([6; 32]);
        let told = || HolderError::new("share.refused", "no");
        let too_much = TooMuchWork { target: 5.0, estimate: 9.0, limit: Duration::from_secs(1) };
        let post = Contents::Post(PostInfo {
            kind: PostKind::Advertisement,
            to: Some(key()),
            messages: vec![id],
            installations: vec![InstallationId::new("i")],
            acks: 2,
        });
        let connection = ConnectionId::from_bits(7 << 32 | 8);
        let peer = Arc::new(PeerSummary {
            key: connection,
            id: key(),
            addr: "127.0.0.1:30303".parse().unwrap(),
            inbound: true,
            client: "client".to_owned(),
        });
        let hash = envelope().hash();
        let refused = EnvelopeError { hash, code: 2, description: "low".to_owned() };
        let states = [
            DeliveryState::Queued,
            DeliveryState::Written { confirms: true },
            DeliveryState::Written { confirms: false },
            DeliveryState::Confirmed,
            DeliveryState::Refused(refused),
            DeliveryState::Gone,
            DeliveryState::Unanswered,
            DeliveryState::Expired { ahead: 19 },
        ];
        let peers =
            states.map(|state| PeerDelivery { connection, peer: Some(peer.clone()), state });
        let failures = [
            SendFailure::TooMuchWork(too_much.clone()),
            SendFailure::Cancelled,
            SendFailure::Unwanted {
                topic: Topic([1; 4]),
                pow: 0.1,
                requirements: "all".to_owned(),
                is_topic: true,
            },
            SendFailure::NoPeer,
            SendFailure::Holder(told()),
        ];
        let oversized = Oversized { size: 3, most: 2, copies: 1 };
        let errors = [
            ClientError::Chat(ChatError::UnknownGroup("g".to_owned())),
            ClientError::Chat(ChatError::NotJoined),
            ClientError::Chat(ChatError::NotForGroups(4)),
            ClientError::Chat(ChatError::Oversized(oversized)),
            ClientError::Chat(ChatError::Rejected(Rejection::ClockAhead)),
            ClientError::NoIdentity,
            ClientError::Holder(told()),
        ];
        let given_up =
            |why| Reply::GivenUp(GivenUp { peer: key(), sync_id, message: Some(id), why });
        let unread = UnreadMessage {
            envelope: hash,
            sender: Some(key()),
            code: "secure.unsigned",
            reason: "why".to_owned(),
            is_of_session: true,
            layers: Layers::default(),
        };
        let failure = Some("lost".to_owned());
        let mut replies = vec![
            Reply::Welcome {
                peers: 1,
                failure: failure.clone(),
                named: vec![enode().parse().unwrap()],
            },
            Reply::Refused(told()),
            Reply::Envelope { number: 1, is_repeated: true, envelope: envelope() },
            Reply::Unread(Box::new(unread)),
            Reply::Bundle { envelope: envelope(), sender: key(), learned: Vec::new() },
            Reply::Acknowledged { peer: key(), ids: vec![(sync_id, Some(id)), (sync_id, None)] },
            Reply::Repeated { envelope: hash, id },
            Reply::Empty { envelope: hash, sender: key() },
            Reply::Accepted { request: 1, id: Some(id), is_sent: true },
            Reply::Chats { request: 1, chats: vec![Chat::Public("c".to_owned())] },
            Reply::History(Ok(5)),
            Reply::History(Err(told())),
            Reply::Delivered(Box::new(Delivery {
                id: SendId(3),
                contents: post.clone(),
                envelope: Arc::new(envelope()),
                hash,
                peers: peers.to_vec(),
                known: true,
                expired: false,
            })),
            Reply::TooMuchWork(too_much),
            given_up(GiveUp::Unacknowledged),
            given_up(GiveUp::Oversized(oversized)),
            Reply::Peers { peers: 0, failure },
            Reply::Ending,
        ];
        replies.extend(failures.into_iter().map(|error| Reply::NotSent {
            id: SendId(1),
            contents: Contents::Message(id),
            error,
        }));
        replies.extend(errors.into_iter().map(|error| Reply::Failed { request: 1, error }));
        replies
    }

    #[test]
    fn messages_are_read_as_they_were_written_and_cut_ones_are_refused() {
        for request in requests() {
            let body = request.encode();
            let read = Request::decode(&body).unwrap();
            assert_eq!(format!("{read:?}"), format!("{request:?}"));
            assert_eq!(read.encode(), body);
            for length in 0..body.len() {
                assert!(Request::decode(&body[..length]).is_err(), "{request:?}: {length}");
            }
            assert!(Request::decode(&[&body[..], &[0]].concat()).is_err(), "{request:?}");
        }
        for reply in replies() {
            let body = reply.encode();
            let read = Reply::decode(&body).unwrap();
            assert_eq!(format!("{read:?}"), format!("{reply:?}"));
            assert_eq!(read.encode(), body);
            for length in 0..body.len() {
                assert!(Reply::decode(&body[..length]).is_err(), "{reply:?}: {length}");
            }
        }
    }

    #[test]
    fn a_changed_byte_is_no_panic() {
        for body in
            requests().iter().map(Request::encode).chain(replies().iter().map(Reply::encode))
        {
            for at in 0..body.len() {
                for value in [0, 1, 2, 0x7f, 0xff] {
                    let mut changed = body.to_vec();
                    changed[at] = value;
                    let _ = (Request::decode(&changed), Reply::decode(&changed));
                }
            }
        }
    }
}
