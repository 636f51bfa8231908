//! `status-session list`, `show`, `export` and `forget`.

use clap::Args;
use statuskit_core::secure::{CompressedKey, SessionState};

use crate::{
    context::Context,
    conversation::installation_value,
    error::{CliError, Exit, Result},
    keys::parse_public_key,
    output::{Record, hex0x},
    session::{AnyDevice, DeviceArgs, record::session_record},
    state::{IfMissing, secure_error, store_error},
};

/// List the installations and sessions of a state
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-session bundle new --identity me.key --state me.state > my.bundle; status-session list --identity me.key --state me.state")]
pub struct ListCommand {
    #[command(flatten)]
    device: DeviceArgs,
}

impl ListCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let mut device = self.device.require(IfMissing::Fail, &mut cx.rng("session")?)?;
        let own = Record::new("device")
            .with("identity", device.identity().to_string())
            .with("installation", device.installation().as_str());
        cx.emit(&own, Record::to_text)?;
        for peer in device.peers().map_err(|error| store_error(&error))? {
            for installation in &peer.installations {
                let members = installation_value(installation);
                let mut record = Record::new("installation");
                for (name, value) in members.as_object().into_iter().flatten() {
                    record = record.with(name, value.clone());
                }
                cx.emit(&record, Record::to_text)?;
            }
        }
        show_sessions(&mut device, |_| true, false, cx)?;
        Ok(())
    }
}

/// Show the sessions with a peer
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-session bundle new --identity me.key --state me.state > my.bundle; status-session show --identity me.key --state me.state --with zQ3shPyZJnxZK4Bwyx9QsaksNKDYTPmpwPvGSjMYVHoXHeEgB || test $? = 1")]
pub struct ShowCommand {
    #[command(flatten)]
    device: DeviceArgs,
    /// Public key of the peer [default: all]
    #[arg(long, value_name = "KEY")]
    with: Option<String>,
    /// Include private keys, root keys and chain keys: they decrypt the conversation
    #[arg(long)]
    subtle: bool,
}

impl ShowCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let peer = peer_of(self.with.as_deref())?;
        let mut device = self.device.require(IfMissing::Fail, &mut cx.rng("session")?)?;
        let is_wanted = |state: &SessionState| peer.is_none_or(|peer| state.id.identity == peer);
        let count = show_sessions(&mut device, is_wanted, self.subtle, cx)?;
        if count == 0 {
            return Err(no_session().into());
        }
        Ok(())
    }
}

/// Print the state of a device: prekeys, peers and sessions
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-session bundle new --identity me.key --state me.state > my.bundle; status-session export --identity me.key --state me.state")]
pub struct ExportCommand {
    #[command(flatten)]
    device: DeviceArgs,
    /// Include all private keys and secrets: they decrypt all conversations
    #[arg(long)]
    subtle: bool,
}

impl ExportCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let mut device = self.device.require(IfMissing::Fail, &mut cx.rng("session")?)?;
        for own in device.prekeys().map_err(|error| store_error(&error))? {
            let mut record = Record::new("pre_key")
                .with("public_key", own.pair.public().to_string())
                .with("version", own.version)
                .with("created", own.created.to_string());
            if self.subtle {
                record = record.with("private_key", own.pair.secret().to_hex().as_str());
            }
            cx.emit(&record, Record::to_text)?;
        }
        for peer in device.peers().map_err(|error| store_error(&error))? {
            let installations: Vec<_> = peer.installations.iter().map(installation_value).collect();
            let mut record = Record::new("peer")
                .with("identity", peer.identity.to_string())
                .with("installations", installations)
                .with("has_secret", peer.secret.is_some());
            if let Some(secret) = peer.secret.filter(|_| self.subtle) {
                record = record.with("secret", hex0x(secret.as_bytes()));
            }
            cx.emit(&record, Record::to_text)?;
        }
        show_sessions(&mut device, |_| true, self.subtle, cx)?;
        Ok(())
    }
}

/// Delete the sessions with a peer and all their keys
///
/// Overwrites the keys in the files of the state. Copies made by the file system or the disk are
/// out of reach: snapshots, backups, spare blocks of an SSD.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-session bundle new --identity me.key --state me.state > my.bundle; status-session forget --identity me.key --state me.state --with zQ3shPyZJnxZK4Bwyx9QsaksNKDYTPmpwPvGSjMYVHoXHeEgB || test $? = 1")]
pub struct ForgetCommand {
    #[command(flatten)]
    device: DeviceArgs,
    /// Public key of the peer
    #[arg(long, value_name = "KEY")]
    with: String,
    /// Only the sessions with this installation
    #[arg(long, value_name = "ID")]
    installation: Option<String>,
}

impl ForgetCommand {
    pub fn run(&self, cx: &mut Context) -> Result<()> {
        let peer = peer_of(Some(&self.with))?;
        let mut device = self.device.require(IfMissing::Fail, &mut cx.rng("session")?)?;
        let sessions = device.sessions().map_err(|error| store_error(&error))?;
        let is_wanted = |state: &&SessionState| {
            Some(state.id.identity) == peer
                && self.installation.as_ref().is_none_or(|id| state.id.installation.as_str() == id)
        };
        let ids: Vec<_> = sessions.iter().filter(is_wanted).map(|state| state.id.clone()).collect();
        if !device.forget(&ids).map_err(|error| secure_error(&error))? {
            return Err(no_session().into());
        }
        for id in &ids {
            let record = Record::new("forgotten").with("session", super::record::session_id(id));
            cx.emit(&record, Record::to_text)?;
        }
        Ok(())
    }
}

fn peer_of(text: Option<&str>) -> Result<Option<CompressedKey>> {
    let key = text.map(|text| parse_public_key(text, "--with")).transpose()?;
    Ok(key.as_ref().map(CompressedKey::from))
}

fn no_session() -> CliError {
    CliError::new("session.none", Exit::Negative, "there is no such session")
        .hint("status-session list")
}

fn show_sessions(
    device: &mut AnyDevice,
    is_wanted: impl Fn(&SessionState) -> bool,
    subtle: bool,
    cx: &mut Context,
) -> Result<usize> {
    let sessions = device.sessions().map_err(|error| store_error(&error))?;
    let mut count = 0;
    for state in sessions.iter().filter(|state| is_wanted(state)) {
        let in_use = device.in_use(&state.id).map_err(|error| store_error(&error))?;
        let record = session_record(state, in_use, subtle);
        cx.emit(&record, Record::to_text)?;
        count += 1;
    }
    Ok(count)
}
