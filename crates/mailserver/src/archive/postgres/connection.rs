//! Connections: a small pool, statements, transactions, and how failures are handled.
//!
//! Every call of the archive is work that can be repeated: when the engine reports a conflict with
//! another transaction, and over a new connection when the old one is lost.

use std::{
    cell::Cell,
    collections::HashMap,
    io,
    ops::ControlFlow,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use postgres::{
    Client, Config, NoTls, Row,
    config::{Host, SslMode},
    error::SqlState,
    fallible_iterator::FallibleIterator,
    types::ToSql,
};

use crate::archive::{
    ArchiveError,
    postgres::{
        Options,
        sql::{Sql, Statement},
        tls,
    },
};

/// Parameters of a statement.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The most prepared statements per connection.
const PREPARED: usize = 256;
/// How often work is repeated because our knowledge of the tables was outdated.
const STALE_LIMIT: u32 = 10;
const FIRST_WAIT: Duration = Duration::from_millis(5);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Why a piece of work failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database or the connection failed.
    Database(postgres::Error),
    /// Our knowledge of the tables is outdated: look again.
    Stale,
    /// A failure that a repetition does not mend.
    Archive(ArchiveError),
}

impl From<postgres::Error> for Fault {
    fn from(error: postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<ArchiveError> for Fault {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

/// What may help after a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// A new connection.
    Reconnect,
    /// A repetition, a little later.
    Again,
    /// A repetition after looking at the tables: others have just created or dropped some.
    Look,
    Nothing,
}

impl Fault {
    /// Whether a table does not exist.
    pub(super) fn is_undefined_table(&self) -> bool {
        matches!(self, Self::Database(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE))
    }

    fn remedy(&self) -> Remedy {
        match self {
            Self::Database(error) => match error.code() {
                Some(code) => remedy_of_state(code.code()),
                None if is_refusal(error) => Remedy::Nothing,
                None => Remedy::Reconnect,
            },
            Self::Stale => Remedy::Look,
            Self::Archive(_) => Remedy::Nothing,
        }
    }
}

/// Whether the client itself failed, not the connection: types and numbers of parameters, TLS.
fn is_refusal(error: &postgres::Error) -> bool {
    if error.is_closed() {
        return false;
    }
    // The client's errors only differ in their causes.
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if cause.is::<io::Error>() {
            return false;
        }
        source = cause.source();
    }
    true
}

fn remedy_of_state(state: &str) -> Remedy {
    match state {
        // Serialization failures and deadlocks.
        "40001" | "40P01" | "40003" => Remedy::Again,
        // Connection exceptions; shutting down, crashed, starting; too many connections; killed.
        "57P01" | "57P02" | "57P03" | "53300" => Remedy::Reconnect,
        _ if state.starts_with("08") => Remedy::Reconnect,
        // A table is gone, or two processes were creating or dropping it.
        "42P01" | "42P07" | "23505" | "42710" | "XX000" => Remedy::Look,
        _ => Remedy::Nothing,
    }
}

/// A connection with its prepared statements.
pub(super) struct Session {
    client: Client,
    prepared: HashMap<Sql, postgres::Statement>,
}

impl Session {
    fn prepare(&mut self, sql: &Sql) -> Result<postgres::Statement, Fault> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        if self.prepared.len() >= PREPARED {
            self.prepared.clear();
        }
        let statement = self.client.prepare(sql.text())?;
        self.prepared.insert(sql.clone(), statement.clone());
        Ok(statement)
    }

    /// Runs a statement and returns its rows.
    pub(super) fn query(&mut self, sql: &Sql, params: Params<'_>) -> Result<Vec<Row>, Fault> {
        let statement = self.prepare(sql)?;
        Ok(self.client.query(&statement, params)?)
    }

    /// Runs a statement and returns how many rows it changed.
    pub(super) fn execute(&mut self, sql: &Sql, params: Params<'_>) -> Result<u64, Fault> {
        if params.is_empty() {
            // Tables are created and dropped once: not worth preparing.
            return Ok(self.client.execute(sql.text(), params)?);
        }
        let statement = self.prepare(sql)?;
        Ok(self.client.execute(&statement, params)?)
    }

