//! `status-session contact-code`, `pair`, `enable` and `disable`.

use clap::Args;
use rand::rngs::ChaCha20Rng;
use statuskit_core::{
    account::{ContactCode, InstallationId},
    chat::{self, messenger::Post},
};

use crate::{
    context::Context,
    error::{CliError, Exit, Result},
    keys::parse_public_key,
    mining,
    net::parse_pow,
    output::{Record, hex0x},
    records::envelope_record,
    session::{DeviceArgs, no_state},
    state::{AnyMessenger, IfMissing, chat_error},
    time::parse_seconds,
};

/// Show the contact code of a key, or make an envelope with your own
///
/// With KEY, shows the name, topic and symmetric key of its contact code. Without KEY, prints an
/// envelope with the bundle of this device: `status-session contact-code --identity me.json --state
/// DIR | status-send` publishes it. `status-receive --contact KEY` receives those of others.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-session bundle new --identity me.key --state me.state > my.bundle; status-session contact-code --identity me.key --state me.state")]
pub struct ContactCodeCommand {
    /// Public key whose contact code to show
    #[arg(value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    device: DeviceArgs,
    /// Minimum proof of work of the envelope
    #[arg(long, value_name = "TARGET", value_parser = parse_pow, default_value_t = chat::POW_TARGET)]
    pow: f64,
    /// Time to live of the envelope, such as 30s or 2m
    #[arg(long, value_name = "TIME", default_value_t = chat::TTL, value_parser = parse_seconds)]
    ttl: u32,
}

impl ContactCodeCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        if let Some(text) = &self.key {
            let key = parse_public_key(text, "KEY")?;
            let code = ContactCode::from_key(&key);
            let record = Record::new("contact_code")
                .with("public_key", key.to_string())
                .with("name", code.name.as_str())
                .with("topic", code.topic.to_string())
                .with("sym_key", hex0x(code.sym_key().as_bytes()));
            return cx.emit(&record, Record::to_text);
        }
        let (mut messenger, mut rng) = messenger(&self.device, IfMissing::Make, cx)?;
        let post = messenger
            .publish_contact_code(cx.now_ms(), &mut rng)
            .map_err(|error| chat_error(&error))?;
        envelope(&messenger, &post, (self.pow, self.ttl), &mut rng, cx)
    }
}

/// Announce this device to your other devices: prints envelopes to send
///
/// The other device then receives a message of type pair_installation. Run `status-session enable`
/// there to make it send to this one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-session bundle new --identity me.key --state me.state > my.bundle; status-session pair --identity me.key --state me.state")]
pub struct PairCommand {
    #[command(flatten)]
    device: DeviceArgs,
    /// Name of the device
    #[arg(long, default_value = "statuskit")]
    name: String,
    /// Type of the device: ios, android, desktop
    #[arg(long, default_value = "desktop")]
    device_type: String,
    /// Minimum proof of work of the envelope
    #[arg(long, value_name = "TARGET", value_parser = parse_pow, default_value_t = chat::POW_TARGET)]
    pow: f64,
    /// Time to live of the envelope, such as 30s or 2m
    #[arg(long, value_name = "TIME", default_value_t = chat::TTL, value_parser = parse_seconds)]
    ttl: u32,
}

impl PairCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let (mut messenger, mut rng) = messenger(&self.device, IfMissing::Make, cx)?;
        let sent = messenger
            .pair(&self.name, &self.device_type, cx.now_ms(), &mut rng)
            .map_err(|error| chat_error(&error))?;
        for post in &sent.posts {
            envelope(&messenger, post, (self.pow, self.ttl), &mut rng, cx)?;
        }
        Ok(())
    }
}

/// Enable an installation: messages go to it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-session bundle new --identity me.key --state me.state > my.bundle; status-session enable b1 --identity me.key --state me.state || test $? = 1")]
pub struct EnableCommand {
    #[command(flatten)]
    which: WhichArgs,
}

/// Disable an installation: messages no longer go to it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-session bundle new --identity me.key --state me.state > my.bundle; status-session disable b1 --identity me.key --state me.state || test $? = 1")]
pub struct DisableCommand {
    #[command(flatten)]
    which: WhichArgs,
}

#[derive(Debug, Args)]
struct WhichArgs {
    /// Id of the installation
    #[arg(value_name = "ID")]
    installation: String,
    /// Public key of its owner [default: your own]
    #[arg(long, value_name = "KEY")]
    of: Option<String>,
    #[command(flatten)]
    device: DeviceArgs,
}

impl EnableCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        self.which.set(true, cx)
    }
}

impl DisableCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        self.which.set(false, cx)
    }
}

impl WhichArgs {
    fn set(&self, enabled: bool, cx: &mut Context) -> Result<()> {
        let of = self.of.as_deref().map(|text| parse_public_key(text, "--of")).transpose()?;
        let (mut messenger, _) = messenger(&self.device, IfMissing::Fail, cx)?;
        let of = of.unwrap_or(*messenger.me());
        let id = InstallationId::new(&self.installation);
        let is_known =
            messenger.set_enabled(&of, &id, enabled).map_err(|error| chat_error(&error))?;
        if !is_known {
            let message = "no bundle of this installation was received yet";
            return Err(CliError::new("session.unknown_installation", Exit::Negative, message)
                .hint("status-session list")
                .into());
        }
        let record = Record::new("installation")
            .with("identity", of.to_string())
            .with("installation", self.installation.as_str())
            .with("enabled", enabled);
        cx.emit(&record, Record::to_text)
    }
}

fn messenger(
    device: &DeviceArgs,
    if_missing: IfMissing,
    cx: &Context,
) -> Result<(AnyMessenger, ChaCha20Rng)> {
    let state = device.state()?;
    if state.state.is_none() {
        return Err(no_state().into());
    }
    cx.warn_of_seed();
    let mut rng = cx.rng("session")?;
    let identity = device.identity.require()?;
    let messenger = state.messenger_of(if_missing, identity, None, &mut rng)?;
    Ok((messenger.ok_or_else(no_state)?, rng))
}

fn envelope(
    messenger: &AnyMessenger,
    post: &Post,
    (pow, ttl): (f64, u32),
    rng: &mut ChaCha20Rng,
    cx: &mut Context,
) -> Result<()> {
    let sealed = post.seal(messenger.identity(), cx.now(), ttl, rng);
    let sealed =
        sealed.map_err(|error| CliError::new(error.code(), Exit::Malformed, error.to_string()))?;
    let mined = mining::mine_or_fail(cx, &sealed, pow)?;
    cx.emit(&envelope_record(&mined), |record| record.to_text())
}
