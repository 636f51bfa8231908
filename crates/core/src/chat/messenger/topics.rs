//! The topics on which we receive and send.

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
    /// Returns all topics to subscribe to: our own, public chats, the contact codes of
    /// correspondents, and negotiated ones. Takes some milliseconds for each new name.
    ///
    /// # Errors
    /// If the store fails.
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

    /// Returns the topic on which an identity publishes its bundles. The identity is no stranger
    /// from then on.
    ///
    /// # Errors
    /// If the store fails.
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

    /// Returns the peers that we wrote to, and the members of groups that we joined.
    ///
    /// Excludes peers that only wrote to us: their bundle came with their message, and strangers
    /// must not decide on the number of our topics.
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

/// Returns the topic and the key for a first message to `peer`.
pub(super) fn partitioned(peer: &PublicKey) -> (Topic, PostKey) {
    (Topic::from_name(&topic::partitioned_name(peer)), PostKey::Asym(*peer))
}
