//! `status-discover crawl`: all nodes that can be reached, and the map of them.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    fmt::Write as _,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use statuskit_core::{crypto::PublicKey, text::xml};
use statuskit_net::discovery::v5::{Event, NodeInfo};

use super::{
    args::{BootnodeArgs, OwnArgs, Running, Step, enode_text, node_record, silent},
    table::target,
};
use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    output::Record,
    time::parse_seconds,
};

/// How many nodes are asked at the same time.
const PARALLEL: usize = 8;
/// How often each node is asked: for as many of its buckets.
const QUESTIONS: u16 = 6;
/// The pause between two questions to one node.
const PAUSE: Duration = Duration::from_millis(200);
/// The number of unanswered questions after which a node is given up.
const MAX_UNANSWERED: u16 = 2;

/// Find all nodes that can be reached, politely: each is asked a few times
///
/// Prints a record for each node that answers, and one of type "crawled" with the sums.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-discover crawl --bootnode \"$BOOTNODE\" --timeout 10s --dot made")]
pub struct CrawlArgs {
    /// Stop after N nodes
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max_nodes: usize,
    /// Stop after this time
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, default_value = "5m")]
    timeout: u32,
    /// Write the map of which node names which to FILE, in the language of Graphviz
    #[arg(long, value_name = "FILE")]
    dot: Option<PathBuf>,
    /// Write the map to FILE as a picture, with the nodes in a circle
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    bootnodes: BootnodeArgs,
    #[command(flatten)]
    own: OwnArgs,
}

#[derive(Default)]
struct Crawl {
    found: HashMap<PublicKey, Crawled>,
    waiting: VecDeque<PublicKey>,
    /// Nodes that are asked, each with the time of its next question.
    asked: HashMap<PublicKey, Option<Instant>>,
}

struct Crawled {
    info: NodeInfo,
    names: HashSet<PublicKey>,
    questions: u16,
    answers: u16,
    unanswered: u16,
}

impl CrawlArgs {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let bootnodes = self.bootnodes.require()?;
        let mut config = self.own.config(bootnodes.clone(), cx)?;
        config.report_neighbors = true;
        config.max_nodes = config.max_nodes.max(2 * self.max_nodes.min(100_000));
        // Bootnodes are asked like all others; nothing else runs.
        config.bootnodes.clear();
        let mut rng = cx.rng("crawl")?;
        let mut running = Running::start(config, cx)?;
        let own = running.handle.info().key;
        let limit = Duration::from_secs(self.timeout.into());
        let began = Instant::now();
        let deadline = began + limit;
        let mut crawl = Crawl::default();
        for node in bootnodes {
            crawl.add(node, self.max_nodes);
        }
        let mut told = began;
        while !crawl.is_done() {
            let now = Instant::now();
            for key in crawl.due(now) {
                let Some(node) = crawl.found.get_mut(&key) else { continue };
                let distance = 256 - node.questions;
                node.questions += 1;
                let (info, id) = (node.info, target(&node.info.id(), distance, &mut rng));
                running.handle.with(|machine, now| machine.find_node(info, id, now));
            }
            let wake = crawl.asked.values().flatten().min().copied();
            let wake = wake.map_or(deadline, |at| at.min(deadline));
            match running.next(Some(wake))? {
                Step::Event(Event::Neighbors { from, nodes }) => {
                    let is_first = crawl.answered(&from.key);
                    if is_first {
                        cx.emit(&node_record("node", &from), enode_text)?;
                    }
                    for node in nodes.into_iter().filter(|node| node.key != own) {
                        if let Some(known) = crawl.found.get_mut(&from.key) {
                            known.names.insert(node.key);
                        }
                        crawl.add(node, self.max_nodes);
                    }
                }
                Step::Event(Event::Unanswered(node) | Event::Silent(node)) => {
                    crawl.unanswered(&node.key);
                }
                Step::Event(_) => {}
                Step::TimedOut if Instant::now() < deadline => {}
                Step::TimedOut => break,
            }
            if told.elapsed() >= Duration::from_secs(5) {
                told = Instant::now();
                let (answering, known) = (crawl.answering().count(), crawl.found.len());
                cx.note(&format!("{answering} of {known} nodes have answered"));
            }
        }
        self.finish(&crawl, began.elapsed(), limit, cx)
    }

    fn finish(
        &self,
        crawl: &Crawl,
        took: Duration,
        limit: Duration,
        cx: &mut Context,
    ) -> Result<()> {
        if crawl.answering().next().is_none() {
            return Err(silent("no bootnode answered", limit).field("--bootnode").into());
        }
        for (path, field, content) in
            [(&self.dot, "--dot", crawl.dot()), (&self.svg, "--svg", crawl.svg())]
        {
            let Some(path) = path else { continue };
            fs::write(path, content).map_err(|error| {
                let message = format!("can't write {}: {error}", path.display());
                CliError::new("file.write", Exit::Local, message).field(field)
            })?;
        }
        let (answering, named) = (crawl.answering().count(), crawl.found.len());
        let record = Record::new("crawled")
            .with("nodes", answering)
            .with("silent", named - answering)
            .with("links", crawl.links().count())
            .with("complete", crawl.is_done())
            .with("seconds", crate::records::float((took.as_secs_f64() * 10.0).round() / 10.0));
        cx.emit(&record, |_| format!("{answering} nodes answered, of {named} that were named"))
    }
}

