//! Names of topics that everybody knows: those of contact discovery.

use std::{collections::HashMap, sync::LazyLock};

use statuskit_core::envelope::{Topic, topic::PARTITIONS};

/// The topic on which all were found before there were partitions.
const COMMON: &str = "contact-discovery";

static KNOWN: LazyLock<HashMap<Topic, Option<u16>>> = LazyLock::new(|| {
    let partition = |number| (Topic::from_name(&format!("{COMMON}-{number}")), Some(number));
    (0..PARTITIONS).map(partition).chain([(Topic::from_name(COMMON), None)]).collect()
});

/// Says what a topic is for, if everybody knows it.
pub(crate) fn describe(topic: Topic) -> Option<String> {
    Some(match KNOWN.get(&topic)? {
        Some(number) => {
            format!("{COMMON}-{number}: the first messages to the identities of this partition")
        }
        None => format!("{COMMON}: first messages to all identities, before there were partitions"),
    })
}
