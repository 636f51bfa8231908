//! Selects envelopes of an archive: topics and a range of time.

use std::collections::BTreeSet;

use clap::Args;
use statuskit_core::{
    envelope::{Bloom, Topic},
    time::UnixSeconds,
};
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
    /// First second: a time before now (24h, 2d), a date or time (2020-03-01,
    /// 2020-03-01T12:00:00Z), or UNIX seconds
    #[arg(long, value_name = "TIME", value_parser = parse_moment, visible_alias = "since")]
    pub from: Option<Moment>,
    /// Last second, in the same forms, or "now"
    #[arg(long, value_name = "TIME", value_parser = parse_moment, visible_alias = "until")]
    pub to: Option<Moment>,
}

impl RangeArgs {
    /// Returns the range in UNIX seconds, both inclusive.
    pub fn seconds(
        &self,
        from: Moment,
        to: Moment,
        cx: &Context,
    ) -> Result<(UnixSeconds, UnixSeconds)> {
        let now = cx.now();
        let (from, to) = (self.from.unwrap_or(from).at(now), self.to.unwrap_or(to).at(now));
        if from > to {
            let message = format!("the range of time ends before it begins: from {from} to {to}");
            return Err(CliError::usage(message).field("--from").into());
        }
        Ok((from, to))
    }
}

/// Topics, by the names of chats or in hex.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Selection")]
pub struct TopicArgs {
    /// Name of a public chat. Repeatable
    #[arg(long, value_name = "NAME")]
    pub chat: Vec<String>,
    /// Topic, 8 hex digits. Repeatable
    #[arg(long, value_name = "HEX")]
    pub topic: Vec<String>,
}

impl TopicArgs {
    /// Returns the topics, each with the name of its chat.
    pub fn named(&self) -> Result<Vec<(Topic, Option<&str>)>> {
        let chats = self.chat.iter().map(|name| Ok((public_chat(name)?.topic, Some(&**name))));
        let topics = self.topic.iter().map(|text| Ok((parse_topic(text, "--topic")?, None)));
        chats.chain(topics).collect()
    }

    /// Returns the topics; an empty set if none is given.
    pub fn topics(&self) -> Result<BTreeSet<Topic>> {
        Ok(self.named()?.into_iter().map(|(topic, _)| topic).collect())
    }

    /// Returns a selection of the topics; of all, if none is given.
    pub fn select(&self) -> Result<Select> {
        let topics = self.topics()?;
        if topics.is_empty() {
            return Ok(Select::Bloom(Bloom::FULL));
        }
        Ok(Select::Topics(topics))
    }
}
