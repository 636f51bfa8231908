//! The last look at what is printed about a command line: whatever an error or a note quotes, a
//! secret that was given as an argument or a variable is described, never shown.

use std::sync::OnceLock;

use statuskit_core::{crypto::PublicKey, text::describe_secret};

/// How the names of the variables begin that stand for options.
const PREFIX: &str = "STATUS_";

/// A text that may not be shown, and what stands in its place.
struct Hidden {
    text: String,
    what: String,
}

static HIDDEN: OnceLock<Vec<Hidden>> = OnceLock::new();

/// Replaces the secrets of this process's arguments and variables by their descriptions.
pub fn redact(text: &str) -> String {
    replace(text, HIDDEN.get_or_init(|| hidden(&foreign_texts())))
}

/// The arguments, and the variables that stand for options.
fn foreign_texts() -> Vec<String> {
    let variables = std::env::vars_os().filter(|it| it.0.to_string_lossy().starts_with(PREFIX));
    let arguments = std::env::args_os().skip(1);
    let texts = arguments.chain(variables.map(|(_, value)| value));
    texts.map(|text| text.to_string_lossy().into_owned()).collect()
}

/// Whether a text is public by its form, for all its digits: a public key, a node, the place where a
/// query goes on.
fn is_public(text: &str) -> bool {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    text.starts_with("enode://")
        || text.parse::<PublicKey>().is_ok()
        || digits.len() == 72 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn hidden(foreign: &[String]) -> Vec<Hidden> {
    let mut hidden = Vec::new();
    for text in foreign {
        let value = text.split_once('=').map_or(text.as_str(), |(_, value)| value);
        let values = [text.as_str(), value, value.trim_start_matches('@'), value.trim()];
        let Some(what) = describe_secret(value).filter(|_| !is_public(value)) else { continue };
        // clap and JSON show some characters escaped; others quote only the digits, or a part.
        let digits = text.split(|c: char| !c.is_ascii_hexdigit()).max_by_key(|run| run.len());
        let begins: String = value.chars().take(48).collect();
        let begins = Some(begins.as_str()).filter(|it| it.len() > 24);
        for form in values.into_iter().chain(begins).chain(digits.filter(|it| it.len() >= 32)) {
            for form in [form.to_owned(), form.escape_debug().to_string()] {
                hidden.push(Hidden { text: form, what: what.clone() });
            }
        }
    }
    // A phrase without quotes: each of its words is an argument.
    if describe_secret(&foreign.join(" ")).is_some_and(|what| what.contains("words")) {
        for word in foreign.iter().filter(|word| !word.is_empty()) {
            for quote in ['\'', '"'] {
                let text = format!("{quote}{word}{quote}");
                hidden.push(Hidden { text, what: "a word, as in a recovery phrase,".to_owned() });
            }
        }
    }
    // The longest first: others may be parts of it.
    hidden.sort_by_key(|it| std::cmp::Reverse(it.text.len()));
    hidden
}

fn replace(text: &str, hidden: &[Hidden]) -> String {
    let shown = |text: String, it: &Hidden| match text.contains(&it.text) {
        true => text.replace(&it.text, &it.what),
        false => text,
    };
    hidden.iter().fold(text.to_owned(), shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_the_command_line_are_described() {
        let key = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
        let phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow";
        for (foreign, text) in [
            (vec![format!("--config={key}")], format!("can't read {key}: no such file")),
            (vec![format!("@0x{key}")], format!("can't read 0x{key}")),
            (vec![format!("0x{key}")], format!("not a number: {}", &key[..64])),
            (vec![phrase.to_owned()], format!("no store at {phrase}/data.mdb")),
            (vec![format!("{phrase}\nand more")], format!("{:?}", format!("{phrase}\nand more"))),
            (phrase.split(' ').map(str::to_owned).collect(), "unexpected 'winner'".to_owned()),
        ] {
            let shown = replace(&text, &hidden(&foreign));
            for part in ["0883a6", "winner", "sausage"] {
                assert!(!shown.contains(part), "{shown}");
            }
            assert!(shown.contains(" as in a "), "{shown}");
        }
        for public in [
            "enode://4e3b81af9c2234cad09d679ce6035ed1392347ce64ce405f5dcd36228a25de6e47fd35c4215d1edf53e6f83de344615ce719bdb0fd878f6ed76f06dd277956de@127.0.0.1:1".to_owned(),
            "0x024e3b81af9c2234cad09d679ce6035ed1392347ce64ce405f5dcd36228a25de6e".to_owned(),
            "00".repeat(36),
        ] {
            assert_eq!(replace(&public, &hidden(std::slice::from_ref(&public))), public);
        }
        let foreign = ["--chat".to_owned(), "status".to_owned(), "a".to_owned()];
        assert_eq!(replace("status has a fault", &hidden(&foreign)), "status has a fault");
    }
}
