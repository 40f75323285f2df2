//! The loop that makes things happen by themselves, with a clock that a test moved.

use std::sync::Arc;
use std::time::Duration;

use strongroom_db::Db;
use strongroom_service::NoMachines;
use strongroom_service::inventory::{self, NewVolume};
use strongroom_service::policies;
use strongroom_service::vaults::{self, NewVault};
use strongroom_testkit::{MockClock, test_databases};
use strongroom_types::JobKind;
use tokio_util::sync::CancellationToken;

use super::fixtures;
use crate::upkeep;

/// Far longer than a look takes; only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_policy_that_is_due_wakes_the_workers() {
    for database in test_databases().await {
        eprintln!("on {}", database.kind);
        let db = Db::open(&database.address).await.unwrap();
        let clock = Arc::new(MockClock::default());
        let app = fixtures::app(db.clone(), &clock, Arc::new(NoMachines));
        let (caller, project) = fixtures::administrator(&app).await;
        let disk = tempfile::NamedTempFile::new().unwrap();
        disk.as_file().set_len(1 << 20).unwrap();
        let new = NewVolume {
            id: None,
            name: "data".to_owned(),
            path: disk.path().to_str().unwrap().to_owned(),
            tags: Vec::new(),
        };
        let volume = inventory::add_volume(&app, &caller, &project, new).await;
        let policy = policies::create(&app, &caller, &project, fixtures::daily_policy()).await;
        let new = NewVault {
            backup_policy_id: Some(policy.unwrap().policy.id),
            ..fixtures::vault(volume.unwrap().volume.id.into())
        };
        vaults::create(&app, &caller, &project, new).await.unwrap();
        clock.advance(Duration::from_hours(3));

        let stop = CancellationToken::new();
        let upkeep = tokio::spawn(upkeep::run(app.clone(), stop.clone()));
        tokio::time::timeout(PATIENCE, app.wake.notified())
            .await
            .unwrap();
        stop.cancel();
        tokio::time::timeout(PATIENCE, upkeep)
            .await
            .unwrap()
            .unwrap();
        let jobs = db.read().await.unwrap().list_open_jobs().await.unwrap();
        let kinds: Vec<_> = jobs.iter().map(|job| job.kind).collect();
        assert_eq!(kinds, [JobKind::BackUp]);
        db.close().await;
    }
}
