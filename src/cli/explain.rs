//! `statuskit explain`, and what is made from the command lines: completions and man pages.

use std::{fs, io, path::PathBuf};

use clap::Args;

use super::{
    context::Context,
    error::{CliError, Exit, Result},
    output::Record,
    tools::Tool,
};

/// Every error code of the tools: what the rule is, where it comes from, what the usual cause is.
pub const CODES: &[(&str, &str, &str, &str)] = &[
    // code, rule, source, usual causes
    (
        "envelope.from_future",
        "An envelope must not be sent more than 10 seconds after the receiver's clock. The time it was sent is expiry minus ttl, computed with 32 bits: a ttl above the expiry looks like the far future.",
        "EIP-627, Whisper Envelope; the allowance is that of Status nodes",
        "The sender's clock runs ahead, or the receiver's behind. Compare with `date +%s`, or check with --now.",
    ),
    (
        "envelope.very_old",
        "An envelope that expired more than 20 seconds ago is refused with an error.",
        "EIP-627, Whisper Envelope; the allowance is that of Status nodes",
        "It was stored and sent again, or the clocks differ. To check an old envelope as of its own time, use --now.",
    ),
    (
        "envelope.expired",
        "An envelope that expired up to 20 seconds ago is dropped, without an error to the sender.",
        "EIP-627, Whisper Envelope; the allowance is that of Status nodes",
        "The time to live was too short for the way, or mining took most of it.",
    ),
    (
        "envelope.oversized",
        "20 bytes plus the data must not exceed the largest message of the node, 1 MiB unless it was set otherwise (10 MiB at most).",
        "EIP-627, Packet Codes",
        "Split the payload, or put a reference into it.",
    ),
    (
        "envelope.low_pow",
        "The proof of work is 2^(leading zero bits) / (length of the RLP without the nonce) / ttl. Nodes of the protocol's defaults ask for 0.2; Status nodes take 0.002.",
        "EIP-627, Mining",
        "The envelope was not mined (status-pow mine), was mined for a smaller target, or its ttl was raised afterwards.",
    ),
    (
        "envelope.no_bloom_match",
        "The topic's bits must all be set in the receiver's bloom filter. Two indexes in one byte count as one: the later bit overwrites the earlier.",
        "EIP-627, Bloom Filter; the overwriting is that of the reference implementation",
        "The receiver is a light node that is not interested in the topic.",
    ),
    (
        "envelope.wrong_key",
        "The authentication tag of the encrypted data does not fit the key.",
        "EIP-627, Payload Encryption",
        "Another chat or recipient, a password with other spelling, or a symmetric message tried with a private key.",
    ),
    (
        "envelope.no_key",
        "No key was given that belongs to the envelope's topic.",
        "tools",
        "Give --chat, --password, --sym-key or --identity.",
    ),
    (
        "message.empty",
        "A decrypted message has at least one byte, the flags.",
        "EIP-627, Contents of Data Field of the Message",
        "Made by something that is not a Whisper client.",
    ),
    (
        "message.signature",
        "If bit 2 of the flags is set, the last 65 bytes are a signature r, s, v over the Keccak-256 of everything before, and must recover a public key.",
        "EIP-627, Contents of Data Field of the Message",
        "v is 27 or 28 instead of 0 or 1, or the message was changed after signing.",
    ),
    (
        "message.size",
        "Bits 0 and 1 of the flags are the length of the little-endian size field; the payload of that size must end before the signature.",
        "EIP-627, Contents of Data Field of the Message",
        "A big-endian size field, or a payload that was cut.",
    ),
    (
        "message.payload_too_long",
        "The size field has at most three bytes: a payload has less than 16 MiB.",
        "EIP-627, Contents of Data Field of the Message",
        "Peers take 1 MiB unless they were set otherwise, so the practical limit is lower.",
    ),
    (
        "payload.protobuf",
        "A payload of Status clients is an ApplicationMetadataMessage with fields 1 to 3.",
        "Status specifications, Payloads",
        "The payload was made by another kind of client.",
    ),
    (
        "payload.signature",
        "The wrapper's signature has 65 bytes, r, s, v with v 0 or 1, over the Keccak-256 of the payload.",
        "Status specifications, Payloads",
        "SHA3-256 in place of Keccak-256, or v 27 or 28.",
    ),
    (
        "payload.refused",
        "Clients check clock, timestamp, text, chat id and types before they show a chat message.",
        "Status specifications, Payloads; the checks are those of the reference implementation",
        "A blank text, or a clock in the future.",
    ),
    (
        "pow.not_reached",
        "The search ended at its time limit without a nonce for the target. The envelope printed has the best nonce found.",
        "EIP-627, Mining",
        "Twice the target, size or ttl takes twice the hashes: see status-pow estimate.",
    ),
    (
        "topic.no_name",
        "A topic is the first four bytes of the Keccak-256 of a name; names can only be found by trying.",
        "EIP-627, Topics",
        "Give more candidate names.",
    ),
    (
        "rlp.truncated",
        "An item must end inside its list, and the list inside the input.",
        "Ethereum yellow paper, appendix B",
        "Bytes were cut off, or a length was damaged.",
    ),
    (
        "rlp.non_canonical_length",
        "Lengths below 56, and single bytes below 0x80, have the short form; longer lengths have no leading zero.",
        "Ethereum yellow paper, appendix B",
        "A writer that always uses the long form. Peers refuse such bytes.",
    ),
    (
        "rlp.leading_zero",
        "Integers have no leading zero byte; zero is the empty string 0x80.",
        "Ethereum yellow paper, appendix B",
        "A nonce padded to eight bytes, as the prose of EIP-627 suggests. Peers refuse it.",
    ),
    (
        "rlp.integer_too_large",
        "Expiry and ttl have 32 bits, the nonce 64.",
        "EIP-627, Whisper Envelope",
        "Milliseconds in place of seconds.",
    ),
    (
        "rlp.not_boolean",
        "A boolean is the integer 0 or 1.",
        "EIP-627, Status",
        "Another layout of the packet.",
    ),
    (
        "rlp.expected_list",
        "A list must stand here.",
        "Ethereum yellow paper, appendix B",
        "These bytes are something else: the data of an envelope instead of the envelope, or a packet with its code in front.",
    ),
    (
        "rlp.expected_string",
        "A string must stand here.",
        "Ethereum yellow paper, appendix B",
        "One level of lists too many: a list of envelopes in place of an envelope.",
    ),
    (
        "rlp.wrong_length",
        "The field has a fixed length: topics 4 bytes, hashes 32, bloom filters 64.",
        "EIP-627, Whisper Envelope",
        "A topic that was not cut to four bytes.",
    ),
    (
        "rlp.missing_item",
        "The list ends before all of its fields: an envelope has expiry, ttl, topic, data and nonce.",
        "EIP-627, Whisper Envelope",
        "The form without nonce that is hashed for the proof of work.",
    ),
    (
        "rlp.extra_items",
        "The list has more fields than it may have.",
        "EIP-627, Whisper Envelope",
        "An envelope of another version of Whisper.",
    ),
    (
        "rlp.trailing_bytes",
        "Nothing may follow the outermost value.",
        "Ethereum yellow paper, appendix B",
        "A line break or padding that was hex-encoded too.",
    ),
    (
        "input.empty",
        "A tool that is given nothing does nothing: no default message is sent.",
        "tools",
        "The command before it in the pipe failed: look at its error, or use `set -o pipefail`.",
    ),
    (
        "input.json",
        "A line that begins with { is a JSON record of one of the tools.",
        "tools",
        "JSON over several lines: use `jq -c`.",
    ),
    ("input.hex", "After 0x come hex digits, two for each byte.", "tools", "A digit was lost."),
    ("input.utf8", "Text and names are UTF-8.", "tools", "Another encoding; see iconv."),
    (
        "input.unrecognised",
        "A line is a JSON record, hex, or base64; input that does not begin as text is binary.",
        "tools",
        "Words of another program on its standard output.",
    ),
    (
        "input.too_long",
        "Records and lines are bounded.",
        "tools",
        "Not the output of one of the tools.",
    ),
    (
        "record.member",
        "The member of a record that this tool needs is missing or malformed.",
        "tools",
        "A record of another type: envelopes are read from envelope, check and message records.",
    ),
    (
        "record.topic",
        "A topic is four bytes.",
        "EIP-627, Topics",
        "A name in place of its topic: status-topic chat NAME.",
    ),
    (
        "key.format",
        "A private key is 64 hex digits, at least 1 and below the order of secp256k1.",
        "SEC 2",
        "Another kind of file.",
    ),
    (
        "file.read",
        "A file or the input could not be read.",
        "tools",
        "See the message of the system.",
    ),
    (
        "file.write",
        "A file or the output could not be written.",
        "tools",
        "See the message of the system. Files with keys are never overwritten.",
    ),
    (
        "system.randomness",
        "The system gave no random bytes.",
        "tools",
        "A sandbox without getrandom.",
    ),
    ("usage", "The arguments don't fit the command.", "tools", "See --help, and its examples."),
];

