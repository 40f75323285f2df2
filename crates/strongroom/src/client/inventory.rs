//! Our own extension of the API: what can be protected is told by an administrator.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::connection::encode;
use super::{Column, Context};

#[derive(Debug, Subcommand)]
pub(crate) enum VolumeVerb {
    /// Tell the server of a disk: a raw or qcow2 file, or a block device on its host.
    Add(AddVolume),
    /// List volumes.
    List,
    /// Forget a volume that nothing protects; its file stays.
    Remove { volume: String },
}

#[derive(Debug, Args)]
pub(crate) struct AddVolume {
    #[arg(long)]
    name: String,
    #[arg(long)]
    path: PathBuf,
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
    /// Forget a server that nothing protects; its disks' files stay.
    Remove { server: String },
}

#[derive(Debug, Args)]
pub(crate) struct AddServer {
    #[arg(long)]
    name: String,
    #[arg(long = "disk", value_name = "PATH", required = true)]
    disks: Vec<PathBuf>,
    /// The machine's QMP socket.
    #[arg(long, value_name = "SOCKET")]
    qmp: Option<PathBuf>,
    /// The machine's guest agent socket.
    #[arg(long, value_name = "SOCKET")]
    guest_agent: Option<PathBuf>,
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
const SERVER_COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("name", "/name"),
    ("status", "/status"),
    ("volumes", "/volumes"),
];

pub(super) async fn run_volume(context: &Context, verb: VolumeVerb) -> anyhow::Result<()> {
    let connection = &context.connection;
    let root = format!("//strongroom/v1/{}/volumes", connection.project_id());
    match verb {
        VolumeVerb::Add(add) => {
            let mut body = json!({ "name": add.name, "path": absolute(&add.path)? });
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
                .map(|disk| absolute(disk))
                .collect::<anyhow::Result<Vec<_>>>()?;
            let mut body = json!({ "name": add.name, "disks": disks });
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
            context.print(
                &connection.post(&root, &body).await?,
                "/server",
                SERVER_COLUMNS,
            )
        }
        ServerVerb::List => {
            context.print(&connection.get(&root).await?, "/servers", SERVER_COLUMNS)
        }
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

/// Paths are resolved here, against the caller's working directory.
fn absolute(path: &std::path::Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path)?;
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
