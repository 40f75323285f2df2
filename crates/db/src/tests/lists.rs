//! The long lists: their kept lengths, and pages that begin at a marker.

use futures::future::join_all;
use strongroom_types::*;

use super::on_each_database;
use super::protection::{Scene, scene};
use crate::tx::{Dialect, on};
use crate::*;

/// Enough on PostgreSQL for lengths to be folded many times while others write.
const WRITERS: u64 = 8;
const TURNS: u64 = 40;

async fn insert(tx: &mut Tx, scene: &Scene, parent_id: Option<BackupId>) -> BackupId {
    let backup = Backup {
        status: BackupStatus::Available,
        parent_id,
        ..scene.backup()
    };
    tx.insert_backup(&backup).await.unwrap();
    backup.id
}

async fn listed(tx: &mut Tx, scene: &Scene, page: &Page) -> (Vec<BackupId>, u64) {
    let project = &scene.vault.project_id;
    let listed = tx
        .list_backups(project, &BackupFilter::default(), &[], page)
        .await
        .unwrap();
    let ids = listed.rows.into_iter().map(|backup| backup.id).collect();
    (ids, listed.total)
}

#[tokio::test]
async fn a_kept_length_is_what_counting_would_find_whoever_wrote_beside_whom() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        let scene = scene(&mut tx).await;
        tx.commit().await.unwrap();
        let writers = (0..WRITERS).map(|writer| {
            let (db, scene) = (db.clone(), &scene);
            async move {
                for turn in 0..TURNS {
                    let mut tx = db.begin().await.unwrap();
                    let kept = insert(&mut tx, scene, None).await;
                    insert(&mut tx, scene, Some(kept)).await;
                    let gone = insert(&mut tx, scene, None).await;
                    insert(&mut tx, scene, Some(gone.clone())).await;
                    assert!(tx.delete_backup(&gone).await.unwrap());
                    // Every third transaction never happened.
                    if (writer + turn) % 3 != 0 {
                        tx.commit().await.unwrap();
                    }
                }
            }
        });
        join_all(writers).await;

        let mut tx = db.read().await.unwrap();
        let (ids, total) = listed(&mut tx, &scene, &Page::first(1000)).await;
        assert_eq!(total, ids.len() as u64);
        let committed = (0..WRITERS)
            .flat_map(|writer| (0..TURNS).map(move |turn| writer + turn))
            .filter(|sum| sum % 3 != 0);
        assert_eq!(total, committed.count() as u64);
    })
    .await;
}

#[tokio::test]
async fn pages_after_markers_are_the_list_also_among_rows_of_one_moment() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        let scene = scene(&mut tx).await;
        for _ in 0..7 {
            insert(&mut tx, &scene, None).await;
        }
        let (all, total) = listed(&mut tx, &scene, &Page::first(100)).await;
        assert_eq!((all.len(), total), (7, 7));
        let mut walked = Vec::new();
        let mut marker = None;
        loop {
            let page = Page {
                offset: 0,
                limit: 2,
                marker,
            };
            let (ids, total) = listed(&mut tx, &scene, &page).await;
            assert_eq!(total, 7);
            let Some(last) = ids.last() else { break };
            marker = Some(last.to_string());
            walked.extend(ids);
        }
        assert_eq!(walked, all);
        let beyond = Page {
            offset: 3,
            limit: 2,
            marker: Some(all[1].to_string()),
        };
        assert_eq!(listed(&mut tx, &scene, &beyond).await.0, all[5..7]);
    })
    .await;
}

/// The statements by which a database that was there before takes up its lengths.
fn first_counts(dialect: Dialect) -> Vec<&'static str> {
    let migration = match dialect {
        Dialect::Sqlite => include_str!("../../migrations/sqlite/0008_list_lengths.sql"),
        Dialect::Postgres => include_str!("../../migrations/postgres/0008_list_lengths.sql"),
    };
    let statements = migration.split(";\n").map(str::trim);
    let counts = statements.filter(|statement| statement.starts_with("INSERT INTO list_length"));
    counts.collect()
}

#[tokio::test]
async fn rows_of_before_are_counted_once() {
    on_each_database(|db| async move {
        let mut tx = db.begin().await.unwrap();
        let scene = scene(&mut tx).await;
        for _ in 0..3 {
            let parent = insert(&mut tx, &scene, None).await;
            insert(&mut tx, &scene, Some(parent)).await;
        }
        on!(tx, c => sqlx::query("DELETE FROM list_length").execute(c).await.map(|_| ())).unwrap();
        assert_eq!(listed(&mut tx, &scene, &Page::first(1)).await.1, 0);
        let counts = first_counts(tx.dialect());
        assert_eq!(counts.len(), 3);
        for count in counts {
            on!(tx, c => sqlx::query(count).execute(c).await.map(|_| ())).unwrap();
        }
        assert_eq!(listed(&mut tx, &scene, &Page::first(1)).await.1, 3);
        let project = &scene.vault.project_id;
        let vaults = tx
            .list_vaults(project, &VaultFilter::default(), &Page::first(1))
            .await
            .unwrap();
        assert_eq!(vaults.total, 1);
    })
    .await;
}
