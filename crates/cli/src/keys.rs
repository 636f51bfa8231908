//! Keys from options, files and the environment. Private keys are never read from arguments.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use statuskit_core::{
    account::{ChatKeyError, DerivationPath, Form, Identity, ShareLink, parse_chat_key},
    chat::{Destination, KeyRing, PublicChat},
    crypto::{PublicKey, SecretKey},
    envelope::{SymKey, Topic},
    text::{describe_secret, quote},
};
use zeroize::Zeroizing;

use crate::{
    config,
    context::{Context, note_later, takes_exact_names},
    error::{CliError, Exit, Result},
    files::show_path,
    identity::{self, UnlockArgs},
    password,
};

/// The longest file that is accepted as a symmetric key.
const MAX_KEY_FILE: u64 = 64 << 10;

/// The user's identity.
#[derive(Debug, Clone, Args)]
pub struct IdentityArgs {
    /// File with your private key, as 64 hex digits, a recovery phrase, xprv…, a web3 key file, or
    /// the file of `status-account new --out`; `-` is standard input. The environment variable
    /// STATUS_IDENTITY may contain the file name or the secret itself
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Key of the identity to use: a path such as m/44'/60'/0'/0/0, or a name (chat, wallet,
    /// encryption, …) [default: chat]
    #[arg(long, value_name = "PATH")]
    pub path: Option<DerivationPath>,
    #[command(flatten)]
    pub unlock: UnlockArgs,
}

impl IdentityArgs {
    /// Reads the private key. `None` if neither option nor environment gives one.
    pub fn load(&self) -> Result<Option<SecretKey>> {
        let Some(identity) = self.load_identity()? else {
            if self.path.is_some() {
                return Err(no_identity().field("--path").into());
            }
            return Ok(None);
        };
        Ok(Some(self.key_of(&identity)?))
    }

    /// Reads the private key, which is required.
    pub fn require(&self) -> Result<SecretKey> {
        self.load()?.ok_or_else(|| no_identity().into())
    }

    /// Reads the identity. `None` if neither option nor environment gives one.
    pub fn load_identity(&self) -> Result<Option<Identity>> {
        let field = "STATUS_IDENTITY";
        if let Some(path) = &self.identity {
            return identity::read(path, "--identity", &self.unlock).map(Some);
        }
        let Some(value) = std::env::var_os(field) else { return self.of_profile() };
        let value = Zeroizing::new(value.to_string_lossy().into_owned());
        let text = value.trim();
        let is_file = match Form::detect(text) {
            // File names may contain spaces.
            Some(Form::Phrase) => Path::new(text).exists(),
            Some(Form::ExtendedPublic) => true,
            // What looks like a secret is none of a file that is not there.
            None => describe_secret(text).is_none() || Path::new(text).exists(),
            Some(_) => false,
        };
        if !is_file {
            return identity::parse(text.as_bytes(), field, field, &self.unlock).map(Some);
        }
        identity::read(Path::new(text), field, &self.unlock).map(Some)
    }

    /// Whether the identity is the profile's: neither option nor environment gives another.
    pub fn is_of_profile(&self) -> bool {
        self.identity.is_none() && std::env::var_os("STATUS_IDENTITY").is_none()
    }

    /// Whether an option, the environment or the profile names an identity.
    pub fn is_given(&self) -> Result<bool> {
        Ok(!self.is_of_profile() || config::profile()?.identity.is_some())
    }

    fn of_profile(&self) -> Result<Option<Identity>> {
        let profile = config::profile()?;
        let Some(path) = &profile.identity else { return Ok(None) };
        let mut unlock = self.unlock.clone();
        let password = &mut unlock.password;
        let is_given = password.password_file.is_some()
            || password.password_fd.is_some()
            || std::env::var_os("STATUS_PASSWORD").is_some();
        if !is_given {
            password.password_file = profile.password_file.as_ref().map(|file| file.value.clone());
        }
        identity::read(&path.value, "identity", &unlock).map(Some)
    }

    /// Reads the identity, which is required.
    pub fn require_identity(&self) -> Result<Identity> {
        self.load_identity()?.ok_or_else(|| no_identity().into())
    }

