//! Of what the tools read and write: input, files, secrets, the system.

use crate::codes::Explanation;

pub(super) const CODES: &[Explanation] = &[
    Explanation {
        code: "input.empty",
        rule: "A tool that is given nothing does nothing: no default message is sent.",
        source: "tools",
        causes: "The command before it in the pipe failed: look at its error, or use `set -o pipefail`.",
    },
    Explanation {
        code: "input.json",
        rule: "A line that begins with { is a JSON record of one of the tools.",
        source: "tools",
        causes: "JSON over several lines: use `jq -c`.",
    },
    Explanation {
        code: "input.hex",
        rule: "After 0x come hex digits, two for each byte.",
        source: "tools",
        causes: "A digit was lost.",
    },
    Explanation {
        code: "input.utf8",
        rule: "Text and names are UTF-8.",
        source: "tools",
        causes: "Another encoding; see iconv.",
    },
    Explanation {
        code: "input.unrecognised",
        rule: "A line is a JSON record, hex, or base64; input that does not begin as text is binary.",
        source: "tools",
        causes: "Words of another program on its standard output.",
    },
    Explanation {
        code: "input.too_long",
        rule: "Records and lines are bounded.",
        source: "tools",
        causes: "Not the output of one of the tools.",
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
        code: "system.randomness",
        rule: "The system gave no random bytes.",
        source: "tools",
        causes: "A sandbox without getrandom.",
    },
    Explanation {
        code: "local.random",
        rule: "The system gave no random numbers.",
        source: "the system",
        causes: "A sandbox without getrandom.",
    },
    Explanation {
        code: "system.runtime",
        rule: "The system gave no thread or event queue.",
        source: "the system",
        causes: "A limit on threads or files: see ulimit.",
    },
    Explanation {
        code: "demo.mismatch",
        rule: "What arrives in the demo is what was sent.",
        source: "tools",
        causes: "A fault of ours.",
    },
    Explanation {
        code: "identity.empty",
        rule: "An identity is a hex key, a phrase, xprv…, a key file or an account file.",
        source: "tools",
        causes: "An empty file.",
    },
    Explanation {
        code: "identity.too_large",
        rule: "Nothing that holds an identity has more than 64 KiB.",
        source: "tools",
        causes: "Another file.",
    },
    Explanation {
        code: "identity.utf8",
        rule: "Whatever holds an identity is text.",
        source: "tools",
        causes: "A binary file: the 32 bytes of a key go in as 64 hex digits.",
    },
    Explanation {
        code: "identity.public_only",
        rule: "To sign and to decrypt takes the private key.",
        source: "tools",
        causes: "A record that was printed without --show-secret, or xpub…: give the file that `new --out` wrote.",
    },
    Explanation {
        code: "identity.unknown",
        rule: "An identity is a hex key, a phrase, xprv…, a key file or an account file.",
        source: "tools",
        causes: "A lost digit of a hex key, or another file.",
    },
    Explanation {
        code: "identity.no_tree",
        rule: "Paths lead from the key of a tree: a phrase, xprv…, or a key file with an extended key.",
        source: "BIP32",
        causes: "A single private key has no children; leave the path away.",
    },
    Explanation {
        code: "identity.mismatch",
        rule: "The public_key in an account file is that of its secret.",
        source: "tools",
        causes: "The file was edited, or made with another passphrase.",
    },
    Explanation {
        code: "password.missing",
        rule: "A key file is opened with a password, which never stands in the arguments.",
        source: "tools",
        causes: "No terminal to ask on: give --password-file, --password-fd or STATUS_PASSWORD.",
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
        code: "usage",
        rule: "The arguments don't fit the command.",
        source: "tools",
        causes: "See --help, and its examples.",
    },
];
