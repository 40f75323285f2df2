use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::jobs::JobError;
use crate::repositories::RepositoryError;
use crate::transfer::TransferError;

/// Where things lie on the host is the operator's business.
const PLACE: &str = "/srv/secret";

fn cause() -> io::Error {
    io::Error::other(format!("{PLACE}: no such thing"))
}

#[test]
fn an_owner_is_not_told_where_things_lie() {
    let path = PathBuf::from(PLACE);
    let disks = [
        strongroom_block::Error::NotFound { path: path.clone() },
        strongroom_block::Error::InUse { path: path.clone() },
        strongroom_block::Error::Unsupported {
            path: path.clone(),
            what: "it is encrypted".to_owned(),
        },
        strongroom_block::Error::Io {
            path: path.clone(),
            source: io::Error::from_raw_os_error(5),
        },
    ];
    let mut failures: Vec<JobError> = disks
        .into_iter()
        .map(|error| TransferError::Disk(error).into())
        .collect();
    let project = "0123456789abcdef0123456789abcdef".parse().unwrap();
    failures.push(
        RepositoryError::Open {
            project,
            source: strongroom_repo::Error::Full(Arc::new(cause())),
        }
        .into(),
    );
    failures.push(
        RepositoryError::Key {
            path,
            source: cause(),
        }
        .into(),
    );
    failures.push(
        strongroom_repo::Error::Unavailable {
            action: "write a pack".to_owned(),
            source: Arc::new(cause()),
        }
        .into(),
    );
    for failure in failures {
        let shown = failure.into_failure().message;
        assert!(!shown.contains(PLACE), "{shown}");
        assert!(shown.len() > 15, "{shown}");
    }
}
