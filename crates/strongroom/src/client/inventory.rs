//! Our own extension of the API: what can be protected is told by an administrator.

use std::path::{Component, Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use strongroom_types::is_nbd_uri;

use super::connection::encode;
use super::vault_tags::written;
use super::{Column, Context};

#[derive(Debug, Subcommand)]
pub(crate) enum VolumeVerb {
    /// Tell the server of a disk: a raw or qcow2 file, a block device on its host, or an export of an NBD server.
    Add(AddVolume),
    /// List volumes.
    List,
    /// Give a volume these tags and no others.
    Tag {
        volume: String,
        #[arg(value_name = "KEY=VALUE")]
        tags: Vec<String>,
    },
    /// Forget a volume that nothing protects; its file stays.
    Remove { volume: String },
}

#[derive(Debug, Args)]
pub(crate) struct AddVolume {
    #[arg(long)]
    name: String,
    /// A path, or `nbd+unix:///EXPORT?socket=PATH` or `nbd://HOST:PORT/EXPORT`.
    #[arg(long)]
    path: PathBuf,
    /// By which vaults with `auto_bind` choose.
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<String>,
    /// The id it shall have; a random one when absent.
    #[arg(long)]
    id: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServerVerb {
    /// Tell the server of a machine and its disks; the first disk is its system disk.
    Add(AddServer),
    /// List servers.
    List,
    /// Give a server these tags and no others.
    Tag {
        server: String,
        #[arg(value_name = "KEY=VALUE")]
        tags: Vec<String>,
    },
    /// Forget a server that nothing protects; its disks' files stay.
    Remove { server: String },
}

#[derive(Debug, Args)]
pub(crate) struct AddServer {
    #[arg(long)]
    name: String,
    /// A path or an NBD URI.
    #[arg(long = "disk", value_name = "PATH", required = true)]
    disks: Vec<PathBuf>,
    /// By which vaults with `auto_bind` choose.
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    tags: Vec<String>,
    /// The machine's QMP socket.
    #[arg(long, value_name = "SOCKET")]
    qmp: Option<PathBuf>,
    /// The machine's guest agent socket.
    #[arg(long, value_name = "SOCKET")]
    guest_agent: Option<PathBuf>,
    /// The name or UUID of the machine at libvirt, which is asked instead.
    #[arg(long, value_name = "DOMAIN", conflicts_with_all = ["qmp", "guest_agent"])]
    libvirt: Option<String>,
    /// The libvirt that runs it, on the server's host.
    #[arg(long, value_name = "URI", default_value = "qemu:///system")]
    libvirt_uri: String,
    /// The id it shall have; a random one when absent.
    #[arg(long)]
    id: Option<String>,
}

const VOLUME_COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("name", "/name"),
    ("format", "/format"),
    ("size bytes", "/size_bytes"),
    ("path", "/path"),
];
const TAG_COLUMNS: &[Column] = &[("key", "/key"), ("value", "/value")];
const SERVER_COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("name", "/name"),
    ("status", "/status"),
    ("volumes", "/volumes"),
    ("proven (UTC)", "/proven_at"),
];

pub(super) async fn run_volume(context: &Context, verb: VolumeVerb) -> anyhow::Result<()> {
    let connection = &context.connection;
    let root = format!("//strongroom/v1/{}/volumes", connection.project_id());
    match verb {
        VolumeVerb::Add(add) => {
            let tags = written(&add.tags)?;
            let mut body = json!({ "name": add.name, "path": place(&add.path)?, "tags": tags });
            insert(&mut body, "id", add.id);
            context.print(
                &connection.post(&root, &body).await?,
                "/volume",
                VOLUME_COLUMNS,
            )
        }
        VolumeVerb::List => {
            context.print(&connection.get(&root).await?, "/volumes", VOLUME_COLUMNS)
        }
        VolumeVerb::Tag { volume, tags } => tag(context, &volume, &tags).await,
        VolumeVerb::Remove { volume } => {
            let answer = connection
                .delete(&format!("{root}/{}", encode(&volume)))
                .await?;
            context.say(
                &format!("volume {volume} removed from the inventory"),
                &answer,
            )
        }
    }
}

