//! `status-eip ens`: EIP-137, EIP-181, and the names of Status.

mod call;
mod name;
mod read;

use clap::{Args, Subcommand};
use statuskit_eip::{
    Address,
    eip137::{Name, NameError, Rules, resolver::Question, username},
    eip181,
};

use crate::{
    context::Context,
    error::{CliError, Exit, Result},
};

/// Names of ENS: normalise and hash them, ask their registry and resolvers, and read the answers
///
/// `@alice` is short for alice.stateofus.eth, the name of a user of Status.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-eip ens namehash foo.eth
  $ status-eip ens call pubkey @alice
  $ status-eip ens read addr 0x0000000000000000000000008e23ee67d1332ad560396262c48ffbb01f93d052")]
pub struct EnsCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Normalize(name::NormalizeCommand),
    Namehash(name::NamehashCommand),
    Labelhash(name::LabelhashCommand),
    Reverse(name::ReverseCommand),
    Call(call::CallCommand),
    Read(read::ReadCommand),
    Verify(read::VerifyCommand),
}

impl EnsCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        match &self.command {
            Command::Normalize(command) => command.run(cx),
            Command::Namehash(command) => command.run(cx),
            Command::Labelhash(command) => command.run(cx),
            Command::Reverse(command) => command.run(cx),
            Command::Call(command) => command.run(cx),
            Command::Read(command) => command.run(cx),
            Command::Verify(command) => command.run(cx),
        }
    }
}

/// The rules of normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum RulesArg {
    /// UTS 46 with Unicode 12.1, as in March 2020
    Reference,
    /// The same with every check: ASCII letters, digits and hyphens only, one direction
    Strict,
    /// UTS 46 with Unicode 17
    Newest,
    /// ENSIP-15, which ENS prescribes since 2023
    Ensip15,
    /// Lower case and nothing else, as the mobile client of 2020
    Lowercase,
}

impl RulesArg {
    fn rules(self) -> Rules {
        match self {
            Self::Reference => Rules::Reference,
            Self::Strict => Rules::Strict,
            Self::Newest => Rules::Newest,
            Self::Ensip15 => Rules::Ensip15,
            Self::Lowercase => Rules::Lowercase,
        }
    }
}

/// Converts an error of a name; says which other rules read it.
fn name_error(text: &str, error: &NameError, exit: Exit) -> CliError {
    let converted = CliError::new(error.code(), exit, error.to_string());
    if matches!(error, NameError::TooLong { .. }) {
        return converted;
    }
    let other = [Rules::Newest, Rules::Ensip15].into_iter().find_map(|rules| {
        let name = Name::parse_by(&username::full_name(text), rules).ok()?;
        Some(format!("--rules {} reads it as {name}", rules.name()))
    });
    match other {
        Some(hint) => converted.hint(hint),
        None => converted,
    }
}

/// Reads a question from the command line.
fn parse_question(text: &str) -> std::result::Result<Question, String> {
    let known = Question::PLAIN.into_iter().find(|question| question.name() == text);
    known.or_else(|| Some(Question::Text(text.strip_prefix("text:")?.to_owned()))).ok_or_else(
        || "expected owner, resolver, ttl, addr, pubkey, contenthash, name or text:KEY".to_owned(),
    )
}

/// The name that a question is about: that of an address is its reverse name.
fn subject(question: &Question, text: &str) -> String {
    match (question, text.parse::<Address>()) {
        (Question::Name | Question::Resolver | Question::Owner, Ok(address)) => {
            eip181::reverse_name(&address)
        }
        _ => username::full_name(text),
    }
}
