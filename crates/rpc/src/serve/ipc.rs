//! A socket of the file system, for this user alone: values one after the other, without separators.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream, unix::OwnedReadHalf},
    task::JoinSet,
    time::timeout,
};

use super::{ACCEPT_AGAIN, Gate, ServeError, Served, patient::Patient, session::Session};
use crate::{
    api::{Api, Modules},
    json::scan::Scanner,
};

/// Connections at a time. More are turned away.
const CONNECTIONS: usize = 256;
/// The largest value. The reference has no limit.
const MAX_VALUE: usize = 64 << 20;
const CHUNK: usize = 16 << 10;
const FAREWELL: Duration = Duration::from_secs(2);

/// The socket's file. Dropping it removes it.
#[derive(Debug)]
pub struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Serves all that there is on a socket at this path.
pub fn listen(api: &Arc<Api>, path: &Path) -> Result<File, ServeError> {
    let failed = |error| ServeError::Socket { path: path.to_owned(), error };
    let listener = bind(path).map_err(failed)?;
    let served = Served {
        api: api.clone(),
        gate: Arc::new(Gate::default()),
        modules: Arc::new(Modules::all()),
    };
    tokio::spawn(accept(listener, served));
    Ok(File(path.to_owned()))
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file is there"));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another program listens there"));
        }
        _ => {}
    }
    // Under another name until its mode is right: nobody else ever gets in.
    let mut hidden = path.as_os_str().to_owned();
    hidden.push(format!(".{}", std::process::id()));
    let hidden = PathBuf::from(hidden);
    let _ = fs::remove_file(&hidden);
    let listener = UnixListener::bind(&hidden)?;
    let moved = fs::set_permissions(&hidden, fs::Permissions::from_mode(0o600))
        .and_then(|()| fs::rename(&hidden, path));
    if let Err(error) = moved {
        let _ = fs::remove_file(&hidden);
        return Err(error);
    }
    Ok(listener)
}

async fn accept(listener: UnixListener, served: Served) {
    let places = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        if places.fetch_add(1, Relaxed) >= CONNECTIONS {
            places.fetch_sub(1, Relaxed);
            continue;
        }
        let (served, places) = (served.clone(), places.clone());
        tokio::spawn(async move {
            talk(stream, served).await;
            places.fetch_sub(1, Relaxed);
        });
    }
}

async fn talk(stream: UnixStream, served: Served) {
    let (input, output) = stream.into_split();
    let (session, mut outbox) = Session::begin(served);
    let mut output = Patient::new(output);
    {
        let writing = async {
            while let Some(outgoing) = outbox.recv().await {
                if output.write_all(outgoing.text.as_bytes()).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = read(input, &session) => {}
            () = writing => {}
            () = session.over() => {}
        }
    }
    let farewell = async {
        while let Ok(outgoing) = outbox.try_recv() {
            output.write_all(outgoing.text.as_bytes()).await?;
        }
        output.shutdown().await
    };
    // Whether it was read or not.
    let _ = timeout(FAREWELL, farewell).await;
    session.end();
}

async fn read(mut input: OwnedReadHalf, session: &Arc<Session>) {
    let mut calls = JoinSet::new();
    let mut scanner = Scanner::default();
    let (mut value, mut chunk) = (Vec::new(), vec![0; CHUNK]);
    let Some(mut share) = session.share(0) else { return };
    loop {
        let count = match input.read(&mut chunk).await {
            // What was begun is done; what was asked is answered.
            Ok(0) => {
                while calls.join_next().await.is_some() {}
                return;
            }
            Ok(count) => count,
            Err(_) => return,
        };
        let mut rest = chunk.get(..count).unwrap_or_default();
        while !rest.is_empty() {
            let end = match scanner.feed(rest) {
                Ok(end) => end,
                Err(error) => {
                    session.refuse(&error).await;
                    return;
                }
            };
            let (used, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after;
            if scanner.has_begun() || end.is_some() {
                if value.len() + used.len() > MAX_VALUE || !share.grow(used.len()) {
                    return;
                }
                value.extend_from_slice(used);
            }
            if end.is_some() {
                let Some(next) = session.share(0) else { return };
                let (value, share) =
                    (std::mem::take(&mut value), std::mem::replace(&mut share, next));
                session.take(value, share, &mut calls).await;
            }
        }
    }
}
