//! What error codes mean: those of the tools themselves, and all.
//!
//! A library's errors explain their codes where they are defined.

pub use statuskit_core::explain::Explanation;

/// Returns what every error code means.
pub fn explanations() -> impl Iterator<Item = &'static Explanation> {
    statuskit_core::explanations()
        .chain(statuskit_eip::explanations())
        .chain(statuskit_net::explanations())
        .chain(statuskit_mailserver::explanations())
        .chain(statuskit_client::explanations())
        .chain(statuskit_inspect::explanations())
        .chain(statuskit_fixtures::explanations())
        .chain(statuskit_rpc::explanations())
        .chain(EXPLANATIONS)
}

/// What the tools themselves report.
const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        code: "rpc.input",
        rule: "With -, the parameters are one JSON array on standard input.",
        source: "tools",
        causes: "An object, or a parameter without the array around it.",
    },
    Explanation {
        code: "topic.no_name",
        rule: "A topic is the first four bytes of the Keccak-256 of a name; names can only be found by trying.",
        source: "EIP-627, Topics",
        causes: "Give more candidate names.",
    },
    Explanation {
        code: "net.timeout",
        rule: "What should have happened did not, in the time given.",
        source: "tools",
        causes: "A very slow machine, or a fault of ours.",
    },
    Explanation {
        code: "clock.skewed",
        rule: "Peers forward envelopes from 10 seconds before their sent time until their expiry. What arrives outside of that shows that clocks differ; more than half of the peers must say so. The estimate is their median.",
        source: "EIP-627; the reference's checks of envelopes",
        causes: "The clock of this machine is wrong: messages are dropped as expired or from the future, and what is sent is shown by nobody. Or it is so busy that all envelopes arrive late. With one peer, its clock may be the wrong one.",
    },
    Explanation {
        code: "receive.timeout",
        rule: "The time given by --timeout is over, and less came than was asked for.",
        source: "tools",
        causes: "Nothing was sent on the topics, or the wrong topics were asked for.",
    },
    Explanation {
        code: "receive.lagged",
        rule: "While the output is read too slowly, peers are not read. One that leaves meanwhile may have had more to send.",
        source: "tools",
        causes: "The reader of the pipe is too slow.",
    },
    Explanation {
        code: "receive.unprinted",
        rule: "What was confirmed to its sender is printed before the tool ends, if its reader takes it within 10 seconds.",
        source: "tools",
        causes: "The reader of the pipe does not read. With --state, nothing is lost: the next receiver of the state prints the rest.",
    },
    Explanation {
        code: "send.unacknowledged",
        rule: "With --wait-ack, every message of this run must be acknowledged by everyone it is for, in the time given.",
        source: "MVDS; tools",
        causes: "The other side is not there, or has data sync turned off. The state keeps the message: the next tool that uses it repeats it.",
    },
    Explanation {
        code: "signature.digest",
        rule: "A digest has 32 bytes.",
        source: "SEC 1",
        causes: "A message in place of its digest: --as personal or --as keccak.",
    },
    Explanation {
        code: "vanity.not_found",
        rule: "The search ended at its limit without a match.",
        source: "tools",
        causes: "Each character more takes 16 times (hex) or 58 times (base58) as long.",
    },
    Explanation {
        code: "abi.unknown",
        rule: "The functions and events of EIP-20, EIP-165, EIP-721, ENS and of Status' contracts are known by their selectors and topics.",
        source: "tools",
        causes: "Another contract: give the signature.",
    },
    Explanation {
        code: "tx.typed",
        rule: "Transactions with a type are read, but not signed: the client of 2020 knows none.",
        source: "EIP-2718",
        causes: "Build one without a type.",
    },
    Explanation {
        code: "tx.signed",
        rule: "Only a transaction without a signature is signed.",
        source: "EIP-155",
        causes: "The output of `sign`: take that of `build`.",
    },
    Explanation {
        code: "signature.hashes",
        rule: "Version 01 signs a domain separator and a struct hash, 32 bytes each.",
        source: "EIP-191; EIP-712",
        causes: "The typed data itself: `status-eip typed-data sign`.",
    },
    Explanation {
        code: "ens.label",
        rule: "A label is a part of a name, without a full stop.",
        source: "EIP-137",
        causes: "A whole name in place of a label.",
    },
    Explanation {
        code: "ens.node_error",
        rule: "The node answers with a result.",
        source: "JSON-RPC 2.0",
        causes: "The error is that of the node: its message says more.",
    },
    Explanation {
        code: "payment_link.client_2020",
        rule: "The mobile client of 2020 takes addresses with right capitals, and names with pay- and .eth.",
        source: "Status client 1.2",
        causes: "Without --client-2020, links are read as in the standard.",
    },
    Explanation {
        code: "payment_link.no_request",
        rule: "A request for payment has a recipient and an amount, in ether or tokens.",
        source: "Status specifications, Payloads",
        causes: "A link that calls another function, or leaves the amount open.",
    },
    Explanation {
        code: "payment_link.other_chain",
        rule: "A transaction is for the chain that its link names.",
        source: "EIP-681; EIP-155",
        causes: "A link for a test network, or another --chain-id.",
    },
    Explanation {
        code: "record.type",
        rule: "A command reads records of some types.",
        source: "this program",
        causes: "The record of another command.",
    },
    Explanation {
        code: "contenthash.client_2020",
        rule: "The mobile client of 2020 reads and writes hashes of IPFS and Swarm.",
        source: "Status client 1.2",
        causes: "Without --client-2020, all namespaces are read.",
    },
    Explanation {
        code: "qr.none",
        rule: "A picture has a QR code.",
        source: "ISO/IEC 18004",
        causes: "The code is too small, or its quiet zone is missing.",
    },
    Explanation {
        code: "qr.broken",
        rule: "A QR code can be read in spite of some damage.",
        source: "ISO/IEC 18004",
        causes: "The picture is blurred or cut.",
    },
    Explanation {
        code: "qr.picture",
        rule: "A picture is a PNG file of at most 16 megapixels.",
        source: "PNG",
        causes: "A JPEG or SVG file.",
    },
    Explanation {
        code: "payload.legacy",
        rule: "Since 2020, payloads are protobuf in a wrapper with signature, payload and type.",
        source: "Status, Payloads",
        causes: "A message of an older client: transit JSON such as [\"~#c4\",…], alone or in a wrapper with the fields 4001 and 4002.",
    },
    Explanation {
        code: "payload.high_s",
        rule: "Of the two signatures that anyone can make of one, the one with the lower s is usual.",
        source: "SEC 1; the ids of messages cover the signature",
        causes: "Someone has changed the signature of another's message: it is valid, but has another message id, so clients show it twice.",
    },
    Explanation {
        code: "payload.stale_signature",
        rule: "A record keeps its signature as long as its fields are those that were signed.",
        source: "tools",
        causes: "A field was changed: sign again with --identity, or omit the signature with --unsigned.",
    },
    Explanation {
        code: "chat.name",
        rule: "Clients make public chats of small letters, digits and hyphens only. The topic is the hash of the exact name.",
        source: "Status clients, name of a new public chat",
        causes: "Capitals or blanks: the hint has the likely name. --exact-name takes any name, for other programs.",
    },
    Explanation {
        code: "chat.command",
        rule: "A command of status-chat is a JSON object on one line, with the members that it takes.",
        source: "tools",
        causes: "A member is missing, misspelt, or of another type; a line feed inside the object.",
    },
    Explanation {
        code: "chat.no_mailserver",
        rule: "History comes from a mailserver.",
        source: "tools",
        causes: "Start status-chat with --mailserver.",
    },
    Explanation {
        code: "chat.timeout",
        rule: "At the end of its input, status-chat waits for what is under way, for --timeout at most.",
        source: "tools",
        causes: "Peers or a mailserver are slow or offline. Try a longer --timeout.",
    },
    Explanation {
        code: "session.none",
        rule: "The state must have a session with this key.",
        source: "tools",
        causes: "Nothing was sent to its devices yet, or nothing came from them: status-session list.",
    },
    Explanation {
        code: "session.unknown_installation",
        rule: "An installation becomes known by a bundle that lists it.",
        source: "Status, Secure transport, Bundles",
        causes: "The other device has not said anything yet: status-session pair there.",
    },
    Explanation {
        code: "bundle.protobuf",
        rule: "A bundle is the protobuf message Bundle.",
        source: "Status, Secure transport, Bundles",
        causes: "Cut off, or something else: status-session bundle show reads records, hex, base64 and binary.",
    },
    Explanation {
        code: "group.history",
        rule: "The file of --group @FILE holds the events of exactly one group.",
        source: "tools",
        causes: "Write it with status-group new, or one of its other commands.",
    },
    Explanation {
        code: "mailserver.empty",
        rule: "A query is answered with the envelopes of its topics and its range of time; there were none.",
        source: "tools",
        causes: "Another --chat or --topic, a --from that does not reach far enough back, or a server that has not run for long: status-mailserver stats, on its machine, shows what it holds.",
    },
    Explanation {
        code: "mailserver.lost",
        rule: "Envelopes that were accepted are stored before the server ends; the archive did not take these.",
        source: "tools",
        causes: "A full disk, or a lost database: see the errors before this one.",
    },
    Explanation {
        code: "config.syntax",
        rule: "The configuration is a TOML file.",
        source: "TOML 1.1",
        causes: "A text without quotes, or a bracket that is missing. The error names the line.",
    },
    Explanation {
        code: "config.value",
        rule: "The configuration has profiles, contacts and chats, each setting with its kind of value.",
        source: "tools",
        causes: "A misspelt name. `statuskit config init` writes a file with all of them.",
    },
    Explanation {
        code: "config.secret",
        rule: "A configuration names the files of secrets; it never contains one.",
        source: "tools",
        causes: "A key, phrase or password in the place of a file name. Put it into a file of mode 0600.",
    },
    Explanation {
        code: "config.none",
        rule: "To check a configuration, there must be one.",
        source: "tools",
        causes: "No file yet (`statuskit config init`), or another HOME or XDG_CONFIG_HOME.",
    },
    Explanation {
        code: "nodes.file",
        rule: "A list of nodes has an enode per line, or is the JSON of a fleet.",
        source: "tools",
        causes: "Another file; or a file of several fleets: @FILE#eth.prod names one of them.",
    },
    Explanation {
        code: "inspect.no_bytes",
        rule: "A record is inspected by its member `raw`.",
        source: "tools",
        causes: "The record was made without its bytes: pass the bytes themselves.",
    },
    Explanation {
        code: "inspect.not_one",
        rule: "Each side of a comparison is one value.",
        source: "tools",
        causes: "A file with several records, or an empty one: pass one record alone.",
    },
    Explanation {
        code: "inspect.key_log",
        rule: "A key log has one JSON object per line, as the tools write it with --key-log.",
        source: "tools",
        causes: "Another file, or a line that was cut.",
    },
    Explanation {
        code: "input.empty",
        rule: "A tool that is given nothing does nothing: no default message is sent.",
        source: "tools",
        causes: "The command before it in the pipe failed: look at its error, or use `set -o pipefail`.",
    },
    Explanation {
        code: "input.utf8",
        rule: "Text and names are UTF-8.",
        source: "tools",
        causes: "Another encoding; see iconv.",
    },
    Explanation {
        code: "input.kind",
        rule: "A tool reads one kind of bytes: envelopes, payloads, …",
        source: "tools",
        causes: "The bytes are fine, but of another kind. The message says which, the hint what reads them.",
    },
    Explanation {
        code: "record.member",
        rule: "The member of a record that this tool needs is missing or malformed.",
        source: "tools",
        causes: "A record of another type: envelopes are read from envelope, check and message records.",
    },
    Explanation {
        code: "record.topic",
        rule: "A topic is four bytes.",
        source: "EIP-627, Topics",
        causes: "A name in place of its topic: status-topic chat NAME.",
    },
    Explanation {
        code: "file.read",
        rule: "A file or the input could not be read.",
        source: "tools",
        causes: "See the message of the system.",
    },
    Explanation {
        code: "file.mode",
        rule: "A file that secrets are appended to has mode 0600.",
        source: "tools",
        causes: "It was made by another program: chmod 600, or another file.",
    },
    Explanation {
        code: "file.write",
        rule: "A file or the output could not be written.",
        source: "tools",
        causes: "See the message of the system. Files with keys are never overwritten.",
    },
    Explanation {
        code: "sort.too_many",
        rule: "At most 100,000 messages, or 256 MiB of them, are sorted.",
        source: "tools",
        causes: "A long history: take parts of it with --since and --until, or the order of arrival.",
    },
    Explanation {
        code: "demo.mismatch",
        rule: "What arrives in the demo is what was sent.",
        source: "tools",
        causes: "A fault of ours.",
    },
    Explanation {
        code: "password.missing",
        rule: "A key file is opened with a password, which is never an argument.",
        source: "tools",
        causes: "No terminal to ask on: give --password-file, --password-fd or STATUS_PASSWORD.",
    },
    Explanation {
        code: "password.empty",
        rule: "An empty password protects nothing: no file is encrypted with one.",
        source: "tools",
        causes: "A variable that is not set, or an empty file.",
    },
    Explanation {
        code: "password.file",
        rule: "The file of a password has one line of at most 4096 bytes.",
        source: "tools",
        causes: "Another file.",
    },
    Explanation {
        code: "password.utf8",
        rule: "A passphrase, and what is typed into the mobile app, is UTF-8.",
        source: "tools",
        causes: "Another encoding; see iconv.",
    },
    Explanation {
        code: "file.exists",
        rule: "A file that is there is not overwritten.",
        source: "tools",
        causes: "Give another name, or --force, which puts the new file in the place of the old one as a whole.",
    },
    Explanation {
        code: "record.key",
        rule: "The record has a public key: public_key, compressed, signer or author.",
        source: "tools",
        causes: "A record of another type.",
    },
    Explanation {
        code: "fixtures.no_cases",
        rule: "A run without a case shows nothing.",
        source: "tools",
        causes: "The directory has no sets, or --filter and --shard leave none. `status-fixtures generate` makes some.",
    },
    Explanation {
        code: "fixtures.format",
        rule: "A file of a set has the members of its schema; see fixtures/README.md.",
        source: "tools",
        causes: "A file that was edited or cut.",
    },
    Explanation {
        code: "fixtures.program",
        rule: "An implementation under test reads requests line by line, answers each with a line, and ends with its input.",
        source: "tools",
        causes: "A program that is not in PATH, that ends at once, that prints what is no answer, or that waits for a terminal. Its own errors stand above. `status-fixtures shim --template python` prints one that works.",
    },
    Explanation {
        code: "fixtures.exceptions",
        rule: "Each exception names its case, its reason, and the last day on which it holds.",
        source: "tools",
        causes: "A member of [[exception]] is missing or unknown, or `until` is no date such as 2027-01-31.",
    },
    Explanation {
        code: "golden.command",
        rule: "What is recorded is the text that a command prints.",
        source: "tools",
        causes: "The program is not in PATH, or prints binary: --output json or hex.",
    },
    Explanation {
        code: "golden.missing",
        rule: "A check repeats commands that were recorded.",
        source: "tools",
        causes: "Another directory (--dir), or a name that was never recorded: `status-fixtures record NAME -- COMMAND`.",
    },
    Explanation {
        code: "golden.format",
        rule: "A record has the command, the masked members, the exit code and the lines.",
        source: "tools",
        causes: "A file of another program in the directory, or one that was edited.",
    },
    Explanation {
        code: "net.ended",
        rule: "A node runs until the tool ends it.",
        source: "tools",
        causes: "A fault of this tool: please report it.",
    },
];
