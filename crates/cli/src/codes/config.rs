//! Of the configuration file.

use crate::codes::Explanation;

pub(super) const CODES: &[Explanation] = &[
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
];
