//! JSON-RPC: served by a node, and `status-rpc`, which asks one.

pub mod serve;

use std::{
    io::{self, Read as _},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, Subcommand};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use serde_json::Value;
use statuskit_rpc::{Client, ClientError, MISSING, Method, Target};

use crate::{
    context::Context,
    error::{CliError, Exit, Result, Stop},
    net::Background,
    output::Record,
    signals::interrupted,
    time::parse_seconds,
};

/// The most bytes of parameters from standard input.
const MAX_PARAMS: u64 = 5 << 20;

/// Ask a node by JSON-RPC: one of ours, status-go or go-ethereum
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Examples:
  $ status-rpc methods shh
  $ status-rpc call --url \"$RPC\" shh_version"
)]
pub struct RpcArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Call(CallArgs),
    Subscribe(SubscribeArgs),
    Methods(MethodsArgs),
}

/// The node.
#[derive(Debug, Clone, Args)]
struct NodeArgs {
    /// http://HOST:PORT, ws://HOST:PORT, or the path of a node's socket
    #[arg(long, value_name = "URL", env = "STATUS_RPC", default_value = "http://127.0.0.1:8545")]
    url: String,
    /// Show the node the token in the only line of FILE [default: the environment variable
    /// STATUS_RPC_TOKEN]
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// How long to wait for an answer
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, default_value = "60s")]
    timeout: u32,
}

/// Call a method, and print its result
///
/// A parameter is JSON; what is no JSON is text. A lone `-` stands for an array of all parameters on
/// standard input: keys and passwords belong there.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-rpc call --url \"$RPC\" shh_info --output text
  $ echo '[\"a password\"]' | status-rpc call --url \"$RPC\" shh_generateSymKeyFromPassword -")]
struct CallArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Method, such as shh_newSymKey
    #[arg(value_name = "METHOD", add = ArgValueCandidates::new(candidates))]
    method: String,
    /// Parameters
    #[arg(value_name = "PARAM", allow_negative_numbers = true)]
    params: Vec<String>,
}

/// Print what a subscription brings, until it is interrupted
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-rpc subscribe --url \"$WS\" shhext signals --for 1s")]
struct SubscribeArgs {
    #[command(flatten)]
    node: NodeArgs,
    /// Namespace, such as shh
    #[arg(value_name = "NAMESPACE")]
    namespace: String,
    /// Subscription, such as messages
    #[arg(value_name = "NAME")]
    name: String,
    /// Parameters, as for `call`
    #[arg(value_name = "PARAM", allow_negative_numbers = true)]
    params: Vec<String>,
    /// End after N notifications
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// End after this time
    #[arg(long = "for", value_name = "TIME", value_parser = parse_seconds)]
    duration: Option<u32>,
}

/// List the methods that a node of ours has, and those of the reference that it has not
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-rpc methods admin --output text
  $ status-rpc methods --missing")]
struct MethodsArgs {
    /// Namespaces [default: all]
    #[arg(value_name = "NAMESPACE")]
    namespaces: Vec<String>,
    /// List what a node of ours has not
    #[arg(long)]
    missing: bool,
}

pub fn run(args: &RpcArgs, cx: &mut Context) -> Result<()> {
    cx.format().require_records()?;
    match &args.command {
        Command::Call(args) => call(args, cx),
        Command::Subscribe(args) => subscribe(args, cx),
        Command::Methods(args) => methods(args, cx),
    }
}

fn call(args: &CallArgs, cx: &mut Context) -> Result<()> {
    let params = params(&args.params)?;
    let (background, mut client) = args.node.connect()?;
    let result = background.wait(async {
        tokio::select! {
            result = client.call(&args.method, &params) => Some(result),
            () = interrupted() => None,
        }
    });
    let result = result.ok_or(Stop::Exit(Exit::Interrupted))?;
    let result = result.map_err(|error| client_error(&error, Some(&args.method)))?;
    let record = Record::new("rpc_result")
        .with("method", args.method.clone())
        .with("result", value(&result)?);
    cx.emit(&record, shown)
}

fn subscribe(args: &SubscribeArgs, cx: &mut Context) -> Result<()> {
    let mut all = vec![Value::String(args.name.clone())];
    if let Value::Array(more) = value(&params(&args.params)?)? {
        all.extend(more);
    }
    let target = args.node.target()?;
    if matches!(target, Target::Http { .. }) {
        return Err(client_error(&ClientError::NoSubscriptions, None).into());
    }
    let method = format!("{}_subscribe", args.namespace);
    let (background, mut client) = args.node.connect()?;
    let id = background.wait(client.call(&method, &Value::Array(all).to_string()));
    let id = id.map_err(|error| client_error(&error, Some(&method)))?;
    cx.note(&format!("subscribed: {}", id.trim_matches('"')));
    let end = args
        .duration
        .map(|seconds| std::time::Instant::now() + Duration::from_secs(seconds.into()));
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let next = background.wait(async {
            tokio::select! {
                next = client.next() => Some(Some(next)),
                () = crate::signals::until(end) => Some(None),
                () = interrupted() => None,
            }
        });
        match next {
            None => return Err(Stop::Exit(Exit::Interrupted)),
            Some(None) => return Ok(()),
            Some(Some(next)) => {
                let next = next.map_err(|error| client_error(&error, None))?;
                let record = Record::new("rpc_notification")
                    .with("subscription", next.subscription)
                    .with("result", value(&next.result)?);
                cx.emit(&record, shown)?;
            }
        }
        left -= 1;
    }
    Ok(())
}

