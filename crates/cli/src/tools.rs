//! Which tools there are, and how a command line becomes a run of one.

use std::{ffi::OsString, process::ExitCode};

use clap::{
    Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum as _,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    account,
    context::{Common, Context, early_errors_are_records, show_early_error},
    demo, envelope,
    error::{CliError, Exit, Result},
    explain, generate, group, keygen, mailserver, node,
    output::Format,
    payload, pow, receive, send, session, topic,
};

/// A tool, by the name of its binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// `statuskit`, which has all the others inside.
    Umbrella,
    /// `status-account`
    Account,
    /// `status-topic`
    Topic,
    /// `status-envelope`
    Envelope,
    /// `status-pow`
    Pow,
    /// `status-payload`
    Payload,
    /// `status-group`
    Group,
    /// `status-session`
    Session,
    /// `status-send`
    Send,
    /// `status-receive`
    Receive,
    /// `status-node`
    Node,
    /// `status-mailserver`
    Mailserver,
}

/// The end of every help.
const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 negative answer (nothing opened or matched, a check failed, empty input);
2 wrong usage; 3 malformed input; 4 network or peer; 5 local files; 130 interrupted.
A closed pipe is success. `statuskit explain CODE` tells more about an error.";

/// Every tool in one binary.
#[derive(Debug, Parser)]
#[command(name = "statuskit", version, about = "The Status client protocols, from the shell")]
#[command(
    propagate_version = true,
    after_help = "\
Examples:
  $ statuskit demo
  $ statuskit topic chat status
  $ statuskit explain envelope.low_pow"
)]
struct Umbrella {
    #[command(subcommand)]
    tool: Subtool,
    // Last, since its heading goes on.
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Subtool {
    Demo(demo::DemoArgs),
    Account(account::AccountArgs),
    Topic(topic::TopicArgs),
    Envelope(envelope::EnvelopeArgs),
    Pow(pow::PowArgs),
    Payload(payload::PayloadArgs),
    Group(group::GroupArgs),
    Session(session::SessionArgs),
    Send(send::SendArgs),
    Receive(receive::ReceiveArgs),
    Node(node::NodeArgs),
    Mailserver(mailserver::MailserverArgs),
    Keygen(keygen::KeygenArgs),
    Explain(explain::ExplainArgs),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
}

// One tool as a binary of its own. (A doc comment here would become its help.)
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Single<A: Args> {
    #[command(flatten)]
    args: A,
    // Last, since its heading goes on.
    #[command(flatten)]
    common: Common,
}

/// Runs a tool with the arguments of the process.
pub fn main(tool: Tool) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let exit = match tool {
        Tool::Umbrella => run::<Umbrella>(tool, &arguments, |it| it.common.clone(), run_subtool),
        Tool::Account => single(tool, &arguments, account::run),
        Tool::Topic => single(tool, &arguments, topic::run),
        Tool::Envelope => single(tool, &arguments, envelope::run),
        Tool::Pow => single(tool, &arguments, pow::run),
        Tool::Payload => single(tool, &arguments, payload::run),
        Tool::Group => single(tool, &arguments, group::run),
        Tool::Session => single(tool, &arguments, session::run),
        Tool::Send => single(tool, &arguments, send::run),
        Tool::Receive => single(tool, &arguments, receive::run),
        Tool::Node => single(tool, &arguments, node::run),
        Tool::Mailserver => single(tool, &arguments, mailserver::run),
    };
    exit.into()
}

fn single<A: Args>(
    tool: Tool,
    arguments: &[OsString],
    work: fn(&A, &mut Context) -> Result<()>,
) -> Exit {
    run::<Single<A>>(tool, arguments, |it| it.common.clone(), |it, cx| work(&it.args, cx))
}

fn run_subtool(umbrella: &Umbrella, cx: &mut Context) -> Result<()> {
    match &umbrella.tool {
        Subtool::Account(args) => account::run(args, cx),
        Subtool::Topic(args) => topic::run(args, cx),
        Subtool::Envelope(args) => envelope::run(args, cx),
        Subtool::Pow(args) => pow::run(args, cx),
        Subtool::Payload(args) => payload::run(args, cx),
        Subtool::Group(args) => group::run(args, cx),
        Subtool::Session(args) => session::run(args, cx),
        Subtool::Send(args) => send::run(args, cx),
        Subtool::Receive(args) => receive::run(args, cx),
        Subtool::Node(args) => node::run(args, cx),
        Subtool::Mailserver(args) => mailserver::run(args, cx),
        Subtool::Demo(args) => demo::run(args, cx),
        Subtool::Keygen(args) => keygen::run(args, cx),
        Subtool::Explain(args) => explain::run(args, cx),
        Subtool::Completions(args) => generate::completions(args),
        Subtool::Man(args) => generate::man(args),
    }
}