    /// Returns the key of the identity that --path selects.
    pub fn key_of(&self, identity: &Identity) -> Result<SecretKey> {
        let key = identity.key(self.path.as_ref());
        Ok(key.map_err(|error| identity::import_error(&error, "the identity").field("--path"))?)
    }
}

fn no_identity() -> CliError {
    CliError::usage("this needs your private key")
        .field("--identity")
        .hint("status-account new --out me.json, then --identity me.json")
}

/// Reads a private key from a file; `field` is the option that named it.
pub fn read_identity(path: &Path, field: &str) -> Result<SecretKey> {
    let identity = identity::read(path, field, &UnlockArgs::default())?;
    let key = identity.key(None);
    Ok(key.map_err(|error| identity::import_error(&error, "the identity").field(field))?)
}

/// Keys for opening envelopes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Keys")]
pub struct OpenArgs {
    /// Open messages of this public chat. Repeatable
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(config::chat_names))]
    pub chat: Vec<String>,
    /// Try the symmetric key of this password on every topic. Repeatable
    #[arg(long, value_name = "TEXT")]
    pub password: Vec<String>,
    /// Try this symmetric key on every topic: 64 hex digits, or @FILE. Repeatable
    #[arg(long, value_name = "HEX")]
    pub sym_key: Vec<String>,
    #[command(flatten)]
    pub identity: IdentityArgs,
}

impl OpenArgs {
    /// Collects all given keys.
    pub fn key_ring(&self) -> Result<KeyRing> {
        self.ring_with(&self.symmetric()?)
    }

    /// Collects the symmetric keys, which were read before, and the identity.
    pub fn ring_with(&self, symmetric: &SymmetricKeys) -> Result<KeyRing> {
        let mut ring = KeyRing::new();
        for chat in &symmetric.chats {
            ring.add_chat(chat);
        }
        for password in &symmetric.passwords {
            ring.add_password(password);
        }
        for key in &symmetric.keys {
            ring.add_sym_key(key.clone());
        }
        if let Some(key) = self.identity.load()? {
            ring.add_identity(key);
        }
        Ok(ring)
    }

    /// Reads the chats, passwords and symmetric keys of the options. Without any, those of the profile
    /// are the key ring.
    pub fn symmetric(&self) -> Result<SymmetricKeys> {
        let mut found = SymmetricKeys::default();
        let is_named =
            !(self.chat.is_empty() && self.password.is_empty() && self.sym_key.is_empty());
        if is_named {
            found.is_named = true;
            found.chats = self.chat.iter().map(|name| public_chat(name)).collect::<Result<_>>()?;
            let password =
                |it: &String| Ok(Zeroizing::new(not_empty(it, "--password")?.to_owned()));
            found.passwords = self.password.iter().map(password).collect::<Result<_>>()?;
            found.keys = self.sym_key.iter().map(|it| parse_sym_key(it)).collect::<Result<_>>()?;
            return Ok(found);
        }
        let profile = config::profile()?;
        for chat in &profile.chats {
            found.chats.push(public_chat(&chat.value)?);
        }
        for file in &profile.password_files {
            let password = password::from_file(&file.value, "password_files")?;
            found.passwords.push(identity::text_of(&password, "a password of the profile")?);
        }
        for file in &profile.sym_key_files {
            found.keys.push(parse_sym_key(&format!("@{}", file.value.display()))?);
        }
        Ok(found)
    }
}

/// The symmetric keys to open with.
#[derive(Default)]
pub struct SymmetricKeys {
    pub chats: Vec<PublicChat>,
    pub passwords: Vec<Zeroizing<String>>,
    pub keys: Vec<SymKey>,
    /// Whether options name them, and not the profile.
    pub is_named: bool,
}

/// The recipient of a message.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Recipient")]
#[group(id = "recipient", multiple = false)]
pub struct SealArgs {
    /// Send to a public chat, as a chat message of the Status clients
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(config::chat_names))]
    pub chat: Option<String>,
    /// Encrypt with the symmetric key of this password
    #[arg(long, value_name = "TEXT")]
    pub password: Option<String>,
    /// Encrypt with a symmetric key: 64 hex digits, or @FILE
    #[arg(long, value_name = "HEX")]
    pub sym_key: Option<String>,
    /// Encrypt the bytes for a public key: 0x04…, 0x02…, zQ3sh…, or a share link
    #[arg(long, value_name = "KEY", add = ArgValueCandidates::new(config::contact_names))]
    pub to_key: Option<String>,
    /// Send to the devices of a person, as a private chat message; the public key as for --to-key
    #[arg(long, value_name = "KEY", add = ArgValueCandidates::new(config::contact_names))]
    pub to: Option<String>,
}

