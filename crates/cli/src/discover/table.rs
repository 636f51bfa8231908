//! `status-discover table`, and what is asked of one node directly.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use clap::Args;
use rand::RngExt as _;
use statuskit_core::{
    crypto::PublicKey,
    devp2p::NodeId,
    discovery::{NodeKey, distance::log_distance},
};
use statuskit_net::{
    discovery::{
        v4::{Client, V4Error},
        v5::{Config, Event, NodeInfo},
    },
    node::Clock,
};

use super::args::{OwnArgs, Running, Step, enode_text, node, node_record, silent};
use crate::{
    context::Context,
    error::{CliError, Exit, Result, Stop},
    net::Background,
    records::float,
    signals::interrupted,
    time::parse_seconds,
};

/// How many buckets are asked for: those that have nodes in networks of any size.
const BUCKETS: u16 = 20;

/// Show the table of a running node: it is asked for the nodes in each of its buckets
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-discover table \"$BOOTNODE\" || test $? = 1")]
pub struct TableArgs {
    /// Node to ask
    #[arg(value_name = "ENODE")]
    node: String,
    /// How long to wait in all
    #[arg(long, value_name = "TIME", value_parser = parse_seconds, default_value = "20s")]
    timeout: u32,
    #[command(flatten)]
    own: OwnArgs,
}

impl TableArgs {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let asked = node(&self.node, "<ENODE>")?;
        let mut config = self.own.config(vec![asked], cx)?;
        config.report_neighbors = true;
        let mut rng = cx.rng("table")?;
        let mut running = Running::start(config, cx)?;
        let own = running.handle.info().key;
        let limit = Duration::from_secs(self.timeout.into());
        let deadline = Instant::now() + limit;
        let mut targets = (0..BUCKETS).map(|index| target(&asked.id(), 256 - index, &mut rng));
        let mut ask = |running: &Running| {
            let next = targets.next();
            if let Some(id) = next {
                running.handle.with(|machine, now| machine.find_node(asked, id, now));
            }
            next.is_some()
        };
        ask(&running);
        let (mut found, mut answers) = (HashMap::<PublicKey, NodeInfo>::new(), 0);
        loop {
            let more = match running.next(Some(deadline))? {
                Step::Event(Event::Neighbors { from, nodes }) if from.key == asked.key => {
                    answers += 1;
                    found.extend(nodes.into_iter().map(|node| (node.key, node)));
                    ask(&running)
                }
                // Also nodes without any others send nothing.
                Step::Event(Event::Unanswered(from)) if from.key == asked.key => ask(&running),
                Step::Event(Event::Silent(node)) if node.key == asked.key && answers == 0 => {
                    let error = silent(&format!("{} did not answer", asked.addr), limit);
                    return Err(error.into());
                }
                Step::Event(_) => true,
                Step::TimedOut => false,
            };
            if !more {
                break;
            }
        }
        found.remove(&own);
        found.remove(&asked.key);
        let mut nodes: Vec<_> = found.into_values().collect();
        let distance = |node: &NodeInfo| log_distance(&asked.id(), &node.id());
        nodes.sort_by_key(|node| (std::cmp::Reverse(distance(node)), node.id()));
        for node in &nodes {
            let record = node_record("node", node).with("distance", distance(node));
            cx.emit(&record, |record| format!("{} {}", distance(node), enode_text(record)))?;
        }
        if nodes.is_empty() {
            cx.note("its table has no other node");
            cx.negative();
        }
        Ok(())
    }
}

/// Returns a random id at a distance.
pub fn target(id: &NodeId, distance: u16, rng: &mut impl rand::Rng) -> NodeId {
    let mut target: [u8; 32] = rng.random();
    let bit = usize::from(256 - distance.clamp(1, 256));
    target[..bit / 8].copy_from_slice(&id.0[..bit / 8]);
    // Of the byte with the first bit that differs: the ones before stay, that one is flipped.
    let mask = 0xff_u8 >> (bit % 8);
    let flip = 0x80_u8 >> (bit % 8);
    let at = bit / 8;
    target[at] = (id.0[at] & !mask) | ((id.0[at] & flip) ^ flip) | (target[at] & (mask & !flip));
    NodeId(target)
}

/// Pings a node of discovery v4, and shows its record and the nodes that it names.
pub fn ping_v4(node: &NodeInfo, config: Config, limit: Duration, cx: &mut Context) -> Result<()> {
    let background = Background::start()?;
    let asked = background.wait(async {
        let client = Client::bind(config.key, config.listen, Clock::default());
        let client = client.await.map_err(V4Error::Io)?;
        let asked = async {
            let (after, seq) = client.ping(node, limit).await?;
            client.bond(node, limit).await?;
            let record = match seq {
                Some(_) => Some(client.record(node, limit).await?),
                None => None,
            };
            let target = NodeKey::from(&node.key);
            let named = client.find_node(node, target, limit).await.unwrap_or_default();
            Ok::<_, V4Error>((after, record, named))
        };
        tokio::select! {
            asked = asked => asked.map(Some),
            () = interrupted() => Ok(None),
        }
    });
    let (after, record, named) = match asked {
        Ok(Some(asked)) => asked,
        Ok(None) => return Err(Stop::Exit(Exit::Interrupted)),
        Err(error) => return Err(v4_error(&error).into()),
    };
    let ms = after.as_secs_f64() * 1000.0;
    let shown = node_record("pong", node)
        .with("protocol", "v4")
        .with("ms", float(ms))
        .with_some("enr", record.map(|record| record.to_string()))
        .with("neighbors", named.len());
    cx.emit(&shown, |_| format!("{} answered in {ms:.1} ms", node.addr))
}

fn v4_error(error: &V4Error) -> CliError {
    CliError::new(error.code(), Exit::Network, error.to_string())
}

#[cfg(test)]
mod tests {
    use statuskit_core::crypto::seeded_rng;

    use super::*;

    #[test]
    fn targets_have_their_distance() {
        let mut rng = seeded_rng("targets");
        for distance in 1..=256 {
            let id = NodeId(rng.random());
            assert_eq!(log_distance(&id, &target(&id, distance, &mut rng)), distance);
        }
    }
}
