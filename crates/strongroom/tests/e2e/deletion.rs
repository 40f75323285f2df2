//! What a deletion leaves: nothing visible, no use counted, and everything else intact.

use serde_json::json;

use crate::api::{Api, refusal};
use crate::disks;
use crate::server::Server;

#[tokio::test]
async fn a_checkpoint_goes_with_its_last_backup_and_the_vault_with_its_deletion() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let api = Api::sign_in(&server).await;
    let disk = folder.path().join("disk.raw");
    disks::random(&disk, 6 << 20, 1);
    let volume = server.verb(&["volume", "add", "--name", "d", "--path", disks::text(&disk)]);
    let volume = volume["volume"]["id"].as_str().unwrap();
    let vault = api.make_vault("disk", &[volume]).await;
    let used = async || {
        api.get(&format!("/vaults/{vault}")).await.1["vault"]["billing"]["used"]
            .as_u64()
            .unwrap()
    };

    let first = api.back_up(&vault).await;
    let of_first = used().await;
    assert!(
        (4..=8).contains(&of_first),
        "about what is not zero of 6 MiB: {of_first}"
    );
    let second = api.back_up(&vault).await;
    assert_eq!(used().await, of_first, "an unchanged disk adds nothing");
    let checkpoint = api.get(&format!("/backups/{first}")).await.1["backup"]["checkpoint_id"]
        .as_str()
        .unwrap()
        .to_owned();

    assert_eq!(api.delete(&format!("/backups/{first}")).await.0, 204);
    api.wait_until_gone(&format!("/backups/{first}")).await;
    assert_eq!(
        refusal(&api.get(&format!("/checkpoints/{checkpoint}")).await),
        (404, "BackupService.6217")
    );
    assert_eq!(used().await, of_first, "the other backup still needs it");
    let (_, answer) = api
        .post(
            &format!("/backups/{second}/restore"),
            json!({ "restore": { "volume_id": volume } }),
        )
        .await;
    assert_eq!(
        api.wait_for_task(answer["job_id"].as_str().unwrap()).await["status"],
        "success"
    );

    assert_eq!(api.delete(&format!("/vaults/{vault}")).await.0, 204);
    api.wait_until_gone(&format!("/vaults/{vault}")).await;
    assert_eq!(
        refusal(&api.get(&format!("/backups/{second}")).await),
        (404, "BackupService.6200")
    );
    let (_, logs) = api.get("/operation-logs?operation_type=vault_delete").await;
    assert_eq!(logs["operation_logs"][0]["status"], "success", "{logs}");

    let left = || {
        let place = server.data_dir().join("repositories");
        let arguments = [disks::text(&place), "-path", "*/packs/*", "-type", "f"];
        disks::run("find", &arguments)
    };
    api.wait_for("/vaults", |_, _| left().is_empty().then_some(()))
        .await;
}
