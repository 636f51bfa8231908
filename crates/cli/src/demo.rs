//! `statuskit demo`: a message from one account to another that is offline, by way of a
//! mailserver, step by step.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use statuskit_core::{
    chat::{self, ComposeOptions, Composer, Destination, KeyRing, PublicChat},
    crypto::SecretKey,
    devp2p::Enode,
    envelope::{
        Bloom, Envelope, SymKey,
        check::{self, Rules},
    },
    mailserver::{Access, Position, seal::FLEET_PASSWORD},
};
use statuskit_mailserver::{
    Archive, Mailserver, MailserverConfig, ServerConfig,
    archive::MemoryArchive,
    client::{Client, ClientConfig, HistoryQuery},
};
use statuskit_net::{
    discovery::{
        FinderConfig,
        pool::Mode,
        v5::{self as found, Config, NodeInfo},
    },
    node::{Event, NodeConfig, PeerOptions, Subscription},
};

use crate::{
    context::{Context, takes_exact_names},
    discover::args::{Running, Step},
    envelope::compose_error,
    error::{CliError, Exit, Result},
    keys::public_chat,
    mailserver::{
        archive_error,
        ask::{client_error, quiet_config},
    },
    mining,
    net::{Network, service_config},
    output::Record,
    records::{envelope_record, message_record, opened_message, short_key},
    text,
    time::to_rfc3339,
};

/// Show everything at work: two accounts, a mailserver between them, and a signed public message for
/// an offline receiver. Uses only this machine's loopback interface
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ statuskit demo
  $ statuskit demo --chat statuskit --text 'hello, world'")]
pub struct DemoArgs {
    /// Public chat
    #[arg(long, default_value = "status")]
    chat: String,
    /// What Alice says
    #[arg(long, default_value = "hello from statuskit")]
    text: String,
}

/// Everything happens on this machine; nothing here takes longer.
const LIMIT: Duration = Duration::from_secs(20);

