//! Of mailservers and their archives.

use crate::codes::Explanation;

pub(super) const CODES: &[Explanation] = &[
    Explanation {
        code: "mailserver.payload",
        rule: "A request inside an envelope is an RLP list of seven items (or six, or five), or at least eight raw bytes.",
        source: "Status specifications, Mailserver; the layouts are those of the reference",
        causes: "Another layout. The reference takes the seven items only: [lower, upper, bloom, [], limit, cursor, batch].",
    },
    Explanation {
        code: "mailserver.range",
        rule: "The first second of a request is not after its last; in the raw form they are at most a day apart.",
        source: "Status specifications, Mailserver",
        causes: "From and to are swapped, or in milliseconds.",
    },
    Explanation {
        code: "mailserver.bloom",
        rule: "A request names its topics by a bloom filter of 64 bytes.",
        source: "Status specifications, Mailserver",
        causes: "Only the list of topics was given, by which no server selects.",
    },
    Explanation {
        code: "mailserver.limit",
        rule: "One page has at most 1000 envelopes.",
        source: "Status specifications, Mailserver",
        causes: "Ask for the next page with the cursor.",
    },
    Explanation {
        code: "mailserver.cursor",
        rule: "A cursor is 36 bytes: the second and the hash of the last envelope of a page, for the same range and the same server.",
        source: "Status specifications, Mailserver; the reference starts over in silence",
        causes: "The cursor is of another server, or of another range. Ask again without it.",
    },
    Explanation {
        code: "mailserver.request_id",
        rule: "The id of a plain request has 32 bytes.",
        source: "the reference implementation",
        causes: "A shortened id.",
    },
    Explanation {
        code: "mailserver.refused",
        rule: "The mailserver answered with an error, in its own words.",
        source: "Status specifications, Mailserver",
        causes: "failed to decrypt: another password. not allowed: with a private password, a server answers no plain requests, and only mailservers that it names may copy its archive. lower > upper: the range. Servers before 2020 take ranges of a day at most.",
    },
    Explanation {
        code: "mailserver.rate_limited",
        rule: "A mailserver may ask its clients to wait between two requests.",
        source: "Status specifications, Mailserver",
        causes: "Wait as many seconds as its operator has set, often one to ten.",
    },
    Explanation {
        code: "mailserver.timeout",
        rule: "A mailserver sends the next part of its answer within ten seconds.",
        source: "the reference implementation",
        causes: "The peer is not a mailserver, or its archive is slow: ask for a shorter range.",
    },
    Explanation {
        code: "mailserver.disconnected",
        rule: "The connection with the mailserver must last until it has answered.",
        source: "tools",
        causes: "It is full, restarted, or not reachable.",
    },
    Explanation {
        code: "mailserver.lagged",
        rule: "So much happened on the node that part of an answer was lost before it was read.",
        source: "tools",
        causes: "A node with much traffic: ask with a node of its own, which takes no envelopes.",
    },
    Explanation {
        code: "mailserver.misbehaved",
        rule: "Pages end, bring something new, and their cursors lead on.",
        source: "Status specifications, Mailserver",
        causes: "A broken or hostile server.",
    },
    Explanation {
        code: "mailserver.node",
        rule: "A node that is to be a mailserver takes requests and hears of every envelope.",
        source: "library",
        causes: "Mailserver::prepare was not called on the settings of the node.",
    },
    Explanation {
        code: "mailserver.no_key",
        rule: "Requests are encrypted: with a password that the clients know, or to the mailserver's key.",
        source: "Status specifications, Mailserver",
        causes: "Give the password of the fleet, status-offline-inbox, or one of your own.",
    },
    Explanation {
        code: "mailserver.pow",
        rule: "The server asks for a proof of work that can be reached.",
        source: "EIP-627, Mining",
        causes: "A server with nonsense in its Status.",
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
        code: "archive.io",
        rule: "The files of an archive, or the connection with its database, must work.",
        source: "tools",
        causes: "A directory that can't be written, a database server that is down.",
    },
    Explanation {
        code: "archive.damaged",
        rule: "An archive only holds what was written to it.",
        source: "tools",
        causes: "A failing disk, or files that were changed from outside. status-mailserver check shows what is wrong; export --salvage saves what is intact.",
    },
    Explanation {
        code: "archive.full",
        rule: "There must be room for what is stored.",
        source: "tools",
        causes: "A full disk: status-mailserver prune makes room inside the archive, not on the disk.",
    },
    Explanation {
        code: "archive.unusable",
        rule: "An archive is a directory with one, or a PostgreSQL database; only one process writes to a directory.",
        source: "tools",
        causes: "A running server has it open, there is none at this place, it was made by another version, or the user may not.",
    },
    Explanation {
        code: "archive.bad_entry",
        rule: "An entry of an archive of status-go or go-ethereum is a key of 40 or 36 bytes (second, hash, topic) with the RLP of its envelope.",
        source: "the reference implementation",
        causes: "A damaged archive, or a database of something else. All other entries were imported.",
    },
];
