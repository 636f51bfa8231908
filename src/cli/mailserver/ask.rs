//! What those share who ask a mailserver: the connection, the errors, the progress.

use std::time::Duration;

use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    super::{
        context::Context,
        error::{CliError, Exit, Result, Stop},
        net::{Network, PeerArgs, Peers, service_config},
        time::parse_seconds,
    },
    access::AccessArgs,
};
use crate::{
    crypto::{PublicKey, SecretKey},
    mailserver::client::{Client, ClientConfig, ClientError},
    node::{Config, PeerOptions, ServiceConfig},
    whisper::Bloom,
};

/// How to ask.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Network")]
pub struct AskArgs {
    /// How long to wait for the connection, and for the next packet of an answer
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_seconds)]
    timeout: u32,
    /// How often to ask again when the server is silent or the connection breaks
    #[arg(long, value_name = "N", default_value_t = 2)]
    retries: u32,
}

impl AskArgs {
    /// The time limit.
    pub fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }

    /// How a client asks.
    pub fn config(
        &self,
        access: &AccessArgs,
        server: &PublicKey,
        signer: SecretKey,
    ) -> Result<ClientConfig> {
        let mut config = ClientConfig::new(access.to(server)?, signer);
        config.timeout = self.limit();
        config.connect_timeout = self.limit();
        config.retries = self.retries;
        Ok(config)
    }
}

/// The settings of a node that takes no part in the network: nobody sends it what it did not ask
/// for.
pub fn quiet_config(key: SecretKey, cx: &Context) -> ServiceConfig {
    let mut config = service_config(key, cx);
    config.node = Config {
        min_pow: 0.0,
        min_pow_tolerance: 0.0,
        bloom: Some(Bloom::EMPTY),
        send_window: Duration::ZERO,
        ..Config::default()
    };
    config
}

/// A connection with a mailserver.
pub struct Connection {
    /// The node that has it.
    pub network: Network,
    /// The server.
    pub server: PublicKey,
    /// The key of our node.
    pub key: SecretKey,
}

impl Connection {
    /// Connects to the first of the servers that can be reached.
    pub fn open(
        args: &PeerArgs,
        limit: Duration,
        change: impl FnOnce(&mut ServiceConfig),
        cx: &Context,
    ) -> Result<Self> {
        let enodes = args.require()?;
        let key = args.key(cx)?;
        let mut config = quiet_config(key.clone(), cx);
        change(&mut config);
        let network = Network::start(config)?;
        let mut failed = None;
        for enode in enodes {
            let server = enode.id;
            match Peers::connect(&network, vec![enode], &PeerOptions::default(), limit, cx) {
                Ok(_) => return Ok(Self { network, server, key }),
                Err(Stop::Error(error)) => failed = Some(error),
                Err(stop) => return Err(stop),
            }
            network.handle().remove_peer(&server);
        }
        // There is one at least.
        Err(failed.map_or(Stop::Exit(Exit::Network), Stop::Error))
    }

    /// A client of the server.
    pub fn client(&self, config: ClientConfig) -> Client {
        Client::new(self.network.handle(), self.server, config)
    }
}

/// What became of a request.
pub fn client_error(error: &ClientError) -> CliError {
    let exit = match error {
        ClientError::Archive(_) | ClientError::Random(_) => Exit::Local,
        _ => Exit::Network,
    };
    let shown = CliError::new(error.code(), exit, error.to_string());
    match error {
        ClientError::TimedOut => shown
            .hint("is it a mailserver? status-mailserver probe tells; older ones need --layout"),
        ClientError::Refused(text) if text.contains("decrypt") => {
            shown.hint("another --password, or --asymmetric")
        }
        ClientError::Refused(text) if text.contains("PoW") => shown.hint("a higher --pow"),
        ClientError::RateLimited(_) => shown.hint("ask again a little later"),
        _ => shown,
    }
}

/// A bar over the range of time, on standard error, and only on a terminal.
pub struct Progress(ProgressBar);

impl Progress {
    /// The parts of a bar.
    const PARTS: f64 = 1000.0;

    /// At its beginning.
    pub fn new() -> Self {
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(Some(Self::PARTS as u64), target);
        let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}");
        bar.set_style(style.expect("a constant template"));
        Self(bar)
    }

    /// How much of the range is done, 0 to 1.
    pub fn set(&self, done: f64, envelopes: u64) {
        self.0.set_position((done * Self::PARTS) as u64);
        self.0.set_message(format!("{} envelopes", HumanCount(envelopes)));
    }

    /// Writes a result without spoiling the bar.
    pub fn suspend<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.suspend(work)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
