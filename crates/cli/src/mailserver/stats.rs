//! `status-mailserver stats`: what an archive holds.

use std::collections::{BTreeMap, HashMap};

use clap::Args;
use indicatif::{HumanBytes, HumanCount};
use statuskit_core::envelope::Topic;
use statuskit_mailserver::Archive;

use crate::{
    context::Context,
    error::{Exit, Result, Stop},
    mailserver::{
        select::TopicArgs,
        store::{Purpose, StoreArgs, archive_error},
    },
    output::{Record, escape},
    time::{date_of_day, to_rfc3339},
};

/// Show what an archive holds: in all, per day, per topic; exits with 1 if it is empty
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-mailserver stats --store ./archive
  $ status-mailserver stats --store ./archive --chat status --top 0 --output text")]
pub struct StatsCommand {
    /// Number of topics to show, those with most envelopes first (0: all)
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    topics: TopicArgs,
}

/// The width of the longest bar.
const BAR: u64 = 40;

/// Envelopes and bytes.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    envelopes: u64,
    bytes: u64,
}

/// What an archive holds of a topic.
#[derive(Debug, Clone, Copy)]
struct OfTopic {
    tally: Tally,
    days: (u32, u32),
}

impl StatsCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let named = self.topics.named()?;
        let archive = self.store.open(Purpose::Read)?;
        self.show_summary(&*archive, cx)?;
        let wanted = |topic| named.is_empty() || named.iter().any(|(named, _)| *named == topic);
        let mut days: BTreeMap<u32, (Tally, u64)> = BTreeMap::new();
        let mut topics: HashMap<Topic, OfTopic> = HashMap::new();
        let counted = archive.counts(&mut |count| {
            if !wanted(count.topic) {
                return;
            }
            let tally = Tally { envelopes: count.envelopes, bytes: count.bytes };
            let (of_day, distinct) = days.entry(count.day).or_default();
            of_day.add(tally);
            *distinct += 1;
            let of_topic = topics
                .entry(count.topic)
                .or_insert(OfTopic { tally: Tally::default(), days: (count.day, count.day) });
            of_topic.tally.add(tally);
            let (first, last) = of_topic.days;
            of_topic.days = (first.min(count.day), last.max(count.day));
        });
        counted.map_err(|error| archive_error(&error))?;

        let most = days.values().map(|(tally, _)| tally.envelopes).max().unwrap_or_default();
        for (day, (tally, topics)) in &days {
            let date = date_of_day(*day);
            let record = tally.put(Record::new("archive_day").with("day", &*date));
            let record = record.with("topics", *topics);
            cx.collect(&record, |_| tally.line(&date, most))?;
        }
        let named = named.iter().filter_map(|(topic, name)| Some((*topic, (*name)?))).collect();
        self.show_topics(topics, &named, cx)?;
        if days.is_empty() { Err(Stop::Exit(Exit::Negative)) } else { Ok(()) }
    }

    fn show_summary(&self, archive: &dyn Archive, cx: &mut Context) -> Result<()> {
        let summary = archive.summary().map_err(|error| archive_error(&error))?;
        let record = Record::new("archive")
            .with("store", self.store.shown())
            .with("envelopes", summary.envelopes)
            .with("bytes", summary.bytes)
            .with("topics", summary.topics)
            .with("oldest", summary.span.map(|(first, _)| first))
            .with("newest", summary.span.map(|(_, last)| last))
            .with("disk", summary.disk);
        cx.collect(&record, |_| {
            let mut text = format!(
                "{}: {} envelopes, {}, {} topics",
                escape(&self.store.shown()),
                HumanCount(summary.envelopes),
                HumanBytes(summary.bytes),
                HumanCount(summary.topics),
            );
            if let Some(disk) = summary.disk {
                text += &format!(", {} on disk", HumanBytes(disk));
            }
            if let Some((first, last)) = summary.span {
                text += &format!("\n{} to {}", to_rfc3339(first), to_rfc3339(last));
            }
            text
        })
    }

    fn show_topics(
        &self,
        topics: HashMap<Topic, OfTopic>,
        named: &HashMap<Topic, &str>,
        cx: &mut Context,
    ) -> Result<()> {
        let mut topics: Vec<_> = topics.into_iter().collect();
        // Equal ones always come in the same order.
        topics.sort_unstable_by_key(|(topic, of)| (u64::MAX - of.tally.envelopes, *topic));
        let most = topics.first().map_or(0, |(_, of)| of.tally.envelopes);
        let shown = if self.top == 0 { topics.len() } else { self.top };
        for (topic, of) in topics.iter().take(shown) {
            let name = named.get(topic).copied();
            let (first, last) = of.days;
            let record = Record::new("archive_topic")
                .with("topic", topic.to_string())
                .with_some("name", name);
            let record = of
                .tally
                .put(record)
                .with("first_day", date_of_day(first))
                .with("last_day", date_of_day(last));
            cx.collect(&record, |_| {
                let line = of.tally.line(&topic.to_string(), most);
                name.map_or(line.clone(), |name| format!("{line}  {}", escape(name)))
            })?;
        }
        Ok(())
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.envelopes += other.envelopes;
        self.bytes += other.bytes;
    }

    fn put(self, record: Record) -> Record {
        record.with("envelopes", self.envelopes).with("bytes", self.bytes)
    }

    /// Draws a bar of the chart.
    fn line(self, name: &str, most: u64) -> String {
        let width = (self.envelopes * BAR).div_ceil(most.max(1)) as usize;
        let bar = format!("{}{}", "█".repeat(width), " ".repeat(BAR as usize - width));
        let envelopes = HumanCount(self.envelopes).to_string();
        let bytes = HumanBytes(self.bytes).to_string();
        format!("{name:10}  {bar}  {envelopes:>9}  {bytes:>11}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_one_width() {
        let line = |envelopes| Tally { envelopes, bytes: 1 }.line("a", 1000);
        assert!(line(1000).contains(&"█".repeat(40)));
        // Even the smallest bar is visible.
        assert_eq!(line(1).matches('█').count(), 1);
        assert_eq!(line(501).matches('█').count(), 21);
        assert_eq!(line(1).chars().count(), line(500).chars().count());
    }
}