/// What an error code means: the rule, its source, the usual causes
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The code of an error, such as envelope.low_pow; without it, all codes are listed
    code: Option<String>,
}

pub fn run(args: &ExplainArgs, cx: &mut Context) -> Result<()> {
    let Some(wanted) = &args.code else {
        return CODES.iter().try_for_each(|entry| {
            cx.emit(&record(entry), |_| format!("{:28} {}", entry.0, entry.1))
        });
    };
    let entry = CODES.iter().find(|entry| entry.0 == wanted).ok_or_else(|| {
        let near = CODES.iter().map(|entry| entry.0).filter(|code| {
            code.contains(wanted.as_str()) || wanted.split('.').any(|part| code.contains(part))
        });
        let near: Vec<_> = near.take(5).collect();
        let error = CliError::new("usage", Exit::Usage, format!("no error has code {wanted:?}"));
        match near.as_slice() {
            [] => error.hint("statuskit explain lists all codes"),
            _ => error.hint(near.join(", ")),
        }
    })?;
    cx.emit(&record(entry), |_| {
        let (code, rule, source, causes) = entry;
        format!("{code}\n  rule:   {rule}\n  source: {source}\n  causes: {causes}")
    })
}

fn record((code, rule, source, causes): &(&str, &str, &str, &str)) -> Record {
    Record::new("explanation")
        .with("code", *code)
        .with("rule", *rule)
        .with("source", *source)
        .with("causes", *causes)
}