fn run<P: CommandFactory + FromArgMatches>(
    tool: Tool,
    arguments: &[OsString],
    common: impl FnOnce(&P) -> Common,
    work: impl FnOnce(&P, &mut Context) -> Result<()>,
) -> Exit {
    let parsed = tool
        .command()
        .try_get_matches_from(arguments)
        .and_then(|mut matches| P::from_arg_matches_mut(&mut matches));
    match parsed {
        Ok(parsed) => {
            let mut cx = Context::new(common(&parsed));
            let result = work(&parsed, &mut cx);
            cx.exit(result)
        }
        Err(error) => usage(&error, arguments),
    }
}

/// Help goes to standard output and is success; everything else that clap finds is wrong usage.
fn usage(error: &clap::Error, arguments: &[OsString]) -> Exit {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    match error.kind() {
        DisplayHelp | DisplayVersion => {
            // A closed pipe is success here, too.
            let _ = error.print();
            return Exit::Done;
        }
        DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            return Exit::Usage;
        }
        _ => {}
    }
    if early_errors_are_records(asked_format(arguments)) {
        show_early_error(&from_clap(error));
    } else {
        let _ = error.print();
    }
    Exit::Usage
}

/// What clap says in some paragraphs: the message, then a tip and how the tool is used.
fn from_clap(error: &clap::Error) -> CliError {
    let text = error.to_string();
    let mut paragraphs = text.split("\n\n").map(str::trim);
    let message = paragraphs.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let mut shown = CliError::usage(message);
    let option = error.get(ContextKind::InvalidArg).and_then(|value| match value {
        ContextValue::String(text) => text.split_whitespace().next(),
        _ => None,
    });
    if let Some(option) = option {
        shown = shown.field(option);
    }
    let tip = paragraphs.find_map(|it| it.strip_prefix("tip: ").or(it.strip_prefix("Usage: ")));
    match tip {
        Some(tip) => shown.hint(tip),
        None => shown,
    }
}

/// The format that a command line asks for, though it can't be parsed as a whole.
fn asked_format(arguments: &[OsString]) -> Option<Format> {
    let texts: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    let after = texts.iter().zip(texts.iter().skip(1)).find(|(name, _)| *name == "--output");
    let joined = texts.iter().find_map(|text| text.strip_prefix("--output="));
    joined.or(after.map(|(_, value)| &**value)).and_then(|text| Format::from_str(text, false).ok())
}

impl Tool {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Umbrella,
        Self::Account,
        Self::Topic,
        Self::Envelope,
        Self::Pow,
        Self::Payload,
        Self::Group,
        Self::Session,
        Self::Send,
        Self::Receive,
        Self::Node,
        Self::Mailserver,
    ];

    /// The command line, from which help, completions and man pages are made.
    pub fn command(self) -> Command {
        let (command, name) = match self {
            Self::Umbrella => (Umbrella::command(), "statuskit"),
            Self::Account => (Single::<account::AccountArgs>::command(), "status-account"),
            Self::Topic => (Single::<topic::TopicArgs>::command(), "status-topic"),
            Self::Envelope => (Single::<envelope::EnvelopeArgs>::command(), "status-envelope"),
            Self::Pow => (Single::<pow::PowArgs>::command(), "status-pow"),
            Self::Payload => (Single::<payload::PayloadArgs>::command(), "status-payload"),
            Self::Group => (Single::<group::GroupArgs>::command(), "status-group"),
            Self::Session => (Single::<session::SessionArgs>::command(), "status-session"),
            Self::Send => (Single::<send::SendArgs>::command(), "status-send"),
            Self::Receive => (Single::<receive::ReceiveArgs>::command(), "status-receive"),
            Self::Node => (Single::<node::NodeArgs>::command(), "status-node"),
            Self::Mailserver => {
                (Single::<mailserver::MailserverArgs>::command(), "status-mailserver")
            }
        };
        let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        command.name(name).bin_name(name).after_help(format!("{examples}\n\n{EXIT_CODES}"))
    }
}
