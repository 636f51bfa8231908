//! The configuration file: TOML to settings, each with its line. Values are never quoted in errors:
//! one of them may be a secret in the wrong place.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use statuskit_core::{account::parse_chat_key, crypto::PublicKey};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::error::{CliError, Exit};

/// The longest file that is read.
pub const MAX_FILE: usize = 1 << 20;

/// A value and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting<T> {
    pub value: T,
    pub line: u64,
}

/// What a file contains.
#[derive(Debug, Clone, Default)]
pub struct Config {
    pub profiles: BTreeMap<String, Profile>,
    /// Names of keys.
    pub contacts: BTreeMap<String, Setting<PublicKey>>,
    /// Short names of public chats.
    pub chats: BTreeMap<String, Setting<String>>,
}

/// The settings of a profile. Secrets are named by their files.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    pub peers: Vec<Setting<String>>,
    pub mailservers: Vec<Setting<String>>,
    pub mailserver_password_file: Option<Setting<PathBuf>>,
    pub identity: Option<Setting<PathBuf>>,
    pub password_file: Option<Setting<PathBuf>>,
    pub state: Option<Setting<PathBuf>>,
    pub state_password_file: Option<Setting<PathBuf>>,
    pub store: Option<Setting<String>>,
    /// The key ring: chats to open, files of symmetric keys and of passwords.
    pub chats: Vec<Setting<String>>,
    pub sym_key_files: Vec<Setting<PathBuf>>,
    pub password_files: Vec<Setting<PathBuf>>,
}

/// The members of a profile, for errors.
const MEMBERS: &str = "peers, mailservers, mailserver_password_file, identity, password_file, \
                       state, state_password_file, store, chats, sym_key_files, password_files";

/// Reads a configuration. Paths are relative to `dir`; `~/` is `home`.
///
/// # Errors
///
/// `config.syntax`, `config.value` or `config.secret`, with the line.
pub fn parse(text: &str, dir: &Path, home: Option<&Path>) -> Result<Config, CliError> {
    let reader = Reader { text, dir, home };
    let table = DeTable::parse(text).map_err(|error| {
        // The parser's message may quote, its rule does not.
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        let rule = error.message().split(['`', '\u{22}', '\'']).next().unwrap_or_default();
        let message = format!("not TOML: {}", rule.trim_end_matches([' ', ',', ':']));
        CliError::new("config.syntax", Exit::Malformed, message).line(line)
    })?;
    let mut config = Config::default();
    for (name, value) in table.get_ref() {
        match &**name.get_ref() {
            "profiles" => {
                for (name, value) in reader.table("profiles", value)? {
                    let profile = reader.profile(name.get_ref(), value)?;
                    config.profiles.insert(name.get_ref().to_string(), profile);
                }
            }
            "contacts" => {
                for (name, value) in reader.table("contacts", value)? {
                    let contact = reader.contact(name, value)?;
                    config.contacts.insert(name.get_ref().to_string(), contact);
                }
            }
            "chats" => {
                for (name, value) in reader.table("chats", value)? {
                    reader.check_name(name)?;
                    let place = format!("chats.{}", name.get_ref());
                    let chat = reader.text(&place, value)?;
                    config.chats.insert(name.get_ref().to_string(), chat);
                }
            }
            _ => return Err(reader.unknown(name, "profiles, contacts, chats")),
        }
    }
    Ok(config)
}

/// What a text looks like that belongs into a file of its own. `None` if it is no secret.
pub fn secret_kind(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").or(text.strip_prefix("0X")).unwrap_or(text);
    if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some("a private or symmetric key");
    }
    if text.starts_with("xprv") {
        return Some("an extended private key");
    }
    if text.starts_with('{') {
        return Some("a key file");
    }
    (text.split_whitespace().count() >= 12).then_some("a recovery phrase")
}

/// Whether a URL names a password.
pub fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let user = rest.split_once('@').map_or("", |(user, _)| user);
    user.contains(':') || rest.to_ascii_lowercase().contains("password=")
}

fn line_of(text: &str, at: usize) -> u64 {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count() as u64
}

type Name<'i> = Spanned<std::borrow::Cow<'i, str>>;

struct Reader<'a> {
    text: &'a str,
    dir: &'a Path,
    home: Option<&'a Path>,
}

