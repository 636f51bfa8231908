//! Each tool's `main`, and the command lines behind help, completions and man pages.
//!
//! A binary calls the function of its own tool only, so that the linker leaves out the others.

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use clap::{
    ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum as _,
    error::{ContextKind, ContextValue, ErrorKind},
};

use clap_complete::env::CompleteEnv;

use crate::{
    account, chat, config,
    context::{Common, Context, early_errors_are_records, show_early_error, show_usage},
    demo, discover, eip, envelope,
    error::{CliError, Exit, Result, Stop},
    examples, explain, fixtures, generate, group, inspect, keygen, mailserver, node,
    output::{Format, no_page, write_stdout},
    payload, pow, receive,
    redact::redact,
    rpc, send, session, text, topic,
};

/// Runs `statuskit`, which contains every tool.
pub fn statuskit() -> ExitCode {
    main("statuskit", |it: &Umbrella| it.common.clone(), run_subtool)
}

macro_rules! tools {
    ($($tool:ident($args:ident) = $name:literal;)*) => {
        $(
            #[doc = concat!("Runs `", $name, "`.")]
            pub fn $tool() -> ExitCode {
                main(
                    $name,
                    |it: &Single<$tool::$args>| it.common.clone(),
                    |it, cx| $tool::run(&it.args, cx),
                )
            }
        )*

        /// Returns the command line of each binary, `statuskit` first.
        pub fn commands() -> Vec<Command> {
            vec![
                command::<Umbrella>("statuskit"),
                $(command::<Single<$tool::$args>>($name)),*
            ]
        }
    };
}

tools! {
    account(AccountArgs) = "status-account";
    topic(TopicArgs) = "status-topic";
    eip(EipArgs) = "status-eip";
    envelope(EnvelopeArgs) = "status-envelope";
    pow(PowArgs) = "status-pow";
    payload(PayloadArgs) = "status-payload";
    group(GroupArgs) = "status-group";
    inspect(InspectArgs) = "status-inspect";
    session(SessionArgs) = "status-session";
    send(SendArgs) = "status-send";
    receive(ReceiveArgs) = "status-receive";
    chat(ChatArgs) = "status-chat";
    node(NodeArgs) = "status-node";
    mailserver(MailserverArgs) = "status-mailserver";
    rpc(RpcArgs) = "status-rpc";
    fixtures(FixturesArgs) = "status-fixtures";
    discover(DiscoverArgs) = "status-discover";
}

/// Ends every help text.
const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 negative answer (nothing opened or matched, a check
failed, empty input); 2 wrong usage; 3 malformed input; 4 network or peer;
5 local files, or an output that is closed or full; 130 interrupted;
143 ended with SIGTERM. A closed pipe is success.
`statuskit explain CODE` tells more about an error.";

/// The command line of `statuskit`.
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
    // Last: its heading applies to all options after it.
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Subtool {
    Demo(demo::DemoArgs),
    Account(account::AccountArgs),
    Topic(topic::TopicArgs),
    Eip(eip::EipArgs),
    Envelope(envelope::EnvelopeArgs),
    Pow(pow::PowArgs),
    Payload(payload::PayloadArgs),
    Group(group::GroupArgs),
    Inspect(inspect::InspectArgs),
    Session(session::SessionArgs),
    Send(send::SendArgs),
    Receive(receive::ReceiveArgs),
    Chat(chat::ChatArgs),
    Node(node::NodeArgs),
    Mailserver(mailserver::MailserverArgs),
    Discover(discover::DiscoverArgs),
    Rpc(rpc::RpcArgs),
    Fixtures(fixtures::FixturesArgs),
    Config(config::command::ConfigArgs),
    Keygen(keygen::KeygenArgs),
    Explain(explain::ExplainArgs),
    Completions(generate::CompletionsArgs),
    Man(generate::ManArgs),
}

// The command line of one tool. (A doc comment here would become its help.)
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
struct Single<A: Args> {
    #[command(flatten)]
    args: A,
    // Last: its heading applies to all options after it.
    #[command(flatten)]
    common: Common,
}

fn run_subtool(umbrella: &Umbrella, cx: &mut Context) -> Result<()> {
    match &umbrella.tool {
        Subtool::Account(args) => account::run(args, cx),
        Subtool::Topic(args) => topic::run(args, cx),
        Subtool::Eip(args) => eip::run(args, cx),
        Subtool::Envelope(args) => envelope::run(args, cx),
        Subtool::Pow(args) => pow::run(args, cx),
        Subtool::Payload(args) => payload::run(args, cx),
        Subtool::Group(args) => group::run(args, cx),
        Subtool::Inspect(args) => inspect::run(args, cx),
        Subtool::Session(args) => session::run(args, cx),
        Subtool::Send(args) => send::run(args, cx),
        Subtool::Receive(args) => receive::run(args, cx),
        Subtool::Chat(args) => chat::run(args, cx),
        Subtool::Node(args) => node::run(args, cx),
        Subtool::Mailserver(args) => mailserver::run(args, cx),
        Subtool::Discover(args) => discover::run(args, cx),
        Subtool::Rpc(args) => rpc::run(args, cx),
        Subtool::Fixtures(args) => fixtures::run(args, cx),
        Subtool::Demo(args) => demo::run(args, cx),
        Subtool::Config(args) => config::command::run(args, cx),
        Subtool::Keygen(args) => keygen::run(args, cx),
        Subtool::Explain(args) => explain::run(args, cx),
        Subtool::Completions(args) => generate::completions(args),
        Subtool::Man(args) => generate::man(args),
    }
}

