//! `[[peers]]`: other installations that copies of backups go to and come from.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use aws_lc_rs::digest;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use strongroom_service::peers::{PeerSetting, ProjectPair};
use strongroom_types::ProjectId;
use zeroize::Zeroizing;

use super::Config;
use crate::server::link;

/// What no guessing reaches: 32 characters, each of at least four bits.
const TOKEN_LENGTH_MIN: usize = 32;

/// Another installation of this service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    /// What it calls itself.
    pub(crate) region: String,
    /// Where it answers: `https://HOST`, or `http://` on this host.
    pub(crate) endpoint: String,
    /// A file that only its owner reads, with the secret that both sides know.
    pub(crate) token_file: PathBuf,
    /// Lets the link be plain HTTP beyond this host, e.g. inside a tunnel.
    #[serde(default)]
    pub(crate) allow_http: bool,
    /// Whose backups may go to whom.
    pub(crate) projects: Vec<Projects>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Projects {
    pub(crate) here: ProjectId,
    pub(crate) there: ProjectId,
}

impl Config {
    pub(super) fn validate_peers(&self) -> anyhow::Result<()> {
        let mut regions = BTreeSet::from([&self.region]);
        for peer in &self.peers {
            let region = &peer.region;
            if !regions.insert(region) {
                bail!("two installations have the region `{region}`");
            }
            peer.check_endpoint()
                .with_context(|| format!("the `endpoint` of the peer `{region}` is wrong"))?;
        }
        Ok(())
    }

    /// The peers as the rules know them, and as the link does.
    pub(crate) fn read_peers(
        &self,
    ) -> anyhow::Result<(Vec<PeerSetting>, BTreeMap<String, link::Peer>)> {
        let (mut settings, mut links) = (Vec::new(), BTreeMap::new());
        for peer in &self.peers {
            let token = read_token(&peer.token_file)?;
            let hash = digest::digest(&digest::SHA256, token.as_bytes());
            let projects = peer.projects.iter().map(|pair| ProjectPair {
                here: pair.here.clone(),
                there: pair.there.clone(),
            });
            settings.push(PeerSetting {
                region: peer.region.clone(),
                token_sha256: hash.as_ref().try_into().expect("SHA-256 has 32 bytes"),
                projects: projects.collect(),
            });
            let endpoint = peer.endpoint.trim_end_matches('/').to_owned();
            links.insert(peer.region.clone(), link::Peer { endpoint, token });
        }
        Ok((settings, links))
    }
}

impl Peer {
    fn check_endpoint(&self) -> anyhow::Result<()> {
        let url = Url::parse(&self.endpoint).context("it is no URL")?;
        let is_here = match url.host_str() {
            Some("localhost") => true,
            Some(host) => {
                let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
                address.is_ok_and(|address| address.is_loopback())
            }
            None => bail!("it names no host"),
        };
        match url.scheme() {
            "https" => Ok(()),
            "http" if is_here || self.allow_http => Ok(()),
            "http" => bail!(
                "data and the token would travel in the clear; use https, or say `allow_http = true` where the network is a tunnel"
            ),
            _ => bail!("it must begin with https:// or http://"),
        }
    }
}

/// The first line of a file that nobody else reads.
fn read_token(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    let unreadable = || format!("the token file {} cannot be read", file.display());
    let mode = std::fs::metadata(file)
        .with_context(unreadable)?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        bail!(
            "others can read the token file {}; `chmod 600` it",
            file.display()
        );
    }
    let content = Zeroizing::new(std::fs::read_to_string(file).with_context(unreadable)?);
    let token = content.lines().next().unwrap_or_default().trim();
    if token.len() < TOKEN_LENGTH_MIN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!(
            "the first line of {} must be at least {TOKEN_LENGTH_MIN} random printable characters, e.g. of `openssl rand -hex 32`",
            file.display()
        );
    }
    Ok(Zeroizing::new(token.to_owned()))
}
