//! TLS in which both sides show certificates, and nothing is said about exports before.

mod halves;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};

use crate::stream::{Duplex, Halves, Stream};
use crate::{Error, Result};

const AGREEING: &str = "agreeing on TLS";

/// What a side shows, and whom it believes: three files in PEM.
///
/// They are read anew for each connection, so that files which were renewed count from the next one on. While one of
/// them is of no use, there are no new connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The own certificate first, then those between it and its authority.
    pub certificate: PathBuf,
    /// Of that certificate.
    pub key: PathBuf,
    /// One of them has to have signed what the other side shows.
    pub authorities: PathBuf,
}

impl Credentials {
    /// A client's, under the names that QEMU and libnbd have for them.
    pub fn of_client_in(folder: &Path) -> Self {
        Self {
            certificate: folder.join("client-cert.pem"),
            key: folder.join("client-key.pem"),
            authorities: folder.join("ca-cert.pem"),
        }
    }

    /// [`Error::Credentials`] if no server could serve with them.
    pub fn check_for_server(&self) -> Result<()> {
        self.of_server().map(drop)
    }

    /// The server's side. Returns when both sides have believed each other.
    pub(crate) fn accept(&self, stream: &Stream) -> Result<Halves> {
        let lost = |error| Error::from_stream(AGREEING, error);
        let config = Arc::new(self.of_server()?);
        let mut connection = ServerConnection::new(config).map_err(|error| self.no_use(error))?;
        let mut socket = stream.try_clone().map_err(lost)?;
        connection.complete_io(&mut socket).map_err(lost)?;
        halves::split(connection, stream).map_err(lost)
    }

    /// The client's side: the server has to show a certificate of `host`, which is a name or an IP address. Whether it
    /// believes this side may be known only when it answers.
    pub(crate) fn connect(&self, host: &str, mut stream: Stream) -> Result<Box<dyn Duplex>> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| Error::Address {
            text: host.to_owned(),
            why: error.to_string(),
        })?;
        let config = Arc::new(self.of_client()?);
        let connection = ClientConnection::new(config, name);
        let mut connection = connection.map_err(|error| self.no_use(error))?;
        let agreed = connection.complete_io(&mut stream);
        agreed.map_err(|error| Error::from_stream(AGREEING, error))?;
        Ok(Box::new(StreamOwned::new(connection, stream)))
    }

    fn of_server(&self) -> Result<ServerConfig> {
        let provider = provider();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(self.authorities()?, provider.clone());
        let verifier = verifier.build();
        let verifier = verifier.map_err(|error| no_use(&self.authorities, error))?;
        let (chain, key) = self.own()?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_client_cert_verifier(verifier));
        let config = config.and_then(|builder| builder.with_single_cert(chain, key));
        let mut config = config.map_err(|error| self.no_use(error))?;
        // Whoever comes again shows his certificate again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn of_client(&self) -> Result<ClientConfig> {
        let provider = provider();
        let verifier =
            WebPkiServerVerifier::builder_with_provider(self.authorities()?, provider.clone());
        let verifier = verifier.build();
        let verifier = verifier.map_err(|error| no_use(&self.authorities, error))?;
        let (chain, key) = self.own()?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_webpki_verifier(verifier));
        let config = config.and_then(|builder| builder.with_client_auth_cert(chain, key));
        let mut config = config.map_err(|error| self.no_use(error))?;
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    fn own(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let key = PrivateKeyDer::from_pem_file(&self.key);
        let key = key.map_err(|error| no_use(&self.key, error))?;
        Ok((certificates(&self.certificate)?, key))
    }

    fn authorities(&self) -> Result<Arc<RootCertStore>> {
        let mut store = RootCertStore::empty();
        for certificate in certificates(&self.authorities)? {
            let added = store.add(certificate);
            added.map_err(|error| no_use(&self.authorities, error))?;
        }
        Ok(Arc::new(store))
    }

    /// What is wrong with certificate and key together.
    fn no_use(&self, why: impl Display) -> Error {
        no_use(&self.certificate, why)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let read: Vec<_> = read.map_err(|error| no_use(file, error))?;
    if read.is_empty() {
        return Err(no_use(file, "it has no certificate"));
    }
    Ok(read)
}

fn no_use(file: &Path, why: impl Display) -> Error {
    Error::Credentials {
        file: file.to_owned(),
        why: why.to_string(),
    }
}
