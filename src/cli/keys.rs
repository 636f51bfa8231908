//! Keys from options, files and the environment. Private keys never come from the arguments.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use clap::Args;
use zeroize::Zeroizing;

use super::{
    context::Context,
    error::{CliError, Exit, Result},
};
use crate::{
    chat::{KeyRing, PublicChat},
    crypto::{PublicKey, SecretKey},
    whisper::{SymKey, Topic},
};

/// The longest file that is read as a key.
const MAX_KEY_FILE: u64 = 64 << 10;

/// Who the user is.
#[derive(Debug, Clone, Args)]
pub struct IdentityArgs {
    /// File with a private key as 64 hex digits; `-` is standard input. The environment variable
    /// STATUS_IDENTITY holds a file name, or the hex digits themselves
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
}

impl IdentityArgs {
    /// The private key, if one was given by option or environment.
    pub fn load(&self) -> Result<Option<SecretKey>> {
        if let Some(path) = &self.identity {
            return read_identity(path, "--identity").map(Some);
        }
        let Some(value) = std::env::var_os("STATUS_IDENTITY") else { return Ok(None) };
        let value = Zeroizing::new(value.to_string_lossy().into_owned());
        let digits = value.trim_start_matches("0x");
        if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return parse_identity(&value, "STATUS_IDENTITY", "STATUS_IDENTITY").map(Some);
        }
        read_identity(Path::new(&*value), "STATUS_IDENTITY").map(Some)
    }

    /// The private key; an error says how to give one.
    pub fn require(&self) -> Result<SecretKey> {
        self.load()?.ok_or_else(|| {
            CliError::usage("this needs your private key")
                .field("--identity")
                .hint("statuskit keygen --out me.key, then --identity me.key")
                .into()
        })
    }
}

/// A private key from a file; `field` is the option that named it.
pub fn read_identity(path: &Path, field: &str) -> Result<SecretKey> {
    let shown = path.display().to_string();
    let mut text = Zeroizing::new(String::new());
    let read = if path == Path::new("-") {
        io::stdin().lock().take(MAX_KEY_FILE).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(MAX_KEY_FILE).read_to_string(&mut text))
    };
    match read {
        Ok(_) => parse_identity(text.trim(), &shown, field),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let message = format!("{shown} is not text; expected 64 hex digits");
            Err(CliError::new("key.format", Exit::Malformed, message).field(field).into())
        }
        Err(error) => {
            let message = format!("can't read the private key from {shown}: {error}");
            Err(CliError::new("file.read", Exit::Local, message)
                .field(field)
                .hint("statuskit keygen --out me.key makes one")
                .into())
        }
    }
}

fn parse_identity(text: &str, shown: &str, field: &str) -> Result<SecretKey> {
    text.parse().map_err(|error| {
        let message = format!("{shown} holds no private key: {error}");
        CliError::new("key.format", Exit::Malformed, message)
            .field(field)
            .hint("expected 64 hex digits on one line")
            .into()
    })
}

/// Keys for opening envelopes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Keys")]
pub struct OpenArgs {
    /// Public chat; gives its topic and its key. Repeatable
    #[arg(long, value_name = "NAME")]
    pub chat: Vec<String>,
    /// Password of a symmetric key, tried on every topic. Repeatable
    #[arg(long, value_name = "TEXT")]
    pub password: Vec<String>,
    /// Symmetric key as 64 hex digits, or @FILE, tried on every topic. Repeatable
    #[arg(long, value_name = "HEX")]
    pub sym_key: Vec<String>,
    #[command(flatten)]
    pub identity: IdentityArgs,
}

impl OpenArgs {
    /// All the keys that were given.
    pub fn key_ring(&self) -> Result<KeyRing> {
        let mut ring = KeyRing::new();
        for name in &self.chat {
            ring.add_chat(&PublicChat::new(name));
        }
        for password in &self.password {
            ring.add_sym_key("password", SymKey::from_password(password), None);
        }
        for text in &self.sym_key {
            ring.add_sym_key("symmetric key", parse_sym_key(text)?, None);
        }
        if let Some(key) = self.identity.load()? {
            ring.add_identity("identity", key);
        }
        Ok(ring)
    }
}

