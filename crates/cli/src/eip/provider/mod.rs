//! `status-eip provider`: EIP-945, EIP-1102 and EIP-1193.

mod scan;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;
use statuskit_eip::eip1193::{
    ERROR_CODES, Edition, Event, Message, ProviderError, Request, RpcError, explain_code,
};

use crate::{
    account::stream::each_text,
    context::Context,
    error::{CliError, Exit, Result},
    output::Record,
};

/// Messages between web pages and the provider of a wallet (EIP-1193, EIP-1102, EIP-945)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip provider explain '{\"method\":\"eth_requestAccounts\"}'
  $ status-eip provider error 4001")]
pub struct ProviderCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Explain(ExplainCommand),
    Request(RequestCommand),
    Answer(AnswerCommand),
    Error(ErrorCommand),
    Event(EventCommand),
    Scan(scan::ScanCommand),
}

impl ProviderCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        match &self.command {
            Command::Explain(command) => command.run(cx),
            Command::Request(command) => command.run(cx),
            Command::Answer(command) => command.run(cx),
            Command::Error(command) => command.run(cx),
            Command::Event(command) => command.run(cx),
            Command::Scan(command) => command.run(cx),
        }
    }
}

/// An edition of EIP-1193.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EditionArg {
    /// The final text: request({method, params})
    Final,
    /// The draft of March 2020: send(method, params), and enable() of before
    Draft,
}

impl EditionArg {
    fn edition(self) -> Edition {
        match self {
            Self::Final => Edition::Final,
            Self::Draft => Edition::Draft,
        }
    }
}

/// Explain messages: what they ask or tell, by which standard, in the new form and the old one
///
/// Requests ({"method":…}, JSON-RPC, or ["method",[…]] as in the draft), answers ({"result":…},
/// {"error":…}, {"code":…}), and events ({"event":…,"data":…}).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip provider explain '[\"enable\"]'
  $ echo '{\"id\":1,\"error\":{\"code\":4001,\"message\":\"no\"}}' | status-eip provider explain --output text
  $ status-eip provider explain '{\"event\":\"networkChanged\",\"data\":\"3\"}'")]
pub struct ExplainCommand {
    /// Messages in JSON
    #[arg(value_name = "JSON")]
    messages: Vec<String>,
}

impl ExplainCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        let expected = "messages in JSON, one per line";
        each_text(cx, &self.messages, expected, |cx, text, is_argument| {
            let message = Message::parse(text).map_err(|error| {
                let exit = if is_argument { Exit::Usage } else { Exit::Malformed };
                let converted = CliError::new(error.code(), exit, error.to_string());
                match error {
                    ProviderError::Json { column, .. } => {
                        converted.offset(column.saturating_sub(1))
                    }
                    _ => converted,
                }
            })?;
            emit(cx, &message, Edition::Final)
        })
    }
}

/// Make the request of a page
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip provider request eth_requestAccounts
  $ status-eip provider request personal_sign --params '[\"0x6869\",\"0x8e23ee67d1332ad560396262c48ffbb01f93d052\"]' --edition draft")]
pub struct RequestCommand {
    /// Method, such as eth_requestAccounts
    #[arg(value_name = "METHOD")]
    method: String,
    /// Parameters: a list or an object in JSON
    #[arg(long, value_name = "JSON")]
    params: Option<String>,
    /// Id, for JSON-RPC below the provider
    #[arg(long, value_name = "NUMBER")]
    id: Option<u64>,
    /// The edition of the standard to write
    #[arg(long, value_enum, value_name = "EDITION", default_value = "final")]
    edition: EditionArg,
}

impl RequestCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        let params = self.params.as_deref().map(|text| json(text, "--params")).transpose()?;
        if params.as_ref().is_some_and(|it| !it.is_array() && !it.is_object()) {
            let error = CliError::usage("parameters are a list or an object");
            return Err(error.field("--params").into());
        }
        let edition = self.edition.edition();
        let id = self.id.map(Value::from);
        let request = Request { id, method: self.method.clone(), params, edition };
        emit(cx, &Message::Request(request), edition)
    }
}

/// Make the answer of a wallet
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip provider answer '[\"0x8e23ee67d1332ad560396262c48ffbb01f93d052\"]' --id 1")]
pub struct AnswerCommand {
    /// The result in JSON
    #[arg(value_name = "JSON")]
    result: String,
    /// Id of the request
    #[arg(long, value_name = "NUMBER")]
    id: Option<u64>,
}

