//! A fixed address in front of a peer that comes and goes.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use super::harness::Peer;

/// Forwards connections to the current peer; without one, they are closed at once.
pub struct Proxy {
    port: u16,
    target: Arc<Mutex<Option<SocketAddr>>>,
}

impl Proxy {
    pub fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let target = Arc::<Mutex<Option<SocketAddr>>>::default();
        let shared = target.clone();
        // Ends with the tests.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let target = *shared.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(server) = target.and_then(|to| TcpStream::connect(to).ok()) else {
                    continue;
                };
                pass_on(&client, &server);
                pass_on(&server, &client);
            }
        });
        Self { port, target }
    }

    /// Forwards new connections to this peer, or closes them.
    pub fn set(&self, peer: Option<&Peer>) {
        let target = peer.map(|peer| {
            let (_, address) = peer.enode().rsplit_once('@').expect("an enode");
            address.parse().expect("an address")
        });
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Returns the enode of the peer behind the proxy.
    pub fn enode(&self, peer: &Peer) -> String {
        let (key, _) = peer.enode().rsplit_once(':').expect("an enode");
        format!("{key}:{}", self.port)
    }
}

fn pass_on(from: &TcpStream, to: &TcpStream) {
    let mut from = from.try_clone().expect("a socket");
    let mut to = to.try_clone().expect("a socket");
    thread::spawn(move || {
        // However it ends, close both sides.
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}
