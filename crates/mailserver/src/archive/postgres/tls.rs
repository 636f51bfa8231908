//! TLS to the server, with the feature `tls`.
//!
//! The names are those of every PostgreSQL client: `sslmode=require` (or `verify-full`) in the URL
//! asks for TLS, `sslrootcert=FILE` names the authorities to trust, in PEM; by default, those of
//! the system. It is always strict: the certificate and the server's name in it are verified, even
//! with `require`, where others would not.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

#[cfg(feature = "tls")]
pub(super) use self::connector::Connector;
use crate::archive::ArchiveError;

/// What a URL asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Authorities to trust instead of the system's.
    pub(super) authorities: Option<PathBuf>,
}

/// Splits off the settings for TLS from a URL. The client's own parser knows neither `verify-full`
/// nor files.
pub(super) fn take(url: &str) -> Result<(String, Option<Wanted>), ArchiveError> {
    let Some((server, settings)) = url.split_once('?') else { return Ok((url.to_owned(), None)) };
    let (mut mode, mut authorities, mut others) = (None, None, Vec::new());
    for setting in settings.split('&') {
        match setting.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value),
            Some(("sslrootcert", value)) => {
                let path = percent_decode_str(value).decode_utf8().map_err(|_| {
                    ArchiveError::Unusable("sslrootcert: the path is not UTF-8".to_owned())
                })?;
                authorities = Some(PathBuf::from(path.into_owned()));
            }
            _ => others.push(setting),
        }
    }
    let wanted = match mode {
        Some("require" | "verify-full") => Some(Wanted { authorities }),
        None | Some("disable") if authorities.is_none() => None,
        None | Some("disable") => {
            let text = "sslrootcert: nothing is verified without TLS; add sslmode=verify-full";
            return Err(ArchiveError::Unusable(text.to_owned()));
        }
        // These would go on without TLS, and say nothing.
        Some(other @ ("allow" | "prefer")) => {
            return Err(ArchiveError::Unusable(format!(
                "sslmode={other}: TLS is used or not; expected disable, require or verify-full"
            )));
        }
        // Where quotes are missing, the value goes on with other settings.
        Some(other) => {
            let is_word = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
            let shown = if other.bytes().all(is_word) { other } else { "…" };
            return Err(ArchiveError::Unusable(format!(
                "sslmode={shown}: expected disable, require or verify-full"
            )));
        }
    };
    let join = if others.is_empty() { "" } else { "?" };
    Ok((format!("{server}{join}{}", others.join("&")), wanted))
}

#[cfg(feature = "tls")]
mod connector {
    use std::{
        future::Future,
        io,
        path::Path,
        pin::Pin,
        sync::Arc,
        task::{Context, Poll},
    };

    use postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    use tokio_rustls::{
        TlsConnector, client,
        rustls::{
            ClientConfig, RootCertStore, crypto,
            pki_types::{
                CertificateDer, InvalidDnsNameError, ServerName,
                pem::{Error as PemError, PemObject as _},
            },
        },
    };

    use super::{ArchiveError, Wanted};

    /// Connects the database client to TLS.
    #[derive(Clone)]
    pub(in super::super) struct Connector(TlsConnector);

    impl Connector {
        pub(in super::super) fn new(wanted: &Wanted) -> Result<Self, ArchiveError> {
            let authorities = match &wanted.authorities {
                Some(path) => from_file(path)?,
                None => from_system()?,
            };
            let provider = Arc::new(crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|error| ArchiveError::Unusable(format!("TLS: {error}")))?
                .with_root_certificates(authorities)
                .with_no_client_auth();
            Ok(Self(TlsConnector::from(Arc::new(config))))
        }
    }

    fn from_file(path: &Path) -> Result<RootCertStore, ArchiveError> {
        let unusable = |error: &dyn std::fmt::Display| {
            ArchiveError::Unusable(format!("sslrootcert {}: {error}", path.display()))
        };
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))? {
            let certificate = certificate.map_err(|error: PemError| unusable(&error))?;
            store.add(certificate).map_err(|error| unusable(&error))?;
        }
        if store.is_empty() {
            return Err(unusable(&"it has no certificate (PEM, `BEGIN CERTIFICATE`)"));
        }
        Ok(store)
    }

    fn from_system() -> Result<RootCertStore, ArchiveError> {
        let mut store = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        // Some systems have certificates that nobody can parse.
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
            return Err(ArchiveError::Unusable(format!(
                "TLS: this system has no certificates of authorities{why}; add sslrootcert=FILE"
            )));
        }
        Ok(store)
    }

    impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Connector {
        type Stream = Stream<S>;
        type TlsConnect = Server;
        type Error = InvalidDnsNameError;

        fn make_tls_connect(&mut self, name: &str) -> Result<Server, InvalidDnsNameError> {
            let name = ServerName::try_from(name)?.to_owned();
            Ok(Server { connector: self.0.clone(), name })
        }
    }

    /// The server to verify.
    pub(in super::super) struct Server {
        connector: TlsConnector,
        name: ServerName<'static>,
    }

    impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Server {
        type Stream = Stream<S>;
        type Error = io::Error;
        type Future = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

        fn connect(self, stream: S) -> Self::Future {
            Box::pin(async move { self.connector.connect(self.name, stream).await.map(Stream) })
        }
    }

    /// A TLS connection.
    pub(in super::super) struct Stream<S>(client::TlsStream<S>);

    impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
        fn channel_binding(&self) -> ChannelBinding {
            ChannelBinding::none()
        }
    }

    impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_read(cx, buffer)
        }
    }

    impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_urls_ask_for() {
        let file = |path: &str| Some(Wanted { authorities: Some(PathBuf::from(path)) });
        for (url, rest, wanted) in [
            ("postgres://u@h/d", "postgres://u@h/d", None),
            ("postgres://u@h/d?sslmode=disable", "postgres://u@h/d", None),
            ("postgres://h?sslmode=require", "postgres://h", Some(Wanted::default())),
            (
                "postgres://h?user=u&sslmode=verify-full&sslrootcert=/a%20b.pem&port=1",
                "postgres://h?user=u&port=1",
                file("/a b.pem"),
            ),
            ("host=h user=u", "host=h user=u", None),
        ] {
            assert_eq!(take(url).unwrap(), (rest.to_owned(), wanted), "{url}");
        }
        for (url, word) in [
            ("postgres://h?sslmode=verify-ca", "sslmode=verify-ca: expected"),
            ("postgres://h?sslmode=require password=p", "sslmode=…: expected"),
            ("postgres://h?sslmode=prefer", "expected disable, require"),
            ("postgres://h?sslmode=allow", "expected disable, require"),
            ("postgres://h?sslrootcert=/x", "sslmode"),
            ("postgres://h?sslmode=require&sslrootcert=%ff", "UTF-8"),
        ] {
            assert!(take(url).unwrap_err().to_string().contains(word), "{url}");
        }
    }
}