    /// Runs a statement and passes on its rows as they come, until `each` breaks.
    pub(super) fn stream(
        &mut self,
        sql: &Sql,
        params: Params<'_>,
        mut each: impl FnMut(&Row) -> Result<ControlFlow<()>, Fault>,
    ) -> Result<(), Fault> {
        let statement = self.prepare(sql)?;
        let mut rows = self.client.query_raw(&statement, params.iter().copied())?;
        while let Some(row) = rows.next()? {
            if each(&row)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Runs work in one transaction.
    pub(super) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.client.batch_execute(Sql::from(Statement::Begin).text())?;
        let done = work(self).and_then(|done| {
            self.client.batch_execute(Sql::from(Statement::Commit).text())?;
            Ok(done)
        });
        if done.is_err() && !self.client.is_closed() {
            // If this fails, the connection is not used again.
            self.client.batch_execute(Sql::from(Statement::Rollback).text())?;
        }
        done
    }
}

/// Checks that the client reads a URL as it was meant; a list of settings stays as it is.
///
/// The client takes everything before the first `@` for user and password, and names the rest as
/// the server in its errors. With a second `@`, that rest would contain a part of the password.
fn plain_url(url: &str) -> Result<String, ArchiveError> {
    let url = url.trim();
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| !scheme.contains('='))
    else {
        return Ok(url.to_owned());
    };
    let scheme = scheme.to_ascii_lowercase();
    let unusable = |what: &str| Err(ArchiveError::Unusable(what.to_owned()));
    if scheme != "postgres" && scheme != "postgresql" {
        return unusable("not a PostgreSQL URL: it begins with postgres:// or postgresql://");
    }
    let settings = rest.find(['?', '#']).map_or("", |at| &rest[at..]);
    if rest.matches('@').count() > 1 || settings.contains('@') {
        return unusable(
            "not a PostgreSQL URL: an @ stands between the password and the host only; in a user, \
             a password or a setting it is written %40, and ? and # are %3F and %23",
        );
    }
    Ok(format!("{scheme}://{rest}"))
}

/// Reads a URL: how to connect, and the TLS that it asks for.
pub(super) fn settings(url: &str) -> Result<(Config, Option<tls::Wanted>), ArchiveError> {
    let url = plain_url(url)?;
    let (url, wanted) = tls::take(&url)?;
    // The client's message names the setting, not its value.
    let mut config: Config = url.parse().map_err(|error| {
        ArchiveError::Unusable(format!("not a PostgreSQL URL: {}", chain(&error)))
    })?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(5));
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(Duration::from_secs(30));
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_idle(Duration::from_secs(30));
        config.keepalives_interval(Duration::from_secs(10)).keepalives_retries(3);
    }
    if config.get_application_name().is_none() {
        config.application_name("statuskit");
    }
    // The client reads it, in a list of settings instead of a URL.
    let wanted =
        wanted.or_else(|| (config.get_ssl_mode() == SslMode::Require).then(tls::Wanted::default));
    if wanted.is_some() {
        config.ssl_mode(SslMode::Require);
    }
    Ok((config, wanted))
}

/// The connections of an archive.
pub(super) struct Pool {
    config: Config,
    #[cfg(feature = "tls")]
    tls: Option<tls::Connector>,
    most: usize,
    patience: Duration,
    read_patience: Duration,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Session>,
    /// The number of connections, idle or in use.
    open: usize,
}

impl Pool {
    /// Reads the URL and connects once, as a test.
    pub(super) fn open(url: &str, options: &Options) -> Result<Self, ArchiveError> {
        let (config, wanted) = settings(url)?;
        #[cfg(not(feature = "tls"))]
        if wanted.is_some() {
            return Err(ArchiveError::Unusable(
                "the URL requires TLS, which this program was built without: build it with \
                 `--features tls`, or use a tunnel or a local proxy"
                    .into(),
            ));
        }
        let pool = Self {
            config,
            #[cfg(feature = "tls")]
            tls: wanted.as_ref().map(tls::Connector::new).transpose()?,
            most: options.connections.max(1),
            patience: options.patience,
            read_patience: match options.read_only {
                true => options.patience,
                false => options.read_patience,
            },
            state: Mutex::default(),
            returned: Condvar::new(),
        };
        let start = Instant::now();
        let session = loop {
            match pool.connect() {
                Ok(session) => break session,
                // The server is there, and just starting.
                Err(error)
                    if error.code() == Some(&SqlState::CANNOT_CONNECT_NOW)
                        && start.elapsed() < pool.patience =>
                {
                    thread::sleep(FIRST_WAIT * 20);
                }
                Err(error) => return Err(pool.explain("connecting", error)),
            }
        };
        pool.state().open = 1;
        pool.give_back(Some(session));
        Ok(pool)
    }

    /// The server's address for messages, without the password.
    pub(super) fn target(&self) -> String {
        let hosts: Vec<_> = (self.config.get_hosts().iter())
            .map(|host| match host {
                Host::Tcp(name) => name.clone(),
                #[cfg(unix)]
                Host::Unix(path) => path.display().to_string(),
            })
            .collect();
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or_default();
        format!("{}:{port}/{database}", hosts.join(","))
    }

    /// Runs work with a connection, and repeats it as long as that can help.
    pub(super) fn run<T>(
        &self,
        what: &str,
        work: impl FnMut(&mut Session) -> Result<T, Fault>,
    ) -> Result<T, ArchiveError> {
        self.run_for(self.patience, what, &Cell::new(0), work)
    }

