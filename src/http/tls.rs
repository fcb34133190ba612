//! TLS for the client: the machine's own certificate authorities, TLS 1.2 and 1.3 by rustls. Nothing is skipped and nothing
//! is configured: a server whose name cannot be proven is not asked.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::error::{Error, Kind, Result};

/// Talks TLS on a fresh connection; `host` is a name or an address, without brackets.
///
/// # Errors
/// `Unreachable` with the reason when the server cannot prove its name or speaks no TLS, `Unsupported` when this machine
/// knows no authorities.
pub(super) async fn wrap<T>(stream: T, host: &str) -> Result<TlsStream<T>>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|error| Error::with(Kind::Invalid, format!("prove {host}"), error))?;
    let connector = TlsConnector::from(config().await?);
    let wrapped = connector.connect(name, stream).await;
    wrapped.map_err(|error| {
        // A small box without a clock of its own wakes up in the past.
        let what = format!("talk in private to {host} (a clock that is wrong keeps every server from it)");
        Error::with(Kind::Unreachable, what, error)
    })
}

/// Returns the settings, read from the disk the first time.
async fn config() -> Result<Arc<ClientConfig>> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let read = tokio::task::spawn_blocking(read_config).await;
    let config = read.map_err(|error| Error::with(Kind::Internal, "read the authorities", error))??;
    Ok(CONFIG.get_or_init(|| config).clone())
}

fn read_config() -> Result<Arc<ClientConfig>> {
    let said = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let files: Vec<PathBuf> = match said {
        Some(file) => vec![file],
        None => BUNDLES.iter().map(PathBuf::from).collect(),
    };
    let mut roots = RootCertStore::empty();
    for file in files {
        let Ok(certificates) = CertificateDer::pem_file_iter(&file) else { continue };
        roots.add_parsable_certificates(certificates.flatten());
        if !roots.is_empty() {
            break;
        }
    }
    if roots.is_empty() {
        let what = "this machine knows no certificate authorities: install the package ca-certificates";
        return Err(Error::new(Kind::Unsupported, what));
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::with(Kind::Internal, "set up TLS", error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Where systems keep their authorities in one file: Debian, Fedora, Alpine.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
