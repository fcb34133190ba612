//! TLS among devices of one house, without authorities: each has a certificate that it signed itself, and is known by its
//! SHA-256 (LocalSend protocol v2.1, "fingerprint"). Names in certificates mean nothing here; who has no certificate is
//! nobody in particular.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{self, CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, DistinguishedName, Error as TlsError,
    ServerConfig, SignatureScheme, SupportedCipherSuite,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::error::{Error, Kind, Result};

/// The certificate of this box with its key.
#[derive(Clone)]
pub struct Own {
    certificate: CertificateDer<'static>,
    key: Arc<PrivateKeyDer<'static>>,
    fingerprint: Arc<str>,
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the key.
        f.debug_struct("Own").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl Own {
    /// Reads a certificate and its key as PEM (RFC 7468).
    ///
    /// # Errors
    /// `Invalid` when they are not that.
    pub fn read(certificate: &str, key: &str) -> Result<Own> {
        let wrong = |error| Error::with(Kind::Invalid, "read the certificate of this box", error);
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(wrong)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(wrong)?;
        let fingerprint = fingerprint(&certificate).to_uppercase().into();
        Ok(Own { certificate: certificate.into_owned(), key: Arc::new(key), fingerprint })
    }

    /// Returns the SHA-256 of the certificate, upper-case hex, as peers are told it.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Returns what answers TLS 1.2 and 1.3. A certificate of the caller is asked for, not required, and only its key is
    /// checked; HTTP/1.1 is the only protocol.
    ///
    /// # Errors
    /// `Invalid` when certificate and key do not belong together.
    pub fn acceptor(&self) -> Result<TlsAcceptor> {
        let provider = Arc::new(provider());
        let anybody = Arc::new(Anybody { provider: provider.clone(), pinned: None });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(broken)?
            .with_client_cert_verifier(anybody)
            .with_single_cert(vec![self.certificate.clone()], self.key.clone_key())
            .map_err(broken)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // What this processor is quick at; phones are quick at all of it.
        config.ignore_client_order = true;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Returns what asks with this certificate. The other end must have the certificate whose SHA-256 is `pinned`, hex in
    /// either case.
    ///
    /// # Errors
    /// As [`Own::acceptor`].
    pub fn connector(&self, pinned: &str) -> Result<TlsConnector> {
        let provider = Arc::new(provider());
        let pinned = Some(pinned.to_lowercase());
        let only = Arc::new(Anybody { provider: provider.clone(), pinned });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(broken)?
            .dangerous()
            .with_custom_certificate_verifier(only)
            .with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key())
            .map_err(broken)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Addresses are no names.
        config.enable_sni = false;
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// Returns ring's ciphers, those first that this processor is quick at.
fn provider() -> CryptoProvider {
    let mut provider = crypto::ring::default_provider();
    in_order(&mut provider.cipher_suites, has_aes());
    provider
}

/// Puts ciphers in the order of their speed: with instructions for AES its shorter key first, which needs ten rounds where the
/// longer one needs fourteen; without them (the small boards of some years ago) ChaCha20, which needs none.
fn in_order(suites: &mut [SupportedCipherSuite], has_aes: bool) {
    let (chacha, short, long) = if has_aes { (2, 0, 1) } else { (0, 1, 2) };
    let rank = |suite: &SupportedCipherSuite| match suite.suite() {
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => chacha,
        CipherSuite::TLS13_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => short,
        _ => long,
    };
    suites.sort_by_key(rank);
}

/// Whether this processor has instructions for AES.
fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

fn broken(error: TlsError) -> Error {
    Error::with(Kind::Invalid, "set up TLS with the certificate of this box", error)
}

/// Returns the SHA-256 of a certificate's DER, lower-case hex.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes any certificate whose key the other end has; with a pin, only that one.
#[derive(Debug)]
struct Anybody {
    provider: Arc<CryptoProvider>,
    pinned: Option<String>,
}

impl Anybody {
    fn check(&self, certificate: &CertificateDer<'_>) -> std::result::Result<(), TlsError> {
        match &self.pinned {
            Some(pinned) if *pinned != fingerprint(certificate) => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            _ => Ok(()),
        }
    }

    fn verify(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        newer: bool,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        let known = &self.provider.signature_verification_algorithms;
        if newer {
            verify_tls13_signature(message, certificate, signed, known)
        } else {
            verify_tls12_signature(message, certificate, signed, known)
        }
    }
}

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> std::result::Result<ClientCertVerified, TlsError> {
        self.check(certificate).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        self.verify(message, certificate, signed, false)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        self.verify(message, certificate, signed, true)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, TlsError> {
        self.check(certificate).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        self.verify(message, certificate, signed, false)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, TlsError> {
        self.verify(message, certificate, signed, true)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn own() -> Own {
        let made = rcgen::generate_simple_self_signed(Vec::new()).expect("made");
        Own::read(&made.cert.pem(), &made.signing_key.serialize_pem()).expect("read")
    }

    /// Talks once. Returns what the server saw of the client's certificate, and whether the client was content.
    async fn talk(server: &Own, client: &Own, pinned: &str) -> (Option<String>, bool) {
        let (near, far) = tokio::io::duplex(64 << 10);
        let acceptor = server.acceptor().expect("set up");
        let serving = tokio::spawn(async move {
            let mut stream = acceptor.accept(far).await.ok()?;
            let seen = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(fingerprint);
            stream.write_all(b"x").await.ok()?;
            stream.flush().await.ok()?;
            seen
        });
        let connector = client.connector(pinned).expect("set up");
        let name = ServerName::try_from("10.77.0.1").expect("an address");
        let content = match connector.connect(name, near).await {
            Ok(mut stream) => stream.read_u8().await.is_ok(),
            Err(_) => false,
        };
        (serving.await.expect("no panic"), content)
    }

    #[tokio::test]
    async fn both_ends_know_each_other_by_their_certificates() {
        let (server, client, other) = (own(), own(), own());
        assert_eq!(server.fingerprint().len(), 64);
        assert!(server.fingerprint().bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()));
        let (seen, content) = talk(&server, &client, server.fingerprint()).await;
        assert_eq!((seen, content), (Some(client.fingerprint().to_lowercase()), true));
        let (_, content) = talk(&server, &client, other.fingerprint()).await;
        assert!(!content, "another certificate than the one announced");
    }

    #[test]
    fn the_quickest_cipher_stands_first_and_none_is_missing() {
        for (has_aes, first) in [
            (true, CipherSuite::TLS13_AES_128_GCM_SHA256),
            (false, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
        ] {
            let mut suites = crypto::ring::default_provider().cipher_suites;
            let count = suites.len();
            in_order(&mut suites, has_aes);
            assert_eq!((suites[0].suite(), suites.len()), (first, count));
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused_and_no_key_is_shown() {
        assert_eq!(Own::read("x", "y").expect_err("no PEM").kind(), Kind::Invalid);
        let (one, two) = (own(), own());
        let mixed = Own { key: two.key.clone(), ..one };
        assert!(mixed.acceptor().is_err(), "a key that does not belong to it");
        assert!(!format!("{two:?}").contains("PRIVATE"));
    }
}
