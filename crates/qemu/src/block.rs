//! QEMU's own words for disks: devices, nodes and what hangs on what, exports, jobs.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Qmp, Result};

/// A device that has or takes a medium, `BlockInfo`.
#[derive(Debug, Deserialize)]
pub(crate) struct Device {
    /// The name of its backend; empty for disks that were given as nodes.
    #[serde(rename = "device")]
    pub(crate) backend: String,
    /// An id, or a path in QEMU's object tree.
    pub(crate) qdev: Option<String>,
    pub(crate) inserted: Option<Node>,
}

/// A node of the block graph, `BlockDeviceInfo`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Node {
    #[serde(rename = "node-name")]
    name: Option<String>,
    pub(crate) drv: String,
    pub(crate) file: String,
    #[serde(rename = "ro")]
    pub(crate) is_read_only: bool,
    pub(crate) image: Image,
    #[serde(default)]
    pub(crate) dirty_bitmaps: Vec<Bitmap>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Image {
    pub(crate) virtual_size: u64,
    #[serde(default)]
    format_specific: Value,
}

/// What a node remembers of writes to it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Bitmap {
    /// None for those that QEMU keeps for its own use.
    pub name: Option<String>,
    #[serde(rename = "recording")]
    pub is_recording: bool,
    /// A job or an export uses it.
    #[serde(rename = "busy")]
    pub is_busy: bool,
    /// Is written into the image when QEMU ends.
    #[serde(rename = "persistent")]
    pub is_persistent: bool,
    /// The image was not closed properly; all that can be done is to remove it.
    #[serde(default, rename = "inconsistent")]
    pub is_inconsistent: bool,
    /// Bytes that one bit stands for.
    pub granularity: u64,
    /// Bytes marked as written, in whole grains.
    pub count: u64,
}

#[derive(Debug, Deserialize)]
struct Graph {
    nodes: Vec<GraphNode>,
    edges: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct GraphNode {
    id: u64,
    name: String,
}

#[derive(Debug, Deserialize)]
struct Edge {
    parent: u64,
    child: u64,
    name: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Export {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) error: Option<String>,
}

/// Who is the `file` of whom.
#[derive(Debug)]
pub(crate) struct Files(Vec<(String, String)>);

impl Node {
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// Whether bitmaps outlive QEMU in it: qcow2, but not its first version.
    pub(crate) fn keeps_bitmaps(&self) -> bool {
        self.drv == "qcow2" && self.image.format_specific["data"]["compat"] == "1.1"
    }
}

impl Files {
    pub(crate) fn below(&self, node: &str) -> Option<&str> {
        let edge = self.0.iter().find(|(parent, _)| parent == node);
        edge.map(|(_, child)| child.as_str())
    }
}

/// None in a storage daemon.
pub(crate) async fn devices(qmp: &mut Qmp) -> Result<Vec<Device>> {
    qmp.execute("query-block", json!({})).await
}

pub(crate) async fn nodes(qmp: &mut Qmp) -> Result<Vec<Node>> {
    qmp.execute("query-named-block-nodes", json!({"flat": true}))
        .await
}

/// The debugging command is the only one that tells in all versions what a filter filters.
pub(crate) async fn files(qmp: &mut Qmp) -> Result<Files> {
    let graph: Graph = qmp.execute("x-debug-query-block-graph", json!({})).await?;
    let name = |id: u64| {
        let node = graph.nodes.iter().find(|node| node.id == id);
        node.map(|node| node.name.clone()).unwrap_or_default()
    };
    let files = graph.edges.iter().filter(|edge| edge.name == "file");
    let pairs = files.map(|edge| (name(edge.parent), name(edge.child)));
    Ok(Files(pairs.collect()))
}

pub(crate) async fn exports(qmp: &mut Qmp) -> Result<Vec<Export>> {
    qmp.execute("query-block-exports", json!({})).await
}

pub(crate) async fn jobs(qmp: &mut Qmp) -> Result<Vec<Job>> {
    qmp.execute("query-jobs", json!({})).await
}
