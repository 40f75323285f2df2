//! What the machine of a backup was, as clients see it, and the refusal to make servers where no folder is for them.

use serde_json::json;
use strongroom_types::{MachineRecord, MachineSource, NetworkCard, RecordedDisk};

use super::golden::{assert_shape, backed_up};
use super::server::{TestServer, Who, on_each_server};

async fn record(server: &TestServer, backup: &str, resource: &str) {
    let record = MachineRecord {
        name: Some("web".to_owned()),
        cpus: Some(2),
        disks: vec![RecordedDisk {
            resource_id: resource.parse().unwrap(),
            bus: None,
            device: Some("virtio-blk-pci".to_owned()),
            controller: None,
            target: None,
            boot_index: Some(0),
            serial: None,
        }],
        network_cards: vec![NetworkCard {
            model: Some("virtio-net-pci".to_owned()),
            mac: Some("52:54:00:12:34:56".to_owned()),
        }],
        ..MachineRecord::unknown(MachineSource::Qemu)
    };
    let mut tx = server.app.db.begin().await.unwrap();
    let backup = backup.parse().unwrap();
    tx.insert_backup_machine(&backup, &record).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn the_machine_of_a_backup_is_shown_and_servers_are_made_by_administrators() {
    on_each_server(async |server| {
        let (_, resource) = backed_up(&server).await;
        let listed = server.get("/v3/{project_id}/backups").await.expect(200);
        let backup = listed["backups"][0]["id"].as_str().unwrap();
        let of_backup = format!("/strongroom/v1/{{project_id}}/backups/{backup}");
        let machine = format!("{of_backup}/machine");
        assert_eq!(server.get(&machine).await.refusal(), "Strongroom.1026 404");
        record(&server, backup, &resource).await;
        let shown = server.get(&machine).await.expect(200);
        assert_shape(&shown, include_str!("golden/machine_shown.json"));
        assert_eq!(shown["machine"]["cpus"], 2);

        let servers = format!("{of_backup}/servers");
        let body = json!({"server": {"name": "web2"}});
        let asked = server.post(&servers, body.clone()).await;
        assert_eq!(asked.refusal(), "Strongroom.1027 400");
        let reader = server.call(Who::Reader, "POST", &servers, &body).await;
        assert_eq!(reader.refusal(), "APIGW.0302 403");
        let elsewhere = json!({"server": {"name": "web2", "libvirt_uri": "qemu+ssh://h/system"}});
        let asked = server.post(&servers, elsewhere).await;
        assert_eq!(asked.status.as_u16(), 400, "{}", asked.text);
    })
    .await;
}
