//! A real Linux that writes all the time is backed up through the API as it runs, and every backup is restored to new disks.

mod libvirt;
pub(crate) mod site;

use std::fs;

use serde_json::json;
use strongroom_testkit::{CORRECTED, MonitorFault, MonitorProxy, QemuMachine};

use crate::api::Api;
use crate::disks::text;
use crate::server::Server;
use site::{Site, consistency};
pub(crate) use site::{until, wait_until_written};

const MIB: u64 = 1 << 20;
const PAUSE_WRITING: &str = "touch /run/pause; until [ -e /run/paused ]; do sleep 0.1; done";
/// What it makes has no number of its own.
const WRITE_50_MIB: &str = "cd /mnt/vda && \
    dd if=/dev/urandom of=large bs=1M count=50 conv=fsync && sum=$(sha256sum <large) && mv large 0-${sum%% *} && sync";
/// Files between two lines of the guest.
const STEP: u32 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_linux_that_writes_all_the_time_is_backed_up_and_restored() {
    let folder = tempfile::tempdir().unwrap();
    let Some(machine) = QemuMachine::linux(folder.path()) else {
        return;
    };
    let data_dir = folder.path().join("data");
    let server = Server::start_in(&data_dir);
    let api = Api::sign_in(&server).await;
    let proxy = MonitorProxy::start(&folder.path().join("proxy.sock"), &machine.monitor());
    let agent = folder.path().join("agent.sock");
    let asked = ["--qmp", text(proxy.socket()), "--guest-agent", text(&agent)];
    let disks = ["0.qcow2", "1.raw"];
    let mut site = Site::new(&server, api, folder.path(), &asked, disks);
    let vault = site.api.make_vault("server", &[&site.web]).await;
    assert_eq!(site.state().await, ("ACTIVE".to_owned(), true));
    site.wait_until_written(STEP).await;

    // As after a power cut, for nobody asked the guest.
    let first = site.back_up(&server, &vault).await;
    assert_eq!(consistency(&first), ("0", "0"));
    let mut reached = site.check(&first, &[0, CORRECTED]).await;

    let level = json!({"vault": {"billing": {"consistent_level": "app_consistent"}}});
    let (status, answer) = site.put(&format!("/vaults/{vault}"), level).await;
    assert_eq!(status, 200, "{answer}");
    for guest_writes in [true, false] {
        site.wait_until_written((reached / STEP + 2) * STEP).await;
        if !guest_writes {
            machine.run_in_guest(PAUSE_WRITING);
        }
        let next = site.back_up(&server, &vault).await;
        assert_eq!(consistency(&next), ("1", "1"), "{next}");
        let highest = site.check(&next, &[0]).await;
        assert!(highest > reached);
        reached = highest;
    }

    machine.run_in_guest(WRITE_50_MIB);
    let large = site.back_up(&server, &vault).await;
    let read = site.read_for(&large).await;
    println!("50 MiB written, {read} bytes read");
    assert!((50 * MIB..60 * MIB).contains(&read), "{read}");
    assert_eq!(site.check(&large, &[0]).await, reached);
    machine.run_in_guest("rm /run/pause");

    // Killed while the guest stands still and its machine is stopped: the next start lets both go on.
    let checkpoint = site.api.start_checkpoint(&vault).await;
    proxy.fail_at("cont", MonitorFault::Stall);
    until("the machine is stopped", || proxy.struck().is_some()).await;
    server.kill();
    proxy.heal();
    assert!(!machine.state().0);
    let server = Server::start_in(&data_dir);
    site.api = site.api.at(&server);
    let status = site.api.wait_for_checkpoint(&checkpoint).await;
    assert_eq!(status, "available");
    let last = site.api.only_backup_of(&checkpoint).await;
    let last = site.backup(last["id"].as_str().unwrap()).await;
    assert_eq!(consistency(&last), ("1", "1"), "{last}");
    reached = site.check(&last, &[0]).await;

    let body = site.restore_of(&first, &site.web, &site.web_disks);
    let path = format!("/backups/{}/restore", first["id"].as_str().unwrap());
    let (status, answer) = site.api.post(&path, body).await;
    assert_eq!(
        (status, &answer["error_code"]),
        (400, &json!("BackupService.2008"))
    );
    site.wait_until_written((reached / STEP + 2) * STEP).await;
    assert_eq!(machine.state(), (true, vec![]));
    // Nobody listens where a machine that ended had its monitor.
    drop(machine);
    fs::remove_file(proxy.socket()).unwrap();
    assert_eq!(site.state().await, ("SHUTOFF".to_owned(), true));
}