impl Crawl {
    fn add(&mut self, info: NodeInfo, most: usize) {
        if self.found.contains_key(&info.key) || self.found.len() >= most {
            return;
        }
        let names = HashSet::new();
        self.found
            .insert(info.key, Crawled { info, names, questions: 0, answers: 0, unanswered: 0 });
        self.waiting.push_back(info.key);
    }

    /// Returns who is to be asked now.
    fn due(&mut self, now: Instant) -> Vec<PublicKey> {
        while self.asked.len() < PARALLEL {
            let Some(next) = self.waiting.pop_front() else { break };
            self.asked.insert(next, Some(now));
        }
        let mut due = Vec::new();
        for (key, at) in &mut self.asked {
            if at.is_some_and(|at| at <= now) {
                *at = None;
                due.push(*key);
            }
        }
        due
    }

    /// Notes an answer. Returns whether it is the first of the node.
    fn answered(&mut self, key: &PublicKey) -> bool {
        let Some(node) = self.found.get_mut(key) else { return false };
        node.answers += 1;
        let is_first = node.answers == 1;
        self.next_question(key);
        is_first
    }

    fn unanswered(&mut self, key: &PublicKey) {
        let Some(node) = self.found.get_mut(key) else { return };
        if !self.asked.contains_key(key) {
            return;
        }
        node.unanswered += 1;
        self.next_question(key);
    }

    fn next_question(&mut self, key: &PublicKey) {
        let Some(node) = self.found.get(key) else { return };
        if node.questions >= QUESTIONS || node.unanswered >= MAX_UNANSWERED {
            self.asked.remove(key);
        } else if let Some(at) = self.asked.get_mut(key) {
            *at = Some(Instant::now() + PAUSE);
        }
    }

    fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.asked.is_empty()
    }

    fn answering(&self) -> impl Iterator<Item = &Crawled> {
        self.found.values().filter(|node| node.answers > 0)
    }

    /// Returns which node names which, of the nodes that answered.
    fn links(&self) -> impl Iterator<Item = (&Crawled, &Crawled)> {
        self.answering().flat_map(|node| {
            let named = node.names.iter().filter_map(|key| self.found.get(key));
            named.filter(|named| named.answers > 0).map(move |named| (node, named))
        })
    }

    fn sorted(&self) -> Vec<&Crawled> {
        let mut nodes: Vec<_> = self.answering().collect();
        nodes.sort_by_key(|node| node.info.id());
        nodes
    }

    fn dot(&self) -> String {
        let mut dot = "digraph nodes {\n".to_owned();
        let name = |node: &Crawled| node.info.id().to_string()[..16].to_owned();
        for node in self.sorted() {
            let _ = writeln!(dot, "  \"{}\" [label=\"{}\"];", name(node), node.info.addr);
        }
        let mut links: Vec<_> = self.links().map(|(from, to)| (name(from), name(to))).collect();
        links.sort();
        for (from, to) in links {
            let _ = writeln!(dot, "  \"{from}\" -> \"{to}\";");
        }
        dot + "}\n"
    }

    /// Draws the nodes in a circle, in the order of their ids.
    fn svg(&self) -> String {
        const SIZE: f64 = 800.0;
        const RADIUS: f64 = 360.0;
        let nodes = self.sorted();
        let place = |index: usize| {
            let angle = index as f64 / nodes.len().max(1) as f64 * std::f64::consts::TAU;
            (SIZE / 2.0 + RADIUS * angle.cos(), SIZE / 2.0 + RADIUS * angle.sin())
        };
        let index: HashMap<_, _> =
            (0..).zip(&nodes).map(|(at, node)| (node.info.key, at)).collect();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {SIZE} {SIZE}\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <g stroke=\"gray\" stroke-opacity=\"0.3\">\n"
        );
        let mut links: Vec<_> =
            self.links().map(|(from, to)| (index[&from.info.key], index[&to.info.key])).collect();
        links.sort_unstable();
        for (from, to) in links {
            let ((x1, y1), (x2, y2)) = (place(from), place(to));
            let _ = writeln!(svg, "<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\"/>");
        }
        svg += "</g>\n<g fill=\"steelblue\">\n";
        for (at, node) in nodes.iter().enumerate() {
            let (x, y) = place(at);
            let title = xml(&node.info.addr.to_string());
            let _ = writeln!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\"><title>{title}</title></circle>"
            );
        }
        svg + "</g>\n</svg>\n"
    }
}
