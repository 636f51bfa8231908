//! A node for tests: in this process, on a free port, gone when it is dropped.
//!
//! ```
//! use statuskit_net::testing::TestNode;
//!
//! let node = TestNode::start("relay")?;
//! // Programs under test dial it, …
//! println!("{}", node.enode());
//! // … and what they do shows here.
//! assert_eq!(node.handle().stats().pooled, 0);
//! # Ok::<(), statuskit_net::node::ServiceError>(())
//! ```
//!
//! Where there is a tokio runtime, a [`Service`] with the [`local_config`] does as well.

use std::{net::SocketAddr, sync::mpsc, thread::JoinHandle};

use statuskit_core::{
    crypto::{SecretKey, seeded_rng},
    devp2p::Enode,
};
use tokio::{
    runtime::{Builder, Handle as Runtime},
    sync::oneshot,
};

use crate::node::{Handle, Interest, NodeConfig, Service, ServiceConfig, ServiceError};

/// A node on a thread of its own.
#[derive(Debug)]
pub struct TestNode {
    handle: Handle,
    runtime: Runtime,
    /// Dropped to end the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestNode {
    /// Starts a node with the [`local_config`] of this seed. It listens when this returns.
    ///
    /// # Errors
    /// If the system has no port, thread or randomness left.
    pub fn start(seed: &str) -> Result<Self, ServiceError> {
        Self::start_with(local_config(seed))
    }

    /// Starts a node with these settings. Unless they say where, it listens on a free port.
    ///
    /// # Errors
    /// As [`start`](Self::start), or if the address is taken.
    pub fn start_with(mut config: ServiceConfig) -> Result<Self, ServiceError> {
        config.listen.get_or_insert(free_port());
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(ServiceError::Runtime)?;
        let on_runtime = runtime.handle().clone();
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        // The thread starts it, too: the caller may be on a runtime itself.
        let run = move || match runtime.block_on(Service::start(config)) {
            Ok(service) => {
                let _ = tell.send(Ok(service.handle().clone()));
                // The result is an error: the other end was dropped.
                let _ = runtime.block_on(stopped);
            }
            Err(error) => drop(tell.send(Err(error))),
        };
        let thread = std::thread::Builder::new().name("test node".to_owned()).spawn(run);
        let thread = thread.map_err(ServiceError::Runtime)?;
        let handle = told.recv().expect("the thread tells how it went")?;
        Ok(Self { handle, runtime: on_runtime, stop: Some(stop), thread: Some(thread) })
    }

    /// The node's URL.
    pub fn enode(&self) -> Enode {
        self.handle.enode().expect("it listens")
    }

    /// The node: for what it knows, and to make it do something.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The runtime that the node runs on, for what shall end with it.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }
}

/// Closes all connections at once, without a Disconnect. The port is free afterwards.
impl Drop for TestNode {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The settings of a node for tests: its key is made from the seed, it listens on a free port of
/// the loopback interface, accepts any proof of work, and reports every envelope.
pub fn local_config(seed: &str) -> ServiceConfig {
    let mut config = ServiceConfig::new(SecretKey::generate(&mut seeded_rng(seed)));
    config.listen = Some(free_port());
    config.node = NodeConfig::with_min_pow(0.0);
    config.node.interest = Interest::Everything;
    config
}

fn free_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn its_port_is_free_when_it_is_gone() {
        let node = TestNode::start("node").unwrap();
        let addr = node.handle().local_addr().unwrap();
        assert!(TcpListener::bind(addr).is_err());
        let mut config = local_config("other");
        config.listen = Some(addr);
        let error = TestNode::start_with(config).unwrap_err();
        assert_eq!(error.code(), "net.listen");
        drop(node);
        TcpListener::bind(addr).unwrap();
    }

    #[tokio::test]
    async fn nodes_can_be_used_from_a_runtime_and_from_none() {
        let [a, b] = ["a", "b"].map(|seed| TestNode::start(seed).unwrap());
        let mut events = a.handle().subscribe();
        let dial = (b.enode(), a.handle().clone());
        std::thread::spawn(move || dial.1.add_peer(dial.0, Default::default())).join().unwrap();
        while let Some(event) = events.next().await
            && !matches!(*event, crate::node::Event::Ready { .. })
        {}
        assert_eq!(a.handle().peers()[0].id, b.handle().id());
    }
}
