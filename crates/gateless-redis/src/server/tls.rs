//! TLS with a provider of our choice, whatever the process has installed.

use std::error::Error;
use std::sync::Arc;

use gateless_core::ConfigError;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How a server is checked.
pub(super) struct Tls(TlsConnector);

impl Tls {
    pub(super) fn new(
        ca: Option<Vec<u8>>,
        certificate: Option<(Vec<u8>, Vec<u8>)>,
        faults: &mut ConfigError,
    ) -> Option<Self> {
        let roots = match ca {
            Some(pem) => own(&pem),
            None => of_the_system(),
        };
        let roots = roots
            .map_err(|problem| faults.add("ca_pem", problem))
            .ok()?;
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| faults.add("url", format!("needs TLS: {error}")))
            .ok()?
            .with_root_certificates(roots);
        let config = match certificate {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain).collect();
                let chain = chain.ok().filter(|chain| !chain.is_empty());
                let key = PrivateKeyDer::from_pem_slice(&key).ok();
                let config = chain
                    .zip(key)
                    .and_then(|(chain, key)| config.with_client_auth_cert(chain, key).ok());
                let Some(config) = config else {
                    let problem = "is no certificate with its key in PEM";
                    faults.add("client_certificate_pem", problem);
                    return None;
                };
                config
            }
        };
        Some(Self(TlsConnector::from(Arc::new(config))))
    }

    pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        stream: S,
    ) -> Result<TlsStream<S>, Box<dyn Error + Send + Sync>> {
        let name = ServerName::try_from(host.to_owned())?;
        Ok(self.0.connect(name, stream).await?)
    }
}

fn own(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("is not PEM: {error}"))?;
        let added = roots.add(certificate);
        added.map_err(|error| format!("holds a certificate that cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err("holds no certificate".to_owned());
    }
    Ok(roots)
}

fn of_the_system() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("is missing, and the system has no certificates of authorities".to_owned());
    }
    Ok(roots)
}