pub fn run(args: &DemoArgs, cx: &mut Context) -> Result<()> {
    let public = public_chat(&args.chat)?;
    // The commands are to be pasted.
    let exact = if takes_exact_names() { " --exact-name" } else { "" };
    let chat = &format!("{}{exact}", word(&public.name));
    let mut demo = Demo { cx, number: 0 };

    let mut rng = demo.cx.rng("demo")?;
    let [alice, bob, node_key, alice_node, bob_node] =
        std::array::from_fn(|_| SecretKey::generate(&mut rng));
    demo.step(
        "Two accounts",
        "statuskit keygen --out alice.key; statuskit keygen --out bob.key",
        &[("alice", alice.public_key().to_string()), ("bob", bob.public_key().to_string())],
    )?;

    let bootnode = start_bootnode(demo.cx)?;
    let boot = bootnode.handle.info();
    demo.step(
        "A bootnode: all that the others know of each other",
        "status-discover serve --listen 127.0.0.1:0 --min-wait 1s",
        &[("bootnode", boot.enode().to_string()), ("minimum wait", "1 s, for the demo".to_owned())],
    )?;

    let (node, mailserver) = start_mailserver(node_key.clone(), demo.cx)?;
    let enode = node.handle().enode().expect("it listens");
    let mut found_by = FinderConfig::new(Mode::Mailserver);
    found_by.register = vec![MAILSERVERS.into()];
    let mut v5 = Config::new(node_key, ([127, 0, 0, 1], 0).into());
    v5.bootnodes = vec![boot];
    found_by.v5 = Some(v5);
    let _registered = node.find(found_by)?;
    demo.step(
        "A node that forwards, and keeps what it sees for those who are offline, as Bob is now",
        "status-mailserver serve --listen 127.0.0.1:0 --store ./archive --password status-offline-inbox --discover whispermail --bootnode $BOOTNODE",
        &[("enode", enode.to_string()), ("archive", "in memory, for the demo".to_owned())],
    )?;

    let envelope = seal_message(args, &public, &alice, demo.cx)?;
    let record = envelope_record(&envelope);
    demo.step(
        "Alice seals the message for everyone who knows the chat's name, and mines",
        &format!(
            "echo {} | status-envelope seal --chat {} --identity alice.key | status-pow mine",
            word(&args.text),
            chat
        ),
        &["hash", "size", "nonce", "pow"].map(|name| {
            let value = &record.members()[name];
            (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        }),
    )?;
    let rules = Rules { min_pow: chat::POW_TARGET, ..Rules::new(demo.cx.now()) };
    let checks = check::checks(&envelope, envelope.pow(0), &rules);
    let passed =
        checks.iter().filter(|check| check.pass).map(|check| (check.rule, check.found.clone()));
    demo.step(
        "A peer's checks, one by one",
        "… | status-envelope check",
        &passed.collect::<Vec<_>>(),
    )?;

    let mut config = service_config(alice_node, demo.cx);
    config.node = NodeConfig::with_min_pow(0.0);
    config.node.bloom = Some(Bloom::from_topic(public.topic));
    config.node.send_window = Duration::ZERO;
    let alices = Network::start(config)?;
    let mut news = alices.connect(vec![enode.clone()], &PeerOptions::once(), LIMIT, demo.cx)?;
    let began = Instant::now();
    alices.handle().send(envelope.clone()).map_err(|error| {
        CliError::new(error.code(), Exit::Network, format!("the message was not sent: {error}"))
    })?;
    wait_for(&alices, &mut news, |event| {
        matches!(event, Event::BatchAcknowledged { envelopes, .. } if envelopes.contains(&envelope.hash()))
            .then_some(())
    })?;
    demo.step(
        "Alice sends it; the node has it, and says so",
        &format!(
            "echo {} | status-send --peer $ENODE --identity alice.key --chat {}",
            word(&args.text),
            chat
        ),
        &[("confirmed after", format!("{:.1} ms", began.elapsed().as_secs_f64() * 1000.0))],
    )?;

    drop(alices);

    wait_until_stored(&node, mailserver.archive(), &envelope)?;
    demo.step(
        "The mailserver has stored it; Alice leaves",
        "status-mailserver stats --store ./archive",
        &[
            ("topic", envelope.topic().to_string()),
            ("sent", to_rfc3339(envelope.sent())),
            ("stored after", format!("{:.1} ms", began.elapsed().as_secs_f64() * 1000.0)),
        ],
    )?;

    let began = Instant::now();
    let found = find_mailserver(boot, demo.cx)?;
    demo.step(
        "Bob comes, and knows only the bootnode: he finds the mailserver",
        "status-discover search whispermail --bootnode $BOOTNODE --count 1",
        &[
            ("found after", format!("{:.1} s", began.elapsed().as_secs_f64())),
            ("enode", found.to_string()),
        ],
    )?;
    if found != enode {
        let message = "what was found is not the mailserver";
        return Err(CliError::new("demo.mismatch", Exit::Negative, message).into());
    }

    let began = Instant::now();
    let received = ask(&enode, bob_node, &public, &envelope, demo.cx)?;
    let mut ring = KeyRing::new();
    ring.add_chat(&public);
    let opened = ring.open(&received).map_err(|error| {
        CliError::new(error.code(), Exit::Negative, format!("Bob can't open it: {error}"))
    })?;
    let message = opened_message(&received, opened, &ring);
    let author = message.author().map(ToString::to_string).unwrap_or_default();
    let text = message.text().unwrap_or_default();
    demo.step(
        "Bob asks the mailserver for the last hour of the chat, and opens what he gets",
        &format!("status-mailserver query --peer $ENODE --chat {} --from 1h --open", chat),
        &[
            ("answered after", format!("{:.1} ms", began.elapsed().as_secs_f64() * 1000.0)),
            ("author", short_key(&author)),
            ("text", text.to_owned()),
        ],
    )?;
    if author != alice.public_key().to_string() || text != args.text {
        let message = "what arrived is not what was sent";
        return Err(CliError::new("demo.mismatch", Exit::Negative, message).into());
    }
    demo.cx.emit(&message_record(&message, true), |_| format!("\n{}", text::message(&message)))
}

/// The topic that mailservers register.
const MAILSERVERS: &str = "whispermail";

/// A bootnode whose tickets wait for a second.
fn start_bootnode(cx: &Context) -> Result<Running> {
    let key = SecretKey::generate(&mut cx.rng("bootnode")?);
    let mut config = Config::new(key, ([127, 0, 0, 1], 0).into());
    config.min_wait = Duration::from_secs(1);
    Running::start(config, cx)
}

/// Searches until the first mailserver is found.
fn find_mailserver(boot: NodeInfo, cx: &Context) -> Result<Enode> {
    let key = SecretKey::generate(&mut cx.rng("searcher")?);
    let mut config = Config::new(key, ([127, 0, 0, 1], 0).into());
    config.bootnodes = vec![boot];
    // It may have come before the registration.
    config.query_interval = Duration::from_secs(1);
    let mut running = Running::start(config, cx)?;
    running.handle.with(|machine, now| {
        machine.search(MAILSERVERS.into(), Duration::from_millis(500), now);
        machine.start(now);
    });
    let deadline = Instant::now() + LIMIT;
    loop {
        match running.next(Some(deadline))? {
            Step::Event(found::Event::Found { node, .. }) => return Ok(node.enode()),
            Step::Event(_) => {}
            Step::TimedOut => {
                let message = format!("no mailserver was found within {LIMIT:?}");
                return Err(CliError::new("discovery.timeout", Exit::Network, message).into());
            }
        }
    }
}

/// A mailserver that forgets when it ends.
fn start_mailserver(key: SecretKey, cx: &Context) -> Result<(Network, Mailserver)> {
    let mut config = service_config(key, cx);
    config.node = NodeConfig::with_min_pow(chat::POW_TARGET);
    config.listen = Some(([127, 0, 0, 1], 0).into());
    Mailserver::prepare(&mut config);
    let node = Network::start(config)?;
    let server = ServerConfig::from_password(password());
    let mailserver = node.wait(async {
        let archive = Arc::new(MemoryArchive::new());
        Mailserver::start(node.handle(), archive, MailserverConfig::new(server))
    });
    let mailserver =
        mailserver.map_err(|error| CliError::new(error.code(), Exit::Local, error.to_string()))?;
    Ok((node, mailserver))
}

/// What opens the mailserver's door.
fn password() -> SymKey {
    SymKey::from_password(FLEET_PASSWORD)
}

/// Waits until the mailserver has an envelope.
fn wait_until_stored(
    node: &Network,
    archive: &Arc<dyn Archive>,
    envelope: &Envelope,
) -> Result<()> {
    let position = Position::from_envelope(envelope);
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        if archive.contains(&position).map_err(|error| archive_error(&error))? {
            return Ok(());
        }
        node.wait(async { tokio::time::sleep(Duration::from_millis(1)).await });
    }
    let message = format!("the message was not stored within {LIMIT:?}");
    Err(CliError::new("net.timeout", Exit::Network, message).into())
}

