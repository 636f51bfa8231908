//! The commands of `status-chat`: one JSON object per line.

use serde_json::{Map, Value};
use statuskit_client::GroupChange;
use statuskit_core::{
    chat::{Destination, PublicChat},
    crypto::PublicKey,
    text::quote,
};

use crate::{
    error::{CliError, Exit},
    keys::{chat_name, parse_public_key},
    time::{Moment, parse_moment},
};

type Result<T> = std::result::Result<T, CliError>;

/// A command.
#[derive(Debug)]
pub enum Command {
    Send(Destination, String),
    Join(PublicChat),
    Leave(PublicChat),
    /// What the mailserver has since a time.
    History(Option<Moment>),
    Groups,
    Create {
        name: String,
        members: Vec<PublicKey>,
    },
    Change(String, GroupChange),
    Contacts,
}

/// What a line asks for.
#[derive(Debug)]
pub struct Asked {
    /// Its member `id`, which the results have as well.
    pub id: Option<Value>,
    /// The name of the command, if it is one.
    pub name: Option<&'static str>,
    /// The command.
    pub command: Result<Command>,
}

/// The commands, with the members that each takes. Those with `?` may be left out.
const COMMANDS: [(&str, &[&str]); 12] = [
    ("send", &["text", "to?", "chat?", "group?"]),
    ("join", &["chat?", "group?"]),
    ("leave", &["chat?", "group?"]),
    ("history", &["since?"]),
    ("groups", &[]),
    ("create", &["name", "members?"]),
    ("invite", &["group", "members"]),
    ("remove", &["group", "member"]),
    ("promote", &["group", "members"]),
    ("resign", &["group"]),
    ("rename", &["group", "name"]),
    ("contacts", &[]),
];

impl Asked {
    /// Reads a line.
    pub fn parse(line: &str) -> Self {
        // What the parser says may quote the line.
        let members = match serde_json::from_str::<Value>(line) {
            Ok(Value::Object(members)) => members,
            Ok(_) => return Self::refused(malformed("a command is a JSON object")),
            Err(error) => {
                let at = error.column();
                return Self::refused(malformed(&format!("not JSON, at character {at}")));
            }
        };
        let mut members = Members(members);
        let id = members.0.shift_remove("id");
        let named = members.text("command").and_then(|text| {
            let known = COMMANDS.iter().find(|(name, _)| *name == text);
            known.ok_or_else(|| {
                let names: Vec<_> = COMMANDS.iter().map(|(name, _)| *name).collect();
                malformed(&format!("{} is no command", quote(&text)))
                    .field("command")
                    .hint(names.join(", "))
            })
        });
        match named {
            Ok((name, takes)) => {
                let command = members.check(takes).and_then(|()| members.command(name));
                Self { id, name: Some(name), command }
            }
            Err(error) => Self { id, name: None, command: Err(error) },
        }
    }

    /// A line that is no command.
    pub fn refused(error: CliError) -> Self {
        Self { id: None, name: None, command: Err(error) }
    }
}

