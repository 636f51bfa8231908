//! The keys that layers are opened with.

use std::path::PathBuf;

use clap::Args;
use statuskit_core::{
    chat::messenger::{Messenger, Subscription},
    crypto::{SecretKey, seeded_rng},
    devp2p::handshake::SessionKeys,
    secure::MemoryStore,
};
use statuskit_inspect::{Keys, State};

use crate::{
    config,
    error::{CliError, Exit, Result},
    keys::{OpenArgs, read_identity},
    state::{StateArgs, chat_error},
};

/// Keys of all layers. None of them is ever shown.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Keys")]
pub struct KeyArgs {
    /// File with the private key of a node, for RLPx handshakes. Repeatable
    #[arg(long, value_name = "FILE")]
    node_key: Vec<PathBuf>,
    /// Key log that a tool has written with its --key-log, for frames of RLPx. Repeatable
    #[arg(long, value_name = "FILE")]
    key_log: Vec<PathBuf>,
    #[command(flatten)]
    open: OpenArgs,
    #[command(flatten)]
    state: StateArgs,
}

impl KeyArgs {
    /// Reads all keys. The state is read, and never changed.
    pub fn keys(&self) -> Result<Keys> {
        let mut keys = Keys::default();
        keys.ring = self.open.key_ring()?;
        for path in &self.node_key {
            keys.nodes.push(read_identity(path, "--node-key")?);
        }
        for path in &self.key_log {
            let shown = path.display();
            let text = String::from_utf8(super::given::read_file(path)?).map_err(|_| {
                let message = format!("{shown} is no key log");
                CliError::new("inspect.key_log", Exit::Malformed, message).field("--key-log")
            })?;
            for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty()) {
                let read = SessionKeys::from_line(line).ok_or_else(|| {
                    let message = format!("{shown} has a line that is none of a key log");
                    CliError::new("inspect.key_log", Exit::Malformed, message)
                        .field("--key-log")
                        .line(number)
                })?;
                keys.frames.push(read);
            }
        }
        for contact in config::active()?.config.contacts.values() {
            keys.add_contact(contact.value);
        }
        let own: Vec<_> = keys.ring.identities().map(SecretKey::public_key).collect();
        own.into_iter().for_each(|key| keys.add_contact(key));
        let state = self.state.or_of_profile(&self.open.identity)?;
        // The profile may name a state that is not there yet.
        let is_of_profile = self.state.state.is_none();
        if let Some(identity) = self.open.identity.load()? {
            if let Some(store) = state.snapshot(is_of_profile)? {
                add_state(&mut keys, identity, store)?;
            }
        } else if !is_of_profile {
            return Err(CliError::usage("a state needs its identity")
                .field("--state")
                .hint("--identity FILE")
                .into());
        }
        Ok(keys)
    }
}

/// Adds sessions, and the keys of the conversations of a state.
fn add_state(keys: &mut Keys, identity: SecretKey, store: MemoryStore) -> Result<()> {
    for subscription in subscriptions(&identity, &store)? {
        keys.ring.add_subscription(&subscription);
    }
    keys.states.push(State::new(identity, store));
    Ok(())
}

fn subscriptions(identity: &SecretKey, store: &MemoryStore) -> Result<Vec<Subscription>> {
    // Of a copy, which is thrown away with all that opening it changes.
    let mut rng = seeded_rng("inspect");
    let copy = Messenger::open(store.clone(), identity.clone(), None, &mut rng);
    let subscriptions = copy.and_then(|mut copy| copy.subscriptions());
    Ok(subscriptions.map_err(|error| chat_error(&error))?)
}
