//! Our own extension: machines that are run from backups, and what they show.

use serde::{Deserialize, Serialize};
use strongroom_types::{Accelerator, BackupId, FileSystemState, ProofId, ProofState, ProofVerdict};
use utoipa::ToSchema;

use crate::time::CbrTime;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProofAnswer {
    pub proof: Proof,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShownProofAnswer {
    pub proof: ShownProof,
}

/// Newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProofList {
    pub proofs: Vec<Proof>,
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Proof {
    pub id: ProofId,
    pub backup_id: BackupId,
    pub state: ProofState,
    /// Of a proof that is done.
    #[schema(required)]
    pub verdict: Option<ProofVerdict>,
    /// What the verdict rests on, or why there is none.
    pub reason: String,
    /// What ran the machine, of a proof that is done; null where none was run.
    #[schema(required)]
    pub accelerator: Option<Accelerator>,
    /// The ext file systems of its disks, before the machine touched them.
    pub file_systems: Vec<FileSystem>,
    /// There is a picture of the machine's last screen.
    pub has_screen: bool,
    pub created_at: CbrTime,
    #[schema(required)]
    pub started_at: Option<CbrTime>,
    #[schema(required)]
    pub ended_at: Option<CbrTime>,
    /// From the start to the end.
    #[schema(required)]
    pub duration_seconds: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileSystem {
    /// Counted from 0, which is the system disk.
    pub disk: u64,
    /// Where on the disk it lies.
    pub offset_bytes: u64,
    pub size_bytes: u64,
    pub state: FileSystemState,
    /// What the check said, or why there was none.
    pub message: String,
}

/// A proof with all that is kept of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShownProof {
    #[serde(flatten)]
    pub proof: Proof,
    /// The end of what the machine said on its serial port.
    pub console: String,
}
