//! What each recipe puts into QEMU for a disk.

use std::path::Path;

use serde_json::{Value, json};

use crate::bitmaps::{self, Changes};
use crate::block::Node;
use crate::leftovers;
use crate::names::{self, Role};
use crate::snapshot::{DiskRequest, Recipe};
use crate::{Error, Qmp, Result};

/// How long a write of the guest may wait for its copy, seconds; then the snapshot breaks.
const COPY_SECONDS_MAX: u32 = 45;

/// A disk whose snapshot is being made.
#[derive(Debug)]
pub(crate) struct Disk<'a> {
    pub(crate) wanted: &'a DiskRequest,
    pub(crate) index: usize,
    pub(crate) node: Node,
    /// The device in the object tree, when a filter can be put under it.
    pub(crate) device: Option<String>,
    pub(crate) changes: Changes,
}

impl Disk<'_> {
    /// Names the disk's export and job.
    pub(crate) fn id(&self) -> String {
        names::of_point(&self.wanted.point)
    }

    fn name(&self, role: Role) -> String {
        names::disk_node(self.index, role)
    }

    /// Makes the file for what the guest overwrites. A filter fills a file of the disk's size; an overlay makes it grow.
    pub(crate) async fn make_scratch(
        &self,
        qmp: &mut Qmp,
        recipe: Recipe,
        folder: &Path,
    ) -> Result<()> {
        let node = self.name(Role::Scratch);
        let file = folder.join(&node);
        let size = match recipe {
            Recipe::Filter => self.node.image.virtual_size,
            Recipe::Fleece => 0,
        };
        let options = json!({"driver": "file", "filename": file, "size": size});
        self.create(qmp, &options).await?;
        let options = json!({"driver": "file", "node-name": node, "filename": file});
        qmp.command("blockdev-add", options).await
    }

    /// Puts the filter, which nobody uses yet, or the overlay on it.
    pub(crate) async fn add_node(&self, qmp: &mut Qmp, recipe: Recipe) -> Result<()> {
        let scratch = self.name(Role::Scratch);
        let options = match recipe {
            Recipe::Filter => json!({
                "driver": "copy-before-write",
                "node-name": self.name(Role::Filter),
                "file": self.wanted.node,
                "target": scratch,
                "on-cbw-error": "break-snapshot",
                "cbw-timeout": COPY_SECONDS_MAX,
            }),
            Recipe::Fleece => {
                let size = self.node.image.virtual_size;
                let options = json!({"driver": "qcow2", "file": scratch, "size": size});
                self.create(qmp, &options).await?;
                json!({
                    "driver": "qcow2",
                    "node-name": self.name(Role::Overlay),
                    "file": scratch,
                    "backing": self.wanted.node,
                })
            }
        };
        qmp.command("blockdev-add", options).await
    }

    pub(crate) async fn insert_filter(&self, qmp: &mut Qmp) -> Result<()> {
        let device = self.device.as_deref().expect("filters need devices");
        leftovers::set_drive(qmp, device, &self.name(Role::Filter)).await
    }

    /// What the transaction that makes the instant does to this disk.
    pub(crate) fn actions(&self, recipe: Recipe) -> Vec<Value> {
        let mut actions = bitmaps::turn(&self.node, &self.changes, &self.wanted.point);
        if recipe == Recipe::Fleece {
            let job = json!({
                "job-id": self.id(),
                "device": self.wanted.node,
                "target": self.name(Role::Overlay),
                "sync": "none",
            });
            actions.push(bitmaps::action("blockdev-backup", &job));
        }
        actions
    }

    /// Shows what a filter that is in its place has seen; until then the disk is the device's to write.
    pub(crate) async fn add_access(&self, qmp: &mut Qmp) -> Result<()> {
        let options = json!({
            "driver": "snapshot-access",
            "node-name": self.name(Role::Access),
            "file": self.name(Role::Filter),
        });
        qmp.command("blockdev-add", options).await
    }

    pub(crate) async fn export(&self, qmp: &mut Qmp, recipe: Recipe) -> Result<()> {
        let role = match recipe {
            Recipe::Filter => Role::Access,
            Recipe::Fleece => Role::Overlay,
        };
        let mut export = json!({
            "type": "nbd",
            "id": self.id(),
            "name": self.id(),
            "node-name": self.name(role),
            "writable": false,
        });
        if let Changes::Since { point, .. } = &self.changes {
            let bitmap = json!({"node": self.wanted.node, "name": names::of_point(point)});
            export["bitmaps"] = json!([bitmap]);
        }
        qmp.command("block-export-add", export).await
    }

    /// QEMU makes the file, as its own user.
    async fn create(&self, qmp: &mut Qmp, options: &Value) -> Result<()> {
        let id = self.id();
        let command = "blockdev-create";
        let arguments = json!({"job-id": id, "options": options});
        qmp.command(command, arguments).await?;
        let job = leftovers::concluded_job(qmp, &id).await?;
        qmp.command("job-dismiss", json!({"id": id})).await?;
        job.error.map_or(Ok(()), |desc| {
            Err(Error::Refused {
                command: command.to_owned(),
                class: "GenericError".to_owned(),
                desc,
            })
        })
    }
}
