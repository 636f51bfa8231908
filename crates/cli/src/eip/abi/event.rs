//! `status-eip abi event`.

use clap::Args;
use serde_json::{Value as Json, json};
use statuskit_eip::{
    abi::{AbiErrorKind, Event, Log, Logged, Strictness, Value},
    known,
};

use crate::{
    context::Context,
    eip::{
        abi::{
            abi_error, data_error,
            decode::{parse_data, signature_error},
            line, named,
        },
        input::each_json,
    },
    error::{CliError, Exit, Result},
    output::{Record, hex0x},
};

/// Decode the logs of events, or make one from arguments
///
/// Logs are JSON objects with topics and data, as nodes answer them. Events of EIP-20, EIP-721 and
/// ENS are known by their topics.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip abi event 'Transfer(address indexed from, address indexed to, uint256 value)' 0x3535353535353535353535353535353535353535 0x8e23ee67d1332ad560396262c48ffbb01f93d052 1 | status-eip abi event
  $ status-eip abi event 'E(string indexed text, int8 n)' hi -1 | status-eip abi event 'E(string indexed text, int8 n)'")]
pub struct EventCommand {
    /// Signature with the word indexed where it belongs [default: the known events]
    #[arg(value_name = "SIGNATURE")]
    signature: Option<String>,
    /// Values of a log to make [default: decode logs]
    #[arg(value_name = "ARGUMENT", allow_negative_numbers = true)]
    arguments: Vec<String>,
    /// Topic of a log to decode, in 0x hex. Repeatable [default: JSON on standard input]
    #[arg(long = "topic", value_name = "HEX", conflicts_with = "arguments")]
    topics: Vec<String>,
    /// Data of a log to decode, in 0x hex
    #[arg(long, value_name = "HEX", conflicts_with = "arguments")]
    data: Option<String>,
    /// Take what contracts accept, too: gaps, unused bits, bytes behind the last value
    #[arg(long)]
    lenient: bool,
}

impl EventCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let text = self.signature.as_deref();
        let event: Option<Event> = text
            .map(|text| text.parse().map_err(|error| signature_error(&error, "SIGNATURE")))
            .transpose()?;
        if let (Some(event), false) = (&event, self.arguments.is_empty()) {
            return self.encode(cx, event);
        }
        if self.topics.is_empty() && self.data.is_none() {
            return each_json(cx, "logs in JSON", |cx, json| {
                let log = log_of(&json)?;
                self.decode(cx, event.as_ref(), &log)
            });
        }
        let mut log = Log { topics: Vec::new(), data: Vec::new() };
        for text in &self.topics {
            let topic = parse_data(text, "--topic")?;
            let topic = topic.try_into().map_err(|_| {
                CliError::usage("a topic is 32 bytes, 0x and 64 hex digits").field("--topic")
            })?;
            log.topics.push(topic);
        }
        if let Some(text) = &self.data {
            log.data = parse_data(text, "--data")?;
        }
        self.decode(cx, event.as_ref(), &log)
    }

    fn encode(&self, cx: &mut Context, event: &Event) -> Result<()> {
        let (expected, got) = (event.inputs.len() as u64, self.arguments.len() as u64);
        if expected != got {
            let error = AbiErrorKind::Count { expected, got }.into();
            return Err(abi_error(&error, Exit::Usage).field("ARGUMENT").into());
        }
        let mut values = Vec::new();
        for (input, text) in event.inputs.iter().zip(&self.arguments) {
            let value = Value::from_text(&input.kind, text);
            values.push(value.map_err(|error| abi_error(&error, Exit::Usage).field("ARGUMENT"))?);
        }
        let log = event.encode_log(&values).map_err(|error| abi_error(&error, Exit::Usage))?;
        let topics: Vec<_> = log.topics.iter().map(hex0x).collect();
        let record = Record::new("log")
            .with("signature", event.to_string())
            .with("topics", topics)
            .with("data", hex0x(&log.data))
            .with_raw(&log.data);
        cx.emit(&record, Record::to_text)
    }

    fn decode(&self, cx: &mut Context, event: Option<&Event>, log: &Log) -> Result<()> {
        let strictness = if self.lenient { Strictness::Lenient } else { Strictness::Strict };
        let (event, logged) = match event {
            Some(event) => {
                let logged = event.decode_log(log, strictness);
                (event, logged.map_err(|error| data_error(&error))?)
            }
            None => known_event(log, strictness)?,
        };
        emit(cx, event, &logged, log)
    }
}

fn known_event(log: &Log, strictness: Strictness) -> Result<(&'static Event, Vec<Logged>)> {
    let topic = log.topics.first().copied().unwrap_or_default();
    // The same topic is of several events, which differ in what is indexed.
    let mut candidates: Vec<_> = known::events_by_topic(topic).map(|it| &it.item).collect();
    candidates.sort_by_key(|event| event.topic_count() != log.topics.len());
    let Some(event) = candidates.first() else {
        let message = format!("the topic {} is not known", hex0x(topic));
        let error = CliError::new("abi.unknown", Exit::Negative, message);
        return Err(error.hint("give the signature of the event").into());
    };
    let logged = event.decode_log(log, strictness).map_err(|error| data_error(&error))?;
    Ok((event, logged))
}

fn emit(cx: &mut Context, event: &Event, logged: &[Logged], log: &Log) -> Result<()> {
    let pairs = event.inputs.iter().zip(logged);
    let arguments: Json = pairs
        .map(|(input, value)| {
            let mut shown = named(input, value.to_json(&input.kind));
            shown["indexed"] = input.is_indexed.into();
            shown
        })
        .collect();
    let standards: Vec<_> = known::events_by_topic(event.topic())
        .filter(|it| it.item.topic_count() == event.topic_count())
        .map(|it| it.standard)
        .collect();
    let text = format!("{event}\n{}", line(&arguments));
    let topics: Vec<_> = log.topics.iter().map(|topic| json!(hex0x(topic))).collect();
    let record = Record::new("log")
        .with("signature", event.to_string())
        .with("standards", standards)
        .with("arguments", arguments)
        .with("topics", topics)
        .with("data", hex0x(&log.data))
        .with_raw(&log.data);
    cx.emit(&record, |_| text)
}

/// Reads the topics and the data of a log.
fn log_of(json: &Json) -> Result<Log> {
    let wrong = |field: &'static str, message: &str| {
        CliError::new("record.member", Exit::Malformed, message.to_owned()).field(field)
    };
    let bytes = |value: &Json| {
        let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
        digits.and_then(|digits| hex::decode(digits).ok())
    };
    let topics = json.get("topics").and_then(Json::as_array);
    let topics = topics.ok_or_else(|| wrong("topics", "the log lacks a list of topics"))?;
    let topics = topics.iter().map(|topic| bytes(topic)?.try_into().ok());
    let topics: Option<Vec<_>> = topics.collect();
    Ok(Log {
        topics: topics.ok_or_else(|| wrong("topics", "a topic is 32 bytes in 0x hex"))?,
        data: match json.get("data") {
            None => Vec::new(),
            Some(data) => bytes(data).ok_or_else(|| wrong("data", "not bytes in 0x hex"))?,
        },
    })
}
