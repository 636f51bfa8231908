//! Names of topics that everybody knows: those of contact discovery.

use std::{collections::HashMap, sync::LazyLock};

use statuskit_core::envelope::{
    Topic,
    topic::{DISCOVERY, PARTITIONS, partition_name},
};

static KNOWN: LazyLock<HashMap<Topic, Option<u16>>> = LazyLock::new(|| {
    let partition = |number| (Topic::from_name(&partition_name(number)), Some(number));
    (0..PARTITIONS).map(partition).chain([(Topic::from_name(DISCOVERY), None)]).collect()
});

/// Says what a topic is for, if everybody knows it.
pub(crate) fn describe(topic: Topic) -> Option<String> {
    Some(match KNOWN.get(&topic)? {
        Some(number) => {
            let name = partition_name(*number);
            format!("{name}: the first messages to the identities of this partition")
        }
        None => {
            format!("{DISCOVERY}: first messages to all identities, before there were partitions")
        }
    })
}