impl SealArgs {
    /// Returns the recipient. `None` if no option names one.
    pub fn destination(&self) -> Result<Option<Destination>> {
        Ok(Some(if let Some(name) = &self.chat {
            Destination::Public(public_chat(name)?)
        } else if let Some(password) = &self.password {
            Destination::password(not_empty(password, "--password")?)
        } else if let Some(text) = &self.sym_key {
            Destination::SymKey { key: parse_sym_key(text)?, topic: None }
        } else if let Some(text) = &self.to_key {
            Destination::PublicKey(parse_public_key(text, "--to-key")?)
        } else if let Some(text) = &self.to {
            Destination::Person(parse_public_key(text, "--to")?)
        } else {
            return Ok(None);
        }))
    }
}

/// Reads a symmetric key from an option: hex, or `@FILE` with hex inside.
pub fn parse_sym_key(text: &str) -> Result<SymKey> {
    let held;
    let digits = match text.strip_prefix('@') {
        None => text,
        Some(path) => {
            let mut content = Zeroizing::new(String::new());
            File::open(path)
                .and_then(|file| file.take(MAX_KEY_FILE).read_to_string(&mut content))
                .map_err(|error| {
                    let shown = show_path(Path::new(path));
                    let message = format!("can't read the symmetric key from {shown}: {error}");
                    CliError::new("file.read", Exit::Local, message).field("--sym-key")
                })?;
            held = content;
            held.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}')
        }
    };
    digits.parse().map_err(|error: statuskit_core::crypto::KeyError| {
        CliError::usage(error.to_string()).field("--sym-key").hint("64 hex digits, or @FILE").into()
    })
}

/// Reads a public key from an option or argument: the name of a contact, or any form of a chat key.
pub fn parse_public_key(text: &str, field: &str) -> Result<PublicKey> {
    if let Some(key) = config::contact(text)? {
        return Ok(key);
    }
    Ok(public_key(text).map_err(|error| error.exit(Exit::Usage).field(field.to_owned()))?)
}

/// Reads a public key from a line of input, in any form of a chat key.
pub fn public_key(text: &str) -> std::result::Result<PublicKey, CliError> {
    parse_chat_key(text).map_err(|error| {
        let hint = match error {
            ChatKeyError::Base { .. } | ChatKeyError::Empty | ChatKeyError::Digits { .. } => {
                Some("0x04 and 128 hex digits, 0x02 or 0x03 and 64, zQ3sh…, or a share link")
            }
            ChatKeyError::Bytes32 => {
                Some("a private key belongs into a file: status-account show --identity FILE")
            }
            ChatKeyError::Address => Some("the chat key of the same person: 0x04… or zQ3sh…"),
            _ => None,
        };
        let error = CliError::new(error.code(), Exit::Malformed, error.to_string());
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    })
}

/// Refuses an empty password, which hides nothing: scripts with an unset variable pass one.
pub fn not_empty<'a>(password: &'a str, field: &str) -> Result<&'a str> {
    if password.is_empty() {
        return Err(CliError::usage("the password is empty").field(field.to_owned()).into());
    }
    Ok(password)
}

/// Reads the name of a public chat, as [`chat_name`] does.
pub fn public_chat(text: &str) -> Result<PublicChat> {
    let name =
        chat_name(config::chat(text)?).map_err(|error| error.exit(Exit::Usage).field("--chat"))?;
    Ok(PublicChat::new(&name))
}

