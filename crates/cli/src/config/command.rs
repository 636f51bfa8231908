//! `statuskit config`: makes, shows and checks the configuration.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{Active, Config, Origin, Profile, Setting, active, default_path};
use crate::{
    context::Context,
    error::{CliError, Exit, Result, Stop},
    files::{Readers, write_new},
    identity,
    keys::{parse_sym_key, public_chat},
    nodes::{self, Wanted},
    output::{Record, escape},
    password, text,
};

/// Make, show and check the configuration file: profiles, names of keys and chats, the key ring
///
/// A profile names peers, mailservers, an identity, a state, an archive, and the keys that receive,
/// open and query use. Options beat variables, variables beat the profile. Secrets are named by their
/// files. With --seed, a configuration counts only if --config or --profile names it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ statuskit config init --config made/config.toml
  $ statuskit config show --output text
  $ statuskit config init --config made/mine.toml; statuskit config check --config made/mine.toml")]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a configuration file to start from; an existing file stays as it is
    #[command(after_help = "\
Examples:
  $ statuskit config init --config made/config.toml")]
    Init,
    /// Print every setting, and where its value comes from
    #[command(after_help = "\
Examples:
  $ statuskit config show --output text
  $ STATUS_STATE=me.state statuskit config show | jq -c 'select(.name == \"state\")'")]
    Show,
    /// Check the file: syntax, names, nodes, the files it names and who can read them; exit 1 if
    /// something is wrong
    #[command(after_help = "\
Examples:
  $ statuskit config init --config made/config.toml; statuskit config check --config made/config.toml")]
    Check,
}

pub fn run(args: &ConfigArgs, cx: &mut Context) -> Result<()> {
    cx.format().require_records()?;
    match args.command {
        Command::Init => init(cx),
        Command::Show => show(active()?, cx),
        Command::Check => check(active()?, cx),
    }
}

/// What `init` writes. A test holds that it is a good configuration.
const TEMPLATE: &str = r#"# The configuration of statuskit. Options beat variables, variables beat this file.
# Paths are relative to this file. Secrets are never written here, only the names of their files.

[profiles.default]
# peers = ["enode://…@HOST:PORT", "@nodes.txt"]   # @FILE: one per line, or the JSON of a fleet
# mailservers = ["@fleets.json#eth.prod"]
# identity = "me.json"                            # status-account new --out me.json
# password_file = "me.password"                   # if the identity is a key file
# state = "me.state"
# store = "archive"

# The key ring of receive, open and query, if no option names a chat, password or key.
# chats = ["status"]
# sym_key_files = ["team.key"]
# password_files = ["club.password"]

# Another profile: --profile test, or STATUS_PROFILE=test.
[profiles.test]

# Names of keys: status-send --to alice.
[contacts]
# alice = "zQ3sh…"

# Short names of public chats: --chat team.
[chats]
# team = "our-team-of-2020"
"#;

fn init(cx: &mut Context) -> Result<()> {
    let path = cx.config_file().cloned().or_else(|| {
        let named = env::var_os("STATUS_CONFIG").filter(|value| !value.is_empty());
        named.map(PathBuf::from).or_else(default_path)
    });
    let path = path.ok_or_else(|| {
        CliError::usage("there is no home directory").field("--config").hint("--config FILE")
    })?;
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(|error| {
            let message = format!("can't make the directory {}: {error}", dir.display());
            CliError::new("file.write", Exit::Local, message).field("--config")
        })?;
    }
    write_new(&path, TEMPLATE.as_bytes(), Readers::Owner, "--config", false).map_err(|stop| {
        match stop {
            // There is no --force.
            Stop::Error(error) if error.code == "file.exists" => {
                let message = error.message.clone();
                CliError::new("file.exists", Exit::Local, message)
                    .field("--config")
                    .hint("edit it, or name another file with --config")
                    .into()
            }
            stop => stop,
        }
    })?;
    let record = Record::new("config").with("path", path.display().to_string());
    cx.emit(&record, |_| format!("made {}", path.display()))
}

/// A value, and where it comes from.
struct Shown {
    name: String,
    value: Value,
    source: String,
    line: Option<u64>,
}

/// Stands for what a variable contains, as it may be a secret.
const HIDDEN: &str = "(set)";

