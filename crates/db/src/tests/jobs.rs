use std::time::Duration;

use strongroom_testkit::{MockClock, SeededIds};
use strongroom_types::{JobId, JobKind, JobState, Timestamp};

use super::on_each_database;
use crate::{Db, Error, NewJob};

const NOW: Timestamp = MockClock::START;
const LEASE: Duration = Duration::from_mins(1);

async fn enqueue(db: &Db, subjects: &[&str]) {
    let ids = SeededIds::new(7);
    let mut tx = db.begin().await.unwrap();
    for subject in subjects {
        let new = NewJob {
            id: JobId::random(&ids),
            kind: JobKind::BackUp,
            subject_id: (*subject).to_owned(),
            operation_log_id: None,
            attempts_max: 3,
            request_id: "r".to_owned(),
        };
        tx.insert_job(&new, NOW).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn claim(db: &Db, owner: &str, now: Timestamp) -> Option<crate::Job> {
    let mut tx = db.begin().await.unwrap();
    let job = tx.claim_job(owner, now, LEASE).await.unwrap();
    tx.commit().await.unwrap();
    job
}

#[tokio::test]
async fn a_job_is_claimed_once_and_finished_by_its_owner_alone() {
    on_each_database(|db| async move {
        enqueue(&db, &["a"]).await;
        let job = claim(&db, "w1", NOW).await.unwrap();
        assert_eq!((job.attempt, job.state), (1, JobState::Running));
        assert!(claim(&db, "w2", NOW).await.is_none());

        let mut tx = db.begin().await.unwrap();
        assert!(!tx.finish_job(&job.lease("w2"), NOW).await.unwrap());
        assert!(tx.finish_job(&job.lease("w1"), NOW).await.unwrap());
        assert!(!tx.renew_lease(&job.lease("w1"), NOW).await.unwrap());
        assert!(tx.list_open_jobs().await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_expired_lease_is_taken_over_and_the_former_owner_is_fenced() {
    on_each_database(|db| async move {
        enqueue(&db, &["a"]).await;
        let first = claim(&db, "w1", NOW).await.unwrap();
        let later = NOW.plus(LEASE).plus(Duration::from_secs(1));
        let second = claim(&db, "w1", later).await.unwrap();
        assert_eq!(second.attempt, 2);

        let mut tx = db.begin().await.unwrap();
        // The same owner's old attempt is as dead as another owner's.
        assert!(!tx.renew_lease(&first.lease("w1"), later).await.unwrap());
        assert!(tx.renew_lease(&second.lease("w1"), later).await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_retried_job_waits_for_its_time() {
    on_each_database(|db| async move {
        enqueue(&db, &["a"]).await;
        let job = claim(&db, "w1", NOW).await.unwrap();
        let at = NOW.plus(Duration::from_secs(5));
        let mut tx = db.begin().await.unwrap();
        assert!(
            tx.retry_job(&job.lease("w1"), "store away", at)
                .await
                .unwrap()
        );
        tx.commit().await.unwrap();
        assert!(claim(&db, "w1", NOW).await.is_none());
        let job = claim(&db, "w1", at).await.unwrap();
        assert_eq!(
            (job.attempt, job.last_error.as_deref()),
            (2, Some("store away"))
        );
    })
    .await;
}

#[tokio::test]
async fn a_subject_has_one_open_job_of_a_kind() {
    on_each_database(|db| async move {
        enqueue(&db, &["a"]).await;
        let mut tx = db.begin().await.unwrap();
        let again = NewJob {
            id: JobId::random(&SeededIds::new(8)),
            kind: JobKind::BackUp,
            subject_id: "a".to_owned(),
            operation_log_id: None,
            attempts_max: 1,
            request_id: String::new(),
        };
        assert!(matches!(
            tx.insert_job(&again, NOW).await,
            Err(Error::Conflict(_))
        ));
    })
    .await;
}

#[tokio::test]
async fn the_dead_are_told_apart_from_the_living() {
    on_each_database(|db| async move {
        enqueue(&db, &["a", "b"]).await;
        claim(&db, "dead", NOW).await.unwrap();
        claim(&db, "me", NOW).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        assert_eq!(tx.release_leases_of_others("me", NOW).await.unwrap(), 1);
        tx.commit().await.unwrap();
        assert_eq!(claim(&db, "me", NOW).await.unwrap().attempt, 2);
        assert!(claim(&db, "me", NOW).await.is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_workers_share_fifty_jobs_without_taking_one_twice() {
    on_each_database(|db| async move {
        let subjects: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        enqueue(
            &db,
            &subjects.iter().map(String::as_str).collect::<Vec<_>>(),
        )
        .await;
        let workers = (0..8).map(|n| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut taken = Vec::new();
                while let Some(job) = claim(&db, &format!("w{n}"), NOW).await {
                    taken.push(job.subject_id);
                }
                taken
            })
        });
        let mut taken: Vec<String> = Vec::new();
        for worker in workers.collect::<Vec<_>>() {
            taken.extend(worker.await.unwrap());
        }
        taken.sort_unstable();
        taken.dedup();
        assert_eq!(taken.len(), 50);
        let counts = db.read().await.unwrap().count_jobs().await.unwrap();
        assert_eq!((counts.len(), counts[0].count), (1, 50));
    })
    .await;
}
