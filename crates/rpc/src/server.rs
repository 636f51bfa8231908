//! The server: what it needs, and its life.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use statuskit_core::crypto::SecretKey;
use statuskit_net::node::{Handle, Interest};

use crate::{
    api::{Api, Flavour, Modules, Protocol, REFERENCE_NAME, admin::Admin},
    serve::{self, Endpoints, Gate, Origins, ServeError, Token, ipc},
};

/// The settings of a [`Server`]. By default, nothing listens, and nothing but `rpc_modules` is
/// offered over the network.
#[derive(Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The key of the node; it signs requests to mailservers.
    pub node_key: SecretKey,
    /// The namespaces that are offered over HTTP and WebSocket. IPC has all.
    pub modules: Vec<String>,
    /// The origins of pages that may read answers over HTTP.
    pub cors: String,
    /// The names under which clients may reach HTTP, beside addresses.
    pub hosts: String,
    /// The origins of pages that may open WebSockets.
    pub ws_origins: String,
    /// What clients have to show.
    pub token: Option<Token>,
    /// The name of the client.
    pub client_name: String,
    /// What `admin_datadir` says.
    pub data_dir: PathBuf,
    /// How to answer where the reference of 2020 differs.
    pub flavour: Flavour,
    /// Whether others need all envelopes as events, so that filters do not choose.
    pub keeps_interest: bool,
}

impl Settings {
    /// The settings for the node with this key.
    pub fn new(node_key: SecretKey, client_name: String) -> Self {
        Self {
            node_key,
            modules: Vec::new(),
            cors: String::new(),
            hosts: "localhost".to_owned(),
            ws_origins: String::new(),
            token: None,
            client_name,
            data_dir: PathBuf::new(),
            flavour: Flavour::default(),
            keeps_interest: false,
        }
    }
}

/// A server beside a running node. It ends with the runtime that it was started on.
pub struct Server {
    api: Arc<Api>,
    ws_gate: Gate,
    socket: Option<ipc::File>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Server {
    /// Starts it on the current tokio runtime. Nothing listens yet.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(handle: Handle, settings: Settings) -> Self {
        let hosts = settings.hosts.split(',').map(|host| host.trim().to_lowercase());
        let gate = Gate {
            hosts: hosts.filter(|host| !host.is_empty()).collect(),
            cors: Origins::of(&settings.cors),
            token: settings.token,
        };
        let ws_gate = Gate { cors: Origins::of(&settings.ws_origins), ..gate.clone() };
        let is_reference = settings.flavour == Flavour::Reference2020;
        let client_name = match is_reference {
            true => REFERENCE_NAME.to_owned(),
            false => settings.client_name,
        };
        let protocol =
            |handle| Arc::new(Protocol::new(handle, settings.node_key.clone(), settings.flavour));
        let protocols: Vec<_> = handle.networks().into_iter().map(protocol).collect();
        let modules = Modules::of(settings.modules.iter().map(String::as_str));
        let events = handle.subscribe();
        let api = Arc::new(Api {
            admin: Admin::new(&settings.node_key, handle.local_addr()),
            handle,
            client_name,
            data_dir: settings.data_dir.to_string_lossy().into_owned(),
            protocols,
            endpoints: Endpoints::new(gate, modules),
            wants_everything: settings.keeps_interest,
        });
        for protocol in &api.protocols {
            if !settings.keeps_interest {
                protocol.handle.set_interest(Interest::Nothing);
            }
            let timed = protocol.clone();
            tokio::spawn(async move { timed.mail.keep_time().await });
        }
        tokio::spawn(api.clone().listen(events));
        Self { api, ws_gate, socket: None }
    }

    /// Serves HTTP. Returns the address, with the port that was free for port 0.
    ///
    /// # Errors
    /// If the address is taken, or it is not of this machine alone and there is no token.
    pub async fn listen_http(&self, addr: SocketAddr) -> Result<SocketAddr, ServeError> {
        let Endpoints { gate, modules, .. } = &self.api.endpoints;
        let (gate, modules) = (gate.clone(), modules.clone());
        serve::listen(&self.api, false, &addr.to_string(), gate, modules).await
    }

    /// Serves WebSocket, likewise.
    ///
    /// # Errors
    /// As [`listen_http`](Self::listen_http).
    pub async fn listen_ws(&self, addr: SocketAddr) -> Result<SocketAddr, ServeError> {
        let modules = self.api.endpoints.modules.clone();
        serve::listen(&self.api, true, &addr.to_string(), self.ws_gate.clone(), modules).await
    }

    /// Serves a socket of the file system, with mode 0600. It goes with the server.
    ///
    /// # Errors
    /// If the socket can't be made, or another program listens there.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn listen_ipc(&mut self, path: &Path) -> Result<(), ServeError> {
        self.socket = Some(ipc::listen(&self.api, path)?);
        Ok(())
    }
}