fn show(active: &Active, cx: &mut Context) -> Result<()> {
    let origin = |origin: &Origin| match origin {
        Origin::Flag(name) => format!("option {name}"),
        Origin::Variable(name) => format!("variable {name}"),
        Origin::Default => "default".to_owned(),
    };
    let path = active.path.as_ref();
    let profile = active.profile.as_ref();
    let mut rows = vec![
        Shown {
            name: "config".to_owned(),
            value: path.map(|(path, _)| path.display().to_string()).into(),
            source: path.map_or_else(|| "default".to_owned(), |(_, it)| origin(it)),
            line: None,
        },
        Shown {
            name: "profile".to_owned(),
            value: profile.map(|(name, _)| name.clone()).into(),
            source: profile.map_or_else(|| "default".to_owned(), |(_, it)| origin(it)),
            line: None,
        },
    ];
    if path.is_none() && cx.is_seeded() {
        cx.note("with a seed, a configuration counts only if --config or --profile names it");
    }
    rows.extend(settings_of(active));
    for (name, contact) in &active.config.contacts {
        rows.push(of_file(format!("contacts.{name}"), contact.value.to_string(), contact.line));
    }
    for (name, chat) in &active.config.chats {
        rows.push(of_file(format!("chats.{name}"), chat.value.clone(), chat.line));
    }
    for Shown { name, value, source, line } in rows {
        let record = Record::new("setting")
            .with("name", name.as_str())
            .with("value", value.clone())
            .with("source", source.as_str())
            .with_some("line", line);
        cx.emit(&record, |_| {
            let value = match &value {
                Value::Null => "(none)".to_owned(),
                Value::String(text) => escape(text),
                Value::Array(values) => {
                    let texts: Vec<_> = values.iter().filter_map(Value::as_str).collect();
                    escape(&texts.join(" "))
                }
                other => other.to_string(),
            };
            let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
            format!("{name:24} {value}  ({source}{line})")
        })?;
    }
    Ok(())
}

fn of_file(name: String, value: String, line: u64) -> Shown {
    Shown { name, value: value.into(), source: "file".to_owned(), line: Some(line) }
}

/// The settings of the profile, and the variables that beat them.
fn settings_of(active: &Active) -> Vec<Shown> {
    let profile = active.profile();
    let source =
        active.profile.as_ref().map_or("default".to_owned(), |(name, _)| format!("profile {name}"));
    let row = |name: &str, variable: Option<&str>, is_secret, of_profile: Option<(Value, u64)>| {
        let set = variable.and_then(|name| Some((name, env::var_os(name)?)));
        let set = set.filter(|(_, value)| !value.is_empty());
        let (value, source, line) = match (set, of_profile) {
            (Some((name, value)), _) => {
                (shown(&value, is_secret), format!("variable {name}"), None)
            }
            (None, Some((value, line))) => (value, source.clone(), Some(line)),
            (None, None) => (Value::Null, "default".to_owned(), None),
        };
        Shown { name: name.to_owned(), value, source, line }
    };
    let path = |setting: &Option<Setting<PathBuf>>| {
        setting.as_ref().map(|it| (it.value.display().to_string().into(), it.line))
    };
    // The state of the profile belongs to its identity.
    let has_other_identity = env::var_os("STATUS_IDENTITY").is_some();
    let state = if has_other_identity { None } else { path(&profile.state) };
    vec![
        row("peers", Some("STATUS_PEER"), false, texts(&profile.peers)),
        row("mailservers", Some("STATUS_PEER"), false, texts(&profile.mailservers)),
        row(
            "mailserver_password_file",
            Some("STATUS_MAILSERVER_PASSWORD"),
            true,
            path(&profile.mailserver_password_file),
        ),
        row("identity", Some("STATUS_IDENTITY"), true, path(&profile.identity)),
        row("password_file", Some("STATUS_PASSWORD"), true, path(&profile.password_file)),
        row("state", Some("STATUS_STATE"), false, state),
        row(
            "state_password_file",
            Some("STATUS_STATE_PASSWORD"),
            true,
            path(&profile.state_password_file),
        ),
        row(
            "store",
            Some("STATUS_STORE"),
            true,
            profile.store.as_ref().map(|it| (it.value.clone().into(), it.line)),
        ),
        row("chats", None, false, texts(&profile.chats)),
        row("sym_key_files", None, false, paths(&profile.sym_key_files)),
        row("password_files", None, false, paths(&profile.password_files)),
        row("seed", Some("STATUS_SEED"), true, None),
        row("now", Some("STATUS_NOW"), false, None),
    ]
}

fn shown(value: &OsStr, is_secret: bool) -> Value {
    if is_secret { HIDDEN.into() } else { value.to_string_lossy().into() }
}

fn texts(settings: &[Setting<String>]) -> Option<(Value, u64)> {
    let values: Vec<_> = settings.iter().map(|it| it.value.clone()).collect();
    Some((values.into(), settings.first()?.line))
}

fn paths(settings: &[Setting<PathBuf>]) -> Option<(Value, u64)> {
    let values: Vec<_> = settings.iter().map(|it| it.value.display().to_string()).collect();
    Some((values.into(), settings.first()?.line))
}

fn check(active: &Active, cx: &mut Context) -> Result<()> {
    let Some((path, _)) = &active.path else {
        return Err(CliError::new("config.none", Exit::Negative, "there is no configuration file")
            .hint("statuskit config init makes one")
            .into());
    };
    let mut checks = Checks { cx };
    let mode = fs::metadata(path).map(|found| found.permissions().mode()).unwrap_or_default();
    let found = match mode & 0o022 {
        0 => Ok(path.display().to_string()),
        _ => Err("others can write it: chmod go-w".to_owned()),
    };
    checks.show("file", None, found)?;
    for (name, profile) in &active.config.profiles {
        checks.profile(name, profile)?;
    }
    checks.names(&active.config)
}

struct Checks<'a> {
    cx: &'a mut Context,
}

type Found = std::result::Result<String, String>;

