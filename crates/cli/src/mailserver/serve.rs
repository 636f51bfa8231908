//! `status-mailserver serve`.

use std::{
    collections::HashSet,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use statuskit_core::{
    crypto::{PublicKey, SecretKey},
    devp2p::{Enode, NodeId},
    envelope::{SymKey, check::DEFAULT_MAX_MESSAGE_SIZE},
    mailserver::seal::FLEET_PASSWORD,
};
use statuskit_mailserver::{
    Mailserver, MailserverConfig, MailserverEvent, ServerConfig, archive,
    service::{MailserverNews, Stopped},
};
use statuskit_net::node::{Handle, NodeConfig, PeerOptions};

use crate::{
    context::Context,
    discover::args::FindArgs,
    error::{CliError, Exit, Result, Stop},
    interrupt,
    mailserver::{
        access::AccessArgs,
        http,
        report::{Report, request_record, request_text, show_event},
        store::{Purpose, StoreArgs},
    },
    net::{
        Network, PeerArgs, check_enode_file, check_listen, check_message_size, check_min_pow,
        service_config, write_enode,
    },
    output::{Record, escape},
    records::float,
    signals::{interrupted, terminated, until},
    strangers::StrangerArgs,
    text::count,
    time::parse_seconds,
};
use statuskit_net::discovery::pool::Mode;

/// Run a mailserver: a node that stores the envelopes it sees, for clients that ask for them
///
/// Without a password or --asymmetric, clients use the password that Status has published. With
/// another password, only those who know it get answers. It does not hide the envelopes: they pass
/// through every node of the network. With --asymmetric, everyone gets answers.
///
/// The first result is a record of type "ready" with the enode to ask. On Ctrl-C or SIGTERM, it
/// disconnects its peers and stores what it has accepted.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ timeout -s TERM 1 status-mailserver serve --listen 127.0.0.1:0 --store ./archive --password status-offline-inbox || test $? = 124
  $ timeout -s TERM 1 status-mailserver serve --listen 127.0.0.1:0 --store ./archive --asymmetric --retention 30d --metrics 127.0.0.1:0 || test $? = 124
  $ timeout -s TERM 1 status-mailserver serve --waku --listen 127.0.0.1:0 --store ./archive --password status-offline-inbox || test $? = 124")]
pub struct ServeCommand {
    /// Address and port to listen on; port 0 for any free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:30303")]
    listen: SocketAddr,
    /// Minimum proof of work of envelopes
    #[arg(long, value_name = "POW", default_value_t = 0.001)]
    min_pow: f64,
    /// Minimum proof of work of requests [default: --min-pow]
    #[arg(long, value_name = "POW")]
    request_pow: Option<f64>,
    /// Minimum time between two requests of a client; 0 for no limit
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = parse_seconds)]
    rate_limit: u32,
    /// Requests per second of one address (in IPv6, of a /64) in the long run; 0 for no limit
    /// [default: 20, and no limit for loopback addresses]
    #[arg(long, value_name = "N")]
    address_rate: Option<u32>,
    /// Answer plain requests, which need no password, although the password is not the published one
    #[arg(long, help_heading = "Access")]
    allow_plain: bool,
    /// Mailserver that may copy the archive with sync requests, which need no password either: its
    /// enode or public key. Repeatable [default: everyone, or nobody if the password is not the
    /// published one]
    #[arg(long, value_name = "KEY", help_heading = "Access")]
    sync_peer: Vec<String>,
    /// Remove envelopes sent longer ago than this, once per hour; 0 keeps all
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = parse_seconds)]
    retention: u32,
    /// Don't store envelopes sent longer ago than this, or than --retention; 0 for no limit. Those
    /// of Status live for some seconds
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = parse_seconds)]
    max_age: u32,
    /// Confirm envelopes to their senders before they are stored. A crash can then lose envelopes
    /// that were confirmed: those of some milliseconds, or all since the archive began to fail
    #[arg(long)]
    confirm_at_once: bool,
    /// Which envelopes of a range to send first
    #[arg(long, value_enum, default_value = "oldest")]
    order: Order,
    /// Maximum size of packets and envelopes in bytes, from 1024 to 10 MiB
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_MAX_MESSAGE_SIZE)]
    max_message_size: u32,
    #[command(flatten)]
    strangers: StrangerArgs,
    /// Refuse and overlook exactly what status-go refuses and overlooks
    #[arg(long)]
    as_reference: bool,
    /// Address and port to serve /metrics (Prometheus) and /health over HTTP. Not for the open
    /// network
    #[arg(long, value_name = "ADDR")]
    metrics: Option<SocketAddr>,
    /// Print a record of type "request" for each request when it has ended
    #[arg(long)]
    requests: bool,
    /// Print a record of type "stats" at this interval
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    stats: Option<u32>,
    /// File to write the enode to, once it listens
    #[arg(long, value_name = "FILE")]
    enode_file: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    find: FindArgs,
    #[command(flatten)]
    peers: PeerArgs,
}

