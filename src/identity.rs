//! `<data>/identity.toml`: who this box is. Written once, 0600; only the port that worked is renewed.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Kind, Result};

/// Who this box is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Random, for ever; every UDN is derived from it.
    pub instance: Uuid,
    /// The port the page was last served on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_port: Option<u16>,
    /// The certificate by which LocalSend devices know this box, PEM. Made when it is first needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The key of the certificate, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Identity {
    /// Returns the identity kept in `data`, and makes one at the first start.
    ///
    /// # Errors
    /// `Invalid` when the file is there but not readable as one: it is never replaced, for phones know the box by it.
    pub fn open(data: &Path) -> Result<Identity> {
        let path = data.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| {
                Error::with(Kind::Invalid, format!("read the identity {}", path.display()), error)
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let identity =
                    Identity { instance: Uuid::new_v4(), http_port: None, certificate: None, key: None };
                identity.save(data)?;
                Ok(identity)
            }
            Err(error) => Err(Error::io(format!("read the identity {}", path.display()), error)),
        }
    }

    /// Returns the UDN of one role of this box, without `uuid:`: UUIDv5(instance, role).
    pub fn udn(&self, role: &str) -> Uuid {
        Uuid::new_v5(&self.instance, role.as_bytes())
    }

    /// Returns the certificate and its key as PEM, made by itself for ever when there is none: phones that were paired know
    /// the box by it.
    ///
    /// # Errors
    /// Those of the disk, and `Internal` when none can be made.
    pub fn certificate(&mut self, data: &Path) -> Result<(String, String)> {
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.key) {
            return Ok((certificate.clone(), key.clone()));
        }
        let failed = |error| Error::with(Kind::Internal, "make the certificate of this box", error);
        // EC P-256, valid from 1975 to 4096 as those of the app (reference beam, a.1): a box may wake up in the past.
        let key = rcgen::KeyPair::generate().map_err(failed)?;
        let mut wanted = rcgen::CertificateParams::new(Vec::new()).map_err(failed)?;
        wanted.distinguished_name.push(rcgen::DnType::CommonName, "konpo");
        let made = wanted.self_signed(&key).map_err(failed)?;
        let (certificate, key) = (made.pem(), key.serialize_pem());
        (self.certificate, self.key) = (Some(certificate.clone()), Some(key.clone()));
        self.save(data)?;
        Ok((certificate, key))
    }

    /// Writes the identity whole or not at all.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn save(&self, data: &Path) -> Result<()> {
        let path = data.join(FILE);
        let fresh = data.join(FRESH);
        let failed = |error| Error::io(format!("write the identity {}", path.display()), error);
        let text = toml::to_string(self)
            .map_err(|error| Error::with(Kind::Internal, "write the identity as TOML", error))?;
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&fresh).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&fresh, &path).map_err(failed)?;
        fs::File::open(data).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

const FILE: &str = "identity.toml";
const FRESH: &str = ".identity.toml.new";

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_identity_stays_and_is_private() {
        let data = tempfile::tempdir().expect("a folder");
        let first = Identity::open(data.path()).expect("made");
        let again = Identity::open(data.path()).expect("read");
        assert_eq!(first, again);
        assert_eq!(first.udn("server"), again.udn("server"));
        assert_ne!(first.udn("server"), first.udn("renderer"));
        let mode = fs::metadata(data.path().join(FILE)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_certificate_is_made_once() {
        let data = tempfile::tempdir().expect("a folder");
        let mut first = Identity::open(data.path()).expect("made");
        assert_eq!(first.certificate, None);
        let made = first.certificate(data.path()).expect("made");
        assert!(made.0.contains("BEGIN CERTIFICATE") && made.1.contains("PRIVATE KEY"));
        let mut again = Identity::open(data.path()).expect("read");
        assert_eq!(again.certificate(data.path()).expect("kept"), made);
        let mode = fs::metadata(data.path().join(FILE)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_broken_identity_is_never_replaced() {
        let data = tempfile::tempdir().expect("a folder");
        fs::write(data.path().join(FILE), "instance = 7").expect("written");
        let error = Identity::open(data.path()).expect_err("not a UUID");
        assert_eq!(error.kind(), Kind::Invalid);
        assert_eq!(fs::read_to_string(data.path().join(FILE)).expect("there"), "instance = 7");
    }
}
