//! An archive in memory: a sorted map.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::ControlFlow,
    sync::{PoisonError, RwLock},
};

use statuskit_core::{
    envelope::{Envelope, Topic},
    mailserver::Position,
    time::UnixSeconds,
};

use crate::archive::{Archive, ArchiveError, Budget, Count, Order, Query, Record, Step, Summary};

/// An archive in memory, for tests and demonstrations. Queries scan their whole range of time.
///
/// It is the model that the other stores are compared with.
#[derive(Debug, Default)]
pub struct MemoryArchive(RwLock<BTreeMap<Position, Envelope>>);

impl MemoryArchive {
    /// Creates an empty archive.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Archive for MemoryArchive {
    fn append(&self, envelopes: &[Envelope]) -> Result<usize, ArchiveError> {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = map.len();
        map.extend(
            envelopes.iter().map(|envelope| (Position::from_envelope(envelope), envelope.clone())),
        );
        Ok(map.len() - before)
    }

    fn read_step(
        &self,
        query: &Query,
        budget: &mut Budget,
        visit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<Step, ArchiveError> {
        let (mut first, mut last) = (Position::first_of(query.from), Position::last_of(query.to));
        match (query.order, query.after) {
            (Order::OldestFirst, Some(after)) => first = first.max(after),
            (Order::NewestFirst, Some(after)) => last = last.min(after),
            (_, None) => {}
        }
        if first > last {
            return Ok(Step::Done);
        }
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let range = map.range(first..=last);
        let mut step = |(position, envelope): (&Position, &Envelope)| {
            let topic = envelope.topic();
            if query.after.as_ref() == Some(position) {
                return ControlFlow::Continue(());
            }
            if query.select.matches(topic) {
                let record = Record { position: *position, topic, envelope: envelope.raw() };
                visit(record).map_break(|()| Step::Done)?;
            }
            if budget.spend() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(Step::Paused(*position))
            }
        };
        let ended = match query.order {
            Order::OldestFirst => range.into_iter().try_for_each(&mut step),
            Order::NewestFirst => range.into_iter().rev().try_for_each(&mut step),
        };
        Ok(ended.break_value().unwrap_or(Step::Done))
    }

    fn contains(&self, position: &Position) -> Result<bool, ArchiveError> {
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(position))
    }

    fn prune(&self, before: UnixSeconds) -> Result<u64, ArchiveError> {
        let mut map = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let kept = map.split_off(&Position::first_of(before));
        Ok(std::mem::replace(&mut *map, kept).len() as u64)
    }

    fn summary(&self) -> Result<Summary, ArchiveError> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let ends = (map.first_key_value(), map.last_key_value());
        Ok(Summary {
            envelopes: map.len() as u64,
            bytes: map.values().map(|envelope| envelope.raw().len() as u64).sum(),
            topics: map.values().map(Envelope::topic).collect::<BTreeSet<_>>().len() as u64,
            span: match ends {
                (Some((first, _)), Some((last, _))) => Some((first.sent, last.sent)),
                _ => None,
            },
            disk: None,
        })
    }

    fn counts(&self, visit: &mut dyn FnMut(Count)) -> Result<(), ArchiveError> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut counts: HashMap<(u32, Topic), (u64, u64)> = HashMap::new();
        for (position, envelope) in map.iter() {
            let count = counts.entry((position.sent.day(), envelope.topic())).or_default();
            count.0 += 1;
            count.1 += envelope.raw().len() as u64;
        }
        for ((day, topic), (envelopes, bytes)) in counts {
            visit(Count { day, topic, envelopes, bytes });
        }
        Ok(())
    }
}