/// For whom a message is sealed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Recipient")]
#[group(id = "recipient", multiple = false)]
pub struct SealArgs {
    /// Public chat: the text becomes a chat message as Status clients send it
    #[arg(long, value_name = "NAME")]
    pub chat: Option<String>,
    /// Password of a symmetric key
    #[arg(long, value_name = "TEXT")]
    pub password: Option<String>,
    /// Symmetric key as 64 hex digits, or @FILE
    #[arg(long, value_name = "HEX")]
    pub sym_key: Option<String>,
    /// Public key of the recipient: 0x04… or compressed
    #[arg(long, value_name = "KEY")]
    pub to_key: Option<String>,
}

/// Who can open what is about to be sealed, and on which topic it goes by default.
pub enum Target {
    /// A public chat.
    Chat(PublicChat),
    /// Whoever has the key.
    Sym(SymKey, Option<Topic>),
    /// The owner of the key pair.
    Asym(PublicKey, Topic),
}

impl SealArgs {
    /// The recipient, if one was given.
    pub fn target(&self) -> Result<Option<Target>> {
        Ok(Some(if let Some(name) = &self.chat {
            if name.is_empty() {
                return Err(CliError::usage("the name of a chat can't be empty")
                    .field("--chat")
                    .into());
            }
            Target::Chat(PublicChat::new(name))
        } else if let Some(password) = &self.password {
            Target::Sym(SymKey::from_password(password), Some(Topic::of_name(password)))
        } else if let Some(text) = &self.sym_key {
            Target::Sym(parse_sym_key(text)?, None)
        } else if let Some(text) = &self.to_key {
            let key = parse_public_key(text, "--to-key")?;
            Target::Asym(key, Topic::of_name(&crate::whisper::topic::partitioned_name(&key)))
        } else {
            return Ok(None);
        }))
    }
}

/// A symmetric key from an option: hex, or `@FILE` with hex inside.
fn parse_sym_key(text: &str) -> Result<SymKey> {
    let held;
    let digits = match text.strip_prefix('@') {
        None => text,
        Some(path) => {
            let mut content = Zeroizing::new(String::new());
            File::open(path)
                .and_then(|file| file.take(MAX_KEY_FILE).read_to_string(&mut content))
                .map_err(|error| {
                    let message = format!("can't read the symmetric key from {path}: {error}");
                    CliError::new("file.read", Exit::Local, message).field("--sym-key")
                })?;
            held = content;
            held.trim()
        }
    };
    digits.parse().map_err(|error: crate::crypto::KeyError| {
        CliError::usage(error.to_string()).field("--sym-key").hint("64 hex digits, or @FILE").into()
    })
}

/// A public key from an option or argument.
pub fn parse_public_key(text: &str, field: &str) -> Result<PublicKey> {
    text.parse().map_err(|error: crate::crypto::KeyError| {
        CliError::usage(error.to_string())
            .field(field.to_owned())
            .hint("0x04 and 128 hex digits, or the compressed form with 66")
            .into()
    })
}

/// A topic from an option or argument.
pub fn parse_topic(text: &str, field: &str) -> Result<Topic> {
    text.parse().map_err(|error: crate::whisper::topic::TopicError| {
        CliError::usage(error.to_string())
            .field(field.to_owned())
            .hint("the topic of a public chat: status-topic chat NAME")
            .into()
    })
}

/// The author of signed messages: the identity, or a key of the moment.
pub fn author(identity: &IdentityArgs, cx: &Context) -> Result<SecretKey> {
    if let Some(key) = identity.load()? {
        return Ok(key);
    }
    let key = SecretKey::generate(&mut cx.rng("author")?);
    cx.note("no --identity given; the message is signed with a key of the moment");
    Ok(key)
}
