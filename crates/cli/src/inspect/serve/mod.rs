//! `status-inspect serve`: inspections in a browser, from the tool itself.

mod feed;
mod http;
mod sessions;

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use hyper::StatusCode;
use rand::Rng as _;
use statuskit_client::{Event, HistoryEvent};
use statuskit_core::{chat::KeyRing, envelope::Topic};
use statuskit_inspect::{
    Options,
    html::{self, escape_html},
    inspect,
};

use super::{
    Found,
    given::{self, Given, Objects},
};
use crate::{
    context::Context,
    error::{Exit, Result, Stop},
    keys::{OpenArgs, parse_topic},
    mailserver::join::{JoinArgs, show_history},
    net::{Background, PeerArgs, show_network},
    output::Record,
    running::{Running, client_builder},
    signals::{interrupted, terminated, until},
    time::parse_seconds,
};
use feed::Feed;
use http::{Answer, Port, Site};
use sessions::Sessions;

/// Inspect in a browser: paste or drop bytes, or watch a peer or the history of a mailserver
///
/// Prints the address of the page and serves it until Ctrl-C. Only programs of this machine that know
/// the address reach it, and nothing leaves the machine. Inputs become rows, as do the envelopes of
/// --peer and --mailserver: all of them, or those of the topics of the keys and of --topic. The records
/// of `status-session export` and `--trace` are shown as sessions, step by step, without secrets.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-inspect serve --timeout 1s
  $ status-envelope seal hi --chat status | status-inspect serve - --chat status --timeout 1s
  $ status-session export --identity me.key --state me.state | status-inspect serve - --timeout 1s || true
  $ status-inspect serve --peer \"$ENODE\" --chat status --timeout 1s")]
pub struct ServeArgs {
    /// Bytes in any spelling or files, each value a row; `-` is standard input
    #[arg(value_name = "INPUT")]
    inputs: Vec<String>,
    /// Port on 127.0.0.1 [default: any that is free]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Stop after this time, such as 30s or 2m
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    timeout: Option<u32>,
    /// Topic to watch, 8 hex digits. Repeatable
    #[arg(long, value_name = "HEX", help_heading = "Network")]
    topic: Vec<String>,
    #[command(flatten)]
    join: JoinArgs,
    #[command(flatten)]
    keys: OpenArgs,
    #[command(flatten)]
    peers: PeerArgs,
}

pub fn run(args: &ServeArgs, cx: &mut Context) -> Result<()> {
    let deadline = args.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
    let options = args.options(cx)?;
    let mut token = [0; 16];
    cx.rng("serve")?.fill_bytes(&mut token);
    let port = Port::open(args.port, hex::encode(token))?;
    let url = port.url();
    let desk = Arc::new(Desk { options, feed: Feed::default(), sessions: Sessions::default() });
    port.serve(desk.clone())?;
    let record = Record::new("serving").with("url", url.as_str());
    cx.emit(&record, |_| format!("{url}\n"))?;
    if !args.inputs.is_empty() {
        desk.feed.set_state("reading the input");
        args.read(&desk, cx)?;
        desk.feed.set_state("");
    }
    let end = match args.watches() {
        true => args.watch(&desk, deadline, cx)?,
        false => Background::start()?.wait(ended(deadline)),
    };
    match end {
        None => Ok(()),
        Some(exit) => Err(Stop::Exit(exit)),
    }
}

/// Waits for the end: of the time, or by a signal.
async fn ended(deadline: Option<Instant>) -> Option<Exit> {
    tokio::select! {
        () = until(deadline) => None,
        () = interrupted() => Some(Exit::Interrupted),
        () = terminated() => Some(Exit::Terminated),
    }
}

impl ServeArgs {
    fn options(&self, cx: &Context) -> Result<Options> {
        let mut options = Options::default();
        options.now = cx.is_clock_fixed().then(|| cx.now());
        options.keys.ring = self.keys.key_ring()?;
        if self.peers.node_key.is_some() {
            options.keys.nodes.push(self.peers.key(cx)?);
        }
        Ok(options)
    }

    fn read(&self, desk: &Desk, cx: &mut Context) -> Result<()> {
        given::each(&self.inputs, &desk.options, Objects::InspectOrKeep, cx, |cx, given| {
            match given.found {
                Ok(Found::Inspection(it)) => desk.feed.push(&it, &desk.options),
                Ok(Found::Record(members)) if desk.sessions.push(&members) => {}
                // What stands between the records of a state.
                Ok(Found::Record(_)) => {}
                Err(error) => cx.report(error)?,
            }
            Ok(())
        })
    }