impl AnswerCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        let result = json(&self.result, "JSON")?;
        emit(cx, &Message::Result { id: self.id.map(Value::from), result }, Edition::Final)
    }
}

/// Make the answer of a wallet that refuses or fails; without a code, list the codes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip provider error
  $ status-eip provider error 4001 --id 1
  $ status-eip provider error 4100 --message 'not for this page'")]
pub struct ErrorCommand {
    /// The code: 4001, 4100, 4200, 4900, 4901, or one of JSON-RPC
    #[arg(value_name = "CODE", allow_hyphen_values = true)]
    code: Option<i64>,
    /// The message [default: that of the standard]
    #[arg(long, value_name = "TEXT", requires = "code")]
    message: Option<String>,
    /// Id of the request
    #[arg(long, value_name = "NUMBER")]
    id: Option<u64>,
}

impl ErrorCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        let Some(code) = self.code else {
            for (code, name, meaning) in ERROR_CODES {
                let record = Record::new("provider_error")
                    .with("code", code)
                    .with("name", name)
                    .with("meaning", meaning);
                cx.collect(&record, |_| format!("{code} {name}: {meaning}"))?;
            }
            return Ok(());
        };
        let mut error = RpcError::new(code);
        match &self.message {
            Some(message) => error.message.clone_from(message),
            None if explain_code(code).is_none() => {
                let error = CliError::usage("the code is of no standard: it needs a message");
                return Err(error.field("--message").into());
            }
            None => {}
        }
        emit(cx, &Message::Error { id: self.id.map(Value::from), error }, Edition::Final)
    }
}

/// Make an event of a wallet
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip provider event chainChanged '\"0x3\"'
  $ status-eip provider event disconnect '{\"code\":4900,\"message\":\"Disconnected\"}' --edition draft")]
pub struct EventCommand {
    /// accountsChanged, chainChanged, connect, disconnect, message; of the draft: networkChanged,
    /// close, notification
    #[arg(value_name = "EVENT")]
    name: String,
    /// The data in JSON
    #[arg(value_name = "JSON", default_value = "null")]
    data: String,
    /// The edition of the standard to write
    #[arg(long, value_enum, value_name = "EDITION", default_value = "final")]
    edition: EditionArg,
}

impl EventCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        let event = Event::new(&self.name, json(&self.data, "JSON")?).map_err(|error| {
            CliError::new(error.code(), Exit::Usage, error.to_string()).field("EVENT")
        })?;
        emit(cx, &Message::Event(event), self.edition.edition())
    }
}

fn json(text: &str, field: &str) -> Result<Value> {
    Ok(serde_json::from_str(text).map_err(|error| {
        CliError::new("provider.json", Exit::Usage, format!("not JSON: {error}")).field(field)
    })?)
}

fn emit(cx: &mut Context, message: &Message, edition: Edition) -> Result<()> {
    let mut record = Record::new("provider_message").with(
        "kind",
        match message {
            Message::Request(_) => "request",
            Message::Result { .. } => "result",
            Message::Error { .. } => "error",
            _ => "event",
        },
    );
    let mut is_draft = false;
    match message {
        Message::Request(request) => {
            is_draft = request.edition == Edition::Draft;
            record = record.with("method", &*request.method).with("params", request.params.clone());
        }
        Message::Error { error, .. } => {
            let name = explain_code(error.code).map(|(name, _)| name);
            record =
                record.with("code", error.code).with("name", name).with("text", &*error.message);
        }
        Message::Event(event) => {
            is_draft = event.name.edition() == Edition::Draft;
            record = record.with("event", event.name.name()).with("data", event.data.clone());
        }
        _ => {}
    }
    let json = message.to_json(edition);
    let shown = json.to_string();
    let record = record
        .with("standard", message.standard())
        .with("edition", if is_draft { "draft" } else { "final" })
        .with("meaning", message.explain())
        .with("notes", message.notes())
        .with("message", json)
        .with("final", message.to_json(Edition::Final))
        .with("draft", message.to_json(Edition::Draft))
        .with_raw(shown.as_bytes());
    cx.collect(&record, |_| {
        let notes = message.notes();
        let notes = notes.iter().map(|note| format!("\n  note: {}", crate::output::escape(note)));
        let meaning = crate::output::escape(&message.explain());
        format!("{}\n  {meaning}{}", crate::output::escape(&shown), notes.collect::<String>())
    })
}