/// Completions for a shell, of all tools: source them, or put them where the shell looks
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ statuskit completions bash > status-completions.bash")]
pub struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    shell: clap_complete::Shell,
}

pub fn completions(args: &CompletionsArgs) -> Result<()> {
    let mut text = Vec::new();
    for tool in Tool::ALL {
        let mut command = tool.command();
        let name = command.get_name().to_owned();
        clap_complete::generate(args.shell, &mut command, name, &mut text);
    }
    io::Write::write_all(&mut io::stdout().lock(), &text)?;
    Ok(())
}

/// Man pages of all tools, into a directory; or one page to standard output
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ statuskit man --out man1
  $ statuskit man status-envelope > status-envelope.1")]
pub struct ManArgs {
    /// The tool whose page is printed
    #[arg(required_unless_present = "out")]
    tool: Option<String>,
    /// Directory for all pages, made if it is missing
    #[arg(long, value_name = "DIR", conflicts_with = "tool")]
    out: Option<PathBuf>,
}

pub fn man(args: &ManArgs) -> Result<()> {
    if let Some(dir) = &args.out {
        let failed = |error: io::Error| {
            let message = format!("can't write the man pages to {}: {error}", dir.display());
            CliError::new("file.write", Exit::Local, message).field("--out")
        };
        fs::create_dir_all(dir).map_err(failed)?;
        for tool in Tool::ALL {
            clap_mangen::generate_to(tool.command(), dir).map_err(failed)?;
        }
        return Ok(());
    }
    let name = args.tool.as_deref().unwrap_or_default();
    let command = Tool::ALL.into_iter().map(Tool::command).find(|it| it.get_name() == name);
    let command = command.ok_or_else(|| {
        CliError::usage(format!("there is no tool {name:?}")).hint("such as status-envelope")
    })?;
    Ok(clap_mangen::Man::new(command).render(&mut io::stdout().lock())?)
}
