//! Which reading is meant.

use super::{Content, Item, Problem, Reading, Wants, json::Candidate};

/// Chooses among the readings of one text: the one that is looked for, else the most likely.
pub(super) fn among_readings(
    mut readings: Vec<Reading>,
    wants: &Wants,
    line: u64,
) -> Result<Item, Problem> {
    if readings.len() > 1 {
        let whole: Vec<_> = readings.iter().filter(|it| wants.is_whole(&it.bytes)).collect();
        match whole[..] {
            [] => {}
            [only] => readings = vec![only.clone()],
            _ => return Err(ambiguous(&whole, wants)),
        }
    }
    let mut readings = readings.into_iter();
    let Some(first) = readings.next() else {
        return Err(Problem::Unrecognised { what: "an empty text".to_owned() });
    };
    Ok(Item { line, content: Content::Bytes(first), alternatives: readings.collect() })
}

/// Chooses among the members of a document, or the parts of a line: one for each owner.
pub(super) fn among_candidates(
    candidates: Vec<Candidate>,
    wants: &Wants,
    line: u64,
) -> Vec<Result<Item, Problem>> {
    let mut owners: Vec<Vec<Candidate>> = Vec::new();
    for candidate in candidates {
        match owners.last_mut() {
            Some(last) if last[0].owner == candidate.owner => last.push(candidate),
            _ => owners.push(vec![candidate]),
        }
    }
    let is_wanted = |candidate: &Candidate| {
        candidate.readings.iter().any(|reading| wants.is_whole(&reading.bytes))
    };
    let any_wanted = owners.iter().flatten().any(is_wanted);
    owners
        .into_iter()
        .filter_map(|owner| {
            let mut left = owner;
            if any_wanted {
                left.retain(is_wanted);
                if left.is_empty() {
                    return None;
                }
            } else {
                // What is looked for is not there: the usual name says what was meant.
                let best = left.iter().map(|it| it.rank).min()?;
                left.retain(|it| it.rank == best);
            }
            Some(only(left, wants, line))
        })
        .collect()
}

/// The one candidate that is left, unless others have other bytes.
fn only(mut left: Vec<Candidate>, wants: &Wants, line: u64) -> Result<Item, Problem> {
    let bytes = |it: &Candidate| it.readings.first().map(|reading| reading.bytes.clone());
    left.dedup_by(|a, b| bytes(a) == bytes(b));
    if left.len() > 1 {
        let firsts: Vec<_> = left.iter().filter_map(|it| it.readings.first()).collect();
        return Err(ambiguous(&firsts, wants));
    }
    let readings = left.pop().map(|it| it.readings).unwrap_or_default();
    among_readings(readings, wants, line)
}

pub(super) fn ambiguous(readings: &[&Reading], wants: &Wants) -> Problem {
    const MOST: usize = 4;
    let mut shown: Vec<_> = readings.iter().take(MOST).map(|it| it.describe()).collect();
    if readings.len() > MOST {
        shown.push(format!("{} more", readings.len() - MOST));
    }
    let are_whole = readings.iter().all(|it| wants.is_whole(&it.bytes));
    Problem::Ambiguous { readings: shown, are_whole }
}