impl Checks<'_> {
    fn profile(&mut self, name: &str, profile: &Profile) -> Result<()> {
        let place = |member: &str| format!("profiles.{name}.{member}");
        for (member, wanted, nodes) in [
            ("peers", Wanted::Peers, &profile.peers),
            ("mailservers", Wanted::Mailservers, &profile.mailservers),
        ] {
            for node in nodes {
                let found = nodes::read(&node.value, wanted, member);
                let found = found.map(|nodes| text::count(nodes.len() as u64, "node"));
                self.show(&place(member), Some(node.line), found.map_err(|it| it.message.clone()))?;
            }
        }
        let passwords = [
            ("mailserver_password_file", &profile.mailserver_password_file),
            ("password_file", &profile.password_file),
            ("state_password_file", &profile.state_password_file),
        ];
        let passwords =
            passwords.iter().filter_map(|(member, file)| Some((*member, (*file).as_ref()?)));
        let ring = profile.password_files.iter().map(|file| ("password_files", file));
        for (member, file) in passwords.chain(ring) {
            let found =
                secret_file(&file.value, |path| match password::from_file(path, "password_file") {
                    Ok(password) if password.is_empty() => Err("the password is empty".to_owned()),
                    other => other.map(|_| ()).map_err(text_of),
                });
            self.show(&place(member), Some(file.line), found)?;
        }
        if let Some(file) = &profile.identity {
            let found = secret_file(&file.value, |path| identity::check(path).map_err(text_of));
            self.show(&place("identity"), Some(file.line), found)?;
        }
        for file in &profile.sym_key_files {
            let found = secret_file(&file.value, |path| {
                parse_sym_key(&format!("@{}", path.display())).map(|_| ()).map_err(text_of)
            });
            self.show(&place("sym_key_files"), Some(file.line), found)?;
        }
        if let Some(state) = &profile.state {
            self.show(&place("state"), Some(state.line), directory(&state.value))?;
        }
        if let Some(store) = profile.store.as_ref().filter(|store| !store.value.contains("://")) {
            self.show(&place("store"), Some(store.line), directory(Path::new(&store.value)))?;
        }
        for chat in &profile.chats {
            let found = public_chat(&chat.value).map_err(text_of);
            let found = found.map(|found| format!("topic {}", found.topic));
            self.show(&place("chats"), Some(chat.line), found)?;
        }
        Ok(())
    }

    fn names(&mut self, config: &Config) -> Result<()> {
        for (name, contact) in &config.contacts {
            let found = Ok(contact.value.to_string());
            self.show(&format!("contacts.{name}"), Some(contact.line), found)?;
        }
        for (name, chat) in &config.chats {
            let found = public_chat(&chat.value).map_err(text_of);
            let found = found.map(|found| format!("topic {}", found.topic));
            self.show(&format!("chats.{name}"), Some(chat.line), found)?;
        }
        Ok(())
    }

    fn show(&mut self, name: &str, line: Option<u64>, found: Found) -> Result<()> {
        let (passes, found) = match &found {
            Ok(found) => (true, found),
            Err(found) => (false, found),
        };
        if !passes {
            self.cx.negative();
        }
        let record = Record::new("config_check")
            .with("name", name)
            .with("pass", passes)
            .with("found", found.as_str())
            .with_some("line", line);
        self.cx.emit(&record, |_| {
            let mark = text::mark(passes);
            format!("{mark} {name}: {}", escape(found))
        })
    }
}

/// What a file with a secret is like; `read` looks into it.
fn secret_file(path: &Path, read: impl FnOnce(&Path) -> std::result::Result<(), String>) -> Found {
    let shown = path.display();
    let found = fs::metadata(path).map_err(|error| format!("{shown}: {error}"))?;
    if found.permissions().mode() & 0o077 != 0 {
        return Err(format!("{shown}: others can read it: chmod 600"));
    }
    read(path)?;
    Ok(shown.to_string())
}

fn directory(path: &Path) -> Found {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(shown.to_string()),
        Ok(_) => Err(format!("{shown}: not a directory")),
        Err(_) => Ok(format!("{shown}, which is made when it is first needed")),
    }
}

fn text_of(stop: Stop) -> String {
    match stop {
        Stop::Error(error) => error.message.clone(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;

    #[test]
    fn the_template_is_a_configuration() {
        let read = |text: &str| file::parse(text, Path::new("/x"), None);
        assert_eq!(read(TEMPLATE).unwrap().profiles.len(), 2);
        // Its comments as well, with real values.
        let key = "0x0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let all = TEMPLATE.replace("\n# ", "\n").replace("zQ3sh…", key);
        let is_setting = |line: &&str| line.contains(" = ") || line.starts_with('[');
        let all: Vec<_> = all.lines().filter(is_setting).collect();
        let config = read(&all.join("\n")).unwrap();
        let profile = &config.profiles["default"];
        assert_eq!((profile.peers.len(), profile.chats.len()), (2, 1));
        assert!(profile.state.is_some() && profile.store.is_some());
        assert_eq!((config.contacts.len(), config.chats.len()), (1, 1));
    }
}
