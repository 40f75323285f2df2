//! Attached disks for other hosts.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use strongroom_nbd::{Credentials, Limits, Listener, Server};

/// The port that IANA gave to NBD.
const PORT: u16 = 10809;

/// Of all disks together. Each may take 64 MiB, four descriptors and eight threads.
const CONNECTIONS: usize = 128;

/// A server of NBD over TCP with TLS, whose clients show certificates.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AttachTls {
    #[serde(default = "loopback")]
    pub(crate) listen: SocketAddr,
    /// What clients call this host, a name or an address that the certificate has; the address of `listen` when absent.
    pub(crate) host: Option<String>,
    /// In PEM, with those between it and its authority behind it.
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Authorities of the certificates that clients show.
    pub(crate) client_ca: PathBuf,
}

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, PORT).into()
}

impl AttachTls {
    pub(super) fn validate(&self) -> anyhow::Result<()> {
        if self.listen.port() == 0 {
            bail!(
                "`worker.attach_tls.listen` needs a port: clients come back to it after a restart"
            );
        }
        if self.host.is_none() && self.listen.ip().is_unspecified() {
            bail!("`worker.attach_tls.host` must say what clients call this host");
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        if let Some(host) = &self.host
            && (host.is_empty() || !host.chars().all(is_part))
            && host.parse::<Ipv6Addr>().is_err()
        {
            bail!(
                "`worker.attach_tls.host` must be a name or an address, without brackets and port"
            );
        }
        Ok(())
    }

    /// `HOST:PORT`, as clients write it.
    pub(crate) fn reached_at(&self) -> String {
        let host = self.host.clone();
        let host = host.unwrap_or_else(|| self.listen.ip().to_string());
        let port = self.listen.port();
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    /// Listens, with nothing to serve yet. Fails if nobody could connect.
    pub(crate) fn serve(&self) -> anyhow::Result<Arc<Server>> {
        let credentials = Credentials {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            authorities: self.client_ca.clone(),
        };
        credentials
            .check_for_server()
            .context("`worker.attach_tls` cannot be used")?;
        let mode = self.key.metadata()?.permissions().mode();
        if mode & 0o077 != 0 {
            bail!("others can read the key {}", self.key.display());
        }
        let listener = TcpListener::bind(self.listen);
        let listener =
            listener.with_context(|| format!("{} cannot be listened on", self.listen))?;
        let limits = Limits {
            connections: CONNECTIONS,
            ..Limits::default()
        };
        let server = Server::start(Listener::Tls(listener, credentials), [], limits)?;
        Ok(Arc::new(server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(listen: &str, host: Option<&str>) -> AttachTls {
        AttachTls {
            listen: listen.parse().unwrap(),
            host: host.map(str::to_owned),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            client_ca: PathBuf::new(),
        }
    }

    #[test]
    fn clients_are_told_an_address_that_they_can_use() {
        for (listen, host, expected) in [
            ("127.0.0.1:10809", None, "127.0.0.1:10809"),
            ("[::1]:1", None, "[::1]:1"),
            ("0.0.0.0:7", Some("backup.example"), "backup.example:7"),
            ("[::]:7", Some("2001:db8::7"), "[2001:db8::7]:7"),
        ] {
            let config = at(listen, host);
            config.validate().unwrap();
            assert_eq!(config.reached_at(), expected);
        }
        for (listen, host) in [
            ("127.0.0.1:0", None),
            ("0.0.0.0:7", None),
            ("0.0.0.0:7", Some("")),
            ("0.0.0.0:7", Some("[::1]")),
            ("0.0.0.0:7", Some("a/b")),
            ("0.0.0.0:7", Some("backup.example:10809")),
        ] {
            at(listen, host).validate().unwrap_err();
        }
    }
}
