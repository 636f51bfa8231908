//! `status-session encrypt` and `decrypt`.

use clap::Args;
use statuskit_core::{
    crypto::PublicKey,
    reader::Wants,
    secure::{
        EncryptionKind, ProtocolMessage, SessionId, SessionState, Timestamp, encrypt_to_identity,
    },
};

use crate::{
    context::Context,
    conversation::{how_value, installation_value},
    error::{CliError, Exit, Result, Stop},
    input::{Content, Item, each_item},
    keys::{parse_public_key, public_key},
    output::Record,
    records::hex_member,
    session::{
        AnyDevice, DeviceArgs,
        record::{message_record, session_id, state_value},
    },
    state::{IfMissing, secure_error},
};

/// Encrypt payloads to the devices of a recipient
///
/// Reads payloads from standard input: records with a member raw, hex, base64 or binary. Without a
/// state, encrypts to the identity of the recipient, which is not forward secret.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo 0x6869 | status-session encrypt --to zQ3shPyZJnxZK4Bwyx9QsaksNKDYTPmpwPvGSjMYVHoXHeEgB")]
pub struct EncryptCommand {
    #[command(flatten)]
    device: DeviceArgs,
    /// Public key of the recipient: 0x04…, 0x02…, zQ3sh…, or a share link
    #[arg(long, value_name = "KEY")]
    to: String,
    /// Read all of standard input as one binary payload
    #[arg(long)]
    literal: bool,
    #[command(flatten)]
    trace: TraceArgs,
}

/// Decrypt protocol messages
///
/// Reads messages from standard input: records of encrypt or of `status-envelope open`, hex, base64
/// or binary. Prints the plaintext in the member raw. A decrypted message is confirmed: its key is
/// deleted, and it can't be decrypted again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ echo 0x6869 | status-session encrypt --identity me.key --to $(status-account show --identity me.key --output hex) | status-session decrypt --identity me.key --from $(status-account show --identity me.key --output hex)")]
pub struct DecryptCommand {
    #[command(flatten)]
    device: DeviceArgs,
    /// Public key of the sender [default: the signer in the record]
    #[arg(long, value_name = "KEY")]
    from: Option<String>,
    /// Keep the keys of messages, so that they can be decrypted again
    #[arg(long)]
    no_confirm: bool,
    #[command(flatten)]
    trace: TraceArgs,
}

/// Options to show the steps of sessions.
#[derive(Debug, Args)]
struct TraceArgs {
    /// Print the session before and after each message
    #[arg(long)]
    trace: bool,
    /// Include private keys, root keys and chain keys: they decrypt the conversation
    #[arg(long, requires = "trace")]
    subtle: bool,
}

impl TraceArgs {
    /// Returns the state of a session, with --trace.
    fn state(&self, device: &mut AnyDevice, id: &SessionId) -> Result<Option<SessionState>> {
        if !self.trace {
            return Ok(None);
        }
        Ok(device.session(id).map_err(|error| secure_error(&error.into()))?)
    }

    /// Returns all sessions, with --trace.
    fn all(&self, device: &AnyDevice) -> Result<Vec<SessionState>> {
        if !self.trace {
            return Ok(Vec::new());
        }
        Ok(device.sessions().map_err(|error| secure_error(&error.into()))?)
    }

    /// Prints the step of a session.
    fn step(
        &self,
        direction: &str,
        id: &SessionId,
        before: Option<&SessionState>,
        after: Option<&SessionState>,
        cx: &mut Context,
    ) -> Result<()> {
        if !self.trace {
            return Ok(());
        }
        let value = |state: &SessionState| state_value(state, self.subtle);
        let record = Record::new("ratchet_step")
            .with("direction", direction)
            .with("session", session_id(id))
            .with("before", before.map(value))
            .with("after", after.map(value));
        cx.emit(&record, Record::to_text)
    }
}