fn malformed(message: &str) -> CliError {
    CliError::new("chat.command", Exit::Malformed, message)
        .hint(r#"{"command":"send","to":"0x04…","text":"hello","id":1}"#)
}

/// The members of a command.
struct Members(Map<String, Value>);

impl Members {
    /// Checks that there are no others than those that it takes.
    fn check(&self, takes: &[&str]) -> Result<()> {
        let is_taken = |name: &str| {
            name == "command" || takes.iter().any(|it| it.trim_end_matches('?') == name)
        };
        match self.0.keys().find(|name| !is_taken(name)) {
            None => Ok(()),
            Some(other) => {
                let takes: Vec<_> = takes.iter().map(|it| it.trim_end_matches('?')).collect();
                let message = format!("the command has no member {}", quote(other));
                Err(CliError::new("chat.command", Exit::Malformed, message)
                    .hint(format!("it takes: id, {}", takes.join(", "))))
            }
        }
    }

    fn command(&self, name: &str) -> Result<Command> {
        Ok(match name {
            "send" => Command::Send(self.destination()?, self.text("text")?),
            "join" | "leave" if self.has("group") => {
                let change = match name {
                    "join" => GroupChange::Join,
                    _ => GroupChange::Leave,
                };
                Command::Change(self.text("group")?, change)
            }
            "join" => Command::Join(self.chat()?),
            "leave" => Command::Leave(self.chat()?),
            "history" => Command::History(self.since()?),
            "groups" => Command::Groups,
            "create" => Command::Create {
                name: self.text("name")?,
                members: if self.has("members") { self.keys("members")? } else { Vec::new() },
            },
            "invite" => self.change(GroupChange::Add(self.keys("members")?))?,
            "remove" => self.change(GroupChange::Remove(self.key("member")?))?,
            "promote" => self.change(GroupChange::Promote(self.keys("members")?))?,
            "resign" => self.change(GroupChange::Resign)?,
            "rename" => self.change(GroupChange::Rename(self.text("name")?))?,
            _ => Command::Contacts,
        })
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn text(&self, name: &'static str) -> Result<String> {
        match self.0.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(wrong(name, "expected a text")),
            None => Err(wrong(name, "the command needs this member")),
        }
    }

    fn change(&self, change: GroupChange) -> Result<Command> {
        Ok(Command::Change(self.text("group")?, change))
    }

    fn chat(&self) -> Result<PublicChat> {
        let name = chat_name(&self.text("chat")?).map_err(|error| error.field("chat"))?;
        Ok(PublicChat::new(&name))
    }

    fn destination(&self) -> Result<Destination> {
        let given = ["to", "chat", "group"].map(|name| self.has(name));
        match given {
            [true, false, false] => Ok(Destination::Person(self.key("to")?)),
            [false, true, false] => Ok(Destination::Public(self.chat()?)),
            [false, false, true] => Ok(Destination::Group(self.text("group")?)),
            _ => Err(wrong("to", "a text needs one recipient: to, chat or group")),
        }
    }

    fn key(&self, name: &'static str) -> Result<PublicKey> {
        as_key(&self.text(name)?, name)
    }

    fn keys(&self, name: &'static str) -> Result<Vec<PublicKey>> {
        let Some(Value::Array(texts)) = self.0.get(name) else {
            return Err(wrong(name, "expected a list of public keys"));
        };
        let keys = texts.iter().map(|text| match text {
            Value::String(text) => as_key(text, name),
            _ => Err(wrong(name, "expected a list of public keys")),
        });
        keys.collect()
    }

    fn since(&self) -> Result<Option<Moment>> {
        let text = match self.0.get("since") {
            None => return Ok(None),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(_) => return Err(wrong("since", "expected a time, such as \"1d\"")),
        };
        parse_moment(&text).map(Some).map_err(|message| wrong("since", &message))
    }
}

fn wrong(name: &'static str, message: &str) -> CliError {
    CliError::new("chat.command", Exit::Malformed, message).field(name)
}

fn as_key(text: &str, name: &str) -> Result<PublicKey> {
    parse_public_key(text, name).map_err(|stop| match stop {
        crate::error::Stop::Error(error) => error.exit(Exit::Malformed),
        _ => wrong("to", "no public key"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_read_and_others_are_told() {
        let key = "0x0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        for line in [
            format!(r#"{{"command":"send","to":"{key}","text":"a"}}"#),
            r#"{"command":"send","chat":"status","text":""}"#.to_owned(),
            r#"{"command":"send","group":"g","text":"a","id":[1,{}]}"#.to_owned(),
            r#"{"command":"join","chat":"a-1"}"#.to_owned(),
            r#"{"command":"join","group":"g"}"#.to_owned(),
            r#"{"command":"leave","chat":"a-1"}"#.to_owned(),
            r#"{"command":"leave","group":"g"}"#.to_owned(),
            r#"{"command":"history"}"#.to_owned(),
            r#"{"command":"history","since":"1d"}"#.to_owned(),
            r#"{"command":"history","since":1585500000}"#.to_owned(),
            r#"{"command":"groups"}"#.to_owned(),
            format!(r#"{{"command":"create","name":"n","members":["{key}"]}}"#),
            r#"{"command":"create","name":"n"}"#.to_owned(),
            format!(r#"{{"command":"invite","group":"g","members":["{key}"]}}"#),
            format!(r#"{{"command":"remove","group":"g","member":"{key}"}}"#),
            format!(r#"{{"command":"promote","group":"g","members":["{key}"]}}"#),
            r#"{"command":"resign","group":"g"}"#.to_owned(),
            r#"{"command":"rename","group":"g","name":"n"}"#.to_owned(),
            r#"{"command":"contacts"}"#.to_owned(),
        ] {
            let asked = Asked::parse(&line);
            assert!(asked.command.is_ok(), "{line}: {:?}", asked.command);
        }
        for line in [
            "",
            "[]",
            "{",
            "{}",
            r#"{"command":1}"#,
            r#"{"command":"shout"}"#,
            r#"{"command":"send","text":"a"}"#,
            r#"{"command":"send","chat":"a","group":"b","text":"a"}"#,
            r#"{"command":"send","chat":"a","text":1}"#,
            r#"{"command":"send","to":"bob","text":"a"}"#,
            r#"{"command":"send","chat":"A B","text":"a"}"#,
            r#"{"command":"groups","x":1}"#,
            r#"{"command":"history","since":{}}"#,
            r#"{"command":"history","since":"soon"}"#,
            r#"{"command":"invite","group":"g","members":"k"}"#,
            r#"{"command":"invite","group":"g","members":[1]}"#,
        ] {
            assert!(Asked::parse(line).command.is_err(), "{line}");
        }
        let asked = Asked::parse(r#"{"command":"shout","id":"x"}"#);
        assert_eq!((asked.id, asked.name), (Some("x".into()), None));
    }

    #[test]
    fn what_may_be_a_secret_is_not_repeated() {
        let secret = "11".repeat(32);
        for line in [
            format!(r#"{{"command":"{secret}"}}"#),
            format!(r#"{{"command":"groups","{secret}":1}}"#),
            format!(r#"{{"command":"send","to":"{secret}","text":"a"}}"#),
            format!(r#"{{"command":"send","chat":"{secret}","text":1}}"#),
            format!(r#"{{"{secret}"}}"#),
        ] {
            let error = Asked::parse(&line).command.unwrap_err();
            assert!(!error.to_json().to_string().contains(&secret), "{line}: {error:?}");
        }
    }
}
