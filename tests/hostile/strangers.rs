//! Attacks before the handshake: silence, garbage, and logs full of both.

use std::time::Duration;

use statuskit_core::wire::Dialect;
use tokio::io::AsyncWriteExt;

use crate::world::{DIALECTS, Good, Process, addr_of, address, dial, now, speaking, strangers};

#[tokio::test]
async fn garbage_and_silence_cost_little_and_fill_no_log() {
    for (dialect, part) in DIALECTS {
        be_strange(dialect, strangers() * 5 / part).await;
    }
}

async fn be_strange(dialect: Dialect, count: usize) {
    let node = Process::start(&[&["status-node", "--min-pow", "0"], speaking(dialect)].concat());
    let mut good = Good::join_in(dialect, &node.enode).await;
    let (cpu, to) = (node.cpu(), addr_of(&node.enode));
    let mut silent = Vec::new();
    for number in 0..count {
        let mut stranger = dial(to, address(number % 50)).await;
        match number % 3 {
            0 => drop(stranger),
            1 => drop(stranger.write_all(&[0x16; 400]).await),
            _ => silent.push(stranger),
        }
        if number % 50 == 0 {
            good.exchange(now()).await;
        }
    }
    good.exchange(now()).await;
    let each = (node.cpu() - cpu) / count as u32;
    assert!(each < Duration::from_millis(20), "{each:?} of CPU time each");
    drop(silent);
    let notes = node.stop();
    assert!(notes.len() <= 60, "{} notes for {count} strangers", notes.len());
    assert!(notes.iter().any(|note| note.contains("more events of connections")), "{notes:?}");
}
