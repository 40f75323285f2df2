use strongroom_types::Timestamp;

use crate::{App, Error};

/// Starts the deletion of backups whose time has passed, at most 100 a call; answers how many.
pub async fn expire_backups(app: &App, now: Timestamp) -> Result<u64, Error> {
    todo!()
}
