//! Which servers are trusted: the configuration of TLS for HTTP, WebSocket and TCP alike.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::error::Error;

/// Trusts the authorities in this file, or else those of the system. A system without any is an error only where TLS is
/// `needed`.
pub(crate) fn config(authorities: Option<&Path>, needed: bool) -> Result<ClientConfig, Error> {
    match authorities {
        Some(file) => Ok(trusting(read(file)?)),
        None => match of_system() {
            Err(_) if !needed => Ok(trusting(RootCertStore::empty())),
            config => config.map_err(|error| Error::Invalid(format!("cannot use TLS: {error}"))),
        },
    }
}

/// True if somewhere behind this error a certificate was not accepted.
pub(crate) fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        // An I/O error hides what it was made of from `source`.
        let inside = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = inside.map(|inside| inside as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    false
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, rustls::Error> {
    let provider = CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()));
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()
}

fn of_system() -> Result<ClientConfig, rustls::Error> {
    Ok(builder()?.with_platform_verifier()?.with_no_client_auth())
}

fn trusting(roots: RootCertStore) -> ClientConfig {
    builder().expect("the provider knows the versions of TLS").with_root_certificates(roots).with_no_client_auth()
}

fn read(file: &Path) -> Result<RootCertStore, Error> {
    let invalid = |why: String| Error::Invalid(format!("{}: {why}", file.display()));
    let bytes = std::fs::read(file).map_err(|error| invalid(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
        roots.add(certificate).map_err(|error| invalid(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(invalid("there is no certificate in PEM in it".to_owned()));
    }
    Ok(roots)
}
