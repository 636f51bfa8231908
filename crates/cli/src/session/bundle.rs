//! `status-session bundle`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use prost::Message as _;
use statuskit_core::{
    account::InstallationId,
    reader::Wants,
    secure::{
        KeyPair, ProtocolMessage, Timestamp,
        bundle::{self, Prekey, VerifiedBundle},
        device::PROTOCOL_VERSION,
        proto,
    },
};

use crate::{
    context::Context,
    conversation::installation_value,
    error::{CliError, Exit, Result},
    input::{Content, Item, each_item},
    output::Record,
    records::hex_member,
    session::{DeviceArgs, record::bundle_record},
    state::{IfMissing, secure_error},
};

/// Make, check and learn bundles: the prekeys that others need to start sessions
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-session bundle new --identity me.key --installation a1 | status-session bundle verify")]
pub struct BundleArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(NewCommand),
    Show(ShowCommand),
    Verify(VerifyCommand),
    Learn(LearnCommand),
}

impl BundleArgs {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        match &self.command {
            Command::New(command) => command.run(cx),
            Command::Show(ShowCommand {}) => {
                each(cx, |cx, bundle, raw| cx.emit(&bundle_record(bundle, raw), Record::to_text))
            }
            Command::Verify(VerifyCommand {}) => each(cx, verify),
            Command::Learn(command) => command.run(cx),
        }
    }
}

/// Make and sign a bundle
///
/// With a state, signs the bundle of its device, with a new prekey if the current one is older than
/// a day. Without a state, generates a prekey and discards its private key, unless --show-secret
/// prints it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-session bundle new --identity me.key --installation a1")]
struct NewCommand {
    #[command(flatten)]
    device: DeviceArgs,
    /// Id of the installation [default: from the state, or random]
    #[arg(long, value_name = "ID")]
    installation: Option<String>,
    /// Print the private prekey
    #[arg(long)]
    show_secret: bool,
}

impl NewCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        let identity = self.device.identity.require()?;
        let mut rng = cx.rng("bundle")?;
        cx.warn_of_seed();
        let now = Timestamp::from_millis(cx.now_ms());
        let installation = self.installation.as_deref();
        let device = self.device.find(IfMissing::Make, &identity, installation, &mut rng)?;
        let (bundle, secret) = if let Some(mut device) = device {
            let bundle = device.bundle(now, &mut rng).map_err(|error| secure_error(&error))?;
            let own = device.prekeys().map_err(|error| secure_error(&error.into()))?;
            (bundle, own.into_iter().next_back().map(|own| own.pair))
        } else {
            let id = match installation {
                Some(id) => InstallationId::new(id),
                None => InstallationId::generate(&mut rng),
            };
            let pair = KeyPair::generate(&mut rng);
            let prekey =
                Prekey { key: pair.public(), version: 1, protocol_version: PROTOCOL_VERSION };
            if !self.show_secret {
                cx.note(
                    "messages to this bundle can't be decrypted: its private key is discarded \
                     (--state DIR stores it, --show-secret prints it)",
                );
            }
            let prekeys = BTreeMap::from([(id, prekey)]);
            (bundle::sign(&KeyPair::from(identity), &prekeys, now), Some(pair))
        };
        let mut record = bundle_record(&bundle, &bundle.encode_to_vec());
        if let Some(pair) = secret.filter(|_| self.show_secret) {
            record = record.with("private_pre_key", pair.secret().to_hex().as_str());
        }
        cx.emit(&record, Record::to_text)
    }
}

/// Show the content of bundles without checking them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-session bundle new --identity me.key --installation a1 | status-session bundle show")]
struct ShowCommand {}

/// Check the signature and the keys of bundles
///
/// Of a record, checks the member raw.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-session bundle new --identity me.key --installation a1 | status-session bundle verify")]
struct VerifyCommand {}

fn verify(cx: &mut Context, bundle: &proto::Bundle, raw: &[u8]) -> Result<()> {
    let verdict = bundle::verify(bundle).and_then(VerifiedBundle::all_usable);
    let mut record = Record::new("verification")
        .with("valid", verdict.is_ok())
        .with("identity", verdict.as_ref().ok().map(|good| good.identity.to_string()));
    if let Err(error) = &verdict {
        record = record.with("code", error.code()).with("reason", error.to_string());
        cx.negative();
    }
    cx.emit(&record.with_raw(raw), Record::to_text)
}

/// Store bundles in the state, so that messages to their owners use sessions
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-session bundle new --identity me.key --state me.state > my.bundle; statuskit keygen --out mine.json > mine.pub; status-session bundle new --identity mine.json --installation b1 | status-session bundle learn --identity me.key --state me.state")]
struct LearnCommand {
    #[command(flatten)]
    device: DeviceArgs,
}

impl LearnCommand {
    fn run(&self, cx: &mut Context) -> Result<()> {
        cx.warn_of_seed();
        let mut device = self.device.require(IfMissing::Make, &mut cx.rng("session")?)?;
        each(cx, |cx, bundle, raw| {
            let learned = device.learn(bundle).map_err(|error| secure_error(&error))?;
            let learned: Vec<_> = learned.iter().map(installation_value).collect();
            cx.emit(&bundle_record(bundle, raw).with("learned", learned), Record::to_text)
        })
    }
}

/// Runs `work` on each bundle of standard input.
fn each(
    cx: &mut Context,
    mut work: impl FnMut(&mut Context, &proto::Bundle, &[u8]) -> Result<()>,
) -> Result<()> {
    let wants = Wants::whole(|bytes| !bytes.is_empty() && bundle::decode(bytes).is_ok());
    each_item(cx, wants, "bundles", |cx, item| {
        bundles_of(item)?.iter().try_for_each(|(bundle, raw)| work(cx, bundle, raw))
    })
}

/// Returns the bundles of a record, or of bytes.
fn bundles_of(item: &Item) -> std::result::Result<Vec<(proto::Bundle, Vec<u8>)>, CliError> {
    let raw = match &item.content {
        Content::Bytes(bytes) => bytes.clone(),
        Content::Record(members) => {
            let raw = hex_member(members, "raw").map_err(|error| error.line(item.line))?;
            if members.get("type").is_some_and(|kind| kind == "protocol_message") {
                let message = ProtocolMessage::decode(&raw).map_err(|error| {
                    CliError::new(error.code(), Exit::Malformed, error.to_string())
                })?;
                let bundles = message.fields().bundles.iter();
                return Ok(bundles.map(|it| (it.clone(), it.encode_to_vec())).collect());
            }
            raw
        }
    };
    let bundle = bundle::decode(&raw).map_err(|error| {
        CliError::new("bundle.protobuf", Exit::Malformed, format!("not a Bundle: {error}"))
            .line(item.line)
    })?;
    Ok(vec![(bundle, raw)])
}
