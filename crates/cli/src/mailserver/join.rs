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
    time::{Duration, Instant},
};

use clap::Args;
use statuskit_core::{
    crypto::{PublicKey, SecretKey},
    devp2p::Enode,
    envelope::{Envelope, EnvelopeHash, SymKey, Topic},
    mailserver::{Access, seal::FLEET_PASSWORD},
};
use statuskit_mailserver::client::{Client, ClientConfig, ClientError, History, HistoryItem};

use crate::{
    context::Context,
    error::{CliError, Result},
    mailserver::{access::password_key, ask::client_error, gap::Gaps},
    net::{Network, PeerArgs, until},
    output::escape,
    time::{Moment, parse_moment, to_rfc3339},
};

/// Who knows what was sent before.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "History")]
pub struct JoinArgs {
    /// Mailserver to ask for what was sent before; it is a peer like the others, too. While it is
    /// away or refuses as asked too often, it is asked again; exit 4 if something is still missing
    /// at the end because of that
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
        // When and from where to ask again is decided here.
        config.retries = 0;
        config.rate_limit_patience = Duration::ZERO;
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
    server: PublicKey,
    topics: Vec<Topic>,
    history: Option<History>,
    /// Envelopes of the history that is coming in.
    count: u64,
    gaps: Gaps,
    seen: VecDeque<EnvelopeHash>,
    known: HashSet<EnvelopeHash>,
}

/// What the past brings.
pub enum PastItem {
    /// The next of the history.
    Came(Option<std::result::Result<HistoryItem, ClientError>>),
    /// It is time to ask again.
    Due,
}

impl Past {
    /// What was sent since a second; no topics are all. It is asked for as soon as the mailserver
    /// is connected.
    pub fn since(
        since: u32,
        client: Client,
        server: PublicKey,
        topics: Vec<Topic>,
        network: &Network,
        cx: &Context,
    ) -> Self {
        let (seen, known) = (VecDeque::new(), HashSet::new());
        let (history, count, gaps) = (None, 0, Gaps::default());
        let mut past = Self { client, server, topics, history, count, gaps, seen, known };
        past.gaps.want(since.min(cx.now()));
        if !past.is_connected(network) {
            past.gaps.missed(since, ClientError::NotConnected);
            cx.note("the mailserver is not connected; it is asked as soon as it is");
        }
        past.catch_up(network, cx);
        past
    }

    /// From this second on, something may be missing, and why.
    pub fn missed(&mut self, since: u32, why: ClientError) {
        self.gaps.missed(since.saturating_sub(MARGIN), why);
    }

    /// Asks for what is missing, if something is and the mailserver is there.
    pub fn catch_up(&mut self, network: &Network, cx: &Context) {
        if self.history.is_some() || !self.is_connected(network) {
            return;
        }
        let to = cx.now().saturating_add(MARGIN);
        let Some((query, goes_on)) = self.gaps.next(to, &self.topics) else { return };
        if !goes_on {
            self.count = 0;
        }
        let client = &self.client;
        self.history = Some(network.wait(async { client.history(query) }));
    }

    fn is_connected(&self, network: &Network) -> bool {
        let handle = network.handle();
        let peer = handle.peer_by_id(&self.server).and_then(|peer| handle.peer_state(peer));
        peer.is_some_and(|peer| peer.status.is_some())
    }

    /// The next item; never, while nothing is asked for.
    pub async fn next(&mut self) -> PastItem {
        match &mut self.history {
            Some(history) => PastItem::Came(history.next().await),
            None => {
                until(self.gaps.not_before()).await;
                PastItem::Due
            }
        }
    }

    /// The envelope of an item, if it is the first time that it comes. Errors are told, and the
    /// live stream goes on.
    pub fn take(&mut self, item: PastItem, cx: &mut Context) -> Result<Option<Envelope>> {
        match item {
            PastItem::Due => self.gaps.is_due(),
            PastItem::Came(Some(Ok(HistoryItem::Envelope(envelope)))) => {
                let is_first = self.gaps.is_first(envelope.hash());
                let is_new = is_first && !self.known.contains(&envelope.hash());
                // Who has died long ago doesn't come again.
                if is_new && envelope.expiry().saturating_add(GRACE) >= cx.now() {
                    self.is_first(envelope.hash());
                }
                self.count += u64::from(is_new);
                return Ok(is_new.then_some(envelope));
            }
            PastItem::Came(Some(Ok(HistoryItem::Page(page)))) => self.gaps.page(&page),
            PastItem::Came(Some(Err(error))) => {
                self.history = None;
                self.failed(error, cx)?;
            }
            PastItem::Came(None) => {
                self.history = None;
                self.gaps.complete();
                cx.note(&format!(
                    "the history is complete: {} envelopes that had not come yet",
                    self.count
                ));
            }
        }
        Ok(None)
    }

    /// Asks again later, if that may help.
    fn failed(&mut self, error: ClientError, cx: &mut Context) -> Result<()> {
        if !may_get_better(&error) {
            let error = self.incomplete(&error);
            self.gaps.give_up();
            return cx.report(error);
        }
        let text = error.to_string();
        let is_lost = matches!(error, ClientError::NotConnected | ClientError::Disconnected(_));
        if let Some(wait) = self.gaps.failed(error, Instant::now()) {
            let when = if is_lost {
                "as soon as it is connected".to_owned()
            } else {
                format!("in {} s, and then less and less often", wait.as_secs())
            };
            cx.note(&format!(
                "the history is interrupted: {text}; the mailserver is asked again {when}"
            ));
        }
        Ok(())
    }

    /// At the end: says whether something is missing. That is an error if it is because something
    /// went wrong, and not because the end came first.
    pub fn end(&self, cx: &mut Context) -> Result<()> {
        match (self.gaps.trouble(), self.gaps.since()) {
            (Some(error), Some(_)) => cx.report(self.incomplete(error)),
            (None, Some(since)) => {
                let since = to_rfc3339(since);
                cx.note(&format!("the history since {since} has not come to its end"));
                Ok(())
            }
            (_, None) => Ok(()),
        }
    }

    /// An error, and from when on something is missing because of it.
    fn incomplete(&self, error: &ClientError) -> CliError {
        let shown = client_error(error);
        let Some(since) = self.gaps.since() else { return shown };
        let message = format!(
            "{}; of what was sent since {} some is missing",
            shown.message,
            to_rfc3339(since)
        );
        let hint = match (error, &shown.hint) {
            (ClientError::RateLimited(_), _) | (_, None) => {
                format!("ask again with --since {since}")
            }
            (_, Some(hint)) => hint.clone(),
        };
        CliError::new(shown.code, shown.exit, message).hint(hint)
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

/// Whether the same question may have another answer later.
fn may_get_better(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::RateLimited(_)
            | ClientError::NotConnected
            | ClientError::Disconnected(_)
            | ClientError::TimedOut
            | ClientError::Lagged
    )
}
