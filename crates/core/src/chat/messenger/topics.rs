//! On which topics messages for us may come, and where those of ours go.

use super::{Messenger, Result, Subscription, TopicKind, event::PostKey, point};
use crate::{
    account::ContactCode,
    crypto::PublicKey,
    envelope::{Topic, topic},
    payload::{group::Group, matching::Chat},
    secure::{
        NegotiatedSecret,
        store::{Store, StoreError},
    },
};

impl<S: Store> Messenger<S> {
    /// All topics to listen to: our own, public chats, contact codes of those we talk with, and
    /// what was negotiated. Takes some milliseconds for each new name.
    pub fn subscriptions(&mut self) -> Result<Vec<Subscription>> {
        self.atomically(|it| {
            let me = it.me;
            let own = |name: String, kind| Subscription {
                topic: Topic::from_name(&name),
                key: None,
                kind,
            };
            let mut all = vec![
                own(topic::partitioned_name(&me), TopicKind::Partitioned),
                own(topic::personal_discovery_name(&me), TopicKind::Personal),
                it.contact_code_of(&me)?,
            ];
            for name in it.public_chats.clone() {
                let key = Some(it.store().key_of_name(&name)?);
                all.push(Subscription {
                    topic: Topic::from_name(&name),
                    key,
                    kind: TopicKind::Public(name),
                });
            }
            for peer in it.correspondents()? {
                all.push(it.contact_code_of(&peer)?);
            }
            for peer in it.peers()? {
                if let (Some(secret), Some(key)) = (&peer.secret, point(&peer.identity)) {
                    all.push(it.negotiated(&key, secret)?);
                }
            }
            Ok(all)
        })
    }

    /// The contact code of somebody: where their bundles are published. Who is looked up is no
    /// stranger.
    pub fn contact_code(&mut self, owner: &PublicKey) -> Result<Subscription> {
        self.atomically(|it| {
            it.device.mark_known(owner)?;
            it.contact_code_of(owner)
        })
    }

    pub(super) fn contact_code_of(&mut self, owner: &PublicKey) -> Result<Subscription> {
        let ContactCode { name, topic } = ContactCode::from_key(owner);
        let key = Some(self.store().key_of_name(&name)?);
        Ok(Subscription { topic, key, kind: TopicKind::ContactCode(*owner) })
    }

    /// Everyone we talk with: to whom we have written, and the members of the groups that we have
    /// joined. Not whoever has written to us: their bundle came with their message, and strangers
    /// shall not decide how much there is to listen to.
    pub(super) fn correspondents(&mut self) -> Result<Vec<PublicKey>> {
        let me = self.me;
        let mut all = std::collections::BTreeSet::new();
        let chats = self.memory()?.chats.iter().map(|(chat, known)| (chat.clone(), known.ours));
        for (chat, ours) in chats.collect::<Vec<_>>() {
            match chat {
                Chat::OneToOne(peer) if ours => _ = all.insert(peer),
                Chat::Group(id) if ours => {
                    let group = self.store().group(&id)?;
                    let state = group.as_ref().map(Group::state);
                    let joined = state.filter(|state| state.may_write(&me.to_string()));
                    let members = joined.iter().flat_map(|state| state.members.to_vec());
                    all.extend(members.filter_map(|text| text.parse::<PublicKey>().ok()));
                }
                Chat::OneToOne(_) | Chat::Group(_) | Chat::Public(_) => {}
            }
        }
        all.remove(&me);
        Ok(all.into_iter().collect())
    }

    pub(super) fn negotiated(
        &mut self,
        peer: &PublicKey,
        secret: &NegotiatedSecret,
    ) -> std::result::Result<Subscription, StoreError> {
        let name = secret.topic_name();
        let key = Some(self.store().key_of_negotiated(&peer.into(), &name)?);
        Ok(Subscription { topic: Topic::from_name(&name), key, kind: TopicKind::Negotiated(*peer) })
    }
}

/// Where whoever has never talked with `peer` can write.
pub(super) fn partitioned(peer: &PublicKey) -> (Topic, PostKey) {
    (Topic::from_name(&topic::partitioned_name(peer)), PostKey::Asym(*peer))
}
