//! A client of the library at work, for the tools that talk.

use std::io::Write as _;

use statuskit_client::{Builder, Client, ClientError, Holder, HolderError, ShareError, StartError};
use statuskit_core::devp2p::Enode;
use statuskit_net::node::Clock;

use crate::{
    context::Context,
    envelope::compose_error,
    error::{CliError, Exit, Result, Stop},
    mining::Bar,
    net::{Background, PeerArgs, no_peer, service_error, show_network},
    signals::interrupted,
    state::chat_error,
};

/// A client in the background. Dropping it says good-bye to the peers, in bounded time.
pub struct Running {
    background: Background,
    client: Option<Client>,
    _bar: Option<Bar>,
}

impl Running {
    /// Starts a client and waits for its peers. What fails is shown; no peer at all is an error.
    pub fn start(builder: Builder, cx: &Context) -> Result<Self> {
        let background = Background::start()?;
        let client = background.wait(builder.start()).map_err(start_error)?;
        let bar = Bar::start(client.mining());
        let mut running = Self { background, client: Some(client), _bar: bar };
        let connected = running.wait(async |client| {
            tokio::select! {
                connected = client.connect() => Some(connected),
                () = interrupted() => None,
            }
        });
        if let Some(holder) = running.client().holder() {
            cx.note(&format!("{holder} holds the state: this tool uses it, and its peers"));
        }
        for event in running.client().take_network() {
            show_network(&event, cx);
        }
        match connected {
            None => Err(Stop::Exit(Exit::Interrupted)),
            Some(Err(error)) => Err(no_peer(&error)),
            Some(Ok(_)) => Ok(running),
        }
    }

    /// Returns the client.
    pub fn client(&mut self) -> &mut Client {
        self.client.as_mut().expect("it is there until this is dropped")
    }

    /// Waits for something.
    pub fn wait<T>(&mut self, work: impl AsyncFnOnce(&mut Client) -> T) -> T {
        let client = self.client.as_mut().expect("it is there until this is dropped");
        self.background.wait(work(client))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(client) = self.client.take()
            && let Err(error) = self.background.wait(client.close())
        {
            // The tool has its exit code already.
            let _ = writeln!(std::io::stderr(), "{}", client_error(&error).to_text(false));
        }
    }
}

/// The settings of a client that has the options' node key, and the clock and randomness of the
/// tool.
pub fn client_builder(peers: &PeerArgs, enodes: Vec<Enode>, cx: &Context) -> Result<Builder> {
    let mut builder = Client::builder()
        .node_key(peers.key(cx)?)
        .dialects(peers.dialect.dialects())
        .rng(cx.rng("conversation")?);
    if let Some(log) = peers.key_log.open()? {
        builder = builder.key_log(log);
    }
    for enode in enodes {
        builder = builder.peer(enode);
    }
    if cx.is_clock_fixed() {
        let now = cx.now_ms();
        builder = builder.clock(Clock::starting_at(now.since_epoch())).fixed_time(now);
    }
    Ok(builder)
}

/// Why a client can't start, or go on.
pub fn start_error(error: StartError) -> Stop {
    match error {
        StartError::Service(error) => service_error(&error).into(),
        StartError::Chat(error) => chat_error(&error).into(),
        error => {
            let shown = CliError::new(error.code(), Exit::Local, error.to_string());
            let shown = match &error {
                StartError::Share(ShareError::Version { .. }) => {
                    shown.hint("end that program, or use the same release")
                }
                StartError::Share(ShareError::Refused { error, .. })
                    if error.code == "store.other_identity" =>
                {
                    shown.exit(Exit::Usage).hint("each identity has its own state")
                }
                _ => shown,
            };
            shown.field("--state").into()
        }
    }
}

/// Notes that the state moved to another program, or to this one.
pub fn note_move(holder: Option<&Holder>, cx: &Context) {
    match holder {
        Some(holder) => cx.note(&format!("{holder} holds the state now")),
        None => cx.note("the program that held the state has ended: this one holds it now"),
    }
}

/// Why the client does not do what it should.
pub fn client_error(error: &ClientError) -> CliError {
    match error {
        ClientError::Chat(error) => chat_error(error),
        ClientError::Compose(error) => compose_error(error),
        ClientError::NoIdentity => CliError::usage(error.to_string()).hint("--identity FILE"),
        ClientError::Holder(told) => holder_error(told),
        _ => CliError::new(error.code(), Exit::Network, error.to_string()),
    }
}

/// What the program that holds the state could not do.
pub fn holder_error(error: &HolderError) -> CliError {
    let exit = match error.code.split('.').next() {
        Some("envelope" | "node" | "chat" | "group") => Exit::Negative,
        Some("store" | "state" | "share") => Exit::Local,
        _ => Exit::Network,
    };
    CliError::new(error.code, exit, error.message.clone())
}
