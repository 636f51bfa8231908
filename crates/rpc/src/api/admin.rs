//! `admin_*`: the node itself, its peers, and where it is served.

use std::{collections::HashSet, net::SocketAddr, sync::Mutex};

use statuskit_core::{
    crypto::{PublicKey, SecretKey},
    devp2p::NodeId,
    discovery::RecordBuilder,
    wire::Dialect,
};
use statuskit_net::node::{PeerOptions, PeerSummary};

use super::{Api, Outcome, Reply, array, text};
use crate::{
    error::RpcError,
    goenode::{self, Named},
    json::{
        typed::{Place, Typed},
        write,
    },
    keys::lock,
    request::Params,
    serve::Origins,
};
use std::sync::Arc;

/// The largest packet of a peer that a client has named, in bytes.
const MAX_PACKET: u32 = 10 << 20;

/// What clients have said about peers.
pub struct Admin {
    record: String,
    dialled: Mutex<HashSet<PublicKey>>,
    trusted: Mutex<HashSet<PublicKey>>,
}

impl Admin {
    /// For the node with this key.
    pub fn new(key: &SecretKey, addr: Option<SocketAddr>) -> Self {
        let mut record = RecordBuilder::new(1);
        if let Some(addr) = addr {
            record = record.ip(addr.ip()).tcp(addr.port());
        }
        // With an address and a port, it is never too large.
        let record = record.sign(key).map(|record| record.to_string()).unwrap_or_default();
        Self { record, dialled: Mutex::default(), trusted: Mutex::default() }
    }
}

impl Api {
    pub(super) fn admin(
        self: &Arc<Self>,
        name: &str,
        mut params: Params<'_>,
    ) -> Result<Reply, RpcError> {
        let yes = || Ok::<_, RpcError>("true".to_owned());
        Ok(match name {
            "nodeInfo" => {
                params.end()?;
                self.node_info().into()
            }
            "peers" => {
                params.end()?;
                Ok(array(&self.peers())).into()
            }
            "datadir" => {
                params.end()?;
                Ok(write::string(&self.data_dir)).into()
            }
            "addPeer" => {
                let Named { id, enode } = named(params)?;
                if let Some(enode) = enode
                    && id != self.handle.id()
                    && lock(&self.admin.dialled).insert(id)
                {
                    let mut options = PeerOptions::default();
                    options.max_packet_size = Some(MAX_PACKET);
                    self.handle.add_peer(enode, options);
                }
                yes().into()
            }
            "removePeer" => {
                let Named { id, .. } = named(params)?;
                lock(&self.admin.dialled).remove(&id);
                self.handle.remove_peer(&id);
                yes().into()
            }
            "addTrustedPeer" => {
                let Named { id, .. } = named(params)?;
                lock(&self.admin.trusted).insert(id);
                yes().into()
            }
            "removeTrustedPeer" => {
                let Named { id, .. } = named(params)?;
                lock(&self.admin.trusted).remove(&id);
                yes().into()
            }
            "startWS" | "startRPC" => {
                let host = params.next_if_any(text)?;
                let port = params.next_if_any(int)?;
                let origins = params.next_if_any(text)?;
                let modules = params.next_if_any(text)?;
                let hosts = if name == "startRPC" { params.next_if_any(text)? } else { None };
                params.end()?;
                let (api, is_ws) = (self.clone(), name == "startWS");
                let origins = Origins::of(&origins.unwrap_or_default());
                Reply::later(async move {
                    let start = crate::serve::Start { host, port, origins, modules, hosts };
                    crate::serve::start(&api, is_ws, start).await.map(|()| "true".to_owned())
                })
            }
            "stopWS" | "stopRPC" => {
                params.end()?;
                let is_ws = name == "stopWS";
                if !self.endpoints.stop(is_ws) {
                    let what = if is_ws { "WebSocket" } else { "HTTP" };
                    return Err(RpcError::failed(format!("{what} RPC not running")));
                }
                yes().into()
            }
            _ => Err(RpcError::no_method(&format!("admin_{name}"))).into(),
        })
    }

