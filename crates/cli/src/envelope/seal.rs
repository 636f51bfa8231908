//! `status-envelope seal`, and the sealing part of `status-send`.

use std::io::{self, Read as _};

use clap::Args;
use rand::rngs::ChaCha20Rng;
use serde_json::{Map, Value};
use statuskit_core::{
    chat::{ComposeError, ComposeOptions, Composed, Composer, Destination},
    envelope::{Topic, message::MAX_PAYLOAD},
    payload::PayloadType,
};

use crate::{
    context::{Context, announce_terminal},
    error::{CliError, Exit, Result},
    keys::{self, IdentityArgs, SealArgs, parse_topic},
    lines::Lines,
    mining,
    net::parse_pow,
    records::{envelope_record, hex_member},
    time::parse_seconds,
};

/// The message, its recipient, and how it is sealed.
#[derive(Debug, Clone, Args)]
pub struct MessageArgs {
    /// The message; without it, all of standard input is one message. A chat message loses one
    /// line break at its end, other payloads are taken as they are
    #[arg(value_name = "TEXT")]
    pub text: Option<String>,
    /// Topic, 8 hex digits [default: that of the chat, the password or the recipient]
    #[arg(long, value_name = "HEX")]
    pub topic: Option<String>,
    /// Time to live: seconds, or such as 30s, 2m, 1h [default: 15 for chats, else 50]
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    pub ttl: Option<u32>,
    /// Sign with this key (chat messages are always signed)
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// Padding in place of the random one, in hex
    #[arg(long, value_name = "HEX")]
    pub padding: Option<String>,
    /// Each line of standard input is a message
    #[arg(long, conflicts_with = "text")]
    pub lines: bool,
    #[command(flatten)]
    pub recipient: SealArgs,
}

#[derive(Debug, Args)]
pub struct SealCommand {
    /// Mine at once, to this proof of work [default: not mined, nonce 0]
    #[arg(long, value_name = "TARGET", value_parser = parse_pow)]
    pow: Option<f64>,
    /// Standard input is text even if it looks like records: messages that `open` printed, or
    /// protocol messages and payloads, whose raw bytes are sealed
    #[arg(long)]
    literal: bool,
    #[command(flatten)]
    message: MessageArgs,
}

impl SealCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let target = self.message.recipient.destination()?.ok_or_else(|| {
            CliError::usage("no recipient")
                .hint("--chat NAME, --password TEXT, --sym-key HEX, --to-key KEY or --to KEY")
        })?;
        let mut sealer = Sealer::new(&self.message, target, cx)?;
        warn_of_ttl(self.message.ttl, cx);
        let pow = self.pow;
        self.message.each(cx, !self.literal, |cx, content, line| {
            let sealed = sealer.seal(&content, cx).map_err(|error| error.line(line))?;
            let mut envelope = sealed.envelope;
            if let Some(target) = pow {
                envelope = mining::mine_or_fail(cx, &envelope, target)?;
            }
            cx.emit(&envelope_record(&envelope), |record| record.to_text())
        })
    }
}

/// A message to be sealed: text of the user, or what a record has.
pub enum ToSeal {
    /// Bytes that the user wrote.
    Text(Vec<u8>),
    /// Of a record: sealed as it is.
    Record {
        /// The payload, not wrapped again.
        payload: Vec<u8>,
        /// The padding it had; `None` without an envelope, or if it shared one.
        padding: Option<Vec<u8>>,
        /// The topic it was on.
        topic: Option<Topic>,
        /// The time to live it had.
        ttl: Option<u32>,
    },
}

impl MessageArgs {
    /// Runs `work` on each message: the argument, all of standard input, or its lines.
    fn each(
        &self,
        cx: &mut Context,
        records: bool,
        mut work: impl FnMut(&mut Context, ToSeal, u64) -> Result<()>,
    ) -> Result<()> {
        let mut source = MessageSource::new(self, records)?;
        let mut any = false;
        while let Some(message) = source.next()? {
            any = true;
            let (done, line) = match message {
                Ok((message, line)) => (work(cx, message, line), line),
                Err(error) => {
                    let line = error.line.unwrap_or_default();
                    (Err(error.into()), line)
                }
            };
            super::super::absorb(cx, done, line)?;
        }
        if any { Ok(()) } else { Err(super::super::empty_input("a message")) }
    }
}