    /// Whether there is a peer or a mailserver to watch: the profile alone names none.
    fn watches(&self) -> bool {
        !self.peers.peer.is_empty() || self.join.is_named()
    }

    /// Collects envelopes until the end.
    fn watch(
        &self,
        desk: &Desk,
        deadline: Option<Instant>,
        cx: &mut Context,
    ) -> Result<Option<Exit>> {
        let mut topics: HashSet<Topic> = desk.options.keys.ring.topics().collect();
        for text in &self.topic {
            topics.insert(parse_topic(text, "--topic")?);
        }
        let builder = client_builder(&self.peers, self.join.peers(&self.peers)?, cx)?.raw();
        let builder = match topics.is_empty() {
            true => builder.keys(KeyRing::new(), []).everything(),
            false => builder.keys(KeyRing::new(), topics),
        };
        let builder = match self.join.source(cx)? {
            Some(source) => builder.history(source),
            None => builder,
        };
        let mut client = Running::start(builder, cx)?;
        desk.feed.set_state("connected");
        loop {
            let event = client.wait(async |client| {
                tokio::select! {
                    biased;
                    end = ended(deadline) => Err(end),
                    event = client.next() => event.ok_or(Some(Exit::Network)),
                }
            });
            match event {
                Err(end) => return Ok(end),
                Ok(Event::Envelope { envelope, .. }) => {
                    if let Ok(inspection) = inspect(envelope.raw(), &desk.options) {
                        desk.feed.push(&inspection, &desk.options);
                    }
                }
                Ok(Event::Network(event)) => show_network(&event, cx),
                Ok(Event::History(event)) => {
                    if matches!(event, HistoryEvent::Complete { .. }) {
                        desk.feed.set_state("connected; the history is complete");
                    }
                    show_history(event, cx)?;
                }
                Ok(_) => {}
            }
        }
    }
}

/// What the page asks.
struct Desk {
    options: Options,
    feed: Feed,
    sessions: Sessions,
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const JSON: &str = "application/json";

/// The most inputs of one paste.
const MAX_PASTED: usize = 100;

impl Site for Desk {
    fn get(&self, path: &str, query: &str) -> Answer {
        let number = |text: &str| text.parse().map_err(|_| StatusCode::BAD_REQUEST);
        match path {
            "" => Ok((HTML, include_str!("page.html").to_owned())),
            "view.css" => Ok((STYLE, html::STYLE.to_owned())),
            "view.js" => Ok((SCRIPT, html::SCRIPT.to_owned())),
            "page.css" => Ok((STYLE, include_str!("page.css").to_owned())),
            "page.js" => Ok((SCRIPT, include_str!("page.js").to_owned())),
            "rows" => {
                let from = number(query.strip_prefix("from=").ok_or(StatusCode::BAD_REQUEST)?)?;
                Ok((JSON, self.feed.rows(from).to_string()))
            }
            "sessions" => Ok((JSON, self.sessions.to_json().to_string())),
            "row" => {
                let at = number(query.strip_prefix("number=").ok_or(StatusCode::BAD_REQUEST)?)?;
                let inspection = self.feed.open(at, &self.options).ok_or(StatusCode::GONE)?;
                Ok((HTML, inspection.to_html()))
            }
            _ => Err(StatusCode::NOT_FOUND),
        }
    }

    fn post(&self, path: &str, body: &[u8]) -> Answer {
        if path != "inspect" {
            return Err(StatusCode::NOT_FOUND);
        }
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok((HTML, "<p>There is nothing to inspect.</p>".to_owned()));
        }
        let all = given::read_all(body, &self.options, Objects::Inspect);
        let more = all.len().saturating_sub(MAX_PASTED);
        let mut page: String = all.into_iter().take(MAX_PASTED).map(|it| article(&it)).collect();
        if more > 0 {
            page.push_str(&format!("<p>{more} more inputs are not shown.</p>\n"));
        }
        Ok((HTML, page))
    }
}

fn article(given: &Given) -> String {
    match &given.found {
        Ok(Found::Inspection(inspection)) => inspection.to_html(),
        Ok(Found::Record(_)) => String::new(),
        Err(error) => {
            let hint = error.hint.as_ref().map_or_else(String::new, |it| format!("; try: {it}"));
            let text = format!("line {}: {} ({}){hint}", given.line, error.message, error.code);
            format!("<p class=\"error\">{}</p>\n", escape_html(&text))
        }
    }
}
