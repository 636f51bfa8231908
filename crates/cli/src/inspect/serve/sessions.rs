//! The sessions of a state, step by step: what `status-session export` and `--trace` print, without the
//! secret parts.

use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};
use statuskit_core::crypto::PublicKey;

use crate::text;

/// The most steps.
const MAX_STEPS: usize = 10_000;

/// The members of a state that are no secrets. `--subtle` adds those.
const PUBLIC: [&str; 9] = [
    "own_key",
    "remote_key",
    "send_n",
    "receive_n",
    "pn",
    "keys_count",
    "kept",
    "ours",
    "x3dh_key",
];

/// The steps, in order.
#[derive(Default)]
pub struct Sessions(Mutex<Steps>);

#[derive(Default)]
struct Steps {
    steps: Vec<Value>,
    left_out: u64,
}

impl Sessions {
    /// Adds a record. Returns whether it is one of a session.
    pub fn push(&self, record: &Map<String, Value>) -> bool {
        let member = |name: &str| record.get(name).unwrap_or(&Value::Null);
        let (what, before, after) = match record.get("type").and_then(Value::as_str) {
            Some("session") => ("as it is in the state", &Value::Null, member("state")),
            Some("ratchet_step") => {
                let what = match member("direction").as_str() {
                    Some("send") => "a message is sent",
                    _ => "a message is received",
                };
                (what, member("before"), member("after"))
            }
            _ => return false,
        };
        let session = member("session");
        let text = |name: &str| session[name].as_str().unwrap_or_default();
        let key = text("identity").strip_prefix("0x").and_then(|it| hex::decode(it).ok());
        let name = key.and_then(|key| PublicKey::from_slice(&key).ok()).map(|key| text::name(&key));
        let step = json!({
            "session": {
                "identity": text("identity"),
                "installation": text("installation"),
                "bundle": text("bundle"),
                "name": name,
            },
            "what": what,
            "before": public(before),
            "after": public(after),
        });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.steps.len() < MAX_STEPS {
            all.steps.push(step);
        } else {
            all.left_out += 1;
        }
        true
    }

    /// Returns all steps.
    pub fn to_json(&self) -> Value {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        json!({ "steps": all.steps, "left_out": all.left_out })
    }
}

fn public(state: &Value) -> Option<Value> {
    let members =
        PUBLIC.iter().filter_map(|name| Some(((*name).to_owned(), state.get(*name)?.clone())));
    state.is_object().then(|| Value::Object(members.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_parts_are_kept() {
        let record = json!({
            "type": "ratchet_step",
            "direction": "send",
            "session": { "identity": "0x02", "installation": "a", "bundle": "0x03" },
            "before": null,
            "after": { "own_key": "0x04", "send_n": 1, "root_key": "0x05", "own_private_key": "0x06" },
        });
        let sessions = Sessions::default();
        assert!(sessions.push(record.as_object().unwrap()));
        assert!(!sessions.push(&Map::new()));
        let shown = sessions.to_json();
        assert_eq!(shown["steps"][0]["after"], json!({ "own_key": "0x04", "send_n": 1 }));
        assert_eq!(shown["steps"][0]["before"], Value::Null);
        assert!(!shown.to_string().contains("private"));
    }
}
