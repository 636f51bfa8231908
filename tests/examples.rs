//! The programs in `examples/` run against nodes in this process.

#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use statuskit::{
    chat::{Destination, PublicChat, ReceivedMessage},
    client::{Client, DiskStore, Event},
    crypto::{SecretKey, seeded_rng},
    devp2p::Enode,
    envelope::{Envelope, SymKey},
    mailserver::{Mailserver, MailserverConfig, MemoryArchive, ServerConfig},
    node::{Service, ServiceConfig},
};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// An example, built beside this test. Ended when dropped.
struct Example(Child);

impl Example {
    fn command(name: &str, arguments: &[&str]) -> Command {
        let deps = std::env::current_exe().unwrap();
        let dir: PathBuf = deps.ancestors().nth(2).unwrap().join("examples");
        let program = dir.join(name);
        assert!(
            program.exists(),
            "{name} is not built: `cargo build --examples`, or all of the tests"
        );
        let mut command = Command::new(program);
        command.args(arguments).stdout(Stdio::piped());
        command
    }

    fn output(name: &str, arguments: &[&str]) -> String {
        let output = Self::command(name, arguments).output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn node(seed: &str, change: impl FnOnce(&mut ServiceConfig)) -> (Service, Enode) {
    let mut config = ServiceConfig::new(SecretKey::generate(&mut seeded_rng(seed)));
    config.listen = Some("127.0.0.1:0".parse().unwrap());
    config.node.min_pow = 0.002;
    change(&mut config);
    let service = Service::start(config).await.unwrap();
    let enode = service.handle().enode().unwrap();
    (service, enode)
}

/// The next message of a client.
async fn message(client: &mut Client) -> Box<ReceivedMessage> {
    let next = async {
        loop {
            if let Event::Message { message, .. } = client.next().await.expect("the node runs") {
                return message;
            }
        }
    };
    timeout(PATIENCE, next).await.expect("a message in time")
}

#[tokio::test]
async fn a_public_message_is_sent() {
    let (_service, enode) = node("send", |_| {}).await;
    let chat = Destination::public("status");
    let builder = Client::builder().peer(enode.clone()).join(&chat);
    let mut listener = builder.start().await.unwrap();
    listener.connect().await.unwrap();
    let peer = enode.to_string();
    let said = tokio::task::spawn_blocking({
        let peer = peer.clone();
        move || Example::output("send_public", &[&peer, "status", "hello"])
    });
    assert_eq!(message(&mut listener).await.text(), Some("hello"));
    assert!(said.await.unwrap().contains("confirmed by 1 of 1 peers"));
}

#[tokio::test]
async fn a_bot_answers_private_messages() {
    let (_service, enode) = node("echo", |_| {}).await;
    let dir = tempfile::tempdir().unwrap();
    let bot = SecretKey::generate(&mut seeded_rng("bot"));
    let (peer, state) = (enode.to_string(), dir.path().join("bot"));
    let mut command = Example::command("echo_bot", &[&peer, state.to_str().unwrap()]);
    let digits: String = bot.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut example = Example(command.env("BOT_KEY", digits).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(example.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), bot.public_key().to_string());

    let store = DiskStore::open(&dir.path().join("user"), None).unwrap();
    let user = SecretKey::generate(&mut seeded_rng("user"));
    let builder = Client::builder().peer(enode).identity(user).store(store);
    let mut client = builder.start().await.unwrap();
    client.connect().await.unwrap();
    let id =
        client.send_text(&Destination::Person(bot.public_key()), "are you there?").await.unwrap();
    let answer = message(&mut client).await;
    assert_eq!(answer.text(), Some("echo: are you there?"));
    assert_eq!(answer.author(), Some(&bot.public_key()));
    timeout(PATIENCE, client.acknowledged(id)).await.unwrap().unwrap();
    client.close().await.unwrap();
}

#[tokio::test]
async fn a_logger_prints_history_and_the_live_stream() {
    let (service, enode) = node("mailserver", Mailserver::prepare).await;
    let server = ServerConfig::from_password(SymKey::from_password("status-offline-inbox"));
    let archive = Arc::new(MemoryArchive::new());
    let mailserver =
        Mailserver::start(service.handle(), archive.clone(), MailserverConfig::new(server));
    let _mailserver = mailserver.unwrap();
    let chat = Destination::Public(PublicChat::new("log"));
    let mut sender = Client::builder().peer(enode.clone()).start().await.unwrap();
    sender.connect().await.unwrap();
    let id = sender.send_text(&chat, "before").await.unwrap();
    sender.written(id).await.unwrap();

    let peer = enode.to_string();
    let mut command = Example::command("chat_logger", &[&peer, "log"]);
    let mut example = Example(command.spawn().unwrap());
    let stdout = example.0.stdout.take().unwrap();
    let (lines, mut printed) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            if lines.send(line.unwrap()).is_err() {
                break;
            }
        }
    });
    let first = timeout(PATIENCE, printed.recv()).await.unwrap().unwrap();
    assert!(first.ends_with("\tbefore"), "{first}");
    let id = sender.send_text(&chat, "now").await.unwrap();
    sender.written(id).await.unwrap();
    let second = timeout(PATIENCE, printed.recv()).await.unwrap().unwrap();
    assert!(second.ends_with("\tnow"), "{second}");
}

#[test]
fn a_fixture_is_the_same_every_time_and_can_be_decoded() {
    let made = Example::output("fixture", &["seed", "status", "hello"]);
    assert_eq!(made, Example::output("fixture", &["seed", "status", "hello"]));
    let digits = made.trim().trim_start_matches("0x");
    let bytes: Vec<u8> = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect();
    assert!(Envelope::decode(&bytes).unwrap().pow(0) >= 0.002);
    let decoded = Example::output("decode_envelope", &[made.trim(), "status"]);
    assert!(decoded.contains("text Some(\"hello\")"), "{decoded}");
    assert!(decoded.contains("clients reject it: None"), "{decoded}");
}
