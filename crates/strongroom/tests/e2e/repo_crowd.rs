//! Four processes over one repository: two back up similar disks, one verifies, one forgets and collects.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use strongroom_testkit::s3_server;

use crate::disks;
use crate::repo::Repo;

const DISK_BYTES: usize = 24 << 20;
const DAYS: u64 = 6;

#[test]
fn two_processes_back_up_while_a_third_verifies_and_a_fourth_collects() {
    work_at_once(&Repo::init());
}

#[test]
fn two_processes_back_up_into_a_bucket_while_a_third_verifies_and_a_fourth_collects() {
    let Some(server) = s3_server() else { return };
    work_at_once(&Repo::init_in(server, &server.endpoint()));
}

fn work_at_once(repo: &Repo) {
    let done = AtomicBool::new(false);
    let written = thread::scope(|scope| {
        let writers = [0, 1].map(|number| scope.spawn(move || back_up_days(repo, number)));
        let others = [
            scope.spawn(|| repeat(&done, || verify(repo))),
            scope.spawn(|| repeat(&done, || collect(repo))),
        ];
        let written: Vec<_> = writers
            .into_iter()
            .map(thread::ScopedJoinHandle::join)
            .collect();
        done.store(true, Ordering::SeqCst);
        for other in others {
            assert!(other.join().unwrap() > 0, "it had no chance to run");
        }
        written
    });
    let mut contents = BTreeMap::new();
    for days in written {
        contents.extend(days.unwrap());
    }
    let listed = repo.json("list", &[]);
    let points = listed["points"].as_array().unwrap();
    assert_eq!(points.len(), 4, "two of each disk are kept");
    let restored = repo.path("restored.raw");
    collect(repo);
    for point in points {
        let id = point["id"].as_str().unwrap();
        repo.json("restore", &[id, "--to", disks::text(&restored)]);
        assert!(disks::hash(&restored) == contents[id], "{id}");
        std::fs::remove_file(&restored).unwrap();
    }
    verify(repo);
}

fn back_up_days(repo: &Repo, number: u64) -> Vec<(String, blake3::Hash)> {
    let disk: PathBuf = repo.path(&format!("disk{number}.raw"));
    // Both begin alike.
    disks::random(&disk, DISK_BYTES, 5);
    let lineage = format!("disk {number}");
    let mut points = Vec::new();
    for day in 0..DAYS {
        let content = disks::change(&disk, day * 2 + number % 2 * (day % 2));
        let made = repo.json("backup", &["--lineage", &lineage, disks::text(&disk)]);
        points.push((made["point"].as_str().unwrap().to_owned(), content));
    }
    repo.json("forget", &["--keep-last", "2", "--lineage", &lineage]);
    points
}

/// How often it was done until the others had ended.
fn repeat(done: &AtomicBool, work: impl Fn()) -> u32 {
    let mut times = 0;
    while !done.load(Ordering::SeqCst) {
        work();
        times += 1;
    }
    times
}

fn verify(repo: &Repo) {
    let report = repo.json("verify", &["--read-data"]);
    assert_eq!(report["damage_count"], 0, "{report}");
}

fn collect(repo: &Repo) {
    repo.json("forget", &["--keep-last", "2"]);
    repo.json("gc", &["--compact-below", "80"]);
}