/// Where messages come from.
pub enum MessageSource {
    /// The argument, or all of standard input.
    Whole(Option<Vec<u8>>),
    /// Each line is one.
    Lines(Lines),
    /// Records: what is left of them, and the number of the last line.
    Records(std::vec::IntoIter<Vec<u8>>, u64),
}

/// A message and the line it stood on. An error is about this message only.
type NextMessage = std::result::Result<(ToSeal, u64), CliError>;

impl MessageSource {
    /// The source that the arguments name; with `records`, input that looks like records that can
    /// be sealed is taken for such.
    pub fn new(args: &MessageArgs, records: bool) -> Result<Self> {
        if let Some(text) = &args.text {
            return Ok(Self::Whole(Some(text.clone().into_bytes())));
        }
        if args.lines {
            return Ok(Self::Lines(Lines::from_stdin()));
        }
        let input = read_all()?;
        if records && looks_like_records(&input) {
            let lines: Vec<_> = input.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            return Ok(Self::Records(lines.into_iter(), 0));
        }
        Ok(Self::Whole((!input.is_empty()).then_some(input)))
    }

    /// The next message.
    pub fn next(&mut self) -> Result<Option<NextMessage>> {
        match self {
            Self::Whole(text) => Ok(text.take().map(|text| Ok((ToSeal::Text(text), 1)))),
            Self::Lines(lines) => {
                while let Some(line) = lines.next()? {
                    match line {
                        Ok(line) if line.is_empty() => {}
                        Ok(line) => {
                            return Ok(Some(Ok((ToSeal::Text(line.into_bytes()), lines.number()))));
                        }
                        Err(error) => return Ok(Some(Err(error))),
                    }
                }
                Ok(None)
            }
            Self::Records(lines, number) => {
                for line in lines {
                    *number += 1;
                    if !line.trim_ascii().is_empty() {
                        let record = parse_record(&line, *number);
                        return Ok(Some(record.map(|record| (record, *number))));
                    }
                }
                Ok(None)
            }
        }
    }
}

fn read_all() -> Result<Vec<u8>> {
    announce_terminal("type the message; end with Ctrl-D");
    // Records are longer than their payload: hex, twice.
    let limit = 6 * MAX_PAYLOAD;
    let mut input = Vec::new();
    io::stdin().lock().take(limit as u64 + 1).read_to_end(&mut input).map_err(|error| {
        CliError::new("file.read", Exit::Local, format!("can't read the message: {error}"))
    })?;
    if input.len() > limit {
        return Err(too_long(input.len()).into());
    }
    Ok(input)
}

fn too_long(length: usize) -> CliError {
    let message = format!("a message of {length} bytes or more; at most {MAX_PAYLOAD} fit");
    CliError::new("message.payload_too_long", Exit::Malformed, message)
}

/// Whether the first line is a record that can be sealed.
fn looks_like_records(input: &[u8]) -> bool {
    let line = input.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Ok(Value::Object(record)) = serde_json::from_slice(line) else { return false };
    let holder = match kind_of(&record) {
        Some(Kind::Message) => record.get("payload"),
        Some(Kind::Bytes) => return record.get("raw").is_some_and(Value::is_string),
        None => None,
    };
    holder.is_some_and(|payload| payload["raw"].is_string())
}

/// Records that can be sealed.
enum Kind {
    /// A message from an envelope: its payload is sealed again, with the same padding.
    Message,
    /// A protocol message, or a payload.
    Bytes,
}

fn kind_of(record: &Map<String, Value>) -> Option<Kind> {
    match record.get("type")?.as_str()? {
        "message" => Some(Kind::Message),
        "protocol_message" => Some(Kind::Bytes),
        other => PayloadType::from_name(other).map(|_| Kind::Bytes),
    }
}

