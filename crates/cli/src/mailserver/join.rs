//! `status-receive --mailserver`: the options, and what is said about the history.

use std::path::PathBuf;

use clap::Args;
use statuskit_client::{Client, HistoryEvent, HistorySource};
use statuskit_core::{
    devp2p::Enode,
    envelope::SymKey,
    mailserver::{Access, DAY, seal::FLEET_PASSWORD},
    time::UnixSeconds,
};
use statuskit_mailserver::client::ClientError;

use crate::{
    config,
    context::Context,
    error::{CliError, Result},
    mailserver::{access::password_key, ask::client_error},
    net::PeerArgs,
    nodes::{self, Wanted},
    text::count,
    time::{Moment, parse_moment, to_rfc3339},
};

/// The mailserver to fetch the history from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "History")]
pub struct JoinArgs {
    /// Mailserver to fetch the history from, or @FILE; it is a peer as well. While it is away or limits
    /// the rate, the request is repeated; exit 4 if something is still missing at the end because of
    /// that [default: with --since, the first of the profile]
    #[arg(long, value_name = "ENODE")]
    mailserver: Option<String>,
    /// Only messages sent from this time on, and the start of the history: a time before now (1d, 24h), a date or time (2020-03-01,
    /// 2020-03-01T12:00:00Z), or UNIX seconds [default: 1d]
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<Moment>,
    /// Password of the mailserver [default: the published one of Status]. Put a secret one into the
    /// environment variable STATUS_MAILSERVER_PASSWORD, or into a file
    #[arg(long, value_name = "TEXT")]
    mailserver_password: Option<String>,
    /// File with that password, on one line
    #[arg(long, value_name = "FILE", conflicts_with = "mailserver_password")]
    mailserver_password_file: Option<PathBuf>,
}

impl JoinArgs {
    /// The peers: those of the options, and the mailserver.
    pub fn peers(&self, args: &PeerArgs) -> Result<Vec<Enode>> {
        let Some(mailserver) = self.mailserver()? else { return args.require() };
        let mut enodes = args.enodes()?;
        if !enodes.iter().any(|enode| enode.id == mailserver.id) {
            enodes.push(mailserver);
        }
        Ok(enodes)
    }

    /// The history to fetch, if a mailserver is named.
    pub fn source(&self, cx: &Context) -> Result<Option<HistorySource>> {
        let Some(mailserver) = self.mailserver()? else { return Ok(None) };
        let (given, file) = (self.mailserver_password.as_deref(), &self.mailserver_password_file);
        let key = password_key(given, "--mailserver-password", file.as_deref())?;
        let key = key.unwrap_or_else(|| SymKey::from_password(FLEET_PASSWORD));
        let since = self.since.unwrap_or(Moment::Ago(DAY)).at(cx.now()).min(cx.now());
        Ok(Some(HistorySource { mailserver, access: Access::Password(key), since }))
    }

    /// Whether a mailserver is asked for.
    pub fn is_named(&self) -> bool {
        self.mailserver.is_some() || self.since.is_some()
    }

    /// From when on messages are wanted.
    pub fn since(&self, cx: &Context) -> Option<UnixSeconds> {
        self.since.map(|since| since.at(cx.now()))
    }

    fn mailserver(&self) -> Result<Option<Enode>> {
        let first = |text: &str, field| -> Result<Option<Enode>> {
            Ok(nodes::read(text, Wanted::Mailservers, field)?.into_iter().next())
        };
        if let Some(text) = &self.mailserver {
            return first(text, "--mailserver");
        }
        let needs = [
            ("--mailserver-password", self.mailserver_password.is_some()),
            ("--mailserver-password-file", self.mailserver_password_file.is_some()),
        ];
        let needed_by = needs.into_iter().find(|(_, is_given)| *is_given);
        if self.since.is_none() && needed_by.is_none() {
            return Ok(None);
        }
        match (config::profile()?.mailservers.first(), needed_by) {
            (Some(text), _) => first(&text.value, "mailservers"),
            // What peers have is all there is to choose from.
            (None, None) => Ok(None),
            (None, Some((option, _))) => Err(CliError::usage("no mailserver is named")
                .field(option)
                .hint("--mailserver enode://…")
                .into()),
        }
    }
}

/// Shows news of the history.
pub fn show_history(event: HistoryEvent, cx: &mut Context) -> Result<()> {
    match event {
        HistoryEvent::Waiting => {
            cx.note("the mailserver is not connected; it is asked as soon as it is");
        }
        HistoryEvent::Interrupted { error, retry_in } => {
            let when = match retry_in {
                None => "as soon as it is connected".to_owned(),
                Some(wait) => format!("in {} s, and then less and less often", wait.as_secs()),
            };
            cx.note(&format!(
                "the history is interrupted: {error}; the mailserver is asked again {when}"
            ));
        }
        HistoryEvent::Complete { envelopes } => cx.note(&format!(
            "the history is complete: {} that had not come yet",
            count(envelopes, "envelope")
        )),
        HistoryEvent::Failed { error, since } => cx.report(incomplete(&error, since))?,
        _ => {}
    }
    Ok(())
}

/// Shows at the end whether something is missing. That is an error if a request failed, and a note if
/// the end came first.
pub fn show_missing(client: &Client, cx: &mut Context) -> Result<()> {
    match client.missing_history() {
        Some((since, Some(error))) => cx.report(incomplete(error, Some(since))),
        Some((since, None)) => {
            let since = to_rfc3339(since);
            cx.note(&format!("the history since {since} has not come to its end"));
            Ok(())
        }
        None => Ok(()),
    }
}

/// An error, and from when on something is missing because of it.
fn incomplete(error: &ClientError, since: Option<UnixSeconds>) -> CliError {
    let shown = client_error(error);
    let Some(since) = since else { return shown };
    let message =
        format!("{}; of what was sent since {} some is missing", shown.message, to_rfc3339(since));
    let hint = match (error, &shown.hint) {
        (ClientError::RateLimited(_), _) | (_, None) => format!("ask again with --since {since}"),
        (_, Some(hint)) => hint.clone(),
    };
    CliError::new(shown.code, shown.exit, message).hint(hint)
}
