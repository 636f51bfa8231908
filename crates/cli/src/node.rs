//! `status-node`: a relay.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::json;
use statuskit_core::{
    envelope::{Bloom, check::DEFAULT_MAX_MESSAGE_SIZE},
    text::escape,
};
use statuskit_net::node::{
    BridgeConfig, Event, Handle, Interest, NodeConfig, PeerOptions, RateLimit, Watch, Watched, Way,
    WayStats,
};

use crate::{
    context::Context,
    discover::args::FindArgs,
    error::{CliError, Exit, Result, Stop},
    keys::parse_topic,
    net::{
        Network, PeerArgs, check_message_size, check_min_pow, networks_value, service_config,
        show_network, write_enode,
    },
    output::Record,
    records::{envelope_record, float},
    rpc::serve::ServeArgs,
    signals::{interrupted, terminated, until},
    strangers::{Notes, StrangerArgs},
    time::parse_seconds,
};
use statuskit_net::discovery::pool::Mode;

/// Run a node of Whisper, Waku or both: it listens, dials its peers, checks envelopes and forwards them
///
/// The first result is a record of type "ready" with the enode of the node. Ctrl-C or SIGTERM end
/// it, and disconnect its peers.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ timeout -s INT 1 status-node --listen 127.0.0.1:0 || test $? = 124
  $ timeout -s INT 1 status-node --listen 127.0.0.1:0 --bridge || test $? = 124
  $ timeout -s TERM 1 status-node --listen 127.0.0.1:0 --peer \"$ENODE\" --min-pow 0.002 --envelopes || test $? = 124")]
pub struct NodeArgs {
    /// Address and port to listen on; port 0 for a free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:30303")]
    listen: SocketAddr,
    /// Minimum proof of work of envelopes. Status nodes use 0.001 to 0.002; the protocol's default
    /// is 0.2
    #[arg(long, value_name = "POW", default_value_t = 0.001)]
    min_pow: f64,
    /// Accept envelopes with this topic only. Repeatable [default: all topics]
    #[arg(long, value_name = "HEX")]
    topic: Vec<String>,
    /// Announce that this node only receives
    #[arg(long)]
    light: bool,
    /// Don't confirm the envelopes that peers send
    #[arg(long)]
    no_confirmations: bool,
    /// Confirm them in Waku too, where nodes don't by default
    #[arg(long, conflicts_with = "no_confirmations")]
    waku_confirmations: bool,
    /// In Waku, announce the topics as a bloom filter, and not as a list
    #[arg(long)]
    bloom_mode: bool,
    #[command(flatten)]
    bridge: BridgeArgs,
    /// Maximum size of packets and envelopes in bytes, at most 10 MiB. Packets (not envelopes) of a
    /// --peer may always have 10 MiB
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_MAX_MESSAGE_SIZE)]
    max_message_size: u32,
    #[command(flatten)]
    strangers: StrangerArgs,
    /// Maximum delay before an envelope is forwarded, in milliseconds; half of it on average
    #[arg(long, value_name = "MS", default_value_t = NodeConfig::DEFAULT_SEND_WINDOW.as_millis() as u64)]
    send_window: u64,
    /// Maximum packets per second from one address (0: no limits)
    #[arg(long, value_name = "N", default_value_t = 0)]
    rate_limit_ip: u32,
    /// Maximum packets per second from one node (0: no limit per node)
    #[arg(long, value_name = "N", default_value_t = 5)]
    rate_limit_peer: u32,
    /// Disconnect a peer after N packets over the limits, counted for all peers together (0: never)
    #[arg(long, value_name = "N", default_value_t = 0)]
    rate_limit_tolerance: u64,
    /// Print every accepted envelope
    #[arg(long)]
    envelopes: bool,
    /// Print a record of type "stats" at this interval
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    stats: Option<u32>,
    /// File to write the enode to, once the node listens
    #[arg(long, value_name = "FILE")]
    enode_file: Option<PathBuf>,
    #[command(flatten)]
    find: FindArgs,
    #[command(flatten)]
    serve: ServeArgs,
    #[command(flatten)]
    peers: PeerArgs,
}

