//! A local port on which a server tells how it is: `/metrics` for Prometheus, `/health` for
//! whoever restarts what is ill.
//!
//! On a thread of its own, so that a slow reader of metrics, or an archive that takes long to
//! count, keeps nobody else waiting. Few connections at a time, each for a short time only.

use std::{
    cmp::Reverse,
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpListener, runtime::Runtime, sync::oneshot, task::spawn_blocking, time::timeout,
};

use crate::{
    error::{CliError, Exit, Result},
    output::{Record, json_line},
};

/// What is told about a server.
pub trait Told: Send + Sync + 'static {
    /// In the text format of Prometheus.
    fn metrics(&self) -> String;
    /// Whether all is well, and what there is to say about it.
    fn health(&self) -> (bool, Record);
}

/// Connections at a time. Beyond, one that is idle is closed: silent strangers keep nobody waiting.
const CONNECTIONS: usize = 16;

/// How long the other side is waited for.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For a request.
    header: Duration,
    /// For a connection to end.
    connection: Duration,
}

const PATIENCE: Patience =
    Patience { header: Duration::from_secs(5), connection: Duration::from_secs(30) };
/// The longest request.
const MAX_REQUEST: usize = 16 << 10;

/// A port that is ours, on which nothing is told yet.
pub struct Port {
    addr: SocketAddr,
    runtime: Runtime,
    listener: TcpListener,
}

impl Port {
    /// Listens there.
    pub fn open(addr: SocketAddr) -> Result<Self> {
        let failed = |error| failed_to_listen(addr, &error);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let listener = runtime.block_on(TcpListener::bind(addr)).map_err(failed)?;
        // With the port that was free, if 0 was asked for.
        let addr = listener.local_addr().map_err(failed)?;
        Ok(Self { addr, runtime, listener })
    }

    /// Begins to tell. Gives the address.
    pub fn tell(self, told: Arc<dyn Told>) -> Result<SocketAddr> {
        let Self { addr, runtime, listener } = self;
        thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || runtime.block_on(accept(&listener, &told, PATIENCE)))
            .map_err(|error| failed_to_listen(addr, &error))?;
        Ok(addr)
    }
}

fn failed_to_listen(addr: SocketAddr, error: &io::Error) -> CliError {
    CliError::new("net.listen", Exit::Network, format!("can't listen on {addr}: {error}"))
        .field("--metrics")
}

async fn accept(listener: &TcpListener, told: &Arc<dyn Told>, patience: Patience) {
    let connections = Arc::new(Mutex::new(Connections::default()));
    loop {
        let Ok((stream, addr)) = listener.accept().await else {
            // Out of file descriptors, perhaps: some will be free in a moment.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let told = told.clone();
        let (number, busy, lost) = lock(&connections).enter(addr.ip());
        let connections = connections.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (method, path) = (request.method().clone(), request.uri().path().to_owned());
                let (told, busy) = (told.clone(), busy.clone());
                async move {
                    busy.store(true, Relaxed);
                    // It may wait a moment for the archive.
                    let answer = spawn_blocking(move || answer(&method, &path, &*told)).await;
                    busy.store(false, Relaxed);
                    Ok::<_, Infallible>(answer.unwrap_or_else(|_| failed()))
                }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(patience.header)
                .max_buf_size(MAX_REQUEST)
                .serve_connection(TokioIo::new(stream), service);
            // Whatever ends it: the other side may ask again.
            tokio::select! {
                _ = timeout(patience.connection, connection) => {}
                _ = lost => {}
            }
            lock(&connections).leave(number);
        });
    }
}

fn lock(connections: &Mutex<Connections>) -> MutexGuard<'_, Connections> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The open connections, oldest first.
#[derive(Debug, Default)]
struct Connections {
    open: Vec<Open>,
    next: u64,
}

#[derive(Debug)]
struct Open {
    number: u64,
    ip: IpAddr,
    /// Whether a request is being answered.
    busy: Arc<AtomicBool>,
    /// Dropped to close the connection.
    _held: oneshot::Sender<Infallible>,
}

impl Connections {
    /// Adds a connection. If there are too many, one that is idle is closed: the oldest of the
    /// address with most of them.
    fn enter(&mut self, ip: IpAddr) -> (u64, Arc<AtomicBool>, oneshot::Receiver<Infallible>) {
        if self.open.len() >= CONNECTIONS {
            let of = |ip: IpAddr| self.open.iter().filter(|open| open.ip == ip).count();
            let rank = |open: &Open| (!open.busy.load(Relaxed), of(open.ip), Reverse(open.number));
            let closed = self.open.iter().enumerate().max_by_key(|(_, open)| rank(open));
            if let Some(at) = closed.map(|(at, _)| at) {
                self.open.remove(at);
            }
        }
        let (number, busy) = (self.next, Arc::new(AtomicBool::new(false)));
        self.next += 1;
        let (held, lost) = oneshot::channel();
        self.open.push(Open { number, ip, busy: busy.clone(), _held: held });
        (number, busy, lost)
    }

    fn leave(&mut self, number: u64) {
        self.open.retain(|open| open.number != number);
    }
}

