//! Points as disks: `strongroom repo attach`, with the clients that machines have.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::disks;
use crate::repo::Repo;

const MIB: u64 = 1 << 20;

/// A running `repo attach`, killed when dropped.
struct Attached {
    process: Child,
    uri: String,
    told: Value,
}

impl Attached {
    fn start(repo: &Repo, point: &str, more: &[&str]) -> Self {
        let socket = repo.path("socket");
        let arguments = [&[point, "--socket", disks::text(&socket)], more].concat();
        let attach = repo.command("attach", &arguments);
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL"])
            .arg(attach.get_program())
            .args(attach.get_args())
            .stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut answer = String::new();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        while serde_json::from_str::<Value>(&answer).is_err() {
            let read = said.read_line(&mut answer).unwrap();
            assert!(read > 0, "it ended: {:?}", process.wait());
        }
        let told: Value = serde_json::from_str(&answer).unwrap();
        let uri = told["uri"].as_str().unwrap().to_owned();
        Self { process, uri, told }
    }

    /// Returns whether it ended well.
    fn terminate(mut self) -> bool {
        disks::run("kill", &["-TERM", &self.process.id().to_string()]);
        self.process.wait().unwrap().success()
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Fails unless it holds what this image holds.
    fn equals(&self, image: &Path) {
        let both = [disks::text(image), &self.uri];
        let compare = [["compare", "-f", "raw", "-F", "raw"].as_slice(), &both].concat();
        disks::run("qemu-img", &compare);
    }

    fn io(&self, command: &str) {
        disks::run("qemu-io", &["-f", "raw", "-c", command, &self.uri]);
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // It has ended already if the test went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn back_up(repo: &Repo, image: &Path) -> String {
    let answer = repo.json("backup", &[disks::text(image)]);
    answer["point"].as_str().unwrap().to_owned()
}

/// A repository that holds a disk of some data between holes, and that disk.
fn repo_with_a_disk() -> (Repo, std::path::PathBuf, String) {
    let repo = Repo::init();
    let image = repo.path("disk.raw");
    disks::ext4(&image, 96 * MIB, 24 * MIB);
    let point = back_up(&repo, &image);
    (repo, image, point)
}

#[test]
fn a_point_is_read_by_everybody_s_clients() {
    let (repo, image, point) = repo_with_a_disk();
    let attached = Attached::start(&repo, &point[..12], &[]);
    assert_eq!(attached.told["size_bytes"], 96 * MIB);
    assert_eq!(attached.told["writable"], false);

    let told = disks::run("nbdinfo", &["--json", &attached.uri]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["exports"][0]["is_read_only"], true, "{told}");
    let map = disks::run("nbdinfo", &["--map", &attached.uri]);
    assert!(map.contains("hole,zero"), "{map}");

    let copy = repo.path("copy.raw");
    disks::run("nbdcopy", &[&attached.uri, disks::text(&copy)]);
    assert!(std::fs::read(&copy).unwrap() == std::fs::read(&image).unwrap());
    attached.equals(&image);

    let write = ["-f", "raw", "-c", "write 0 4k", &attached.uri];
    let refused = Command::new("qemu-io").args(write).output().unwrap();
    assert!(!refused.status.success());
    assert!(attached.terminate());
    assert!(!repo.path("socket").exists());
}

#[test]
fn what_was_written_over_a_point_is_there_after_kills_and_the_point_is_as_it_was() {
    let (repo, image, point) = repo_with_a_disk();
    let overlay = repo.path("overlay");
    let with_overlay = ["--overlay", disks::text(&overlay)];
    let expected = repo.path("expected.raw");
    std::fs::copy(&image, &expected).unwrap();
    let mirror = |command: &str| {
        disks::run(
            "qemu-io",
            &["-f", "raw", "-c", command, disks::text(&expected)],
        );
    };
    for round in 1..6_u64 {
        let attached = Attached::start(&repo, &point, &with_overlay);
        let place = round * 7 * MIB + round * 12_800;
        for command in [
            format!("write -P {round} {place} {}", 300_000 / 512 * 512),
            format!("write -P {} {} 4k", round + 100, place / 2 / 4096 * 4096),
            format!("write -z -u {} 3M", 80 * MIB + round * 65_536),
        ] {
            attached.io(&command);
            mirror(&command);
        }
        attached.kill();
    }
    let attached = Attached::start(&repo, &point, &with_overlay);
    attached.equals(&expected);
    let second = repo.run(
        "attach",
        &[&point, "--socket", disks::text(&repo.path("socket"))],
    );
    assert!(!second.status.success(), "two servers at one socket");
    assert!(attached.terminate());

    let restored = repo.path("restored.raw");
    repo.json("restore", &[&point, "--to", disks::text(&restored)]);
    assert!(std::fs::read(&restored).unwrap() == std::fs::read(&image).unwrap());
    let other = back_up(&repo, &expected);
    let socket = repo.path("other");
    let mut arguments = vec![other.as_str(), "--socket", disks::text(&socket)];
    arguments.extend(with_overlay);
    let refused = repo.run("attach", &arguments);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("and not over"), "{said}");
}

/// `qemu-io` writes through a QEMU block layer that reconnects, while the server is killed and comes back.
#[test]
fn a_client_that_reconnects_goes_on_over_kills() {
    let (repo, image, point) = repo_with_a_disk();
    let overlay = repo.path("overlay");
    let with_overlay = ["--overlay", disks::text(&overlay)];
    let expected = repo.path("expected.raw");
    std::fs::copy(&image, &expected).unwrap();
    let mut attached = Attached::start(&repo, &point, &with_overlay);
    let socket = repo.path("socket");
    let node = format!(
        "driver=nbd,server.type=unix,server.path={},reconnect-delay=60",
        disks::text(&socket)
    );
    let mut client = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "qemu-io", "--image-opts", &node])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = client.stdin.take().unwrap();
    let mut output = BufReader::new(client.stdout.take().unwrap());
    for round in 1..6_u64 {
        let place = round * 9 * MIB + 4096;
        let commands = [
            format!("write -P {round} {place} 200k"),
            format!("read -P {round} {place} 200k"),
        ];
        for command in commands {
            std::io::Write::write_all(&mut input, format!("{command}\n").as_bytes()).unwrap();
            if command.starts_with("write") {
                wait_for(&mut output, "wrote 204800/204800");
                disks::run(
                    "qemu-io",
                    &["-f", "raw", "-c", &command, disks::text(&expected)],
                );
                attached.kill();
                attached = Attached::start(&repo, &point, &with_overlay);
            } else {
                wait_for(&mut output, "read 204800/204800");
            }
        }
    }
    drop(input);
    assert!(client.wait().unwrap().success());
    attached.equals(&expected);
}