impl EncryptCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let to = parse_public_key(&self.to, "--to")?;
        let mut rng = cx.rng("session")?;
        cx.warn_of_seed();
        let mut device = match self.device.state()?.state {
            Some(_) => Some(self.device.require(IfMissing::Make, &mut rng)?),
            None => None,
        };
        self.each(cx, |cx, payload| {
            let Some(device) = &mut device else {
                let message = encrypt_to_identity(&to, payload, &mut rng);
                return cx.emit(&message_record(&message), Record::to_text);
            };
            let before = self.trace.all(device)?;
            let now = Timestamp::from_millis(cx.now_ms());
            let sent = device.encrypt_to(&to, payload, now, &mut rng);
            let sent = sent.map_err(|error| secure_error(&error))?;
            for part in &sent.device_messages {
                let after = self.trace.state(device, &part.session)?;
                let before = before.iter().find(|it| it.id == part.session);
                self.trace.step("send", &part.session, before, after.as_ref(), cx)?;
            }
            let record = message_record(&sent.message)
                .with("to", to.to_string())
                .with("agreed", sent.agreed);
            cx.emit(&record, Record::to_text)
        })
    }

    fn each(
        &self,
        cx: &mut Context,
        mut work: impl FnMut(&mut Context, &[u8]) -> Result<()>,
    ) -> Result<()> {
        if self.literal {
            let mut all = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin().lock(), &mut all)?;
            return work(cx, &all);
        }
        each_item(cx, Wants::any_bytes(), "payloads", |cx, item| {
            let bytes = match &item.content {
                Content::Bytes(bytes) => bytes.clone(),
                Content::Record(members) => hex_member(members, "raw")?,
            };
            work(cx, &bytes)
        })
    }
}

impl DecryptCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let from = self.from.as_deref().map(|text| parse_public_key(text, "--from")).transpose()?;
        let mut rng = cx.rng("session")?;
        let identity = self.device.identity.require()?;
        let device = self.device.find(IfMissing::Fail, &identity, None, &mut rng)?;
        let mut device = match device {
            Some(device) => device,
            None => super::temporary(identity, &mut rng)?,
        };
        let mut failed = false;
        let wants =
            Wants::whole(|bytes| !bytes.is_empty() && ProtocolMessage::decode(bytes).is_ok());
        each_item(cx, wants, "protocol messages", |cx, item| {
            let (sender, bytes) = message_of(item, from.as_ref())?;
            let before = self.trace.all(&device)?;
            let received = device.decrypt(&sender, &bytes, &mut rng);
            let received = received.map_err(|error| secure_error(&error))?;
            let learned: Vec<_> = received.learned.iter().map(installation_value).collect();
            let content = match received.content {
                Ok(content) => content,
                Err(error) => {
                    failed = true;
                    let message = format!("the message can't be decrypted: {error}");
                    return Err(CliError::new(error.code(), Exit::Negative, message).into());
                }
            };
            if let EncryptionKind::Session { session, .. } = &content.encryption {
                let after = self.trace.state(&mut device, session)?;
                let before = before.iter().find(|it| it.id == *session);
                self.trace.step("receive", session, before, after.as_ref(), cx)?;
            }
            if let Some(confirmation) = content.confirmation.filter(|_| !self.no_confirm) {
                device.confirm(&confirmation).map_err(|error| secure_error(&error))?;
            }
            let record = Record::new("decrypted")
                .with("from", sender.to_string())
                .with("installation", received.installation.as_str())
                .with("how", how_value(&content.encryption))
                .with("learned", learned)
                .with_raw(&content.plaintext);
            cx.emit(&record, Record::to_text)
        })?;
        if failed { Err(Stop::Exit(Exit::Negative)) } else { Ok(()) }
    }
}

/// Returns the sender and the bytes of a message.
fn message_of(
    item: &Item,
    from: Option<&PublicKey>,
) -> std::result::Result<(PublicKey, Vec<u8>), CliError> {
    let (signer, bytes) = match &item.content {
        Content::Bytes(bytes) => (None, bytes.clone()),
        Content::Record(members) => {
            let signer = members.get("signer").and_then(|signer| signer.as_str());
            let signer = signer.map(public_key).transpose()?;
            let payload = members.get("payload").and_then(|payload| payload.as_object());
            let is_message = members.get("type").is_some_and(|kind| kind == "message");
            let holder = payload.filter(|_| is_message).unwrap_or(members);
            (signer, hex_member(holder, "raw")?)
        }
    };
    let sender = from.copied().or(signer).ok_or_else(|| {
        CliError::usage("the sender is unknown").field("--from").hint("--from KEY")
    })?;
    Ok((sender, bytes))
}