impl Reader<'_> {
    fn line<T>(&self, of: &Spanned<T>) -> u64 {
        line_of(self.text, of.span().start)
    }

    fn wrong(&self, line: u64, place: &str, message: impl Into<String>) -> CliError {
        CliError::new("config.value", Exit::Malformed, message).line(line).field(place.to_owned())
    }

    fn unknown(&self, name: &Name<'_>, known: &str) -> CliError {
        let text = name.get_ref();
        if secret_kind(text).is_some() {
            let message = "a secret in the place of a name";
            return CliError::new("config.secret", Exit::Malformed, message).line(self.line(name));
        }
        if matches!(&**text, "password" | "private_key" | "phrase" | "sym_keys" | "passwords") {
            let message = "secrets are not written into the configuration";
            return CliError::new("config.secret", Exit::Malformed, message)
                .line(self.line(name))
                .field(text.to_string())
                .hint("name their files: identity, password_file, sym_key_files, password_files");
        }
        self.wrong(self.line(name), text, "no such setting").hint(format!("known: {known}"))
    }

    fn table<'v, 'i>(
        &self,
        place: &str,
        value: &'v Spanned<DeValue<'i>>,
    ) -> Result<&'v DeTable<'i>, CliError> {
        let found = value.get_ref();
        found.as_table().ok_or_else(|| {
            self.wrong(self.line(value), place, format!("{} instead of a table", kind(found)))
        })
    }

    /// Names stand where keys and file names do: they must not look like one.
    fn check_name(&self, name: &Name<'_>) -> Result<(), CliError> {
        let text = name.get_ref();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !text.is_empty() && text.len() <= 32 && text.chars().all(is_plain) {
            return Ok(());
        }
        let message = "a name has 1 to 32 letters, digits, -, _ and .";
        let error = CliError::new("config.value", Exit::Malformed, message);
        Err(error.line(self.line(name)))
    }

    fn contact(
        &self,
        name: &Name<'_>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Setting<PublicKey>, CliError> {
        self.check_name(name)?;
        let place = format!("contacts.{}", name.get_ref());
        let text = self.text(&place, value)?;
        let key = parse_chat_key(&text.value).map_err(|error| {
            let message = "not a public key: 0x04 and 128 hex digits, zQ3sh…, or a share link";
            let error = CliError::new(error.code(), Exit::Malformed, message);
            error.line(text.line).field(place)
        })?;
        Ok(Setting { value: key, line: text.line })
    }

    fn profile(&self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<Profile, CliError> {
        let mut profile = Profile::default();
        for (member, value) in self.table(&format!("profiles.{name}"), value)? {
            let place = format!("profiles.{name}.{}", member.get_ref());
            match &**member.get_ref() {
                "peers" => profile.peers = self.nodes(&place, value)?,
                "mailservers" => profile.mailservers = self.nodes(&place, value)?,
                "mailserver_password_file" => {
                    profile.mailserver_password_file = Some(self.path(&place, value)?);
                }
                "identity" => profile.identity = Some(self.path(&place, value)?),
                "password_file" => profile.password_file = Some(self.path(&place, value)?),
                "state" => profile.state = Some(self.path(&place, value)?),
                "state_password_file" => {
                    profile.state_password_file = Some(self.path(&place, value)?);
                }
                "store" => profile.store = Some(self.store(&place, value)?),
                "chats" => profile.chats = self.texts(&place, value)?,
                "sym_key_files" => profile.sym_key_files = self.paths(&place, value)?,
                "password_files" => profile.password_files = self.paths(&place, value)?,
                _ => return Err(self.unknown(member, MEMBERS)),
            }
        }
        Ok(profile)
    }

    fn text(&self, place: &str, value: &Spanned<DeValue<'_>>) -> Result<Setting<String>, CliError> {
        let line = self.line(value);
        let found = value.get_ref();
        let text = found
            .as_str()
            .ok_or_else(|| self.wrong(line, place, format!("{} instead of a text", kind(found))))?;
        if text.is_empty() {
            return Err(self.wrong(line, place, "an empty text"));
        }
        if let Some(secret) = secret_kind(text) {
            let message = format!("this looks like {secret}, which is not written here");
            return Err(CliError::new("config.secret", Exit::Malformed, message)
                .line(line)
                .field(place.to_owned())
                .hint("put it into a file of mode 0600, and name the file"));
        }
        Ok(Setting { value: text.to_owned(), line })
    }

    /// A list of texts, or one.
    fn texts(
        &self,
        place: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Vec<Setting<String>>, CliError> {
        match value.get_ref().as_array() {
            Some(values) => values.iter().map(|value| self.text(place, value)).collect(),
            None => Ok(vec![self.text(place, value)?]),
        }
    }

    fn nodes(
        &self,
        place: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Vec<Setting<String>>, CliError> {
        let mut texts = self.texts(place, value)?;
        for text in &mut texts {
            if let Some(path) = text.value.strip_prefix('@') {
                text.value = format!("@{}", self.resolve(path).display());
            }
        }
        Ok(texts)
    }

    fn path(
        &self,
        place: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Setting<PathBuf>, CliError> {
        let Setting { value, line } = self.text(place, value)?;
        Ok(Setting { value: self.resolve(&value), line })
    }

    fn paths(
        &self,
        place: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Vec<Setting<PathBuf>>, CliError> {
        let texts = self.texts(place, value)?.into_iter();
        Ok(texts
            .map(|Setting { value, line }| Setting { value: self.resolve(&value), line })
            .collect())
    }

    fn store(
        &self,
        place: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Setting<String>, CliError> {
        let mut store = self.text(place, value)?;
        if has_password(&store.value) {
            let message = "the password of a database is not written here";
            return Err(CliError::new("config.secret", Exit::Malformed, message)
                .line(store.line)
                .field(place.to_owned())
                .hint("STATUS_STORE, or a password file of PostgreSQL"));
        }
        if !store.value.contains("://") {
            store.value = self.resolve(&store.value).display().to_string();
        }
        Ok(store)
    }

    fn resolve(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.dir.join(path),
        }
    }
}

/// The kind of a value, with its article.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0x0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    fn read(text: &str) -> Result<Config, CliError> {
        parse(text, Path::new("/etc/x"), Some(Path::new("/home/me")))
    }

    #[test]
    fn settings_have_lines_and_paths_a_place() {
        let text = format!(
            "# mine\n[profiles.home]\npeers = [\"enode://a\",\n  \"@nodes.txt\"]\n\
             identity = \"~/me.json\"\nstate = \"s\"\nstore = \"postgres://h/d\"\n\
             chats = \"status\"\n[contacts]\nalice = \"{KEY}\"\n[chats]\nteam = \"our-team\"\n"
        );
        let config = read(&text).unwrap();
        let home = &config.profiles["home"];
        let lines: Vec<_> = home.peers.iter().map(|peer| (&*peer.value, peer.line)).collect();
        assert_eq!(lines, [("enode://a", 3), ("@/etc/x/nodes.txt", 4)]);
        let identity = Setting { value: PathBuf::from("/home/me/me.json"), line: 5 };
        assert_eq!(home.identity.as_ref(), Some(&identity));
        assert_eq!(home.state.as_ref().unwrap().value, Path::new("/etc/x/s"));
        assert_eq!(home.store.as_ref().unwrap().value, "postgres://h/d");
        assert_eq!(home.chats[0].value, "status");
        assert_eq!(config.contacts["alice"].line, 10);
        assert_eq!(config.chats["team"].value, "our-team");
        assert!(read("").unwrap().profiles.is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, code, line, field) in [
            ("[profiles.x]\npeer = []", "config.value", 2, "peer"),
            ("colour = 1", "config.value", 1, "colour"),
            ("[profiles.x]\n\nstate = 7", "config.value", 3, "profiles.x.state"),
            ("profiles = []", "config.value", 1, "profiles"),
            ("[profiles.x]\nidentity = \"\"", "config.value", 2, "profiles.x.identity"),
            ("[contacts]\nbob = \"0x04\"", "key.base", 2, "contacts.bob"),
            ("[profiles.x]\nstate = \"s\nt\"", "config.syntax", 3, ""),
            ("[profiles.x", "config.syntax", 1, ""),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!((error.line, error.exit), (Some(line), Exit::Malformed), "{text}");
            assert_eq!(error.field.as_deref().unwrap_or_default(), field, "{text}");
            if !field.starts_with("contacts") {
                assert_eq!(error.code, code, "{text}");
            }
        }
        assert!(read("[contacts]\n\"a b\" = \"x\"").is_err());
    }

    #[test]
    fn secrets_are_refused_and_not_quoted() {
        let key = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
        let phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow";
        for text in [
            format!("[profiles.x]\nidentity = \"0X{key}\""),
            format!("[profiles.x]\nidentity = \"{phrase}\""),
            format!("[profiles.x]\nsym_key_files = [\"{key}\"]"),
            format!("[profiles.x]\npassword = \"{phrase}\""),
            format!("{key} = 1"),
            format!("[contacts]\nme = \"{key}\""),
            "[profiles.x]\nstore = \"postgres://u:sausage@h/d\"".to_owned(),
        ] {
            let error = read(&text).unwrap_err();
            assert_eq!(error.code, "config.secret", "{text}");
            let shown = error.to_json().to_string();
            assert!(!shown.contains(key) && !shown.contains("sausage"), "{shown}");
        }
        // Nor what can't be read as TOML at all.
        for text in [format!("identity = {key}"), phrase.to_string(), format!("a = '{key}")] {
            let error = read(&text).unwrap_err();
            let shown = error.to_json().to_string();
            assert!(!shown.contains(&key[..8]) && !shown.contains("sausage"), "{shown}");
        }
    }
}
