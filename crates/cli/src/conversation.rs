//! Private conversations: what `status-send` and `status-receive` say about them.

use clap::Args;
use serde_json::{Value, json};
use statuskit_client::{Event, PostInfo, TooMuchWork, UnreadMessage};
use statuskit_core::{
    account::InstallationId,
    chat::messenger::{GiveUp, GivenUp, Layers, PostKind, ReceivedPayload},
    payload::{MessageId, matching::Chat},
    secure::{EncryptionKind, Installation},
};

use crate::{
    error::{CliError, Exit},
    output::Record,
    state::StateArgs,
};

/// The options of receiving.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Conversations")]
pub struct TalkArgs {
    #[command(flatten)]
    pub state: StateArgs,
    /// Id of this installation, for a new state [default: random]
    #[arg(long, value_name = "ID")]
    pub installation: Option<String>,
    /// Only read: acknowledge and publish nothing
    #[arg(long)]
    pub no_acks: bool,
    /// Look for the contact code of this key, and print the bundles in it. Repeatable
    #[arg(long, value_name = "KEY")]
    pub contact: Vec<String>,
    /// Also print acknowledgements, bundles and repeated messages
    #[arg(long)]
    pub events: bool,
}

impl TalkArgs {
    /// The id for a new state.
    pub fn installation(&self) -> Option<InstallationId> {
        self.installation.as_deref().map(InstallationId::new)
    }
}

/// The records of an event that `--events` shows.
pub fn other_record(event: &Event) -> Vec<Record> {
    match event {
        Event::Bundle { envelope, sender, learned } => vec![
            Record::new("bundle")
                .with("hash", envelope.hash().to_string())
                .with("sent", envelope.sent())
                .with("sender", sender.to_string())
                .with("learned", learned.iter().map(installation_value).collect::<Vec<_>>()),
        ],
        Event::Acknowledged { peer, ids } => ids
            .iter()
            .map(|(sync_id, id)| {
                Record::new("acknowledged")
                    .with("by", peer.to_string())
                    .with("data_sync_id", sync_id.to_string())
                    .with("message_id", id.map(|id| id.to_string()))
            })
            .collect(),
        Event::Repeated { envelope, id } => vec![
            Record::new("repeated")
                .with("hash", envelope.to_string())
                .with("message_id", id.to_string()),
        ],
        Event::Empty { envelope, sender } => vec![
            Record::new("empty")
                .with("hash", envelope.to_string())
                .with("sender", sender.to_string()),
        ],
        _ => Vec::new(),
    }
}

/// Marks the record of a message that may have been printed before: the process that received it was
/// killed.
pub fn repeated(record: Record, is_repeated: bool) -> Record {
    record.with_some("repeated", is_repeated.then_some(true))
}

/// A message that could not be read; `is_kept` says whether there is a state.
pub fn unread_error(unread: &UnreadMessage, is_kept: bool) -> CliError {
    let UnreadMessage { envelope, sender, code, reason, is_of_session, .. } = unread;
    let who = sender.map_or_else(|| "nobody".to_owned(), |key| key.to_string());
    let message = format!("envelope {envelope}, signed by {who}: {reason}");
    let error = CliError::new(code, Exit::Negative, message);
    if *is_of_session && !is_kept {
        error.hint("--state DIR keeps the sessions that open such messages")
    } else {
        error
    }
}

/// An installation as a member of records.
pub fn installation_value(installation: &Installation) -> Value {
    json!({
        "identity": installation.identity.to_string(),
        "installation": installation.id.as_str(),
        "pre_key": installation.prekey.to_string(),
        "version": installation.prekey_version,
        "protocol_version": installation.protocol_version,
        "timestamp": installation.timestamp.to_string(),
        "enabled": installation.enabled,
        "agreed": installation.agreed,
    })
}

/// Adds what is known of a private message to its record.
pub fn private_record(record: Record, received: &ReceivedPayload) -> Record {
    let record = record
        .with("author", received.author.to_string())
        .with("message_id", received.id.to_string())
        .with("chat", received.chat.as_ref().map(Chat::id))
        .with("layers", layers_value(&received.layers));
    let Some(news) = &received.group else { return record };
    // A rejected text is not shown.
    let record =
        if received.chat.is_none() { record.without("payload", "message") } else { record };
    let state = news.group.state();
    record.with(
        "group",
        json!({
            "chat_id": news.group.chat_id(),
            "name": state.name,
            "new": news.is_new,
            "new_events": news.new_events.len(),
            "members": state.members.to_vec(),
            "joined": state.joined.to_vec(),
            "admins": state.admins.to_vec(),
        }),
    )
}

/// The layers that a payload came through.
fn layers_value(layers: &Layers) -> Value {
    let mut value = match &layers.secure {
        None => json!({ "secure": "none" }),
        Some(how) => how_value(how),
    };
    value["installation"] = layers.installation.as_ref().map(|id| id.as_str()).into();
    value["data_sync_id"] = layers.sync.map(|id| id.to_string()).into();
    value
}

/// How the secure transport encrypted a payload.
pub fn how_value(how: &EncryptionKind) -> Value {
    match how {
        EncryptionKind::Public => json!({ "secure": "public" }),
        EncryptionKind::Identity => json!({ "secure": "dh" }),
        EncryptionKind::Session {
            session,
            header,
            started,
            ratcheted,
            missing,
            key_was_stored,
        } => json!({
            "secure": "direct",
            "bundle": session.bundle.to_string(),
            "ratchet_key": header.key.to_string(),
            "n": header.n,
            "pn": header.pn,
            "started": started,
            "ratcheted": ratcheted,
            "missing": missing,
            "kept": key_was_stored,
        }),
    }
}

/// A message that was given up.
pub fn given_up_error(given_up: &GivenUp) -> CliError {
    let what = match &given_up.message {
        Some(id) => format!("message {id}"),
        None => format!("message {} of data sync", given_up.sync_id),
    };
    let message = format!("{what} to {} is given up: {}", given_up.peer, given_up.why);
    let error = CliError::new("send.given_up", Exit::Network, message);
    match given_up.why {
        GiveUp::Oversized(_) => error.hint("split it, and send the parts"),
        _ => error,
    }
}

/// A peer that gets nothing, because it asks for too much work.
pub fn too_much_work(error: &TooMuchWork) -> String {
    format!("a peer that asks for it gets nothing: {error}; --mine-timeout sets the limit")
}

/// Adds the members of a post to a record about some of its messages.
pub fn post_members(record: Record, post: &PostInfo, messages: &[MessageId]) -> Record {
    let kind = match post.kind {
        PostKind::Direct => "direct",
        PostKind::Fallback => "dh",
        PostKind::Public => "public",
        PostKind::ContactCode => "contact_code",
        PostKind::Advertisement => "advertisement",
        PostKind::Pairing => "pairing",
    };
    let installations: Vec<_> = post.installations.iter().map(InstallationId::as_str).collect();
    record
        .with("message_ids", ids(messages))
        .with("to", post.to.map(|to| to.to_string()))
        .with("secure", kind)
        .with("installations", installations)
        .with("acks", post.acks)
}

/// Message ids as texts.
pub fn ids(ids: &[MessageId]) -> Vec<String> {
    ids.iter().map(MessageId::to_string).collect()
}