/// What crosses between Whisper and Waku.
#[derive(Debug, Args)]
#[command(next_help_heading = "Bridge")]
struct BridgeArgs {
    /// Speak Whisper and Waku, and pass envelopes on between them
    #[arg(long, conflicts_with_all = ["no_whisper", "waku_only"])]
    bridge: bool,
    /// Pass envelopes on into this network only
    #[arg(long, value_name = "NETWORK", requires = "bridge", value_enum)]
    bridge_to: Option<Side>,
    /// Pass on envelopes with these topics only, as HEX,HEX for both directions, or waku:HEX or
    /// whisper:HEX for those into one network. Repeatable
    #[arg(long, value_name = "TOPICS", requires = "bridge", value_delimiter = ',')]
    bridge_topics: Vec<String>,
    /// Pass on at most N envelopes per second, in each direction, or waku:N or whisper:N into one
    /// network. Repeatable
    #[arg(long, value_name = "N", requires = "bridge", value_delimiter = ',')]
    bridge_rate: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Side {
    Whisper,
    Waku,
}

impl BridgeArgs {
    fn config(&self) -> Result<Option<BridgeConfig>> {
        if !self.bridge {
            return Ok(None);
        }
        let mut config = BridgeConfig::default();
        for text in &self.bridge_topics {
            let (side, text) = side(text);
            let topic = parse_topic(text, "--bridge-topics")?;
            for way in ways(&mut config, side) {
                way.topics.get_or_insert_default().insert(topic);
            }
        }
        for text in &self.bridge_rate {
            let (side, text) = side(text);
            let rate = text.parse().ok().filter(|rate| *rate > 0).ok_or_else(|| {
                CliError::usage(format!("{}: expected a number above 0", escape(text)))
                    .field("--bridge-rate")
                    .hint("--bridge-to waku or --bridge-to whisper closes one direction")
            })?;
            for way in ways(&mut config, side) {
                way.rate = rate;
            }
        }
        if let Some(open) = self.bridge_to {
            let closed = if open == Side::Waku { Side::Whisper } else { Side::Waku };
            ways(&mut config, Some(closed)).for_each(|way| way.is_closed = true);
        }
        Ok(Some(config))
    }
}

/// Splits off the network.
fn side(text: &str) -> (Option<Side>, &str) {
    let sides = [("whisper:", Side::Whisper), ("waku:", Side::Waku)];
    let found = sides.iter().find_map(|(name, side)| Some((Some(*side), text.strip_prefix(name)?)));
    found.unwrap_or((None, text))
}

fn ways(config: &mut BridgeConfig, side: Option<Side>) -> impl Iterator<Item = &mut Way> {
    let ways = [(Side::Whisper, &mut config.to_whisper), (Side::Waku, &mut config.to_waku)];
    ways.into_iter().filter(move |(of, _)| side.is_none_or(|side| side == *of)).map(|(_, way)| way)
}

pub fn run(args: &NodeArgs, cx: &mut Context) -> Result<()> {
    let enodes = args.peers.enodes()?;
    let key = args.peers.key(cx)?;
    let mut config = service_config(key.clone(), cx);
    if let Some(name) = args.serve.client_name() {
        config.p2p.client = name;
    }
    let client_name = config.p2p.client.clone();
    config.p2p.key_log = args.peers.key_log.open()?;
    config.node = args.config()?;
    config.listen = Some(args.listen);
    config.bridge = args.bridge.config()?;
    let mut dialect = args.peers.dialect.clone();
    dialect.waku |= args.bridge.bridge;
    config.dialects = dialect.dialects();
    args.strangers.limit_peers(&mut config);
    let mut finder = args.find.config(&config.key, Some(args.listen), Mode::Relay)?;
    let network = Network::start(config)?;
    let handle = network.handle();
    // A relay does not wait for a slow reader of its output.
    let events = handle.watch();
    let enode = handle.enode().expect("it listens").to_string();
    if let Some(path) = &args.enode_file {
        write_enode(path, &enode)?;
    }
    let ready = Record::new("ready")
        .with("enode", enode)
        .with("public_key", handle.id().to_string())
        .with("listen", handle.local_addr().map(|addr| addr.to_string()))
        .with("min_pow", float(args.min_pow))
        .with("protocols", dialect.names());
    let serving = args.serve.start(handle, &key, &client_name, args.envelopes, ready);
    // It ends before the node.
    let (_serving, ready) = serving?;
    cx.emit(&ready, |record| record.members()["enode"].as_str().unwrap_or_default().to_owned())?;
    for enode in enodes {
        network.dial(enode, PeerOptions::default());
    }
    if let Some(finder) = &mut finder {
        finder.register = finder.topics.clone();
    }
    // The ready record is out: who reads it may begin.
    let _finder = finder.map(|finder| network.find(finder)).transpose()?;
    serve(args, &network, events, cx)
}

impl NodeArgs {
    fn config(&self) -> Result<NodeConfig> {
        check_min_pow(self.min_pow, "--min-pow")?;
        check_message_size(self.max_message_size)?;
        let topics = self.topic.iter().map(|text| parse_topic(text, "--topic"));
        let topics: Vec<_> = topics.collect::<Result<_>>()?;
        let mut config = NodeConfig::with_min_pow(self.min_pow);
        config.bloom = (!topics.is_empty()).then(|| Bloom::from_topics(topics.iter().copied()));
        config.topics = (!topics.is_empty()).then(|| Arc::new(topics.into_iter().collect()));
        config.bloom_mode = self.bloom_mode;
        config.light = self.light;
        config.confirmations = !self.no_confirmations;
        config.waku_confirmations = self.waku_confirmations;
        config.max_message_size = self.max_message_size;
        self.strangers.limit_envelopes(&mut config);
        config.send_window = Duration::from_millis(self.send_window);
        config.rate_limit = (self.rate_limit_ip > 0).then_some(RateLimit {
            per_ip: self.rate_limit_ip,
            per_peer: self.rate_limit_peer,
            tolerance: self.rate_limit_tolerance,
        });
        if self.envelopes {
            config.interest = Interest::Everything;
        }
        Ok(config)
    }
}

/// Why the loop wakes up.
enum Wake {
    Event(Option<Watched>),
    Stats,
    SumUp,
    Interrupted,
    Terminated,
}

fn serve(args: &NodeArgs, network: &Network, mut events: Watch, cx: &mut Context) -> Result<()> {
    let every = args.stats.map(|seconds| Duration::from_secs(seconds.max(1).into()));
    let mut next = every.map(|every| Instant::now() + every);
    let mut notes = Notes::new();
    loop {
        let wake = network.wait(async {
            tokio::select! {
                event = events.next() => Wake::Event(event),
                () = until(next) => Wake::Stats,
                () = until(notes.due()) => Wake::SumUp,
                () = interrupted() => Wake::Interrupted,
                () = terminated() => Wake::Terminated,
            }
        });
        match wake {
            Wake::Event(Some(Watched::Event(event))) => show(&event, &mut notes, cx)?,
            Wake::Event(Some(Watched::Skipped(skipped))) => {
                let text =
                    || format!("{skipped} events were skipped: the output is read too slowly");
                notes.note("skipped", text, cx);
            }
            Wake::SumUp => notes.sum_up(cx),
            Wake::Stats => {
                next = every.map(|every| Instant::now() + every);
                cx.emit(&stats(network.handle()), Record::to_text)?;
            }
            Wake::Interrupted => {
                notes.sum_up(cx);
                return Err(Stop::Exit(Exit::Interrupted));
            }
            Wake::Terminated => {
                notes.sum_up(cx);
                return Err(Stop::Exit(Exit::Terminated));
            }
            Wake::Event(None) => {
                notes.sum_up(cx);
                return Ok(());
            }
        }
    }
}

/// Prints envelopes as results, and the rest as notes.
fn show(event: &Event, notes: &mut Notes, cx: &mut Context) -> Result<()> {
    match event {
        Event::Envelope { envelope, .. } => {
            return cx.emit(&envelope_record(envelope.envelope()), |record| {
                let members = record.members();
                let [hash, topic] =
                    ["hash", "topic"].map(|name| members[name].as_str().unwrap_or_default());
                format!("{hash} {topic} {} bytes", members["size"])
            });
        }
        Event::Connected(peer) => {
            let text = || format!("peer {} connected: {}", peer.addr, peer.client);
            notes.note("connected", text, cx);
        }
        Event::Disconnected { peer, reason, .. } => {
            let text = || format!("peer {} disconnected: {reason}", peer.addr);
            notes.note(reason.code(), text, cx);
        }
        Event::DialFailed { enode, error, .. } => {
            cx.note(&format!("peer {}:{} was not reached: {error}", enode.host, enode.tcp));
        }
        Event::InboundFailed { addr, error } => {
            let text = || format!("connection from {addr} failed: {error}");
            notes.note(error.code(), text, cx);
        }
        Event::ClockSkewed(_) => show_network(event, cx),
        _ => {}
    }
    Ok(())
}

fn stats(handle: &Handle) -> Record {
    let stats = handle.stats_of_all();
    let bridge = handle.bridge_stats();
    let way = |way: WayStats| {
        let WayStats { crossed, known, filtered, limited, refused } = way;
        json!({
            "crossed": crossed,
            "known": known,
            "filtered": filtered,
            "limited": limited,
            "refused": refused,
        })
    };
    Record::new("stats")
        .with("peers", stats.ready_peers)
        .with("pooled", stats.pooled)
        .with("pooled_bytes", stats.pooled_bytes)
        .with("new", stats.new)
        .with("duplicates", stats.duplicates)
        .with("refused", stats.refused)
        .with("expired", stats.expired)
        .with("evicted", stats.evicted)
        .with("forwarded", stats.forwarded)
        .with("packets_in", stats.packets_in)
        .with("packets_out", stats.packets_out)
        .with("bytes_in", stats.bytes_in)
        .with("bytes_out", stats.bytes_out)
        .with_some("networks", networks_value(handle))
        .with_some("to_whisper", bridge.map(|bridge| way(bridge.to_whisper)))
        .with_some("to_waku", bridge.map(|bridge| way(bridge.to_waku)))
}
