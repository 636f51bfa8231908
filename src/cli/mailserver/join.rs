//! History and the live stream as one: for `status-receive --mailserver`.
//!
//! The live stream comes first: from when the peers are connected, whatever is sent arrives. Then
//! the mailserver is asked for what came before, up to the present and a little further, and the
//! overlap is shown once. Whenever the stream was interrupted meanwhile, the mailserver is asked
//! for the time since.
//!
//! What has to be remembered for that is little: an envelope can only come twice while it is in
//! the overlap of the two, so those of the history that are long dead are not.

use std::{
    collections::{HashSet, VecDeque},
    path::PathBuf,
    time::Duration,
};

use clap::Args;

use super::{
    super::{
        context::Context,
        error::{CliError, Result},
        net::{Network, PeerArgs},
        output::escape,
        time::{Moment, parse_moment},
    },
    access::password_key,
    ask::client_error,
};
use crate::{
    crypto::SecretKey,
    devp2p::Enode,
    mailserver::{
        Access,
        client::{Client, ClientConfig, ClientError, History, HistoryItem, HistoryQuery},
        seal::FLEET_PASSWORD,
    },
    whisper::{Envelope, EnvelopeHash, SymKey, Topic},
};

/// Who knows what was sent before.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "History")]
pub struct JoinArgs {
    /// Mailserver to ask for what was sent before; it is a peer like the others, too
    #[arg(long, value_name = "ENODE")]
    mailserver: Option<String>,
    /// From when on: a time before now (1d, 24h), a date or time (2020-03-01,
    /// 2020-03-01T12:00:00Z), or UNIX seconds
    #[arg(
        long,
        value_name = "TIME",
        value_parser = parse_moment,
        default_value = "1d",
        requires = "mailserver"
    )]
    since: Moment,
    /// Password of the mailserver [default: that of Status, which is published]. One that is
    /// secret belongs into the environment variable STATUS_MAILSERVER_PASSWORD, or into a file
    #[arg(long, value_name = "TEXT", requires = "mailserver")]
    mailserver_password: Option<String>,
    /// File with that password, on one line
    #[arg(
        long,
        value_name = "FILE",
        requires = "mailserver",
        conflicts_with = "mailserver_password"
    )]
    mailserver_password_file: Option<PathBuf>,
}

/// How far the history goes beyond the present: clocks differ, and what is just being sent
/// belongs to it.
const MARGIN: u32 = 60;
/// How long an envelope may take from its death to the archive and to us.
const GRACE: u32 = 600;
/// Hashes that are remembered.
const MAX_SEEN: usize = 1 << 18;
/// How long to wait for the mailserver.
const PATIENCE: Duration = Duration::from_secs(10);

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

    /// How to ask for the past, if anybody is to be asked.
    pub fn config(&self, signer: SecretKey) -> Result<Option<(Enode, ClientConfig)>> {
        let Some(enode) = self.mailserver()? else { return Ok(None) };
        let (given, file) = (self.mailserver_password.as_deref(), &self.mailserver_password_file);
        let key = password_key(given, "--mailserver-password", file.as_deref())?;
        let key = key.unwrap_or_else(|| SymKey::from_password(FLEET_PASSWORD));
        let mut config = ClientConfig::new(Access::Password(key), signer);
        config.timeout = PATIENCE;
        config.connect_timeout = PATIENCE;
        Ok(Some((enode, config)))
    }

    /// When the history begins.
    pub fn since(&self, cx: &Context) -> u32 {
        self.since.at(cx.now())
    }

    fn mailserver(&self) -> Result<Option<Enode>> {
        let parse = |text: &String| {
            text.parse().map_err(|error| {
                CliError::usage(format!("{}: {error}", escape(text)))
                    .field("--mailserver")
                    .hint("enode://128_HEX_DIGITS@HOST:PORT")
                    .into()
            })
        };
        self.mailserver.as_ref().map(parse).transpose()
    }
}

/// The past, as it comes in beside the present.
pub struct Past {
    client: Client,
    topics: Vec<Topic>,
    history: Option<History>,
    /// Envelopes of the history that is coming in.
    count: u64,
    /// From when on it is to be asked again.
    missed: Option<u32>,
    seen: VecDeque<EnvelopeHash>,
    known: HashSet<EnvelopeHash>,
}

/// What the past brings.
pub type PastItem = Option<std::result::Result<HistoryItem, ClientError>>;

impl Past {
    /// Nothing yet; no topics are all.
    pub fn new(client: Client, topics: Vec<Topic>) -> Self {
        let (seen, known) = (VecDeque::new(), HashSet::new());
        Self { client, topics, history: None, count: 0, missed: None, seen, known }
    }

    /// Asks for what was sent since a second; when what is asked for already has come.
    pub fn ask(&mut self, since: u32, network: &Network, cx: &Context) {
        if self.history.is_some() {
            self.missed(since);
            return;
        }
        let to = cx.now().saturating_add(MARGIN);
        let query = HistoryQuery::of_topics(since.min(to), to, self.topics.iter().copied());
        self.count = 0;
        let client = &self.client;
        self.history = Some(network.wait(async { client.history(query) }));
    }

    /// From this second on, something may be missing.
    pub fn missed(&mut self, since: u32) {
        let since = since.saturating_sub(MARGIN);
        self.missed = Some(self.missed.map_or(since, |before| before.min(since)));
    }

    /// Asks for what is missing, if something is.
    pub fn catch_up(&mut self, network: &Network, cx: &Context) {
        if self.history.is_none()
            && let Some(since) = self.missed.take()
        {
            self.ask(since, network, cx);
        }
    }

    /// The next item; never, while nothing is asked for.
    pub async fn next(&mut self) -> PastItem {
        match &mut self.history {
            Some(history) => history.next().await,
            None => std::future::pending().await,
        }
    }

    /// The envelope of an item, if it is the first time that it comes. Errors are reported, and
    /// the live stream goes on.
    pub fn take(&mut self, item: PastItem, cx: &mut Context) -> Result<Option<Envelope>> {
        match item {
            Some(Ok(HistoryItem::Envelope(envelope))) => {
                let is_new = !self.known.contains(&envelope.hash());
                // Who has died long ago doesn't come again.
                if is_new && envelope.expiry().saturating_add(GRACE) >= cx.now() {
                    self.is_first(envelope.hash());
                }
                self.count += u64::from(is_new);
                Ok(is_new.then_some(envelope))
            }
            Some(Ok(_)) => Ok(None),
            Some(Err(error)) => {
                self.history = None;
                cx.report(client_error(&error))?;
                Ok(None)
            }
            None => {
                self.history = None;
                cx.note(&format!(
                    "the history is complete: {} envelopes that had not come yet",
                    self.count
                ));
                Ok(None)
            }
        }
    }

    /// Whether an envelope of the live stream comes for the first time.
    pub fn is_first(&mut self, hash: EnvelopeHash) -> bool {
        if !self.known.insert(hash) {
            return false;
        }
        self.seen.push_back(hash);
        if self.seen.len() > MAX_SEEN
            && let Some(oldest) = self.seen.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}
