//! Our own traffic, recorded and taken apart with the key log of the tool that connected.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;

use crate::{network::network, record};

/// A proxy that records what passes, as a pcap file of raw IP packets.
struct Recorder {
    address: String,
    file: Arc<Mutex<Vec<u8>>>,
}

/// The header of a file with packets of IPv4.
fn header() -> Vec<u8> {
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
    for value in [0_u32, 0, 65_535, 101] {
        file.extend(value.to_le_bytes());
    }
    file
}

/// Adds a segment between two ports of this machine.
fn add(file: &Mutex<Vec<u8>>, ports: (u16, u16), sequence: u32, flags: u8, payload: &[u8]) {
    let length = u16::try_from(40 + payload.len()).unwrap();
    let mut packet = vec![0x45, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    packet.extend([ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat());
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
    packet.extend(payload);
    let mut record = Vec::new();
    for value in [0, 0, u32::from(length), u32::from(length)] {
        record.extend(value.to_le_bytes());
    }
    record.extend(packet);
    file.lock().unwrap().extend(record);
}

impl Recorder {
    /// Records all connections to `target` that are made by way of it.
    fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let file = Arc::new(Mutex::new(header()));
        let into = Arc::clone(&file);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(&target)) else {
                    return;
                };
                let (Ok(from), Ok(to)) = (client.peer_addr(), server.peer_addr()) else { return };
                let ports = (from.port(), to.port());
                add(&into, ports, 99, 2, &[]);
                add(&into, (ports.1, ports.0), 99, 18, &[]);
                let ends = [(&client, &server, ports), (&server, &client, (ports.1, ports.0))];
                for (one, other, ports) in ends {
                    let (Ok(one), Ok(other)) = (one.try_clone(), other.try_clone()) else { return };
                    let into = Arc::clone(&into);
                    thread::spawn(move || pass(one, other, ports, &into));
                }
            }
        });
        Self { address, file }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, ports: (u16, u16), file: &Mutex<Vec<u8>>) {
    let (mut buffer, mut sequence) = ([0; 1400], 100_u32);
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        add(file, ports, sequence, 16, &buffer[..read]);
        sequence += u32::try_from(read).unwrap();
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn layers<'a>(inspection: &'a Value, kind: &str) -> Vec<&'a Value> {
    let all = inspection["layers"].as_array().unwrap().iter();
    all.filter(|layer| layer["kind"] == kind).collect()
}

#[test]
fn our_own_traffic_is_peeled_to_the_text() {
    peel("", "", "shh");
}

#[test]
fn our_own_traffic_in_waku_is_peeled_to_the_text() {
    peel("--waku-only", "--waku-only", "waku");
    // Both protocols on one connection.
    peel("--bridge", "--waku", "waku");
}

/// Records a sender and a receiver, and opens the capture.
fn peel(node: &str, dialect: &str, protocol: &str) {
    let (mut shell, node) = network(node);
    let (key, target) = node.enode.split_once('@').unwrap();
    let recorder = Recorder::start(target.to_owned());
    shell.var("RECORDED", format!("{key}@{}", recorder.address));
    let options =
        format!("{dialect} --peer $RECORDED --key-log keys.jsonl --insecure --chat status");
    shell.ok(&format!("status-send hello --identity me.key --ttl 120 {options}"));
    shell.ok(&format!("status-receive --count 1 --timeout 60 {options}"));
    fs::write(shell.dir().join("capture.pcap"), &*recorder.file.lock().unwrap()).unwrap();
    let mode = fs::metadata(shell.dir().join("keys.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // As a file and from standard input; both tools have seen the message.
    for line in [
        "status-inspect capture.pcap --key-log keys.jsonl --chat status",
        "status-inspect --key-log keys.jsonl --chat status < capture.pcap",
    ] {
        let found = record(&shell.ok(line));
        assert_eq!(
            (&found["kind"], &found["certainty"]),
            (&"capture.pcap".into(), &"certain".into())
        );
        let messages = layers(&found, "payload.chat_message");
        let texts: Vec<_> = messages
            .iter()
            .flat_map(|layer| layer["fields"].as_array().unwrap())
            .filter(|field| field["name"] == "text")
            .collect();
        assert!(texts.len() >= 2, "sent, and received: {}", texts.len());
        assert!(texts.iter().all(|field| field["value"] == "hello"));
        assert_eq!(layers(&found, "rlpx.auth").len(), 2);
        assert_eq!(layers(&found, "rlpx.ack").len(), 2);
        let [statuses, messages] =
            ["status", "messages"].map(|name| layers(&found, &format!("{protocol}.{name}")).len());
        assert!(statuses >= 4 && messages >= 2, "{statuses} and {messages}");
        let other = if protocol == "shh" { "waku" } else { "shh" };
        let is_alone = dialect != "--waku";
        assert_eq!(layers(&found, &format!("{other}.status")).is_empty(), is_alone);
    }
    let closed = record(&shell.ok("status-inspect capture.pcap --chat status"));
    assert!(layers(&closed, "payload.chat_message").is_empty());
}

#[test]
fn a_key_log_is_written_only_when_told_to() {
    let (shell, _node) = network("");
    let refused = shell.fails(2, "status-send hi --peer $ENODE --chat c --key-log keys.jsonl");
    assert!(refused.contains("--insecure"), "{refused}");
    assert!(!shell.dir().join("keys.jsonl").exists());
    shell.ok("touch others && chmod 644 others");
    let line = "status-send hi --peer $ENODE --chat c --key-log others --insecure";
    assert!(shell.fails(5, line).contains("file.mode"));
    let line = "echo nothing > log && status-inspect --key-log log 0x80";
    assert!(shell.fails(3, line).contains("inspect.key_log"));
}