/// Asks the mailserver for what was said in the chat, and looks for the message.
fn ask(
    enode: &Enode,
    key: SecretKey,
    public: &PublicChat,
    message: &Envelope,
    cx: &Context,
) -> Result<Envelope> {
    let network = Network::start(quiet_config(key.clone(), cx))?;
    network.dial(enode.clone(), PeerOptions::once());
    let access = Access::Password(password());
    let client = Client::new(network.handle(), enode.id, ClientConfig::new(access, key));
    let now = cx.now();
    let from = now.saturating_sub(Duration::from_secs(3600));
    let to = now.saturating_add(Duration::from_secs(60));
    let query = HistoryQuery::from_topics(from, to, [public.topic]);
    let page = network.wait(client.page(query));
    let (envelopes, _) = page.map_err(|error| client_error(&error))?;
    let found = envelopes.into_iter().find(|envelope| envelope.hash() == message.hash());
    found.ok_or_else(|| {
        let message = "the mailserver did not give what it has";
        CliError::new("demo.mismatch", Exit::Negative, message).into()
    })
}

fn seal_message(
    args: &DemoArgs,
    public: &PublicChat,
    author: &SecretKey,
    cx: &mut Context,
) -> Result<Envelope> {
    let mut composer = Composer::new(Destination::Public(public.clone()), Some(author.clone()));
    let mut rng = cx.rng("demo message")?;
    let composed = composer.text(&args.text, &ComposeOptions::default(), cx.now_ms(), &mut rng);
    let composed = composed.map_err(|error| compose_error(&error).field("--text"))?;
    mining::mine_or_fail(cx, &composed.envelope, chat::POW_TARGET)
}

/// Waits for an event of the node that `pick` takes.
fn wait_for<T>(
    network: &Network,
    news: &mut Subscription,
    mut pick: impl FnMut(&Event) -> Option<T>,
) -> Result<T> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let next = network.wait(async {
            tokio::time::timeout_at(deadline.into(), news.next()).await.ok().flatten()
        });
        let Some(event) = next else {
            let message = format!("nothing happened within {LIMIT:?}");
            return Err(CliError::new("net.timeout", Exit::Network, message).into());
        };
        if let Some(found) = pick(&event) {
            return Ok(found);
        }
    }
}

/// A text as one word of a command line.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Shows the steps.
struct Demo<'a> {
    cx: &'a mut Context,
    number: u32,
}

impl Demo<'_> {
    fn step(&mut self, title: &str, command: &str, facts: &[(&str, String)]) -> Result<()> {
        self.number += 1;
        let number = self.number;
        let record = facts.iter().fold(
            Record::new("step").with("step", number).with("title", title).with("command", command),
            |record, (name, value)| record.with(&name.replace(' ', "_"), value.as_str()),
        );
        self.cx.emit(&record, |_| {
            let mut text = format!("{number}. {title}\n   $ {command}\n");
            for (name, value) in facts {
                let value = if value.starts_with("0x") && value.len() > 100 {
                    short_key(value)
                } else {
                    value.clone()
                };
                text += &format!("     {name}: {}\n", super::output::escape(&value));
            }
            text
        })
    }
}
