
use super::{World, on_each_database};
use crate::{vaults, backups};
use strongroom_db::*;
use strongroom_types::*;
#[tokio::test]
async fn timing() {
    on_each_database(|world| async move {
        let mut last = None;
        for n in 0..1000 {
            let v = world.volume(&format!("d{n}")).await;
            last = Some(world.disk_vault(&format!("v{n}"), &[&v]).await);
        }
        let vault = last.unwrap();
        let b = world.backed_up(&vault).await.remove(0);
        let mut tx = world.app.db.begin().await.unwrap();
        for _ in 0..50_000 {
            let row = Backup { id: BackupId::random(&*world.app.ids), ..b.clone() };
            tx.insert_backup(&row).await.unwrap();
        }
        tx.commit().await.unwrap();
        for _ in 0..3 {
        let t = std::time::SystemTime::UNIX_EPOCH; let _ = t;
        let start = tokio::time::Instant::now();
        let (v, _) = vaults::list(&world.app, &world.caller, &world.project, &VaultFilter::default(), &World::everything()).await.unwrap();
        eprintln!("vaults {} {:?}", v.len(), start.elapsed());
        let start = tokio::time::Instant::now();
        let (v, total) = backups::list(&world.app, &world.caller, &world.project, &BackupFilter::default(), &[], &World::everything()).await.unwrap();
        eprintln!("backups {} of {total} {:?}", v.len(), start.elapsed());
        let page = Page { offset: 0, limit: 1000, marker: Some(v[999].backup.id.to_string()) };
        let start = tokio::time::Instant::now();
        let (v, total) = backups::list(&world.app, &world.caller, &world.project, &BackupFilter::default(), &[], &page).await.unwrap();
        eprintln!("backups by marker {} of {total} {:?}", v.len(), start.elapsed());
        }
    }).await;
}
