//! What commands share that ask a mailserver: connection, errors, progress.

use std::{
    io::{self, IsTerminal as _},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use indicatif::{HumanCount, ProgressBar};
use statuskit_core::{
    chat,
    crypto::{PublicKey, SecretKey},
    envelope::Bloom,
    mailserver::{Cursor, Form},
};
use statuskit_mailserver::client::{self, Client, ClientConfig, ClientError};
use statuskit_net::node::{NodeConfig, PeerOptions, ServiceConfig};

use crate::{
    context::Context,
    error::{CliError, Exit, Result, Stop},
    mailserver::access::AccessArgs,
    net::{Network, PeerArgs, service_config},
    progress,
    time::parse_seconds,
};

/// Time limits.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Network")]
pub struct AskArgs {
    /// Maximum wait for the connection, and then for the next envelopes, over all retries
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_wait)]
    timeout: u32,
    /// Maximum wait per page while the server refuses requests as too frequent; 0 to give up at the
    /// first refusal
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_seconds)]
    patience: u32,
}

/// Parses a time to wait. With zero, nothing could ever arrive.
fn parse_wait(text: &str) -> std::result::Result<u32, String> {
    match parse_seconds(text)? {
        0 => Err("expected at least 1 second".to_owned()),
        seconds => Ok(seconds),
    }
}

impl AskArgs {
    /// Returns the time limit.
    pub fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }

    /// Returns how long to wait for a rate limit.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience.into())
    }
}

/// How requests are made.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Request")]
pub struct RequestArgs {
    /// Retries when the connection breaks
    #[arg(long, value_name = "N", default_value_t = 2)]
    retries: u32,
    /// Minimum proof of work of requests; more if the server asks for more
    #[arg(long, value_name = "POW", default_value_t = chat::POW_TARGET)]
    pow: f64,
    /// Layout of the request, for servers other than those of Status in 2020
    #[arg(long, value_enum, default_value = "seven")]
    layout: Layout,
    /// With --layout raw: end the answer when nothing has come for this long, as the mailserver of
    /// go-ethereum never marks its end
    #[arg(long, value_name = "TIME", value_parser = parse_wait)]
    silence: Option<u32>,
    #[command(flatten)]
    access: AccessArgs,
}

/// The layouts of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Layout {
    /// Seven items in a list: servers of 2020
    Seven,
    /// Six items: earlier releases
    Six,
    /// Five items: the specification
    Five,
    /// Fields of fixed length: the first releases, and go-ethereum. Covers a day at a time
    Raw,
    /// Without an envelope: not encrypted, signed or mined
    Plain,
}

impl RequestArgs {
    /// Returns how to ask a server.
    pub fn config(
        &self,
        server: &PublicKey,
        signer: SecretKey,
        ask: &AskArgs,
    ) -> Result<ClientConfig> {
        let mut config = ClientConfig::new(self.access.to(server)?, signer);
        config.timeout = ask.limit();
        config.connect_timeout = ask.limit();
        config.rate_limit_patience = ask.patience();
        config.retries = self.retries;
        if !(self.pow >= 0.0 && self.pow.is_finite()) {
            let message = "a proof of work is a number that is not negative";
            return Err(CliError::usage(message).field("--pow").into());
        }
        config.min_pow = self.pow;
        if self.silence.is_some() && self.layout != Layout::Raw {
            let message = "only servers of the raw layout don't mark the end of an answer";
            return Err(CliError::usage(message).field("--silence").hint("--layout raw").into());
        }
        config.quiet = self.silence.map(|seconds| Duration::from_secs(seconds.into()));
        config.layout = match self.layout {
            Layout::Seven => client::Layout::Sealed(Form::Seven),
            Layout::Six => client::Layout::Sealed(Form::Six),
            Layout::Five => client::Layout::Sealed(Form::Five),
            Layout::Raw => client::Layout::Sealed(Form::Raw),
            Layout::Plain => client::Layout::Plain,
        };
        Ok(config)
    }
}

