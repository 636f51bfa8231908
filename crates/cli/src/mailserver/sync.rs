//! `status-mailserver sync`.

use std::time::Duration;

use clap::Args;
use statuskit_core::{
    envelope::Bloom,
    mailserver::{Cursor, DAY},
    wire::Dialect,
};
use statuskit_mailserver::client;

use crate::{
    context::Context,
    error::{CliError, Exit, Result, Stop},
    mailserver::{
        ask::{AskArgs, Connection, Progress, client_error, parse_cursor},
        retention::{RetentionArgs, passed_over_text, with_passed_over},
        select::{RangeArgs, TopicArgs},
        store::{Purpose, StoreArgs},
    },
    net::PeerArgs,
    output::Record,
    signals::{interrupted, terminated},
    text::count,
    time::{Moment, parse_seconds},
};

/// Copy a range of another mailserver's archive into a store
///
/// So the mailservers of one operator fill each other's gaps. Envelopes are stored page by page. The
/// result says how many were new, and how many were passed over: those sent before 2015-07-30 or
/// more than a day ahead of the clock, and those older than --retention.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-mailserver sync --peer \"$MAILSERVER\" --store ./made --from 24h")]
pub struct SyncCommand {
    /// Pause between two pages. A server with a rate limit is waited for anyway, up to --patience
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = parse_seconds)]
    pause: u32,
    /// Continue at the cursor that the last sync printed, with its --from and --to
    #[arg(long, value_name = "HEX", help_heading = "Selection")]
    cursor: Option<String>,
    #[command(flatten)]
    retention: RetentionArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    topics: TopicArgs,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    ask: AskArgs,
    #[command(flatten)]
    peers: PeerArgs,
}

impl SyncCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let (from, to) = self.range.seconds(Moment::Ago(DAY), Moment::Now, cx)?;
        let topics = self.topics.topics()?;
        let cursor = self.cursor.as_deref().map(parse_cursor).transpose()?;
        if !self.peers.dialect.dialects().contains(&Dialect::Whisper) {
            let error = CliError::usage("mailservers of Waku don't fetch from each other");
            return Err(error.hint("without --waku-only: this is done in Whisper").into());
        }
        // Only mailservers accept such answers.
        let listens =
            |config: &mut statuskit_net::node::ServiceConfig| config.node.mailserver = true;
        let Connection { network, server, .. } =
            Connection::open(&self.peers, self.ask.limit(), listens, cx)?;
        // Creates no archive before the connection stands.
        let archive = self.store.open(Purpose::Make)?;
        let mut options = client::SyncOptions::new(from, to);
        if !topics.is_empty() {
            options.bloom = Bloom::from_topics(topics);
        }
        options.pause = Duration::from_secs(self.pause.into());
        options.timeout = self.ask.limit();
        options.rate_limit_patience = self.ask.patience();
        options.cursor = cursor.flatten();
        options.intake = self.retention.intake(cx);

        let bar = Progress::new();
        let cursor = options.cursor.clone();
        let mut last = client::SyncReport { cursor, ..client::SyncReport::default() };
        let ended = {
            let last = &mut last;
            let progress = |report: &client::SyncReport| {
                last.clone_from(report);
                let position = report.cursor.as_ref().and_then(Cursor::position);
                let at = position.map_or(to, |position| position.sent);
                let done =
                    at.saturating_since(from).as_secs_f64() / f64::from((to.0 - from.0).max(1));
                bar.set(done.clamp(0.0, 1.0), report.received);
            };
            let sync = client::sync(network.handle(), &server, archive.clone(), options, progress);
            network.wait(async {
                tokio::select! {
                    report = sync => report.map(|_| ()).map_err(|error| client_error(&error).into()),
                    () = interrupted() => Err(Stop::Exit(Exit::Interrupted)),
                    () = terminated() => Err(Stop::Exit(Exit::Terminated)),
                }
            })
        };
        drop(bar);
        let record = Record::new("synced")
            .with("store", self.store.shown())
            .with("from", from)
            .with("to", to)
            .with("pages", last.pages)
            .with("envelopes", last.received)
            .with("new", last.new);
        let record = with_passed_over(record, &last.passed_over)
            .with("unwanted", last.unwanted)
            .with("complete", ended.is_ok())
            .with_some("cursor", last.cursor.as_ref().map(Cursor::to_string));
        cx.emit(&record, |_| {
            let client::SyncReport { pages, received, new, passed_over, .. } = &last;
            let passed_over = passed_over_text(passed_over);
            format!(
                "{} in {}, {new} of them new{passed_over}",
                count(*received, "envelope"),
                count(u64::from(*pages), "page")
            )
        })?;
        if ended.is_err()
            && let Some(cursor) = &last.cursor
        {
            cx.note(&format!(
                "there is more: go on with --cursor {cursor} --from {from} --to {to}"
            ));
        }
        ended?;
        if last.received == 0 {
            let message = "the mailserver has no envelopes in this range";
            return Err(CliError::new("mailserver.empty", Exit::Negative, message).into());
        }
        Ok(())
    }
}