/// The order of envelopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Order {
    /// As mailservers with LevelDB
    Oldest,
    /// As mailservers with PostgreSQL
    Newest,
}

impl ServeCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let enodes = self.peers.enodes()?;
        let mut config = service_config(self.peers.key(cx)?, cx);
        config.p2p.key_log = self.peers.key_log.open()?;
        check_min_pow(self.min_pow, "--min-pow")?;
        let server = self.server_config(&config.key, cx)?;
        config.node = self.node_config()?;
        config.dialects = self.peers.dialect.dialects();
        config.listen = Some(self.listen);
        self.strangers.limit_peers(&mut config);
        let mut finder = self.find.config(&config.key, Some(self.listen), Mode::Mailserver)?;
        if let Some(finder) = &mut finder {
            // It is found by its topics, and finds relays.
            finder.register = std::mem::replace(&mut finder.topics, vec!["whisper".into()]);
        }
        config.p2p.listen_port = 0;
        Mailserver::prepare(&mut config);
        config.node.confirm_stored = !self.confirm_at_once;
        // Last, so that no archive is created if anything else is wrong.
        let port = self.metrics.map(http::Port::open).transpose()?;
        check_listen(self.listen)?;
        self.enode_file.as_deref().map(check_enode_file).transpose()?;
        let archive = self.store.open_to_serve(Purpose::Make)?;

        let network = Network::start(config)?;
        let handle = network.handle().clone();
        let started = network.wait(async {
            Mailserver::start(&handle, archive.clone(), self.mailserver_config(server))
        });
        let mailserver = started.map_err(|error| {
            CliError::new(error.code(), Exit::Usage, error.to_string())
                .hint("--password, or --asymmetric")
        })?;
        let (news, faults) = (mailserver.subscribe(), mailserver.subscribe());
        let report = Arc::new(Report::new(handle.clone(), mailserver));
        network.spawn(report.clone().follow(faults));
        let ended = self.announce(port, &handle, &report, cx).and_then(|()| {
            for enode in enodes {
                network.dial(enode, PeerOptions::default());
            }
            let _finder = finder.map(|finder| network.find(finder)).transpose()?;
            self.follow(&network, news, &report, cx)
        });
        // However it ended: peers are disconnected, and what was accepted is stored.
        interrupt::end_at_once();
        if let Some(waiting) = report.waiting() {
            cx.note(&format!(
                "{waiting} envelopes wait to be stored; an archive that fails is given up after \
                 ten seconds, and with Ctrl-C at once"
            ));
        }
        let lost = report.take().map(|mailserver| network.stop_then(mailserver.stop()));
        match lost {
            Some(Stopped { lost: 0 }) | None => ended,
            Some(Stopped { lost }) => {
                let message =
                    format!("{} could not be stored, lost", count(lost as u64, "envelope"));
                Err(CliError::new("mailserver.lost", Exit::Local, message).into())
            }
        }
    }

    /// Announces that it is ready.
    fn announce(
        &self,
        port: Option<http::Port>,
        handle: &Handle,
        report: &Arc<Report>,
        cx: &mut Context,
    ) -> Result<()> {
        let metrics = port.map(|port| port.tell(report.clone())).transpose()?;
        let enode = handle.enode().expect("it listens").to_string();
        if let Some(path) = &self.enode_file {
            write_enode(path, &enode)?;
        }
        let ready = Record::new("ready")
            .with("enode", enode)
            .with("public_key", handle.id().to_string())
            .with("listen", handle.local_addr().map(|addr| addr.to_string()))
            .with("min_pow", float(self.min_pow))
            .with("protocols", self.peers.dialect.names())
            .with("store", self.store.shown())
            .with_some("metrics", metrics.map(|addr| addr.to_string()));
        cx.emit(&ready, |record| record.members()["enode"].as_str().unwrap_or_default().to_owned())
    }

    fn mailserver_config(&self, server: ServerConfig) -> MailserverConfig {
        let age = (self.max_age > 0).then(|| Duration::from_secs(self.max_age.into()));
        let mut config = MailserverConfig::new(server);
        config.max_age = age;
        if let Some(rate) = self.address_rate {
            config.address_rate = rate;
            config.limits_loopback = true;
        }
        config
    }

    fn server_config(&self, key: &SecretKey, cx: &Context) -> Result<ServerConfig> {
        let request_pow = self.request_pow.unwrap_or(self.min_pow);
        check_min_pow(request_pow, "--request-pow")?;
        let mut config = ServerConfig::default();
        config.password = self.access.key()?;
        config.key = self.access.asymmetric.then(|| key.clone());
        config.min_pow = request_pow;
        config.rate_limit = Duration::from_secs(self.rate_limit.into());
        config.order = match self.order {
            Order::Oldest => archive::Order::OldestFirst,
            Order::Newest => archive::Order::NewestFirst,
        };
        config.max_message_size = self.max_message_size;
        // The server keeps all if it is zero.
        config.retention = Some(Duration::from_secs(self.retention.into()));
        config.as_reference = self.as_reference;
        config.allow_plain = self.allow_plain.then_some(true);
        config.sync_peers = self.sync_peers()?;
        // By default, with the password that clients use by default.
        if config.password.is_none() && config.key.is_none() {
            cx.note("requests use the published password of Status: status-offline-inbox");
            config.password = Some(SymKey::from_password(FLEET_PASSWORD));
        }
        Ok(config)
    }

    fn sync_peers(&self) -> Result<Option<HashSet<NodeId>>> {
        let parse = |text: &String| {
            let key = match text.parse::<Enode>() {
                Ok(enode) => Ok(enode.id),
                Err(_) => text.parse::<PublicKey>(),
            };
            key.map(|key| NodeId::from_key(&key)).map_err(|error| {
                CliError::usage(format!("{}: {error}", escape(text)))
                    .field("--sync-peer")
                    .hint("an enode, or the public key in it")
            })
        };
        let peers: HashSet<_> =
            self.sync_peer.iter().map(parse).collect::<std::result::Result<_, _>>()?;
        Ok(Some(peers).filter(|peers| !peers.is_empty()))
    }

    fn node_config(&self) -> Result<NodeConfig> {
        check_message_size(self.max_message_size)?;
        let mut config = NodeConfig::with_min_pow(self.min_pow);
        config.max_message_size = self.max_message_size;
        self.strangers.limit_envelopes(&mut config);
        Ok(config)
    }

    /// Reports events until the end.
    fn follow(
        &self,
        network: &Network,
        mut news: MailserverNews,
        report: &Report,
        cx: &mut Context,
    ) -> Result<()> {
        let every = self.stats.map(|seconds| Duration::from_secs(seconds.max(1).into()));
        let mut next = every.map(|every| Instant::now() + every);
        loop {
            let wake = network.wait(async {
                tokio::select! {
                    news = news.next() => Wake::News(news),
                    () = until(next) => Wake::Stats,
                    () = interrupted() => Wake::Interrupted,
                    () = terminated() => Wake::Terminated,
                }
            });
            match wake {
                Wake::News(Some(event)) => {
                    if let MailserverEvent::Answered(answered) = &*event {
                        if self.requests {
                            cx.emit(&request_record(answered, network.handle()), request_text)?;
                        }
                    } else {
                        show_event(&event, cx);
                    }
                }
                Wake::Stats => {
                    next = every.map(|every| Instant::now() + every);
                    cx.emit(&report.stats(), Record::to_text)?;
                }
                Wake::Interrupted => return Err(Stop::Exit(Exit::Interrupted)),
                Wake::Terminated => return Err(Stop::Exit(Exit::Terminated)),
                Wake::News(None) => return Ok(()),
            }
        }
    }
}

/// What the loop wakes up for.
enum Wake {
    News(Option<Arc<MailserverEvent>>),
    Stats,
    Interrupted,
    Terminated,
}