    fn node_info(&self) -> Outcome {
        let id = self.handle.id();
        let addr = self.handle.enode();
        let (ip, port) = match &addr {
            Some(enode) => (enode.host.to_string(), enode.tcp),
            None => ("127.0.0.1".to_owned(), 0),
        };
        let mut out = String::from("{\"id\":");
        write::put_string(&mut out, &node_id(&id));
        out.push_str(",\"name\":");
        write::put_string(&mut out, &self.client_name);
        out.push_str(",\"enode\":");
        let url = format!("enode://{}@{ip}:{port}?discport=0", hex::encode(id.to_xy()));
        write::put_string(&mut out, &url);
        out.push_str(",\"enr\":");
        write::put_string(&mut out, &self.admin.record);
        out.push_str(",\"ip\":");
        write::put_string(&mut out, ip.trim_matches(['[', ']']));
        out.push_str(&format!(
            ",\"ports\":{{\"discovery\":0,\"listener\":{port}}},\"listenAddr\":"
        ));
        let listen = self.handle.local_addr().map(|addr| addr.to_string()).unwrap_or_default();
        write::put_string(&mut out, &listen);
        out.push_str(",\"protocols\":{");
        for (index, protocol) in self.protocols.iter().enumerate() {
            let (min_pow, size) = protocol.handle.with(|node, _| {
                let config = node.config();
                (config.min_pow, config.max_message_size)
            });
            let comma = if index > 0 { "," } else { "" };
            let name = protocol.namespace;
            out.push_str(&format!("{comma}\"{name}\":{{\"maxMessageSize\":{size},\"minimumPoW\":"));
            write::put_float(&mut out, min_pow).unwrap_or_default();
            out.push_str(&format!(",\"version\":\"{}\"}}", protocol.version()));
        }
        out.push_str("}}");
        Ok(out)
    }

    /// The peers whose Status has come, each once.
    fn peers(&self) -> Vec<String> {
        let mut all: Vec<(Arc<PeerSummary>, Vec<Dialect>)> = Vec::new();
        for peer in self.handle.peers() {
            let state = self.handle.peer_state(peer.key);
            let Some(state) = state.filter(|state| state.status.is_some()) else { continue };
            let dialect = state.info.dialect;
            match all.iter_mut().find(|(other, _)| other.id == peer.id) {
                Some((_, dialects)) => dialects.push(dialect),
                None => all.push((peer, vec![dialect])),
            }
        }
        all.iter_mut().for_each(|(_, dialects)| dialects.sort_by_key(|it| it.is_waku()));
        all.iter().map(|(peer, dialects)| self.peer_info(peer, dialects)).collect()
    }

    fn peer_info(&self, peer: &PeerSummary, dialects: &[Dialect]) -> String {
        let PeerSummary { id, addr, inbound, client, .. } = peer;
        let ours = self.handle.local_addr().unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
        // Of a connection that we have made, the port is anyone's guess.
        let ours = if *inbound { ours } else { SocketAddr::new(ours.ip(), 0) };
        let mut out = String::from("{\"enode\":");
        write::put_string(&mut out, &format!("enode://{}@{addr}", hex::encode(id.to_xy())));
        out.push_str(",\"id\":");
        write::put_string(&mut out, &node_id(id));
        out.push_str(",\"name\":");
        write::put_string(&mut out, client);
        let caps: Vec<_> = dialects.iter().map(|dialect| format!("\"{dialect}\"")).collect();
        out.push_str(&format!(",\"caps\":{},\"network\":{{\"localAddress\":", array(&caps)));
        write::put_string(&mut out, &ours.to_string());
        out.push_str(",\"remoteAddress\":");
        write::put_string(&mut out, &addr.to_string());
        let trusted = lock(&self.admin.trusted).contains(id);
        let is_static = lock(&self.admin.dialled).contains(id);
        out.push_str(&format!(
            ",\"inbound\":{inbound},\"trusted\":{trusted},\"static\":{is_static}}},\
             \"protocols\":{{"
        ));
        let unknown =
            dialects.iter().map(|dialect| format!("\"{}\":\"unknown\"", dialect.protocol()));
        out.push_str(&unknown.collect::<Vec<_>>().join(","));
        out.push_str("}}");
        out
    }
}

fn node_id(id: &PublicKey) -> String {
    hex::encode(NodeId::from_key(id).0)
}

fn named(mut params: Params<'_>) -> Result<Named, RpcError> {
    let node = params.next(text)?;
    params.end()?;
    goenode::read(&node).map_err(|error| RpcError::failed(format!("invalid enode: {error}")))
}

fn int(value: &[u8]) -> Result<i64, String> {
    let mut typed = Typed::default();
    let number = typed.int64(value, Place::default(), "int");
    typed.done(number)
}
