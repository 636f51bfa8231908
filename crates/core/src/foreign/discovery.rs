//! Discovery v4 packets and node records.

use serde_json::Value;

use super::{Outcome, bytes, each, ensure, same, text};
use crate::{
    crypto::SecretKey,
    discovery::{DatagramError, Endpoint, Extra, NodeEntry, Record, v4, v5},
};

#[test]
fn records_of_others() {
    each("discovery/enr.json", &[], |case| {
        let record = match case["enr"].as_str() {
            Some(text) => text.parse::<Record>(),
            None => Record::decode(&bytes(case, "rlp")),
        };
        // Where the source does not say whether it is valid, whatever decodes is verified.
        if let Some(valid) = case["valid"].as_bool() {
            same(record.is_ok(), valid)?;
        }
        let Ok(record) = record else { return Ok(()) };
        same(record.to_string().parse(), Ok(record.clone()))?;
        if !case["rlp"].is_null() {
            same(record.as_rlp(), &bytes(case, "rlp"))?;
        }
        if let Some(seq) = case["seq"].as_u64() {
            same(record.seq(), seq)?;
        }
        if !case["node_id"].is_null() {
            same(record.node_id().0.to_vec(), bytes(case, "node_id"))?;
        }
        if let Some(ip) = case["ip"].as_str() {
            same(record.ip(), ip.parse().ok())?;
        }
        if let Some(udp) = case["udp"].as_u64() {
            same(record.udp().map(u64::from), Some(udp))?;
        }
        Ok(())
    });
}

#[test]
fn packets_of_eip8() {
    each("discovery/v4_eip8_packets.json", &[], |case| {
        let datagram = bytes(case, "packet");
        same(v5::Packet::decode(&datagram), Err(DatagramError::Prefix))?;
        let received = v4::Packet::decode(&datagram).map_err(|error| error.to_string())?;
        let key = SecretKey::from_bytes(&bytes(case, "key").try_into().unwrap()).unwrap();
        same(received.sender, key.public_key())?;
        same(received.packet.expiration(), case["fields"]["expiration"].as_u64())?;
        let fields = &case["fields"];
        match (&received.packet, text(case, "kind")) {
            (v4::Packet::Ping(ping), "ping") => {
                same(Some(ping.version), fields["version"].as_u64())?;
                endpoint(&ping.from, &fields["from"])?;
                endpoint(&ping.to, &fields["to"])?;
                extra(&ping.extra, fields)
            }
            (v4::Packet::Pong(pong), "pong") => {
                endpoint(&pong.to, &fields["to"])?;
                same(hex::encode(&pong.reply_token), hex_of(&fields["reply_token"]))?;
                extra(&pong.extra, fields)
            }
            (v4::Packet::FindNode(find), "findnode") => {
                same(hex::encode(find.target.0), hex_of(&fields["target"]))?;
                extra(&find.extra, fields)
            }
            (v4::Packet::Neighbors(neighbors), "neighbors") => {
                let nodes = fields["nodes"].as_array().unwrap();
                same(neighbors.nodes.len(), nodes.len())?;
                neighbors.nodes.iter().zip(nodes).try_for_each(|(got, node)| entry(got, node))?;
                extra(&neighbors.extra, fields)
            }
            (packet, kind) => Err(format!("{packet:?} is no {kind}")),
        }
    });
}

/// Compares with `ip:udp/tcp`.
fn endpoint(got: &Endpoint, expected: &Value) -> Outcome {
    let ip = got.ip_addr().ok_or("no address")?;
    let shown = format!("{}/{}", std::net::SocketAddr::new(ip, got.udp), got.tcp);
    same(shown.as_str(), expected.as_str().unwrap())
}

/// Compares with an entry, in which the endpoint may be a text, or `ip`, `udp` and `tcp`.
fn entry(got: &NodeEntry, node: &Value) -> Outcome {
    let id = hex::encode(got.key.0);
    let all = node.to_string();
    ensure(all.contains(&id), &format!("{id} is not in {all}"))?;
    let ip = got.endpoint.ip_addr().ok_or("no address")?.to_string();
    ensure(all.contains(&ip), &format!("{ip} is not in {all}"))
}

fn extra(got: &Extra, fields: &Value) -> Outcome {
    let expected: Vec<_> = fields["rest"].as_array().unwrap().iter().map(hex_of).collect();
    same(got.items().map(hex::encode).collect::<Vec<_>>(), expected)
}

fn hex_of(value: &Value) -> String {
    let text = value.as_str().unwrap();
    text.strip_prefix("0x").unwrap_or(text).to_owned()
}