pub(super) async fn run_server(context: &Context, verb: ServerVerb) -> anyhow::Result<()> {
    let connection = &context.connection;
    let root = format!("//strongroom/v1/{}/servers", connection.project_id());
    match verb {
        ServerVerb::Add(add) => {
            let disks = add
                .disks
                .iter()
                .map(|disk| place(disk))
                .collect::<anyhow::Result<Vec<_>>>()?;
            let tags = written(&add.tags)?;
            let mut body = json!({ "name": add.name, "disks": disks, "tags": tags });
            insert(&mut body, "id", add.id);
            insert(
                &mut body,
                "qmp",
                add.qmp.map(|path| absolute(&path)).transpose()?,
            );
            insert(
                &mut body,
                "guest_agent",
                add.guest_agent.map(|path| absolute(&path)).transpose()?,
            );
            if let Some(domain) = add.libvirt {
                body["libvirt"] = json!({ "uri": add.libvirt_uri, "domain": domain });
            }
            context.print(
                &connection.post(&root, &body).await?,
                "/server",
                SERVER_COLUMNS,
            )
        }
        ServerVerb::List => {
            context.print(&connection.get(&root).await?, "/servers", SERVER_COLUMNS)
        }
        ServerVerb::Tag { server, tags } => tag(context, &server, &tags).await,
        ServerVerb::Remove { server } => {
            let answer = connection
                .delete(&format!("{root}/{}", encode(&server)))
                .await?;
            context.say(
                &format!("server {server} removed from the inventory"),
                &answer,
            )
        }
    }
}

async fn tag(context: &Context, instance: &str, tags: &[String]) -> anyhow::Result<()> {
    let connection = &context.connection;
    let (project, instance) = (connection.project_id(), encode(instance));
    let path = format!("//strongroom/v1/{project}/inventory/{instance}/tags");
    let body = json!({ "tags": written(tags)? });
    context.print(&connection.put(&path, &body).await?, "/tags", TAG_COLUMNS)
}

/// A path in the inventory's spelling, or an NBD URI as it is.
fn place(text: &Path) -> anyhow::Result<String> {
    match text.to_str() {
        Some(uri) if is_nbd_uri(uri) => Ok(uri.to_owned()),
        _ => absolute(text),
    }
}

/// Paths are resolved here, against the caller's working directory, and written in the one spelling that the
/// inventory takes. A link stays a link: `/dev/disk/by-id/…` is a steadier name than what it points to.
fn absolute(path: &Path) -> anyhow::Result<String> {
    let mut path = std::path::absolute(path)?.components().collect::<PathBuf>();
    if let (Some(folder), Some(name)) = (path.parent(), path.file_name())
        && path.components().any(|part| part == Component::ParentDir)
    {
        let folder = folder
            .canonicalize()
            .with_context(|| format!("{} cannot be resolved", folder.display()))?;
        path = folder.join(name);
    }
    let text = path
        .to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(text.to_owned())
}

fn insert(body: &mut Value, key: &str, value: Option<String>) {
    if let Some(value) = value {
        body[key] = value.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling_and_links_stay() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        std::fs::create_dir(folder.join("below")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.join("link")).unwrap();
        let link = folder.join("link");
        let expected = link.to_str().unwrap();
        for spelling in [
            "link",
            "./link",
            "link/",
            "below/../link",
            "below//.././link",
        ] {
            let path = format!("{}/{spelling}", folder.display());
            assert_eq!(absolute(Path::new(&path)).unwrap(), expected);
        }
        assert!(absolute(Path::new("/nowhere/at/../all")).is_err());
    }
}