/// Reads the name of a public chat as people write it: with blanks around it, a leading `#`, or as
/// a link. Clients make chats of `[a-z0-9-]` only: others are refused, unless `--exact-name` is
/// given.
pub fn chat_name(text: &str) -> std::result::Result<String, CliError> {
    if takes_exact_names() {
        return Ok(text.to_owned());
    }
    let refused = |message: &str| CliError::new("chat.name", Exit::Malformed, message);
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || "\u{feff}\u{200b}".contains(c));
    if let Some(what) = describe_secret(trimmed) {
        let message = format!("{what}, where the name of a chat is expected");
        return Err(refused(&message).hint("a secret belongs into a file: --identity FILE"));
    }
    let name = if ShareLink::is_link(trimmed) {
        match trimmed.parse::<ShareLink>() {
            Ok(ShareLink::PublicChat(name)) => name,
            Ok(ShareLink::User(_)) => {
                return Err(refused("the link leads to a person, not to a public chat")
                    .hint("--to KEY sends to a person"));
            }
            Ok(ShareLink::Browse(_)) => {
                return Err(refused("the link leads to a page, not to a public chat"));
            }
            Err(error) => {
                return Err(CliError::new(error.code(), Exit::Malformed, error.to_string()));
            }
        }
    } else {
        trimmed.strip_prefix('#').unwrap_or(trimmed).trim_start().to_owned()
    };
    if name.is_empty() {
        return Err(refused("the name of a chat can't be empty"));
    }
    if parse_chat_key(&name).is_ok() {
        return Err(refused("this is the key of a person, not the name of a public chat")
            .hint("--to KEY sends to a person"));
    }
    let is_of_clients = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.chars().all(is_of_clients) {
        let message = format!(
            "no client makes a chat called {}: names have small letters, digits and hyphens",
            quote(&name)
        );
        let likely = likely_name(&name);
        let hint = match describe_secret(&name).is_none() && !likely.is_empty() {
            true => format!("{likely}; --exact-name takes the name as it is"),
            false => "--exact-name takes the name as it is".to_owned(),
        };
        return Err(refused(&message).hint(hint));
    }
    if name.len() == 10 && name.parse::<Topic>().is_ok() {
        note_later(format!("{name:?} is taken as the name of a chat, not as a topic: --topic"));
    }
    if name != text {
        let topic = Topic::from_name(&name);
        note_later(format!("the chat is {name:?}, topic {topic}"));
    }
    Ok(name)
}

/// The name that was probably meant.
fn likely_name(name: &str) -> String {
    let mut likely = String::new();
    for c in name.trim_start_matches('#').chars().take(64).flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' | '-' => likely.push(c),
            ' ' | '_' | '.' => likely.push('-'),
            _ => {}
        }
    }
    likely.trim_matches('-').to_owned()
}

/// Reads a topic from an option or argument.
pub fn parse_topic(text: &str, field: &str) -> Result<Topic> {
    text.parse().map_err(|error: statuskit_core::envelope::topic::TopicError| {
        CliError::usage(error.to_string())
            .field(field.to_owned())
            .hint("the topic of a public chat: status-topic chat NAME")
            .into()
    })
}

/// Returns the key that signs messages: the identity, or an ephemeral key.
pub fn author(identity: &IdentityArgs, cx: &Context) -> Result<SecretKey> {
    if let Some(key) = identity.load()? {
        return Ok(key);
    }
    let key = SecretKey::generate(&mut cx.rng("author")?);
    cx.note("no --identity given; the message is signed with an ephemeral key");
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chats_are_named_as_people_write_them() {
        for text in [
            "status",
            "#status",
            " status\n",
            "\u{feff}status",
            "https://join.status.im/chat/public/status",
            "http://get.status.im/chat/public/status/",
            "join.status.im/status",
            "status-im://chat/public/status",
        ] {
            assert_eq!(chat_name(text).unwrap(), "status", "{text}");
        }
        for (text, hint) in [
            ("Status", "status;"),
            ("my chat", "my-chat;"),
            ("##status", "status;"),
            ("status_eu", "status-eu;"),
            ("höhle", "hhle;"),
            ("!", "--exact-name"),
        ] {
            let error = chat_name(text).unwrap_err();
            assert_eq!(error.code, "chat.name", "{text}");
            assert!(error.hint.as_ref().unwrap().starts_with(hint), "{error:?}");
        }
        for text in
            ["", " ", "#", "https://join.status.im/g/args?a=1", "https://join.status.im/u/0x04"]
        {
            assert!(chat_name(text).is_err(), "{text}");
        }
        let key = SecretKey::from_bytes(&[7; 32]).unwrap().public_key().to_string();
        assert!(chat_name(&key).unwrap_err().message.contains("the key of a person"));
    }
}