/// Returns the settings of a node that takes no part in the network: peers send it only what it
/// asks for.
pub fn quiet_config(key: SecretKey, cx: &Context) -> ServiceConfig {
    let mut config = service_config(key, cx);
    config.node = NodeConfig::with_min_pow(0.0);
    config.node.bloom = Some(Bloom::EMPTY);
    config.node.topics = Some(Arc::default());
    config.node.send_window = Duration::ZERO;
    config
}

/// A connection to a mailserver.
pub struct Connection {
    /// Our node.
    pub network: Network,
    /// The server.
    pub server: PublicKey,
    /// The key of our node.
    pub key: SecretKey,
}

impl Connection {
    /// Connects to the first server that can be reached.
    pub fn open(
        args: &PeerArgs,
        limit: Duration,
        change: impl FnOnce(&mut ServiceConfig),
        cx: &Context,
    ) -> Result<Self> {
        let enodes = args.require_mailservers()?;
        let key = args.key(cx)?;
        let mut config = quiet_config(key.clone(), cx);
        config.p2p.key_log = args.key_log.open()?;
        config.dialects = args.dialect.dialects();
        change(&mut config);
        let network = Network::start(config)?;
        let mut failed = None;
        for enode in enodes {
            let server = enode.id;
            match network.connect(vec![enode], &PeerOptions::default(), limit, cx) {
                Ok(_) => return Ok(Self { network, server, key }),
                Err(Stop::Error(error)) => failed = Some(error),
                Err(stop) => return Err(stop),
            }
            network.handle().remove_peer(&server);
        }
        // There is at least one server.
        Err(failed.map_or(Stop::Exit(Exit::Network), Stop::Error))
    }

    /// Makes a client for the server.
    pub fn client(&self, config: ClientConfig) -> Client {
        Client::new(self.network.handle(), self.server, config)
    }
}

/// Converts the error of a request.
pub fn client_error(error: &ClientError) -> CliError {
    let exit = match error {
        ClientError::Archive(_) | ClientError::Random(_) => Exit::Local,
        ClientError::Request(_) => Exit::Usage,
        _ => Exit::Network,
    };
    let shown = CliError::new(error.code(), exit, error.to_string());
    match error {
        ClientError::TimedOut => shown.hint(
            "is it a mailserver? Check with status-mailserver probe; old ones may need --layout",
        ),
        ClientError::Refused(text) if text.contains("decrypt") => {
            shown.hint("another --password, or --asymmetric")
        }
        ClientError::Refused(text) if text.contains("PoW") => shown.hint("a higher --pow"),
        ClientError::RateLimited(_) => {
            shown.hint("ask again a little later, or a longer --patience")
        }
        _ => shown,
    }
}

/// Parses a cursor that an earlier run printed.
pub fn parse_cursor(text: &str) -> Result<Option<Cursor>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let bytes = hex::decode(digits)
        .map_err(|error| CliError::usage(format!("a cursor is hex: {error}")).field("--cursor"))?;
    Ok(Cursor::from_bytes(&bytes))
}

/// A progress bar over the range of time, on standard error, only on a terminal.
pub struct Progress {
    bar: ProgressBar,
    began: Instant,
    /// Whether results go to a terminal, too.
    is_shared: bool,
}

impl Progress {
    /// The length of a bar.
    const PARTS: f64 = 1000.0;

    /// Begins a bar.
    pub fn new() -> Self {
        let bar = progress::bar(Self::PARTS as u64);
        Self { bar, began: Instant::now(), is_shared: io::stdout().is_terminal() }
    }

    /// Sets how much of the range is done, from 0 to 1.
    pub fn set(&self, done: f64, envelopes: u64) {
        if !self.is_due() {
            return;
        }
        self.bar.set_position((done * Self::PARTS) as u64);
        self.bar.set_message(format!("{} envelopes", HumanCount(envelopes)));
    }

    /// Prints a result without spoiling the bar.
    pub fn suspend<T>(&self, work: impl FnOnce() -> T) -> T {
        if self.is_shared && self.is_due() { self.bar.suspend(work) } else { work() }
    }

    fn is_due(&self) -> bool {
        self.began.elapsed() >= progress::DELAY
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
