//! `status-session`: the secure transport step by step: bundles, sessions, messages.

mod bundle;
mod devices;
mod message;
mod record;
mod state;

use clap::{Args, Subcommand};
use rand::rngs::ChaCha20Rng;
use statuskit_core::{
    account::InstallationId,
    crypto::SecretKey,
    secure::{Device, MemoryStore, Store},
};

use crate::{
    context::Context,
    error::{CliError, Result},
    keys::IdentityArgs,
    state::{IfMissing, StateArgs, secure_error},
};

/// Manage encrypted sessions with other devices: bundles, messages, stored state
///
/// Sessions need a state: --state DIR, or the environment variable STATUS_STATE. Private keys are
/// printed only with --show-secret or --subtle.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  $ status-session bundle new --identity me.key --installation a1 | status-session bundle verify
  $ status-session bundle new --identity me.key --state me.state > my.bundle && status-session list --identity me.key --state me.state
  $ echo 0x6869 | status-session encrypt --to 0x0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")]
pub struct SessionArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bundle(bundle::BundleArgs),
    Encrypt(message::EncryptCommand),
    Decrypt(message::DecryptCommand),
    List(state::ListCommand),
    Show(state::ShowCommand),
    Export(state::ExportCommand),
    Forget(state::ForgetCommand),
    ContactCode(devices::ContactCodeCommand),
    Pair(devices::PairCommand),
    Enable(devices::EnableCommand),
    Disable(devices::DisableCommand),
}

pub fn run(args: &SessionArgs, cx: &mut Context) -> Result<()> {
    match &args.command {
        Command::Bundle(command) => command.run(cx),
        Command::Encrypt(command) => command.run(cx),
        Command::Decrypt(command) => command.run(cx),
        Command::List(command) => command.run(cx),
        Command::Show(command) => command.run(cx),
        Command::Export(command) => command.run(cx),
        Command::Forget(command) => command.run(cx),
        Command::ContactCode(command) => command.run(cx),
        Command::Pair(command) => command.run(cx),
        Command::Enable(command) => command.run(cx),
        Command::Disable(command) => command.run(cx),
    }
}

/// A device on any store.
type AnyDevice = Device<Box<dyn Store>>;

/// The identity of a device, and its state.
#[derive(Debug, Args)]
struct DeviceArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    state: StateArgs,
}

impl DeviceArgs {
    /// The state that the options or the profile name.
    fn state(&self) -> Result<StateArgs> {
        self.state.or_of_profile(&self.identity)
    }

    /// Opens the device of a state. `None` if no state is given.
    fn find(
        &self,
        if_missing: IfMissing,
        identity: &SecretKey,
        installation: Option<&str>,
        rng: &mut ChaCha20Rng,
    ) -> Result<Option<AnyDevice>> {
        let Some(store) = self.state()?.open(if_missing)? else { return Ok(None) };
        let installation = installation.map(InstallationId::new);
        let store: Box<dyn Store> = Box::new(store);
        let device = Device::open(store, identity.clone(), installation, rng);
        Ok(Some(device.map_err(|error| secure_error(&error))?))
    }

    /// Opens the device of a state, which must be given.
    fn require(&self, if_missing: IfMissing, rng: &mut ChaCha20Rng) -> Result<AnyDevice> {
        if self.state()?.state.is_none() {
            return Err(no_state().into());
        }
        let identity = self.identity.require()?;
        self.find(if_missing, &identity, None, rng)?.ok_or_else(|| no_state().into())
    }
}

/// Makes a device without a state. It decrypts messages to the identity.
fn temporary(identity: SecretKey, rng: &mut ChaCha20Rng) -> Result<AnyDevice> {
    let store: Box<dyn Store> = Box::new(MemoryStore::new());
    Ok(Device::open(store, identity, None, rng).map_err(|error| secure_error(&error))?)
}

fn no_state() -> CliError {
    CliError::usage("this command needs the state of a device").field("--state").hint("--state DIR")
}
