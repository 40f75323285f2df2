//! Places that run full or read-only under the engine: it says so, and goes on where it stopped once they are mended.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::disks;
use crate::server::BINARY;

/// A small file system of its own, mounted where only this process and those that enter its namespace see it.
struct SmallDisk {
    holder: Child,
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("small")).unwrap();
        let script = format!(
            "mount --make-rprivate / 2>/dev/null; mount -t tmpfs -o size={size} tmpfs '{}/small' && echo mounted && cat",
            folder.path().display()
        );
        let mut command = Command::new("unshare");
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let mut holder = command
            .args(["--mount", "--propagation", "unchanged", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap().by_ref())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line.trim(), "mounted");
        Self { holder, folder }
    }

    fn inside(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--mount"]);
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command
            .arg("--")
            .arg(program)
            .args(arguments)
            .output()
            .unwrap()
    }

    fn remount(&self, options: &str) {
        let folder = self.folder.path().join("small");
        let options = format!("remount,{options}");
        let output = self.inside("mount", &["-o", &options, disks::text(&folder)]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn repo(&self, verb: &str, arguments: &[&str]) -> Output {
        let (key, place) = (self.path("key"), self.path("small/repo"));
        let common = ["repo", verb, "-o", "json", "--key-file"];
        let places = [disks::text(&key), disks::text(&place)];
        self.inside(BINARY, &[&common[..], &places, arguments].concat())
    }

    fn json(&self, verb: &str, arguments: &[&str]) -> Value {
        let output = self.repo(verb, arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{verb}: {error}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The one sentence of a failure.
    fn failure(&self, verb: &str, arguments: &[&str]) -> String {
        let output = self.repo(verb, arguments);
        assert_eq!(output.status.code(), Some(1), "{verb}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn restores(&self, point: &Value, disk: &Path) {
        let target = self.path("restored.raw");
        let point = point["point"].as_str().unwrap();
        self.json("restore", &[point, "--to", disks::text(&target)]);
        assert!(disks::same(disk, &target));
        std::fs::remove_file(target).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The end of its input ends it, and the mount with it.
        drop(self.holder.stdin.take());
        self.holder.wait().unwrap();
    }
}

#[test]
fn a_full_place_is_named_and_the_next_run_goes_on_where_it_stopped() {
    let place = SmallDisk::mount("112m");
    place.json("init", &[]);
    let (small, large) = (place.path("small.raw"), place.path("large.raw"));
    disks::random(&small, 4 << 20, 1);
    disks::random(&large, 160 << 20, 2);
    let first = place.json("backup", &[disks::text(&small)]);
    let sentence = place.failure("backup", &[disks::text(&large)]);
    assert!(
        sentence.contains("full") || sentence.contains("space"),
        "{sentence}"
    );
    place.restores(&first, &small);
    assert_eq!(place.json("verify", &["--read-data"])["damage_count"], 0);

    place.remount("size=400m");
    let second = place.json("backup", &[disks::text(&large)]);
    let (new, scanned) = (&second["bytes_new"], &second["bytes_scanned"]);
    assert!(
        new.as_u64().unwrap() + (60 << 20) < scanned.as_u64().unwrap(),
        "the pack that was whole is not stored again: {second}"
    );
    place.restores(&second, &large);
    place.json("gc", &[]);
    assert_eq!(place.json("verify", &["--read-data"])["damage_count"], 0);
    place.restores(&first, &small);
}

#[test]
fn a_read_only_place_can_be_read_and_says_why_it_cannot_be_written() {
    let place = SmallDisk::mount("64m");
    place.json("init", &[]);
    let disk = place.path("disk.raw");
    disks::random(&disk, 8 << 20, 3);
    let point = place.json("backup", &[disks::text(&disk)]);
    place.remount("ro");
    for (verb, argument) in [
        ("backup", disks::text(&disk)),
        ("forget", point["point"].as_str().unwrap()),
        ("gc", "--compact-below=80"),
    ] {
        let sentence = place.failure(verb, &[argument]);
        assert!(sentence.contains("read-only"), "{verb}: {sentence}");
    }
    assert_eq!(
        place.json("list", &[])["points"].as_array().unwrap().len(),
        1
    );
    place.restores(&point, &disk);
    assert_eq!(place.json("verify", &["--read-data"])["damage_count"], 0);
    place.remount("rw");
    disks::change(&disk, 1);
    let next = place.json("backup", &[disks::text(&disk)]);
    place.restores(&next, &disk);
}
