use strongroom_service::rows;
use strongroom_wire::CbrTime;
use strongroom_wire::proofs::{FileSystem, Proof, ShownProof};

pub(crate) fn proof(row: rows::Proof) -> Proof {
    let duration = row
        .started_at
        .zip(row.ended_at)
        .map(|(start, end)| end.since(start));
    Proof {
        id: row.id,
        backup_id: row.backup_id,
        state: row.state,
        verdict: row.verdict,
        reason: row.reason,
        accelerator: row.accelerator,
        file_systems: row.file_systems.0.into_iter().map(file_system).collect(),
        has_screen: row.has_screen,
        created_at: CbrTime(row.created_at),
        started_at: row.started_at.map(CbrTime),
        ended_at: row.ended_at.map(CbrTime),
        duration_seconds: duration.map(|duration| duration.as_secs()),
    }
}

fn file_system(row: rows::FileSystemCheck) -> FileSystem {
    FileSystem {
        disk: row.disk,
        offset_bytes: row.offset_bytes,
        size_bytes: row.size_bytes,
        state: row.state,
        message: row.message,
    }
}

pub(crate) fn shown_proof(mut row: rows::Proof) -> ShownProof {
    let console = std::mem::take(&mut row.console);
    ShownProof {
        proof: proof(row),
        console,
    }
}
