//! TLS of the public listeners: the certificate and key that an operator names, read again while connections go on.
//!
//! New handshakes take the newest pair that could be loaded; a pair that cannot be used changes nothing. Connections that
//! exist keep the keys they agreed on.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::Tls;
use crate::metrics::{Metrics, ReloadLabels};

/// Permission bits that make a file readable or writable for everybody on the machine.
const EVERYBODY: u32 = 0o007;

/// Why a certificate and its key cannot be used. Each sentence names the setting and the cure.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{setting}: cannot read {}: {error}", path.display())]
    Unreadable {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The key file is not private.
    #[error("tls.key: everybody on this machine may use {} (mode {mode:03o}); take that away: chmod o-rwx {}",
        path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file does not hold what its setting names.
    #[error("{setting}: there is no {what} in PEM in {}", path.display())]
    Nothing {
        /// The setting.
        setting: &'static str,
        /// What is missing.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("tls.certificate and tls.key cannot be used together: {0}; give the chain of this key, the leaf first")]
    Unusable(rustls::Error),
}

/// The certificate in use, and where the next one comes from.
#[derive(Debug)]
pub(crate) struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    check_every: Duration,
    current: RwLock<Arc<CertifiedKey>>,
    /// The files as they were when they were last tried.
    tried: Mutex<Files>,
    asked: Notify,
    metrics: Arc<Metrics>,
}

/// The contents of both files.
#[derive(PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Files(..)")
    }
}

impl Certificates {
    /// Loads what the settings name; `None` if they name nothing. Blocks on the disk.
    pub(crate) fn load(settings: &Tls, metrics: Arc<Metrics>) -> Result<Option<Arc<Self>>, CertificateError> {
        let (Some(certificate), Some(key)) = (settings.certificate.clone(), settings.key.clone()) else {
            return Ok(None);
        };
        let files = Files::read(&certificate, &key)?;
        let current = RwLock::new(Arc::new(files.parse(&certificate, &key)?));
        let check_every = settings.check_every;
        let (tried, asked) = (Mutex::new(files), Notify::new());
        Ok(Some(Arc::new(Self { certificate, key, check_every, current, tried, asked, metrics })))
    }

    /// What a listener shakes hands with. `protocol` is offered by ALPN.
    pub(crate) fn acceptor(self: &Arc<Self>, protocol: Option<&str>) -> Result<TlsAcceptor, CertificateError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = builder.map_err(CertificateError::Unusable)?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = protocol.into_iter().map(|name| name.as_bytes().to_vec()).collect();
        // Who comes back after a restart of the network skips the costly half of the handshake.
        config.ticketer = ring::Ticketer::new().map_err(CertificateError::Unusable)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Asks for the files to be read now.
    pub(crate) fn reload(&self) {
        self.asked.notify_one();
    }

    /// Reads the files when they change or somebody asks, until `stopping`.
    pub(crate) async fn watch(self: Arc<Self>, stopping: CancellationToken) {
        let mut ticks = interval(self.check_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                () = stopping.cancelled() => return,
                () = self.asked.notified() => true,
                _ = ticks.tick() => false,
            };
            let certificates = self.clone();
            let checked = tokio::task::spawn_blocking(move || certificates.check(asked)).await;
            if let Err(error) = checked {
                tracing::error!(%error, "the certificate could not be looked at");
            }
        }
    }

    fn check(&self, asked: bool) {
        let outcome = match self.replace(asked) {
            Ok(false) => return,
            Ok(true) => {
                tracing::info!("the certificate was loaded again");
                "loaded"
            }
            Err(error) => {
                tracing::warn!(%error, "the new certificate cannot be used; the one before stays in use");
                "refused"
            }
        };
        self.metrics.certificate_reloads.get_or_create(&ReloadLabels { outcome }).inc();
    }

    /// Takes the files into use if they are others than the last that were tried, or somebody `asked`. True if it did.
    fn replace(&self, asked: bool) -> Result<bool, CertificateError> {
        let files = match Files::read(&self.certificate, &self.key) {
            Ok(files) => files,
            // Often a file that is just being replaced; the next look finds it.
            Err(error @ CertificateError::Unreadable { .. }) if !asked => {
                tracing::debug!(%error, "the certificate cannot be read now");
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if *tried == files && !asked {
            return Ok(false);
        }
        let parsed = files.parse(&self.certificate, &self.key);
        *tried = files;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(parsed?);
        Ok(true)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Files {
    fn read(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let read = |setting, path: &Path| {
            let unreadable = |error| CertificateError::Unreadable { setting, path: path.to_owned(), error };
            let mut file = File::open(path).map_err(unreadable)?;
            let mode = file.metadata().map_err(unreadable)?.permissions().mode();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(unreadable)?;
            Ok((bytes, mode & 0o777))
        };
        let (certificate, _) = read("tls.certificate", certificate)?;
        let (key_bytes, mode) = read("tls.key", key)?;
        if mode & EVERYBODY != 0 {
            return Err(CertificateError::Exposed { path: key.to_owned(), mode });
        }
        Ok(Self { certificate, key: key_bytes })
    }

    fn parse(&self, certificate: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
        let nothing = |setting, what, path: &Path| CertificateError::Nothing { setting, what, path: path.to_owned() };
        let no_chain = || nothing("tls.certificate", "certificate", certificate);
        let chain = CertificateDer::pem_slice_iter(&self.certificate).collect::<Result<Vec<_>, _>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(no_chain)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| nothing("tls.key", "private key", key))?;
        let provider: CryptoProvider = ring::default_provider();
        CertifiedKey::from_der(chain, key, &provider).map_err(CertificateError::Unusable)
    }
}
