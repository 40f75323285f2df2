//! The engine alone: `strongroom repo …`, without a server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use strongroom_testkit::SeaweedFs;

use crate::disks;
use crate::server::BINARY;

/// A repository in a folder of its own or in a bucket, with its key and its caches in that folder.
pub(crate) struct Repo {
    folder: tempfile::TempDir,
    pub(crate) place: String,
    /// What a shell would set.
    pub(crate) variables: BTreeMap<&'static str, String>,
    bucket: Option<&'static SeaweedFs>,
}

impl Repo {
    pub(crate) fn init() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repo = Self {
            place: disks::text(&folder.path().join("repo")).to_owned(),
            folder,
            variables: BTreeMap::new(),
            bucket: None,
        };
        assert!(repo.run("init", &[]).status.success());
        repo
    }

    /// In the bucket of a server that is reached by `endpoint`.
    pub(crate) fn init_in(server: &'static SeaweedFs, endpoint: &str) -> Self {
        let repo = Self::uninitialised_in(server, endpoint);
        repo.json("init", &[]);
        repo
    }

    pub(crate) fn uninitialised_in(server: &'static SeaweedFs, endpoint: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut variables: BTreeMap<_, _> = server.variables(endpoint).into();
        let cache = folder.path().join("cache");
        variables.insert("XDG_CACHE_HOME", disks::text(&cache).to_owned());
        Self {
            folder,
            place: format!("s3://{}/{}", server.bucket(), server.fresh_prefix()),
            variables,
            bucket: Some(server),
        }
    }

    /// An empty repository in a place of the same kind.
    pub(crate) fn another(&self) -> Self {
        match self.bucket {
            Some(server) => Self::init_in(server, &server.endpoint()),
            None => Self::init(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn run(&self, verb: &str, arguments: &[&str]) -> Output {
        self.command(verb, arguments).output().unwrap()
    }

    pub(crate) fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(["repo", verb, "-o", "json", "--key-file"])
            .arg(self.path("key"))
            .arg(&self.place)
            .args(arguments)
            .envs(&self.variables);
        command
    }

    /// Bytes of all objects.
    pub(crate) fn stored_bytes(&self) -> u64 {
        if let Some(server) = self.bucket {
            return server.stored_bytes(&self.place);
        }
        let arguments = [self.place.as_str(), "-type", "f", "-printf", "%s\n"];
        let sizes = disks::run("find", &arguments);
        sizes.lines().map(|size| size.parse::<u64>().unwrap()).sum()
    }

    pub(crate) fn json(&self, verb: &str, arguments: &[&str]) -> Value {
        let output = self.run(verb, arguments);
        assert!(
            output.status.success(),
            "{verb}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn back_up(&self, source: &Path) -> Value {
        self.json("backup", &[disks::text(source)])
    }

    /// The largest object: a pack.
    fn largest_pack(&self) -> PathBuf {
        let found = disks::run(
            "find",
            &[
                disks::text(&self.path("repo/packs")),
                "-type",
                "f",
                "-printf",
                "%s %p\n",
            ],
        );
        let sized = |line: &str| {
            line.split_once(' ')
                .map(|(size, path)| (size.parse::<u64>().unwrap(), path.to_owned()))
        };
        found.lines().filter_map(sized).max().unwrap().1.into()
    }
}

#[test]
fn a_disk_goes_in_and_comes_back_byte_for_byte() {
    let repo = Repo::init();
    let source = repo.path("disk.raw");
    disks::ext4(&source, 256 << 20, 100 << 20);
    let first = repo.back_up(&source);
    assert!(first["bytes_new"].as_u64().unwrap() > 20 << 20, "{first}");
    let again = repo.back_up(&source);
    assert_eq!(again["bytes_new"], 0, "nothing has changed");
    assert!(again["bytes_stored"].as_u64().unwrap() < 4096, "{again}");

    let point = again["point"].as_str().unwrap();
    let restored = repo.path("restored.raw");
    repo.json("restore", &[&point[..8], "--to", disks::text(&restored)]);
    assert!(disks::same(&source, &restored));
    disks::damage_raw(&restored);
    let answer = repo.json("restore", &[point, "--to", disks::text(&restored)]);
    assert!(disks::same(&source, &restored));
    let written = answer["bytes_written"].as_u64().unwrap();
    assert!(
        written > 0 && written < 1 << 20,
        "only what differs is written: {answer}"
    );

    let to_pipe = Command::new(BINARY)
        .args(["repo", "restore", "--key-file"])
        .args([repo.path("key"), repo.path("repo")])
        .args([point, "--to", "-"])
        .output()
        .unwrap();
    assert_eq!(blake3::hash(&to_pipe.stdout), disks::hash(&source));
    assert_eq!(
        repo.json("list", &[])["points"].as_array().unwrap().len(),
        2
    );
    assert_eq!(repo.json("verify", &["--read-data"])["damage_count"], 0);
}

#[test]
fn damage_is_found_named_and_never_restored() {
    let repo = Repo::init();
    let source = repo.path("disk.raw");
    disks::random(&source, 16 << 20, 9);
    let point = repo.back_up(&source)["point"].as_str().unwrap().to_owned();
    let pack = repo.largest_pack();
    let mut content = std::fs::read(&pack).unwrap();
    let middle = content.len() / 2;
    // More than parity brings back.
    content[middle..middle + (1 << 20)].fill(0);
    std::fs::write(&pack, &content).unwrap();

    let output = repo.run("verify", &["--read-data"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let damage = &report["damage"][0];
    assert!(
        disks::text(&pack).ends_with(damage["object"].as_str().unwrap()),
        "{report}"
    );
    assert_eq!(damage["hits"][0]["point"], Value::from(point.as_str()));
    assert!(damage["hits"][0]["bytes"].as_u64().unwrap() > 0);

    let output = repo.run("restore", &[&point, "--to", disks::text(&repo.path("out"))]);
    assert_eq!(output.status.code(), Some(1));

    std::fs::remove_file(&pack).unwrap();
    let output = repo.run("verify", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("missing"));
}

#[test]
fn small_damage_heals_and_is_repaired() {
    let repo = Repo::init();
    let source = repo.path("disk.raw");
    disks::random(&source, 16 << 20, 9);
    let point = repo.back_up(&source)["point"].as_str().unwrap().to_owned();
    let pack = repo.largest_pack();
    let sound = std::fs::read(&pack).unwrap();
    let mut content = sound.clone();
    let middle = content.len() / 2;
    content[middle..middle + (64 << 10)].fill(0);
    std::fs::write(&pack, &content).unwrap();

    let output = repo.run("verify", &["--read-data"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["damage"][0]["remedy"], "parity", "{report}");
    let out = repo.path("out");
    let output = repo.run("restore", &[&point, "--to", disks::text(&out)]);
    assert!(output.status.success());
    assert!(std::fs::read(&out).unwrap() == std::fs::read(&source).unwrap());

    let repaired = repo.json("repair", &[]);
    assert_eq!(repaired["repaired"][0]["action"], "healed", "{repaired}");
    assert!(std::fs::read(&pack).unwrap() == sound);
    assert_eq!(repo.json("verify", &["--read-data"])["damage_count"], 0);
}

#[test]
fn a_list_says_which_point_it_lacks() {
    let repo = Repo::init();
    let source = repo.path("disk.raw");
    disks::random(&source, 1 << 20, 3);
    let point = repo.back_up(&source)["point"].as_str().unwrap().to_owned();
    repo.back_up(&source);
    for folder in ["repo/points", "repo/points-copy"] {
        std::fs::write(repo.path(folder).join(&point), b"").unwrap();
    }
    let output = repo.run("list", &[]);
    assert!(output.status.success());
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(listed["points"].as_array().unwrap().len(), 1);
    let remarks = String::from_utf8(output.stderr).unwrap();
    assert!(remarks.contains(&format!("points/{point}")), "{remarks}");
}

/// A machine can write anything into its raw disk, the header of a qcow2 image that builds on a file of the host too.
#[test]
fn a_raw_disk_is_taken_as_it_is_when_it_is_called_raw() {
    let repo = Repo::init();
    let (source, secret) = (repo.path("disk.raw"), repo.path("secret"));
    disks::random(&secret, 1 << 20, 3);
    let arguments = ["create", "-q", "-f", "qcow2", "-F", "raw", "-b"];
    disks::run(
        "qemu-img",
        &[
            &arguments[..],
            &[disks::text(&secret), disks::text(&source)],
        ]
        .concat(),
    );
    let raw = repo.json("backup", &["--format", "raw", disks::text(&source)]);
    let point = raw["point"].as_str().unwrap();
    let restored = repo.path("out");
    repo.json("restore", &[point, "--to", disks::text(&restored)]);
    assert_eq!(disks::hash(&restored), disks::hash(&source));
    std::fs::copy(&source, &restored).unwrap();
    let target = ["--to", disks::text(&restored), "--format", "raw"];
    let answer = repo.json("restore", &[&[point][..], &target].concat());
    assert_eq!(answer["bytes_written"], 0);
}

#[test]
fn a_repository_that_was_not_made_leaves_no_key() {
    let repo = Repo::init();
    std::fs::rename(repo.path("key"), repo.path("the key")).unwrap();
    assert_eq!(repo.run("init", &[]).status.code(), Some(1));
    assert!(!repo.path("key").exists());
}

#[test]
fn mistakes_are_told_in_one_sentence() {
    let repo = Repo::init();
    let sentence = |output: Output| {
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.trim().lines().count(), 1, "{text}");
        text
    };
    assert!(sentence(repo.run("init", &[])).contains("already"));
    assert!(sentence(repo.run("backup", &["/does/not/exist"])).contains("/does/not/exist"));
    assert!(sentence(repo.run("restore", &["abcd", "--to", "/tmp/x"])).contains("no point"));
    let other = Repo::init();
    std::fs::copy(other.path("key"), repo.path("key")).unwrap();
    assert!(sentence(repo.run("list", &[])).contains("wrong key"));
    std::fs::remove_dir_all(repo.path("repo")).unwrap();
    assert!(sentence(repo.run("list", &[])).contains("no repository"));
}

#[test]
fn what_was_forgotten_is_freed() {
    let repo = Repo::init();
    let (one, other) = (repo.path("one.raw"), repo.path("other.raw"));
    disks::random(&one, 8 << 20, 21);
    disks::random(&other, 8 << 20, 22);
    let kept = repo.back_up(&one);
    repo.back_up(&other);
    std::fs::remove_file(&other).unwrap();
    disks::random(&other, 8 << 20, 23);
    repo.back_up(&other);

    let forgotten = repo.json("forget", &["--keep-last", "1"]);
    assert_eq!(forgotten["forgotten"].as_array().unwrap().len(), 1);
    let expected = repo.json("gc", &["--dry-run"]);
    let freed = repo.json("gc", &[]);
    assert_eq!(freed["bytes_deleted"], expected["dead_bytes"], "{freed}");
    assert!(
        freed["bytes_deleted"].as_u64().unwrap() > 6 << 20,
        "{freed}"
    );

    let point = kept["point"].as_str().unwrap();
    assert_eq!(
        repo.json("forget", &[point])["forgotten"][0],
        Value::from(point)
    );
    assert_eq!(repo.run("forget", &[point]).status.code(), Some(1));
    assert!(repo.json("gc", &[])["bytes_deleted"].as_u64().unwrap() > 6 << 20);
    assert_eq!(repo.json("verify", &["--read-data"])["damage_count"], 0);
    assert_eq!(repo.run("forget", &[]).status.code(), Some(2));
}

#[test]
fn statistics_tell_what_forgetting_a_point_frees() {
    let repo = Repo::init();
    let disk = repo.path("one.raw");
    disks::random(&disk, 8 << 20, 24);
    repo.back_up(&disk);
    let same = repo.back_up(&disk);
    let other = repo.path("other.raw");
    disks::random(&other, 4 << 20, 25);
    let alone = repo.back_up(&other);

    let stats = repo.json("stats", &[]);
    assert_eq!(
        (&stats["points"], &stats["garbage_bytes"]),
        (&3.into(), &0.into())
    );
    let lineages = stats["lineages"].as_array().unwrap();
    let one = lineages.iter().find(|l| l["points"] == 2).unwrap();
    assert!(
        (one["dedup_ratio"].as_f64().unwrap() - 2.0).abs() < 0.01,
        "{one}"
    );
    assert_eq!(
        one["referenced_bytes"].as_u64(),
        Some(2 * one["distinct_bytes"].as_u64().unwrap())
    );
    let own = |point: &Value| {
        let all = stats["point_stats"].as_array().unwrap();
        let found = all.iter().find(|p| p["id"] == point["point"]).unwrap();
        found["unique_bytes"].as_u64().unwrap()
    };
    assert_eq!(own(&same), 0);
    repo.json("forget", &[alone["point"].as_str().unwrap()]);
    let freed = repo.json("gc", &["--dry-run"])["dead_bytes"]
        .as_u64()
        .unwrap();
    // Headers, directories, parity and trailers are no point's own.
    assert!(
        own(&alone) > 3 << 20 && own(&alone) < freed,
        "{stats} {freed}"
    );
    assert_eq!(
        repo.json("stats", &[])["garbage_bytes"].as_u64(),
        Some(freed)
    );
    let told = Command::new(BINARY)
        .args(["repo", "stats", "--key-file"])
        .arg(repo.path("key"))
        .arg(&repo.place)
        .output()
        .unwrap();
    assert!(told.status.success(), "{told:?}");
    assert!(String::from_utf8_lossy(&told.stdout).contains("all together"));
}

#[tokio::test]
async fn what_a_killed_backup_stored_is_freed_at_once() {
    let repo = Repo::init();
    let (kept, killed) = (repo.path("kept.raw"), repo.path("killed.raw"));
    disks::random(&kept, 4 << 20, 24);
    repo.back_up(&kept);
    disks::random(&killed, 320 << 20, 25);
    let packs = || {
        let arguments = [
            disks::text(&repo.path("repo/packs")).to_owned(),
            "-type".to_owned(),
            "f".to_owned(),
        ];
        let found = disks::run("find", &arguments.each_ref().map(String::as_str));
        found.lines().filter(|line| !line.contains('#')).count()
    };
    let before = packs();
    let mut backup = Command::new(BINARY)
        .args(["repo", "backup", "--key-file"])
        .args([repo.path("key"), repo.path("repo"), killed])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let stored = async {
        while packs() == before {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let minute = std::time::Duration::from_mins(1);
    tokio::time::timeout(minute, stored).await.unwrap();
    backup.kill().unwrap();
    backup.wait().unwrap();

    let freed = repo.json("gc", &[]);
    assert_eq!(freed["sessions_ended"], 1, "{freed}");
    assert!(
        freed["bytes_deleted"].as_u64().unwrap() > 32 << 20,
        "{freed}"
    );
    assert_eq!(packs(), before);
    assert_eq!(repo.json("verify", &["--read-data"])["damage_count"], 0);
}