fn main<P: CommandFactory + FromArgMatches>(
    name: &'static str,
    common: impl FnOnce(&P) -> Common,
    work: impl FnOnce(&P, &mut Context) -> Result<()>,
) -> ExitCode {
    if std::env::var_os(generate::COMPLETE).is_some() {
        config::choose(config::Choice::default());
        CompleteEnv::with_factory(|| command::<P>(name)).var(generate::COMPLETE).complete();
    }
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let (mut takes_sent, mut makes_pages) = (false, false);
    let parsed = command::<P>(name).try_get_matches_from(&arguments).and_then(|mut matches| {
        takes_sent = is_envelope_check(name, &matches);
        makes_pages = is_inspection(name, &matches);
        P::from_arg_matches_mut(&mut matches)
    });
    let exit = match parsed {
        Ok(parsed) => {
            let mut cx = Context::new(common(&parsed));
            let result = match cx.is_clock_of_envelopes() && !takes_sent {
                true => Err(CliError::usage("only `envelope check` takes this")
                    .field("--now")
                    .hint("UNIX seconds, or such as 2020-03-29T12:22:26Z")
                    .into()),
                false if cx.format() == Format::Html && !makes_pages => Err(no_page().into()),
                false => work(&parsed, &mut cx),
            };
            cx.exit(result)
        }
        Err(error) => usage(&error, &arguments),
    };
    exit.into()
}

/// Whether the command has envelopes whose time can be the clock.
fn is_envelope_check(name: &str, matches: &ArgMatches) -> bool {
    let nested = |matches: &ArgMatches| matches.subcommand_name() == Some("check");
    match matches.subcommand() {
        Some(("envelope", matches)) => nested(matches),
        _ => name == "status-envelope" && nested(matches),
    }
}

/// Whether the results are inspections, which can be pages.
fn is_inspection(name: &str, matches: &ArgMatches) -> bool {
    match matches.subcommand() {
        Some(("inspect", matches)) => matches.subcommand_name().is_none(),
        subcommand => name == "status-inspect" && subcommand.is_none(),
    }
}

fn command<P: CommandFactory>(name: &'static str) -> Command {
    let command = examples::fold_all(P::command());
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let help = format!("{examples}\n\n{EXIT_CODES}");
    // Narrower terminals break lines by themselves: what is copied is still one line.
    command.name(name).bin_name(name).after_help(help).term_width(text::columns().clamp(80, 100))
}

/// Prints help (success) or reports wrong usage.
fn usage(error: &clap::Error, arguments: &[OsString]) -> Exit {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    match error.kind() {
        DisplayHelp | DisplayVersion => {
            return print_help(error);
        }
        DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            return Exit::Usage;
        }
        _ => {}
    }
    let shown = error.to_string();
    let text = redact(&shown);
    if early_errors_are_records(asked_format(arguments)) {
        show_early_error(&from_clap(error, &text));
    } else if text == shown {
        let _ = error.print();
    } else {
        show_usage(text.trim_end());
    }
    Exit::Usage
}

/// Prints help or a version. A closed pipe is success here, too.
fn print_help(error: &clap::Error) -> Exit {
    let text = error.render();
    let has_colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = if has_colour { text.ansi().to_string() } else { text.to_string() };
    match write_stdout(text.as_bytes()).map_err(Stop::from) {
        Err(Stop::Error(error)) => {
            show_early_error(&error);
            error.exit
        }
        _ => Exit::Done,
    }
}

/// Splits clap's paragraphs: the message, then a tip or the usage.
fn from_clap(error: &clap::Error, text: &str) -> CliError {
    let mut paragraphs = text.split("\n\n").map(str::trim);
    let message = paragraphs.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let mut shown = CliError::usage(message);
    let option = error.get(ContextKind::InvalidArg).and_then(|value| match value {
        ContextValue::String(text) => text.split_whitespace().next(),
        _ => None,
    });
    // An argument that nobody expected is no field; it may be a secret.
    let option = option.filter(|option| option.starts_with(['-', '<', '[']));
    if let Some(option) = option {
        shown = shown.field(option);
    }
    let tip = paragraphs.find_map(|it| it.strip_prefix("tip: ").or(it.strip_prefix("Usage: ")));
    match tip {
        Some(tip) => shown.hint(tip),
        None => shown,
    }
}

/// Returns the format that an invalid command line asks for.
fn asked_format(arguments: &[OsString]) -> Option<Format> {
    let texts: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    let after = texts.iter().zip(texts.iter().skip(1)).find(|(name, _)| *name == "--output");
    let joined = texts.iter().find_map(|text| text.strip_prefix("--output="));
    joined.or(after.map(|(_, value)| &**value)).and_then(|text| Format::from_str(text, false).ok())
}
