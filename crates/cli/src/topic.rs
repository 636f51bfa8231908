//! `status-topic`: names, topics and bloom filters.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, BufRead as _, BufReader, IsTerminal as _, Read as _},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use statuskit_core::{
    crypto::PublicKey,
    envelope::{Bloom, Topic, topic},
    reader::Wants,
};

use crate::{
    context::Context,
    error::{CliError, Exit, Result, Stop},
    input::{Content, stdin_items},
    keys::{IdentityArgs, chat_name, parse_public_key, parse_topic},
    output::{Record, escape},
    text::count,
};

/// Topics of public chats and keys, bloom filters, and the name behind a topic
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-topic chat status
  $ status-topic chat status --output hex
  $ status-topic match --bloom $(status-topic bloom 0x9c22ff5f --output hex) 0x9c22ff5f
  $ status-topic which 0xcd423760 0x9c22ff5f")]
pub struct TopicArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The topic of a public chat: of each NAME, or of each line of standard input
    #[command(after_help = "\
Examples:
  $ status-topic chat status test
  $ status-topic chat status --output hex")]
    Chat { names: Vec<String> },
    /// The topic on which the owner of a key publishes contact codes
    #[command(after_help = "\
Examples:
  $ status-topic contact-code zQ3shPyZJnxZK4Bwyx9QsaksNKDYTPmpwPvGSjMYVHoXHeEgB")]
    ContactCode { keys: Vec<String> },
    /// The partitioned topic of a key, one of 5000
    #[command(after_help = "\
Examples:
  $ status-topic partitioned zQ3shPyZJnxZK4Bwyx9QsaksNKDYTPmpwPvGSjMYVHoXHeEgB")]
    Partitioned { keys: Vec<String> },
    /// The personal discovery topic of a key (legacy)
    #[command(after_help = "\
Examples:
  $ status-topic discovery zQ3shPyZJnxZK4Bwyx9QsaksNKDYTPmpwPvGSjMYVHoXHeEgB")]
    Discovery { keys: Vec<String> },
    /// The topic that two keys agree on. Its name is a secret and is not shown
    #[command(after_help = "\
Examples:
  $ status-topic negotiated zQ3shPyZJnxZK4Bwyx9QsaksNKDYTPmpwPvGSjMYVHoXHeEgB --identity me.key")]
    Negotiated {
        /// The other's public key
        key: String,
        #[command(flatten)]
        identity: IdentityArgs,
        /// Show the name, which is the password of the conversation's symmetric key
        #[arg(long)]
        show_secret: bool,
    },
    /// The bloom filter that matches all of these topics
    #[command(after_help = "\
Examples:
  $ status-topic bloom 0x9c22ff5f 0xcd423760 --output hex")]
    Bloom { topics: Vec<String> },
    /// Whether a bloom filter lets topics pass; exit 1 if one doesn't
    #[command(after_help = "\
Examples:
  $ status-topic match --bloom $(status-topic bloom 0x9c22ff5f --output hex) 0x9c22ff5f")]
    Match {
        /// The filter, 128 hex digits
        #[arg(long)]
        bloom: String,
        topics: Vec<String>,
    },
    /// Find the names behind topics: among published chats and the topics of contact discovery, the
    /// names on standard input and those of --words; exit 1 if a topic has none
    #[command(after_help = "\
Examples:
  $ status-topic which 0xcd423760
  $ printf 'one\\ntwo\\nstatus\\n' | status-topic which 0xcd423760")]
    Which {
        #[arg(required = true, value_name = "TOPIC")]
        topics: Vec<String>,
        /// File with names to try, one per line. Repeatable
        #[arg(long, value_name = "FILE")]
        words: Vec<PathBuf>,
    },
}

pub fn run(args: &TopicArgs, cx: &mut Context) -> Result<()> {
    match &args.command {
        Command::Chat { names } => each(cx, names, |cx, text| {
            let name = chat_name(text).map_err(|error| error.exit(Exit::Usage).field("NAME"))?;
            emit_name(cx, "chat", &name, None)
        }),
        Command::ContactCode { keys } => each(cx, keys, |cx, text| {
            let key = parse_public_key(text, "key")?;
            emit_name(cx, "contact_code", &topic::contact_code_name(&key), Some(&key))
        }),
        Command::Partitioned { keys } => each(cx, keys, |cx, text| {
            let key = parse_public_key(text, "key")?;
            emit_name(cx, "partitioned", &topic::partitioned_name(&key), Some(&key))
        }),
        Command::Discovery { keys } => each(cx, keys, |cx, text| {
            let key = parse_public_key(text, "key")?;
            emit_name(cx, "personal_discovery", &topic::personal_discovery_name(&key), Some(&key))
        }),
        Command::Negotiated { key, identity, show_secret } => {
            negotiated(cx, key, identity, *show_secret)
        }
        Command::Bloom { topics } => bloom(cx, topics),
        Command::Match { bloom, topics } => matches(cx, bloom, topics),
        Command::Which { topics, words } => which(cx, topics, words),
    }
}