fn answer(method: &Method, path: &str, told: &dyn Told) -> Response<String> {
    let (status, kind, body) = match (method, path) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", told.metrics())
        }
        (&Method::GET | &Method::HEAD, "/health") => {
            let (well, record) = told.health();
            let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, "application/json", format!("{}\n", json_line(record.members())))
        }
        (&Method::GET | &Method::HEAD, _) => {
            (StatusCode::NOT_FOUND, "text/plain", "there are /metrics and /health\n".to_owned())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", String::new()),
    };
    let response = Response::builder().status(status).header(CONTENT_TYPE, kind);
    let response = if status == StatusCode::METHOD_NOT_ALLOWED {
        response.header(ALLOW, "GET, HEAD")
    } else {
        response
    };
    // All parts are constants.
    response.body(body).unwrap_or_default()
}

/// When telling how it is has failed.
fn failed() -> Response<String> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// Metrics as Prometheus reads them.
#[derive(Debug)]
pub struct Metrics {
    prefix: &'static str,
    text: String,
}

impl Metrics {
    /// None so far; their names begin with the prefix.
    pub fn new(prefix: &'static str) -> Self {
        Self { prefix, text: String::new() }
    }

    /// A number that only grows.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, help, "counter");
        self.sample(name, value);
    }

    /// A number that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, help, "gauge");
        self.sample(name, value);
    }

    /// Numbers that only grow, told apart by a label, whose values are ours.
    pub fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        self.family(name, help, "counter");
        self.labelled(name, label, values);
    }

    /// Numbers that go up and down, told apart by a label, whose values are ours.
    pub fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        self.family(name, help, "gauge");
        self.labelled(name, label, values);
    }

    /// How many were at most so large, for ascending bounds, the last of them infinite; and their
    /// sum.
    pub fn histogram(
        &mut self,
        name: &str,
        help: &str,
        buckets: impl IntoIterator<Item = (f64, u64)>,
        sum: f64,
    ) {
        self.family(name, help, "histogram");
        let mut all = 0;
        for (bound, count) in buckets {
            all = count;
            let bound = if bound.is_infinite() { "+Inf".to_owned() } else { bound.to_string() };
            self.sample(&format!("{name}_bucket{{le=\"{bound}\"}}"), count);
        }
        self.sample(&format!("{name}_sum"), sum);
        self.sample(&format!("{name}_count"), all);
    }

    /// All of them.
    pub fn into_text(self) -> String {
        self.text
    }

    fn family(&mut self, name: &str, help: &str, kind: &str) {
        let prefix = self.prefix;
        self.text += &format!("# HELP {prefix}{name} {help}\n# TYPE {prefix}{name} {kind}\n");
    }

    fn labelled<'a>(
        &mut self,
        name: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        for (of, value) in values {
            self.sample(&format!("{name}{{{label}=\"{of}\"}}"), value);
        }
    }

    fn sample(&mut self, name: &str, value: impl std::fmt::Display) {
        self.text += &format!("{}{name} {value}\n", self.prefix);
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    struct Well;

    impl Told for Well {
        fn metrics(&self) -> String {
            String::new()
        }

        fn health(&self) -> (bool, Record) {
            (true, Record::new("health"))
        }
    }

    /// Here nobody loses patience: only what is closed in favour of others ends.
    #[test]
    fn silent_connections_keep_nobody_waiting() {
        let port = Port::open(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let Port { addr, runtime, listener } = port;
        let for_ever = Duration::from_secs(3600);
        let patience = Patience { header: for_ever, connection: for_ever };
        let told: Arc<dyn Told> = Arc::new(Well);
        thread::spawn(move || runtime.block_on(accept(&listener, &told, patience)));
        let idle: Vec<_> =
            (0..3 * CONNECTIONS).map(|_| TcpStream::connect(addr).unwrap()).collect();
        for _ in 0..3 {
            let mut asking = TcpStream::connect(addr).unwrap();
            asking.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            io::Write::write_all(&mut asking, b"GET /health HTTP/1.0\r\n\r\n").unwrap();
            let mut answer = String::new();
            io::Read::read_to_string(&mut asking, &mut answer).expect("an answer");
            assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
        }
        drop(idle);
    }

    #[test]
    fn the_oldest_idle_one_of_the_greediest_is_closed() {
        let ip = |last| IpAddr::from([10, 0, 0, last]);
        let mut connections = Connections::default();
        let mut all: Vec<_> =
            (0..CONNECTIONS as u8).map(|n| connections.enter(ip(n.min(3)))).collect();
        all[3].1.store(true, Relaxed);
        let _one_more = connections.enter(ip(0));
        let is_lost = |lost: &mut oneshot::Receiver<Infallible>| {
            lost.try_recv() == Err(oneshot::error::TryRecvError::Closed)
        };
        let lost: Vec<_> = all
            .iter_mut()
            .filter_map(|(number, _, lost)| is_lost(lost).then_some(*number))
            .collect();
        assert_eq!(lost, [4]);
        connections.leave(0);
        assert_eq!(connections.open.len(), CONNECTIONS - 1);
    }

    #[test]
    fn metrics_are_text() {
        let mut metrics = Metrics::new("x_");
        metrics.counters("asked_total", "Asked.", "how", [("well", 2), ("badly", 1)]);
        metrics.histogram("time", "Time.", [(0.5, 1), (f64::INFINITY, 3)], 2.5);
        let expected = "# HELP x_asked_total Asked.\n# TYPE x_asked_total counter\n\
            x_asked_total{how=\"well\"} 2\nx_asked_total{how=\"badly\"} 1\n\
            # HELP x_time Time.\n# TYPE x_time histogram\nx_time_bucket{le=\"0.5\"} 1\n\
            x_time_bucket{le=\"+Inf\"} 3\nx_time_sum 2.5\nx_time_count 3\n";
        assert_eq!(metrics.into_text(), expected);
    }
}