fn parse_record(line: &[u8], number: u64) -> std::result::Result<ToSeal, CliError> {
    let malformed = |message: String| {
        CliError::new("input.json", Exit::Malformed, message).line(number).hint(
            "expected the message records that status-envelope open prints, protocol messages or payloads",
        )
    };
    let Ok(Value::Object(record)) = serde_json::from_slice(line) else {
        return Err(malformed("not a JSON record".to_owned()));
    };
    let bytes = |members, name| hex_member(members, name).map_err(|error| error.line(number));
    match kind_of(&record) {
        Some(Kind::Message) => {}
        Some(Kind::Bytes) => {
            let payload = bytes(&record, "raw")?;
            return Ok(ToSeal::Record { payload, padding: None, topic: None, ttl: None });
        }
        None => return Err(malformed("nothing that can be sealed".to_owned())),
    }
    let Some(Value::Object(payload)) = record.get("payload") else {
        return Err(malformed("the record has no payload".to_owned()));
    };
    let topic = record.get("topic").and_then(Value::as_str).map(str::parse).transpose();
    let padding = match record.get("padding") {
        Some(Value::Null) => None,
        _ => Some(bytes(&record, "padding")?),
    };
    Ok(ToSeal::Record {
        payload: bytes(payload, "raw")?,
        padding,
        topic: topic.map_err(|error: statuskit_core::envelope::topic::TopicError| {
            malformed(error.to_string()).field("topic")
        })?,
        ttl: record.get("ttl").and_then(Value::as_u64).and_then(|ttl| u32::try_from(ttl).ok()),
    })
}

/// Seals messages for one recipient.
pub struct Sealer {
    composer: Composer,
    options: ComposeOptions,
    rng: ChaCha20Rng,
}

impl Sealer {
    /// Checks what belongs together.
    pub fn new(args: &MessageArgs, destination: Destination, cx: &Context) -> Result<Self> {
        let topic = args.topic.as_ref().map(|text| parse_topic(text, "--topic")).transpose()?;
        let author = match destination {
            Destination::Public(_) => Some(keys::author(&args.identity, cx)?),
            Destination::Person(_) => Some(args.identity.require()?),
            _ => args.identity.load()?,
        };
        let padding = args.padding.as_ref().map(|text| {
            let digits = text.strip_prefix("0x").unwrap_or(text);
            hex::decode(digits).map_err(|error| {
                CliError::usage(format!("not hexadecimal: {error}")).field("--padding")
            })
        });
        let mut options = ComposeOptions::default();
        (options.topic, options.ttl, options.padding) = (topic, args.ttl, padding.transpose()?);
        cx.warn_of_seed();
        Ok(Self { composer: Composer::new(destination, author), options, rng: cx.rng("seal")? })
    }

    /// Seals a message; the envelope is not mined.
    pub fn seal(
        &mut self,
        message: &ToSeal,
        cx: &Context,
    ) -> std::result::Result<Composed, CliError> {
        let Self { composer, options, rng } = self;
        let composed = match message {
            ToSeal::Text(text) if composer.destination().chat().is_some() => {
                composer.text(chat_text(text)?, options, cx.now_ms(), rng)
            }
            ToSeal::Text(bytes) => composer.bytes(bytes, options, cx.now(), rng),
            ToSeal::Record { payload, padding, topic, ttl } => {
                let mut options = options.clone();
                options.topic = options.topic.or(*topic);
                options.ttl = options.ttl.or(*ttl);
                // Its own padding wins: it is the same message again.
                options.padding = padding.clone().or(options.padding);
                composer.bytes(payload, &options, cx.now(), rng)
            }
        };
        composed.map_err(|error| compose_error(&error))
    }
}

/// Warns of a time to live of 0.
pub fn warn_of_ttl(ttl: Option<u32>, cx: &Context) {
    if ttl == Some(0) {
        cx.note(
            "a time to live of 0: the envelope expires at once, and its proof of work is infinite, \
             which the JSON interface of the reference can't report",
        );
    }
}

/// Why a message can't be composed.
pub fn compose_error(error: &ComposeError) -> CliError {
    match error {
        ComposeError::NoTopic => {
            CliError::usage(error.to_string()).field("--topic").hint("--topic 0x01020304")
        }
        _ => CliError::new(error.code(), Exit::Malformed, error.to_string()),
    }
}

/// The text of a chat message, without one line break at its end.
pub fn chat_text(text: &[u8]) -> std::result::Result<&str, CliError> {
    let text = std::str::from_utf8(text).map_err(|error| {
        CliError::new("input.utf8", Exit::Malformed, "a chat message must be UTF-8 text")
            .offset(error.valid_up_to())
            .hint("--sym-key or --password seal any bytes")
    })?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(text.strip_suffix('\r').unwrap_or(text))
}
