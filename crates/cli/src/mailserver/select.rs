//! Which envelopes of an archive are meant: topics and a range of time.

use std::collections::BTreeSet;

use clap::Args;
use statuskit_core::envelope::{Bloom, Topic};
use statuskit_mailserver::archive::Select;

use crate::{
    context::Context,
    error::{CliError, Result},
    keys::{parse_topic, public_chat},
    time::{Moment, parse_moment},
};

/// A range of time.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Selection")]
pub struct RangeArgs {
    /// The first second: a time before now (24h, 2d), a date or time (2020-03-01,
    /// 2020-03-01T12:00:00Z), or UNIX seconds
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub from: Option<Moment>,
    /// The last second, in the same forms, or "now"
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub to: Option<Moment>,
}

impl RangeArgs {
    /// The range as UNIX seconds, both inclusive.
    pub fn seconds(&self, from: Moment, to: Moment, cx: &Context) -> Result<(u32, u32)> {
        let now = cx.now();
        let (from, to) = (self.from.unwrap_or(from).at(now), self.to.unwrap_or(to).at(now));
        if from > to {
            let message = format!("the range of time goes down, from {from} to {to}");
            return Err(CliError::usage(message).field("--from").into());
        }
        Ok((from, to))
    }
}

/// Topics by their chats, or as they are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Selection")]
pub struct TopicArgs {
    /// Public chat, whose topic is meant. Repeatable
    #[arg(long, value_name = "NAME")]
    pub chat: Vec<String>,
    /// Topic, 8 hex digits. Repeatable
    #[arg(long, value_name = "HEX")]
    pub topic: Vec<String>,
}

impl TopicArgs {
    /// The topics, each with what it is called.
    pub fn named(&self) -> Result<Vec<(Topic, Option<&str>)>> {
        let chats = self.chat.iter().map(|name| Ok((public_chat(name)?.topic, Some(&**name))));
        let topics = self.topic.iter().map(|text| Ok((parse_topic(text, "--topic")?, None)));
        chats.chain(topics).collect()
    }

    /// The topics; none if none was named.
    pub fn topics(&self) -> Result<BTreeSet<Topic>> {
        Ok(self.named()?.into_iter().map(|(topic, _)| topic).collect())
    }

    /// What an archive is asked for: all topics, if none was named.
    pub fn select(&self) -> Result<Select> {
        let topics = self.topics()?;
        if topics.is_empty() {
            return Ok(Select::Bloom(Bloom::FULL));
        }
        Ok(Select::Topics(topics))
    }
}