/// Runs `work` on each argument, or on each line of standard input if there are none.
fn each(
    cx: &mut Context,
    arguments: &[String],
    mut work: impl FnMut(&mut Context, &str) -> Result<()>,
) -> Result<()> {
    if !arguments.is_empty() {
        return arguments.iter().try_for_each(|argument| work(cx, argument));
    }
    let mut lines = super::lines::Lines::from_stdin();
    let mut any = false;
    while let Some(line) = lines.next()? {
        let done = match line {
            Ok(text) if text.is_empty() => continue,
            // In a stream, what would be wrong usage is a bad record.
            Ok(text) => work(cx, &text).map_err(|stop| match stop {
                Stop::Error(error) if error.exit == Exit::Usage => {
                    Stop::Error(error.exit(Exit::Malformed))
                }
                other => other,
            }),
            Err(error) => Err(error.into()),
        };
        any = true;
        super::absorb(cx, done, lines.number())?;
    }
    if any { Ok(()) } else { Err(super::empty_input("names or keys, one per line")) }
}

fn emit_name(cx: &mut Context, kind: &str, name: &str, key: Option<&PublicKey>) -> Result<()> {
    let topic = Topic::from_name(name);
    let record = topic_record(kind, topic)
        .with("name", name)
        .with_some(
            "partition",
            (kind == "partitioned").then(|| key.map(topic::partition)).flatten(),
        )
        .with_some("public_key", key.map(ToString::to_string))
        .with_raw(&topic.0);
    cx.emit(&record, |_| format!("{topic}  {}", escape(name)))
}

fn topic_record(kind: &str, topic: Topic) -> Record {
    let bloom = Bloom::from_topic(topic);
    Record::new("topic")
        .with("kind", kind)
        .with("topic", topic.to_string())
        .with("bloom", bloom.to_string())
        .with("bloom_bits", bloom.set_bits().collect::<Vec<_>>())
}

fn negotiated(cx: &mut Context, key: &str, identity: &IdentityArgs, show: bool) -> Result<()> {
    let theirs = parse_public_key(key, "key")?;
    let name = topic::negotiated_name(&identity.require()?, &theirs);
    let topic = Topic::from_name(&name);
    let record = topic_record("negotiated", topic)
        .with_some("name", show.then(|| name.as_str()))
        .with("public_key", theirs.to_string())
        .with_raw(&topic.0);
    cx.emit(&record, |_| match show {
        true => format!("{topic}  {}", name.as_str()),
        false => topic.to_string(),
    })
}

fn bloom(cx: &mut Context, topics: &[String]) -> Result<()> {
    let mut parsed = Vec::new();
    if topics.is_empty() {
        let mut items = stdin_items(Wants::whole(|bytes| bytes.len() == 4), false);
        while let Some(item) = items.next()? {
            match item.and_then(|item| topic_of(&item.content).map_err(|e| e.line(item.line))) {
                Ok(topic) => parsed.push(topic),
                Err(error) => cx.report(error)?,
            }
        }
        if parsed.is_empty() {
            return Err(super::empty_input("topics"));
        }
    }
    for text in topics {
        parsed.push(parse_topic(text, "topic")?);
    }
    let bloom = Bloom::from_topics(parsed.iter().copied());
    let record = Record::new("bloom")
        .with("topics", parsed.iter().map(ToString::to_string).collect::<Vec<_>>())
        .with("bloom", bloom.to_string())
        .with("bloom_bits", bloom.set_bits().collect::<Vec<_>>())
        .with_raw(&bloom.0);
    cx.emit(&record, |_| bloom.to_string())
}

/// The topic of a record (a topic's, an envelope's), or of four bytes.
fn topic_of(content: &Content) -> std::result::Result<Topic, CliError> {
    let malformed = |message: String| CliError::new("record.topic", Exit::Malformed, message);
    match content {
        Content::Bytes(bytes) => bytes
            .as_slice()
            .try_into()
            .map(Topic)
            .map_err(|_| malformed(format!("{} bytes are no topic; expected 4", bytes.len()))),
        Content::Record(members) => {
            let text = members.get("topic").and_then(|value| value.as_str());
            let text = text.ok_or_else(|| malformed("the record has no topic".to_owned()))?;
            text.parse().map_err(|error: topic::TopicError| malformed(error.to_string()))
        }
    }
}

