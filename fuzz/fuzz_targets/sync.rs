//! Two participants on a network driven by the input, and a third that sends any bytes: messages
//! are delivered once, and the store stays bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use statuskit_core::{
    crypto::SecretKey,
    sync::{DataSync, GroupId, MemorySyncStore, SyncLimits, SyncMessage, SyncPayload},
    time::UnixSeconds,
};

fn limits() -> SyncLimits {
    let mut limits = SyncLimits::default();
    (limits.max_waiting, limits.max_remembered, limits.max_wanted) = (20, 20, 5);
    (limits.max_payload, limits.max_sends) = (300, 8);
    limits
}

fuzz_target!(|data: &[u8]| {
    let keys =
        [1, 2, 3].map(|byte| SecretKey::from_bytes(&[byte; 32]).expect("in range").public_key());
    let group = GroupId::from_pair(&keys[0], &keys[1]);
    let mut stores = [MemorySyncStore::default(), MemorySyncStore::default()];
    let mut on_the_way: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut delivered = [Vec::new(), Vec::new()];
    let mut rest = data;
    while let [step, tail @ ..] = rest {
        rest = tail;
        let who = usize::from(step & 1);
        let mut node = DataSync::with_limits(&mut stores[who], limits());
        match step >> 1 & 7 {
            0 | 1 => {
                let body = vec![*step; usize::from(*step)];
                let _ = node.append(&keys[1 - who], group, body, UnixSeconds(rest.len() as u32));
            }
            2 | 3 => {
                let ticked = node.tick_to(node.epoch().unwrap() + u64::from(step >> 4)).unwrap();
                for (to, payload) in ticked.payloads {
                    assert!(!payload.is_empty());
                    let bytes = payload.encode();
                    assert_eq!(SyncPayload::detect(&bytes), Some(payload));
                    if to == keys[1 - who] {
                        on_the_way.push((1 - who, bytes));
                    }
                }
            }
            // The network delivers, repeats and loses.
            4..=6 if !on_the_way.is_empty() => {
                let at = usize::from(step >> 4) % on_the_way.len();
                let (to, bytes) = on_the_way[at].clone();
                if step >> 1 & 7 != 5 {
                    on_the_way.swap_remove(at);
                }
                if step >> 1 & 7 != 6 {
                    let payload = SyncPayload::detect(&bytes).expect("it is one");
                    let mut node = DataSync::with_limits(&mut stores[to], limits());
                    let received = node.receive(&keys[1 - to], payload).unwrap();
                    delivered[to].extend(received.messages.iter().map(SyncMessage::id));
                }
            }
            _ => {
                let (bytes, tail) = rest.split_at(rest.len().min(usize::from(*step)));
                rest = tail;
                if let Some(payload) = SyncPayload::detect(bytes) {
                    node.receive(&keys[2], payload).unwrap();
                }
            }
        }
        // One row for the epoch. For each of two peers: counters, messages with their schedules,
        // remembered IDs with positions and acknowledgements, and wanted IDs.
        assert!(stores[who].len() <= 1 + 2 * (1 + 2 * 20 + 3 * 20 + 5));
    }
    for ids in &mut delivered {
        let all = ids.len();
        // Beyond the remembered IDs, a repetition may count as new.
        if all <= 20 {
            ids.sort();
            ids.dedup();
            assert_eq!(ids.len(), all);
        }
    }
});
