//! Attached backups that other hosts reach, over TLS.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use strongroom_testkit::{Authority, QemuMachine};

use crate::api::Api;
use crate::disks::{self, run, text};
use crate::instant::back_up;
use crate::live::{until, wait_until_written};
use crate::server::{BINARY, Server, free_port};

/// Files between two lines of the guest.
const STEP: u32 = 20;

/// An installation that serves disks over TLS, and what its clients show.
struct Site {
    folder: PathBuf,
    authority: Authority,
    port: u16,
}

impl Site {
    fn new(folder: &Path) -> Self {
        let authority = Authority::new(&folder.join("tls"));
        authority.sign_server();
        authority.sign_client();
        let site = Self {
            folder: folder.to_owned(),
            authority,
            port: free_port(),
        };
        let [certificate, key, ca] = ["server-cert.pem", "server-key.pem", "ca-cert.pem"]
            .map(|file| text(&site.authority.file(file)).to_owned());
        let config = format!(
            "[worker.attach_tls]\nlisten = \"127.0.0.1:{}\"\nhost = \"localhost\"\n\
             certificate = \"{certificate}\"\nkey = \"{key}\"\nclient_ca = \"{ca}\"\n",
            site.port
        );
        std::fs::write(site.config(), config).unwrap();
        site
    }

    fn config(&self) -> PathBuf {
        self.folder.join("tls.toml")
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn start(&self) -> Server {
        let config = self.config();
        let flags = ["--config", text(&config)];
        Server::start_with(Command::new(BINARY), &self.data_dir(), &flags)
    }

    /// As libnbd's programs want it.
    fn with_certificate(&self, uri: &str) -> String {
        format!("{uri}?tls-certificates={}", text(self.authority.folder()))
    }
}

fn uri(attached: &Value, disk: usize) -> &str {
    attached["attachment"]["disks"][disk]["uri"]
        .as_str()
        .unwrap()
}

/// The name at the end of an address.
fn export(uri: &str) -> &str {
    uri.rsplit('/').next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_runs_from_its_backup_over_tls_and_outlives_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut machine) = QemuMachine::linux(folder.path()) else {
        return;
    };
    wait_until_written(folder.path(), STEP).await;
    machine.kill();
    let site = Site::new(folder.path());
    let server = site.start();
    let api = Api::sign_in(&server).await;
    let backup = back_up(&server, &api, folder.path()).await;

    let attached = server.verb(&["backup", "attach", &backup, "--tls"]);
    let exports = [0, 1].map(|disk| export(uri(&attached, disk)));
    let run_in = folder.path().join("run");
    std::fs::create_dir(&run_in).unwrap();
    let certificates = site.authority.folder();
    let machine = QemuMachine::linux_over_tls(&run_in, certificates, site.port, exports).unwrap();
    wait_until_written(&run_in, STEP).await;
    server.kill();
    let mut server = site.start();
    wait_until_written(&run_in, 3 * STEP).await;
    assert!(server.stop().success());
    let server = site.start();
    wait_until_written(&run_in, 5 * STEP).await;
    drop(machine);

    // The backup is as it was, beside what the machine wrote over it.
    let second = server.verb(&["backup", "attach", &backup, "--tls", "--read-only"]);
    for (disk, image) in ["0.qcow2", "1.raw"].into_iter().enumerate() {
        let place = site.with_certificate(uri(&second, disk));
        let copy = folder.path().join("copy.raw");
        run("nbdcopy", &[&place, text(&copy)]);
        let image = folder.path().join(image);
        run("qemu-img", &["compare", text(&image), text(&copy)]);
    }
    for attachment in [&attached, &second] {
        let id = attachment["attachment"]["id"].as_str().unwrap();
        server.verb(&["backup", "detach", id]);
        assert!(!site.data_dir().join("attached").join(id).exists());
    }
    let gone = Command::new("nbdinfo")
        .arg(site.with_certificate(uri(&attached, 0)))
        .output();
    assert!(!gone.unwrap().status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_configured_is_refused_and_what_cannot_be_used_is_no_start() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("data.raw");
    disks::random(&image, 3 << 20, 1);
    let site = Site::new(folder.path());
    let mut server = Server::start_in(&site.data_dir());
    let api = Api::sign_in(&server).await;
    let add = ["volume", "add", "--name", "data", "--path", text(&image)];
    let volume = server.verb(&add)["volume"]["id"].clone();
    let vault = api.make_vault("disk", &[volume.as_str().unwrap()]).await;
    let backup = api.back_up(&vault).await;
    let refused = server.try_verb(&["backup", "attach", &backup, "--tls"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("Strongroom.1030"), "{said}");
    assert!(server.stop().success());

    let mut server = site.start();
    let attached = server.verb(&["backup", "attach", &backup, "--tls"]);
    let place = site.with_certificate(uri(&attached, 0));
    assert_eq!(run("nbdinfo", &["--size", &place]).trim(), "3145728");
    let stranger = Authority::new(&folder.path().join("stranger"));
    stranger.sign_client();
    let ca = site.authority.file("ca-cert.pem");
    std::fs::copy(ca, stranger.file("ca-cert.pem")).unwrap();
    let certificates = text(stranger.folder());
    let place = format!("{}?tls-certificates={certificates}", uri(&attached, 0));
    let refused = Command::new("nbdinfo").arg(place).output().unwrap();
    assert!(!refused.status.success());
    let is_told = || server.log().contains("not served over TLS");
    until("the log says why", is_told).await;
    assert!(server.stop().success());

    let mut server = Server::start_in(&site.data_dir());
    let state = || server.verb(&["backup", "attachments"])["attachments"][0].clone();
    until("nobody serves it", || state()["status"] == "error").await;
    let reason = "`worker.attach_tls` is not configured any more";
    assert_eq!(state()["reason"], reason);
    assert_eq!(state()["disks"][0]["uri"], "");
    assert!(server.stop().success());

    let key = site.authority.file("server-key.pem");
    let refuses_to_start = |why: &str| {
        let ended = Command::new(BINARY)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .args([&site.data_dir(), Path::new("--config"), &site.config()])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && said.contains(why), "{said}");
    };
    let readable = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&key, readable).unwrap();
    refuses_to_start("others can read the key");
    std::fs::write(&key, "no key").unwrap();
    refuses_to_start("server-key.pem is of no use for TLS");
}