    /// Runs work that reads, and continues where it was interrupted: as long as `progress` changes,
    /// a fault is a new one.
    pub(super) fn run_on<T>(
        &self,
        what: &str,
        progress: &Cell<u64>,
        work: impl FnMut(&mut Session) -> Result<T, Fault>,
    ) -> Result<T, ArchiveError> {
        self.run_for(self.read_patience, what, progress, work)
    }

    fn run_for<T>(
        &self,
        patience: Duration,
        what: &str,
        progress: &Cell<u64>,
        mut work: impl FnMut(&mut Session) -> Result<T, Fault>,
    ) -> Result<T, ArchiveError> {
        let mut seen = progress.get();
        let mut failing: Option<Instant> = None;
        let mut wait = FIRST_WAIT;
        let mut stale = 0;
        loop {
            let fault = match self.once(&mut work) {
                Ok(done) => return Ok(done),
                Err(fault) => fault,
            };
            if progress.get() != seen {
                seen = progress.get();
                (failing, wait, stale) = (None, FIRST_WAIT, 0);
            }
            let remedy = fault.remedy();
            stale += u32::from(remedy == Remedy::Look);
            let hopeless = remedy == Remedy::Nothing || stale > STALE_LIMIT;
            let since = failing.get_or_insert_with(Instant::now);
            if hopeless || since.elapsed() + wait > patience {
                return Err(match fault {
                    Fault::Database(error) => self.explain(what, error),
                    Fault::Archive(error) => error,
                    Fault::Stale => ArchiveError::Unusable(format!(
                        "{what}: others change the tables all the time; try again"
                    )),
                });
            }
            // Between half and all of it, so that two conflicting calls don't meet again.
            thread::sleep(wait.mul_f64(0.5 + 0.5 * rand::random::<f64>()));
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Runs work with a connection, once.
    fn once<T>(&self, work: &mut impl FnMut(&mut Session) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut lease = Lease { pool: self, session: self.take()? };
        if lease.session.is_none() {
            lease.session = Some(self.connect()?);
        }
        let Some(session) = &mut lease.session else { return Err(Fault::Stale) };
        let done = work(session);
        let lost = done.as_ref().is_err_and(|fault| fault.remedy() == Remedy::Reconnect);
        if lost || session.client.is_closed() {
            lease.session = None;
            if lost {
                // The others are probably lost, too.
                let mut state = self.state();
                let idle = std::mem::take(&mut state.idle);
                state.open -= idle.len();
                drop(state);
                drop(idle);
            }
        }
        done
    }

    /// Takes an idle connection, or the right to open one.
    fn take(&self) -> Result<Option<Session>, Fault> {
        let start = Instant::now();
        let mut state = self.state();
        loop {
            if let Some(session) = state.idle.pop() {
                return Ok(Some(session));
            }
            if state.open < self.most {
                state.open += 1;
                return Ok(None);
            }
            let Some(left) = self.patience.checked_sub(start.elapsed()) else {
                let text = format!("all {} connections to PostgreSQL are busy", self.most);
                return Err(ArchiveError::Unusable(text).into());
            };
            let waited = self.returned.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give_back(&self, session: Option<Session>) {
        let mut state = self.state();
        match session {
            Some(session) => state.idle.push(session),
            None => state.open -= 1,
        }
        drop(state);
        self.returned.notify_one();
    }

    fn connect(&self) -> Result<Session, postgres::Error> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            let client = self.config.connect(tls.clone())?;
            return Ok(Session { client, prepared: HashMap::new() });
        }
        Ok(Session { client: self.config.connect(NoTls)?, prepared: HashMap::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Translates an error of the database for the user of the archive.
    fn explain(&self, what: &str, error: postgres::Error) -> ArchiveError {
        let target = self.target();
        let text = format!("{what}: PostgreSQL at {target}: {}", chain(&error));
        match error.code().map(SqlState::code) {
            Some("53100" | "53200" | "54000") => ArchiveError::Full(text),
            Some("XX001" | "XX002") => ArchiveError::Damaged(text),
            Some("42P01") => {
                ArchiveError::Damaged(format!("{text} (a table was removed by other means?)"))
            }
            Some(code) if remedy_of_state(code) != Remedy::Reconnect => {
                ArchiveError::Unusable(format!("{text} (SQLSTATE {code})"))
            }
            None if is_refusal(&error) => ArchiveError::Unusable(text),
            _ => ArchiveError::Io {
                what: format!("{what}: PostgreSQL at {target}"),
                source: io::Error::other(chain(&error)),
            },
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let idle = std::mem::take(&mut self.state().idle);
        // Dropping a connection blocks, and an archive may be dropped where blocking isn't allowed.
        let _ = thread::spawn(move || drop(idle)).join();
    }
}

/// A connection in use, or the right to have one. It is returned however the use ends.
struct Lease<'a> {
    pool: &'a Pool,
    session: Option<Session>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut session = self.session.take();
        if thread::panicking() {
            // It may be in the middle of a transaction.
            session = None;
        }
        self.pool.give_back(session);
    }
}

/// Returns an error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