fn matches(cx: &mut Context, bloom: &str, topics: &[String]) -> Result<()> {
    let filter: Bloom =
        bloom.parse().map_err(|error: statuskit_core::envelope::bloom::BloomError| {
            CliError::usage(error.to_string()).field("--bloom")
        })?;
    if topics.is_empty() {
        return Err(CliError::usage("no topic to match").field("TOPICS").into());
    }
    for text in topics {
        let topic = parse_topic(text, "topic")?;
        let pass = filter.matches(topic);
        if !pass {
            cx.negative();
        }
        let record = Record::new("match").with("topic", topic.to_string()).with("match", pass);
        cx.emit(&record, |_| {
            format!("{topic}  {}", if pass { "passes" } else { "does not pass" })
        })?;
    }
    Ok(())
}

/// Public chats that Status published or recommended, and what its users made early.
const PUBLISHED: [&str; 40] = [
    "status",
    "status-core",
    "status-desktop",
    "status-assemble",
    "status-music",
    "status-memes",
    "status-spanish",
    "status-russian",
    "status-chinese",
    "status-korean",
    "status-japanese",
    "status-filipino",
    "status-marketing",
    "statusphere",
    "introduction",
    "introducing",
    "chitchat",
    "crypto",
    "tech",
    "music",
    "movies",
    "support",
    "markets",
    "defi",
    "dap-ps",
    "web3",
    "keycard",
    "ethereum",
    "bitcoin",
    "embark",
    "nimbus",
    "vac",
    "arg",
    "aragon",
    "makerdao",
    "dao",
    "nft",
    "gaming",
    "testing-adamb",
    "test",
];

/// The longest name that is tried from a file, in bytes.
const MAX_NAME: u64 = 4096;

fn which(cx: &mut Context, texts: &[String], words: &[PathBuf]) -> Result<()> {
    let wanted: Vec<_> =
        texts.iter().map(|text| parse_topic(text, "topic")).collect::<Result<_>>()?;
    let mut search =
        Search { wanted: wanted.iter().copied().collect(), found: HashMap::new(), tried: 0 };
    for name in PUBLISHED {
        search.attempt(cx, "chat", name)?;
    }
    for partition in 0..topic::PARTITIONS {
        search.attempt(cx, "partitioned", &topic::partition_name(partition))?;
    }
    search.attempt(cx, "discovery", topic::DISCOVERY)?;
    let known = search.tried;
    for path in words {
        let failed = |error: io::Error| {
            let message = format!("can't read the names in {}: {error}", path.display());
            CliError::new("file.read", Exit::Local, message).field("--words")
        };
        let mut file = BufReader::new(File::open(path).map_err(failed)?);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut file).take(MAX_NAME).read_until(b'\n', &mut line).map_err(failed)?;
            if read == 0 {
                break;
            }
            let name = String::from_utf8_lossy(&line);
            search.attempt(cx, "chat", name.trim_end_matches(['\n', '\r']))?;
        }
    }
    if !io::stdin().is_terminal() {
        let mut lines = super::lines::Lines::from_stdin();
        while let Some(line) = lines.next()? {
            match line {
                Ok(name) if name.is_empty() => {}
                Ok(name) => search.attempt(cx, "chat", &name)?,
                Err(error) => cx.report(error)?,
            }
        }
    }
    let missing: Vec<_> = wanted.iter().filter(|topic| !search.found.contains_key(topic)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if search.tried == known && words.is_empty() {
        return Err(match super::empty_input("candidate names, one per line") {
            Stop::Error(error) => {
                error.hint("no known chat has this topic; --words FILE names more").into()
            }
            stop => stop,
        });
    }
    for topic in missing {
        let message = format!("none of the {} has topic {topic}", count(search.tried, "name"));
        cx.report(CliError::new("topic.no_name", Exit::Negative, message))?;
    }
    Ok(())
}

/// Names that are tried for several topics at once.
struct Search {
    wanted: HashSet<Topic>,
    /// Each name is printed once.
    found: HashMap<Topic, HashSet<String>>,
    tried: u64,
}

impl Search {
    fn attempt(&mut self, cx: &mut Context, kind: &str, name: &str) -> Result<()> {
        self.tried += 1;
        let topic = Topic::from_name(name);
        if self.wanted.contains(&topic)
            && self.found.entry(topic).or_default().insert(name.to_owned())
        {
            emit_name(cx, kind, name, None)?;
        }
        Ok(())
    }
}
