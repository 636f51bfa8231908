//! The options by which a node serves JSON-RPC, and the server in the background.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};
use statuskit_core::crypto::SecretKey;
use statuskit_net::node::Handle;
use statuskit_rpc::{Flavour, NAMESPACES, REFERENCE_NAME, ServeError, Server, Settings, Token};
use zeroize::Zeroizing;

use crate::{
    error::{CliError, Exit, Result},
    net::Background,
    output::Record,
    password,
};

/// Names of namespaces that are accepted although there is nothing in them.
const EMPTY: &[&str] = &["debug", "net", "personal", "eth", "txpool"];

/// Where and how JSON-RPC is served.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "JSON-RPC")]
pub struct ServeArgs {
    /// Serve JSON-RPC over HTTP on this address; port 0 for any free one
    #[arg(long, value_name = "ADDR")]
    rpc: Option<SocketAddr>,
    /// Serve JSON-RPC over WebSocket on this address
    #[arg(long, value_name = "ADDR")]
    ws: Option<SocketAddr>,
    /// Serve JSON-RPC on a socket of the file system, for this user alone. It has all namespaces
    #[arg(long, value_name = "PATH")]
    ipc: Option<PathBuf>,
    /// Namespaces over HTTP and WebSocket: admin, shh, shhext, waku, wakuext, web3
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "shh,web3")]
    rpc_api: Vec<String>,
    /// Origins of pages that may read answers over HTTP; * in a name for any text
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    rpc_cors: String,
    /// Names of this server that clients may use beside addresses; * for any
    #[arg(long, value_name = "LIST", default_value = "localhost")]
    rpc_hosts: String,
    /// Origins of pages that may open WebSockets [default: http://localhost]
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    ws_origins: String,
    /// Ask clients for the token in the only line of FILE, as `Authorization: Bearer TOKEN`. The
    /// environment variable STATUS_RPC_TOKEN does the same. Needed for any but loopback addresses
    #[arg(long, value_name = "FILE")]
    rpc_token: Option<PathBuf>,
    /// What `admin_datadir` says
    #[arg(long, value_name = "PATH")]
    rpc_datadir: Option<PathBuf>,
    /// Whose answers to give where they differ
    #[arg(long, value_name = "WHOSE", default_value = "statuskit")]
    rpc_as: As,
}

/// Whose answers are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum As {
    /// Those of this program
    Statuskit,
    /// Those of status-go v0.50.2, with its name
    #[value(name = "reference-2020")]
    Reference2020,
}

/// A server in the background. Dropping it ends it.
pub struct Serving {
    // First: it needs the runtime.
    _server: Server,
    _background: Background,
}

impl ServeArgs {
    fn is_on(&self) -> bool {
        self.rpc.is_some() || self.ws.is_some() || self.ipc.is_some()
    }

    /// The client's name for peers, if it is another one.
    pub fn client_name(&self) -> Option<String> {
        (self.rpc_as == As::Reference2020).then(|| REFERENCE_NAME.to_owned())
    }

    /// Checks the options, and starts the server if one is asked for. Adds to the record where it
    /// listens.
    pub fn start(
        &self,
        handle: &Handle,
        key: &SecretKey,
        client_name: &str,
        keeps_interest: bool,
        ready: Record,
    ) -> Result<(Option<Serving>, Record)> {
        let settings = self.settings(key, client_name, keeps_interest)?;
        if !self.is_on() {
            return Ok((None, ready));
        }
        let background = Background::start()?;
        let handle = handle.clone();
        let started = background.wait(async {
            let mut server = Server::start(handle, settings);
            let mut ready = ready;
            if let Some(addr) = self.rpc {
                ready = ready.with("rpc", format!("http://{}", server.listen_http(addr).await?));
            }
            if let Some(addr) = self.ws {
                ready = ready.with("ws", format!("ws://{}", server.listen_ws(addr).await?));
            }
            if let Some(path) = &self.ipc {
                server.listen_ipc(path)?;
                ready = ready.with("ipc", path.display().to_string());
            }
            Ok((server, ready))
        });
        let (server, ready) = started.map_err(|error: ServeError| serve_error(&error))?;
        Ok((Some(Serving { _server: server, _background: background }), ready))
    }

    fn settings(
        &self,
        key: &SecretKey,
        client_name: &str,
        keeps_interest: bool,
    ) -> Result<Settings> {
        for name in &self.rpc_api {
            if !NAMESPACES.contains(&name.as_str()) && !EMPTY.contains(&name.as_str()) {
                let message = format!("no namespace {}", statuskit_core::text::quote(name));
                let error = CliError::usage(message).field("--rpc-api");
                return Err(error.hint(NAMESPACES.join(", ")).into());
            }
        }
        let mut settings = Settings::new(key.clone(), client_name.to_owned());
        settings.modules = self.rpc_api.clone();
        settings.cors = self.rpc_cors.clone();
        settings.hosts = self.rpc_hosts.clone();
        settings.ws_origins = self.ws_origins.clone();
        settings.token = self.token()?;
        settings.data_dir = self.rpc_datadir.clone().unwrap_or_default();
        settings.keeps_interest = keeps_interest;
        settings.flavour = match self.rpc_as {
            As::Statuskit => Flavour::Today,
            As::Reference2020 => Flavour::Reference2020,
        };
        Ok(settings)
    }

    fn token(&self) -> Result<Option<Token>> {
        read_token(self.rpc_token.as_deref(), "--rpc-token")
    }
}

/// The token of a file, else of the environment.
pub fn read_token(file: Option<&std::path::Path>, option: &'static str) -> Result<Option<Token>> {
    Ok(token_text(file, option)?.map(Token::new))
}

/// The text of the token of a file, else of the environment.
pub fn token_text(
    file: Option<&std::path::Path>,
    option: &'static str,
) -> Result<Option<Zeroizing<String>>> {
    let (text, field) = match file {
        Some(path) => {
            let bytes = password::from_file(path, option)?;
            let text = std::str::from_utf8(&bytes).map(str::to_owned);
            (text.unwrap_or_default(), option)
        }
        None => match std::env::var("STATUS_RPC_TOKEN") {
            Ok(text) => (text, "STATUS_RPC_TOKEN"),
            Err(_) => return Ok(None),
        },
    };
    let text = Zeroizing::new(text);
    if text.len() < MIN_TOKEN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = format!("a token has at least {MIN_TOKEN} visible characters of ASCII");
        let error = CliError::usage(message).field(field);
        return Err(error.hint("head -c 32 /dev/urandom | base64").into());
    }
    Ok(Some(text))
}

/// The shortest token.
const MIN_TOKEN: usize = 16;

fn serve_error(error: &ServeError) -> CliError {
    let exit = match error {
        ServeError::Listen { .. } => Exit::Network,
        ServeError::Open { .. } => Exit::Usage,
        _ => Exit::Local,
    };
    let shown = CliError::new(error.code(), exit, error.to_string());
    match error {
        ServeError::Open { .. } => shown.field("--rpc-token").hint("127.0.0.1, or a token"),
        _ => shown,
    }
}