fn methods(args: &MethodsArgs, cx: &mut Context) -> Result<()> {
    let known: Vec<_> = statuskit_rpc::NAMESPACES.to_vec();
    if let Some(wrong) = args.namespaces.iter().find(|name| !known.contains(&name.as_str())) {
        let message = format!("no namespace {}", statuskit_core::text::quote(wrong));
        return Err(CliError::usage(message).hint(known.join(", ")).into());
    }
    if args.missing {
        for missing in MISSING {
            let record =
                Record::new("rpc_missing").with("names", missing.names).with("why", missing.why);
            cx.emit(&record, |_| format!("{}: {}", missing.names, missing.why))?;
        }
        return Ok(());
    }
    let wanted = |method: &Method| {
        args.namespaces.is_empty() || args.namespaces.iter().any(|name| name == method.namespace)
    };
    for method in statuskit_rpc::methods().filter(wanted) {
        let name = name(&method);
        let record = Record::new("rpc_method")
            .with("method", name.clone())
            .with("params", method.params)
            .with("result", method.result);
        cx.emit(&record, |_| format!("{name}({}) -> {}", method.params, method.result))?;
    }
    Ok(())
}

impl NodeArgs {
    fn target(&self) -> Result<Target> {
        self.url
            .parse()
            .map_err(|error: ClientError| CliError::usage(error.to_string()).field("--url").into())
    }

    fn connect(&self) -> Result<(Background, Client)> {
        let target = self.target()?;
        let token = serve::token_text(self.token.as_deref(), "--token")?;
        let limit = Duration::from_secs(self.timeout.max(1).into());
        let background = Background::start()?;
        let client = background.wait(async {
            tokio::select! {
                client = Client::connect(&target, token, limit) => Some(client),
                () = interrupted() => None,
            }
        });
        let client = client.ok_or(Stop::Exit(Exit::Interrupted))?;
        let client = client.map_err(|error| client_error(&error, None))?;
        Ok((background, client))
    }
}

/// The parameters as a JSON array.
fn params(given: &[String]) -> Result<String> {
    if let [only] = given
        && only == "-"
    {
        let mut text = String::new();
        let read = io::stdin().lock().take(MAX_PARAMS + 1).read_to_string(&mut text);
        let failed = |message: &str| CliError::new("rpc.input", Exit::Malformed, message);
        if read.is_err() || text.len() as u64 > MAX_PARAMS {
            return Err(failed("expected at most 5 MiB of JSON on standard input").into());
        }
        return match serde_json::from_str(&text) {
            Ok(Value::Array(_)) => Ok(text),
            _ => Err(failed("expected an array in JSON on standard input").into()),
        };
    }
    let read =
        |text: &String| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
    Ok(Value::Array(given.iter().map(read).collect()).to_string())
}

fn value(json: &str) -> Result<Value> {
    serde_json::from_str(json).map_err(|error| {
        CliError::new("rpc.answer", Exit::Network, format!("the answer is no JSON: {error}")).into()
    })
}

fn shown(record: &Record) -> String {
    match &record.members()["result"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn client_error(error: &ClientError, method: Option<&str>) -> CliError {
    let exit = match error {
        ClientError::Url | ClientError::NoSubscriptions => Exit::Usage,
        ClientError::Rpc(_) => Exit::Negative,
        _ => Exit::Network,
    };
    let shown = CliError::new(error.code(), exit, error.to_string());
    let nearest = method.filter(|_| error.code() == "rpc.no_method").and_then(nearest);
    match (nearest, error) {
        (Some(name), _) => shown.hint(format!("did you mean {name}?")),
        (None, ClientError::Rpc(error)) if error.code == -32601 => {
            shown.hint("is its namespace in --rpc-api of the node?")
        }
        (None, ClientError::Http { status: 401, .. }) => shown.field("--token"),
        _ => shown,
    }
}

/// The method that is spelt most alike, if it is not the same.
fn nearest(wrong: &str) -> Option<String> {
    let names = statuskit_rpc::methods().map(|it| name(&it)).filter(|name| name != wrong);
    let close = names.map(|name| (strsim::osa_distance(&name, wrong), name));
    let (distance, name) = close.min()?;
    (distance <= 3).then_some(name)
}

fn name(method: &Method) -> String {
    format!("{}_{}", method.namespace, method.name)
}

fn candidates() -> Vec<CompletionCandidate> {
    statuskit_rpc::methods().map(|method| CompletionCandidate::new(name(&method))).collect()
}
