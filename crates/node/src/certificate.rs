//! The certificate of the server: read from PEM files, read again when they change.
//!
//! Connections that are open keep what they have; a new file that is broken leaves the old certificate in place.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::TlsFiles;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFault {
    /// A file cannot be read.
    #[error("cannot read the TLS {what} {}: {source}", path.display())]
    Unreadable {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not PEM, or PEM of something else.
    #[error(
        "the TLS {what} {} holds no {what} in PEM form (a block that begins with -----BEGIN {label}-----){detail}",
        path.display()
    )]
    Empty {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What a block of its kind begins with.
        label: &'static str,
        /// What the parser said, if anything.
        detail: String,
    },
    /// The two do not belong together, or are of a kind that TLS does not know.
    #[error(
        "the TLS certificate {} and the key {} cannot be used together: {why}",
        cert.display(), key.display()
    )]
    Unfit {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Reads certificate and key, and checks that they fit.
pub fn load(files: &TlsFiles) -> Result<CertifiedKey, CertificateFault> {
    let chain = read_chain(&files.cert)?;
    let key = read(
        &files.key,
        "key",
        "PRIVATE KEY",
        PrivateKeyDer::from_pem_slice,
    )?;
    CertifiedKey::from_der(chain, key, &default_provider()).map_err(|error| {
        CertificateFault::Unfit {
            cert: files.cert.clone(),
            key: files.key.clone(),
            why: if matches!(error, rustls::Error::InconsistentKeys(_)) {
                "the key is that of another certificate".to_owned()
            } else {
                error.to_string()
            },
        }
    })
}

/// All certificates of a file.
pub(crate) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateFault> {
    read(path, "certificate", "CERTIFICATE", |pem| {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?;
        if chain.is_empty() {
            Err(PemError::NoItemsFound)
        } else {
            Ok(chain)
        }
    })
}

fn read<T>(
    path: &Path,
    what: &'static str,
    label: &'static str,
    parse: impl FnOnce(&[u8]) -> Result<T, PemError>,
) -> Result<T, CertificateFault> {
    let path = path.to_owned();
    let pem = match std::fs::read(&path) {
        Ok(pem) => pem,
        Err(source) => return Err(CertificateFault::Unreadable { what, path, source }),
    };
    parse(&pem).map_err(|error| {
        let is_empty = matches!(error, PemError::NoItemsFound);
        let detail = if is_empty {
            String::new()
        } else {
            format!(": {error}")
        };
        CertificateFault::Empty {
            what,
            path,
            label,
            detail,
        }
    })
}

/// The certificate that is served now.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: TlsFiles,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    pub(crate) fn load(files: &TlsFiles) -> Result<Self, CertificateFault> {
        let current = RwLock::new(Arc::new(load(files)?));
        Ok(Self {
            files: files.clone(),
            current,
        })
    }

    /// Looks at the files now and then, and reads them when they have changed; never ends.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut seen = self.stamps();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let stamps = self.stamps();
            if stamps != seen {
                seen = stamps;
                self.reload();
            }
        }
    }

    fn reload(&self) {
        match load(&self.files) {
            Ok(loaded) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
                tracing::info!("the TLS certificate was read again");
            }
            // Also seen between the writing of the two files; the next look finds the second one changed.
            Err(fault) => tracing::warn!("the TLS certificate stays as it was: {fault}"),
        }
    }

    fn stamps(&self) -> [Option<Stamp>; 2] {
        [Stamp::of(&self.files.cert), Stamp::of(&self.files.key)]
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(
            &self.current.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

/// What changes when a file does.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    bytes: u64,
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: (file.mtime(), file.mtime_nsec()),
            bytes: file.size(),
            inode: file.ino(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(dir: &Path, cert: &str, key: &str) -> TlsFiles {
        let files = TlsFiles {
            cert: dir.join("cert.pem"),
            key: dir.join("key.pem"),
        };
        std::fs::write(&files.cert, cert).unwrap();
        std::fs::write(&files.key, key).unwrap();
        files
    }

    fn fresh() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn what_is_wrong_is_said_with_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let ((cert, key), (_, other_key)) = (fresh(), fresh());
        let fault = |cert: &str, key: &str| {
            load(&written(dir.path(), cert, key))
                .unwrap_err()
                .to_string()
        };

        assert!(load(&written(dir.path(), &cert, &key)).is_ok());
        let text = fault("", &key);
        assert!(
            text.contains("cert.pem") && text.contains("BEGIN CERTIFICATE"),
            "{text}"
        );
        let text = fault(&key, &key);
        assert!(
            text.contains("cert.pem") && text.contains("BEGIN CERTIFICATE"),
            "{text}"
        );
        let text = fault(&cert, "nonsense");
        assert!(
            text.contains("key.pem") && text.contains("BEGIN PRIVATE KEY"),
            "{text}"
        );
        let text = fault(&cert, &other_key);
        assert!(text.contains("another certificate"), "{text}");
        let missing = TlsFiles {
            cert: dir.path().join("none.pem"),
            key: dir.path().join("key.pem"),
        };
        let text = load(&missing).unwrap_err().to_string();
        assert!(
            text.contains("none.pem") && text.contains("cannot read"),
            "{text}"
        );
    }

    #[test]
    fn a_broken_new_file_keeps_the_old_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = fresh();
        let files = written(dir.path(), &cert, &key);
        let certificate = Certificate::load(&files).unwrap();
        let served = || certificate.current.read().unwrap().cert[0].clone();
        let (first, stamps) = (served(), certificate.stamps());

        written(dir.path(), "broken", &key);
        assert_ne!(certificate.stamps(), stamps);
        certificate.reload();
        assert_eq!(served(), first);

        let (cert, key) = fresh();
        written(dir.path(), &cert, &key);
        certificate.reload();
        assert_ne!(served(), first);
    }
}