/// Each write is durable before it is answered. The server dies in the middle of one, wherever that is.
#[test]
fn whatever_was_durable_is_there_wherever_the_server_dies() {
    const PIECE: u64 = 12 << 10;
    let (repo, _, point) = repo_with_a_disk();
    let overlay = repo.path("overlay");
    let with_overlay = ["--overlay", disks::text(&overlay)];
    let place = |n: u64| n * 389 % 7000 * PIECE;
    let mut n = 0;
    for round in 0..6_u64 {
        let attached = Attached::start(&repo, &point, &with_overlay);
        let first = n;
        let writes: Vec<String> = (first..first + 400)
            .map(|n| format!("write -f -P {} {} 12k\n", n % 255 + 1, place(n)))
            .collect();
        let script = repo.path("script");
        std::fs::write(&script, writes.concat()).unwrap();
        let mut client = Command::new("qemu-io")
            .args(["-f", "raw", &attached.uri])
            .stdin(std::fs::File::open(&script).unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(client.stdout.take().unwrap());
        let mut attached = Some(attached);
        for line in output.lines().map_while(Result::ok) {
            n += u64::from(line.contains("wrote 12288/12288"));
            if n == first + 5 + round * 13
                && let Some(attached) = attached.take()
            {
                attached.kill();
            }
        }
        client.wait().unwrap();
        assert!(n < first + 400, "the server was killed too late");
    }
    let attached = Attached::start(&repo, &point, &with_overlay);
    let reads: Vec<String> = (0..n)
        .map(|n| format!("read -P {} {} 12k\n", n % 255 + 1, place(n)))
        .collect();
    let script = repo.path("script");
    std::fs::write(&script, reads.concat()).unwrap();
    let reading = Command::new("qemu-io")
        .args(["-f", "raw", "-r", &attached.uri])
        .stdin(std::fs::File::open(&script).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&reading.stdout);
    assert!(!said.contains("failed"), "{said}");
    assert_eq!(said.matches("read 12288/12288").count() as u64, n);
}

/// The way home of a machine that runs: everything is copied into its own image, over a server that dies meanwhile.
#[test]
fn an_image_over_a_point_becomes_whole_while_the_server_is_killed() {
    let (repo, image, point) = repo_with_a_disk();
    let attached = Attached::start(&repo, &point, &[]);
    let local = repo.path("local.qcow2");
    let create = [
        "create",
        "-q",
        "-f",
        "qcow2",
        "-F",
        "raw",
        "-b",
        &attached.uri,
    ];
    disks::run("qemu-img", &[&create[..], &[disks::text(&local)]].concat());
    let socket = repo.path("socket");
    let (socket, file) = (disks::text(&socket), disks::text(&local));
    let below = format!(
        "driver=nbd,node-name=below,read-only=on,server.type=unix,server.path={socket},reconnect-delay=60"
    );
    let top =
        format!("driver=qcow2,node-name=top,file.driver=file,file.filename={file},backing=below");
    let mut daemon = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "qemu-storage-daemon"])
        .args(["--chardev", "stdio,id=qmp", "--monitor", "chardev=qmp"])
        .args(["--blockdev", &below, "--blockdev", &top])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = daemon.stdin.take().unwrap();
    let mut output = BufReader::new(daemon.stdout.take().unwrap());
    let mut say =
        |command: &str| std::io::Write::write_all(&mut input, command.as_bytes()).unwrap();
    say("{\"execute\": \"qmp_capabilities\"}\n");
    // Slow enough that the server dies before the end.
    say(
        "{\"execute\": \"block-stream\", \"arguments\": {\"job-id\": \"home\", \"device\": \"top\", \"speed\": 8388608}}\n",
    );
    wait_for(&mut output, "\"running\"");
    attached.kill();
    let attached = Attached::start(&repo, &point, &[]);
    say(
        "{\"execute\": \"block-job-set-speed\", \"arguments\": {\"device\": \"home\", \"speed\": 0}}\n",
    );
    wait_for(&mut output, "BLOCK_JOB_COMPLETED");
    say("{\"execute\": \"quit\"}\n");
    assert!(daemon.wait().unwrap().success());
    assert!(attached.terminate());
    let told = disks::run("qemu-img", &["info", file]);
    assert!(!told.contains("backing file"), "{told}");
    disks::run(
        "qemu-img",
        &[
            "compare",
            "-f",
            "raw",
            "-F",
            "qcow2",
            disks::text(&image),
            file,
        ],
    );
}

/// A pattern that was not found is told in a line of its own, before this one.
fn wait_for(output: &mut impl BufRead, wanted: &str) {
    let mut line = String::new();
    while !line.contains(wanted) {
        line.clear();
        let read = output.read_line(&mut line).unwrap();
        let is_wrong = line.contains("failed") || line.contains("error");
        assert!(read > 0 && !is_wrong, "waiting for {wanted}: {line}");
    }
}
