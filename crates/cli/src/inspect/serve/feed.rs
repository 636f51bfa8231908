//! The rows of the page: what came, a line each, and the bytes to open it again. Bounded: the oldest
//! make room.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use statuskit_core::crypto::PublicKey;
use statuskit_inspect::{Field, Inspection, Options, inspect};

use crate::text;

/// The most rows.
const MAX_ROWS: usize = 100_000;

/// The most bytes of inputs.
const MAX_BYTES: usize = 128 << 20;

/// The most rows of one answer.
const MAX_ANSWER: usize = 2_000;

/// The longest text of a row, in characters.
const MAX_TEXT: usize = 200;

/// The rows, shared by who adds and who shows them.
#[derive(Default)]
pub struct Feed(Mutex<Rows>);

#[derive(Default)]
struct Rows {
    rows: VecDeque<Row>,
    /// The number of the first row that is still there.
    first: u64,
    bytes: usize,
    state: String,
}

struct Row {
    summary: Value,
    bytes: Vec<u8>,
}

impl Feed {
    /// Adds an input.
    pub fn push(&self, inspection: &Inspection, options: &Options) {
        // The rest is too long to be opened again.
        let Some(bytes) = inspection.buffers.first().map(|it| it.bytes.clone()) else { return };
        let summary = summary(inspection, options);
        let mut rows = self.lock();
        rows.bytes += bytes.len();
        rows.rows.push_back(Row { summary, bytes });
        while rows.rows.len() > MAX_ROWS || rows.bytes > MAX_BYTES {
            let Some(row) = rows.rows.pop_front() else { break };
            rows.bytes -= row.bytes.len();
            rows.first += 1;
        }
    }

    /// Says how the source is: connected, complete, lost.
    pub fn set_state(&self, state: impl Into<String>) {
        self.lock().state = state.into();
    }

    /// Returns the rows from a number on.
    pub fn rows(&self, from: u64) -> Value {
        let rows = self.lock();
        let from = from.max(rows.first);
        let skipped = usize::try_from(from - rows.first).unwrap_or(usize::MAX);
        let some: Vec<&Value> =
            rows.rows.iter().skip(skipped).take(MAX_ANSWER).map(|row| &row.summary).collect();
        let next = from + some.len() as u64;
        let is_all = next >= rows.first + rows.rows.len() as u64;
        json!({
            "first": rows.first, "from": from, "next": next, "all": is_all, "state": rows.state,
            "rows": some,
        })
    }

    /// Takes a row apart. `None` if it has made room.
    pub fn open(&self, number: u64, options: &Options) -> Option<Inspection> {
        let bytes = {
            let rows = self.lock();
            let at = usize::try_from(number.checked_sub(rows.first)?).ok()?;
            rows.rows.get(at)?.bytes.clone()
        };
        inspect(&bytes, options).ok()
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line about an inspection: when, where, who, what.
fn summary(inspection: &Inspection, options: &Options) -> Value {
    let outer = &inspection.layers[0];
    let inner = inspection.layers.last().unwrap_or(outer);
    let number = |name: &str| find(&outer.fields, name).and_then(|it| it.value.as_u64());
    let topic = find(&outer.fields, "topic").and_then(|it| it.value.as_str());
    let sent = number("expiry").zip(number("ttl")).map(|(expiry, ttl)| expiry.saturating_sub(ttl));
    let opened = inspection.layers.iter().find_map(|it| it.opened_with.clone());
    // A chat of ours has the topic even if the message does not open.
    let chat = opened.or_else(|| {
        let known = options.keys.ring.topics().any(|it| Some(&*it.to_string()) == topic);
        known.then(|| "a key of this topic".to_owned())
    });
    let text = inspection.layers.iter().rev().find_map(|it| find(&it.fields, "text"));
    let what = match text.and_then(|it| it.value.as_str()) {
        Some(text) => text.to_owned(),
        None => inner.stopped.as_ref().map_or_else(String::new, |it| it.message.clone()),
    };
    json!({
        "sent": sent,
        "topic": topic,
        "chat": chat,
        "author": author(inspection),
        "kind": inner.kind,
        "text": what.chars().take(MAX_TEXT).collect::<String>(),
        "size": outer.length,
        "fails": inspection.layers.iter().flat_map(|it| &it.checks).filter(|it| !it.pass).count(),
    })
}

fn find<'a>(fields: &'a [Field], name: &str) -> Option<&'a Field> {
    fields.iter().find(|it| it.name == name)
}

/// The name of who signed the innermost layer.
fn author(inspection: &Inspection) -> Option<String> {
    let signed = inspection.layers.iter().rev().flat_map(|it| &it.checks).find_map(|check| {
        check.found.strip_prefix("signed by ").filter(|_| check.rule == "signature" && check.pass)
    })?;
    let key = hex::decode(signed.strip_prefix("0x")?).ok()?;
    Some(text::name(&PublicKey::from_slice(&key).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_bounded_and_keep_their_numbers() {
        let feed = Feed::default();
        let options = Options::default();
        let one = inspect(b"status-im://chat/public/status", &options).unwrap();
        for _ in 0..MAX_ROWS + 5 {
            feed.lock().rows.push_back(Row { summary: Value::Null, bytes: Vec::new() });
        }
        feed.push(&one, &options);
        let answer = feed.rows(0);
        assert_eq!((&answer["first"], &answer["from"]), (&6.into(), &6.into()));
        assert_eq!(answer["rows"].as_array().unwrap().len(), MAX_ANSWER);
        let last = MAX_ROWS as u64 + 5;
        assert_eq!(feed.rows(last)["rows"][0]["kind"], "account.share_link");
        assert_eq!((&feed.rows(last)["all"], &feed.rows(6)["all"]), (&true.into(), &false.into()));
        assert_eq!(feed.open(last, &options).unwrap().kind(), "account.share_link");
        assert!(feed.open(5, &options).is_none() && feed.open(last + 1, &options).is_none());
    }
}
