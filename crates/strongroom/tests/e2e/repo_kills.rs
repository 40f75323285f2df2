//! `kill -9` of the engine's own commands at moments spread over them, on a disk and in a bucket: whatever was
//! acknowledged is there afterwards, the repository is whole, and the next collection leaves no more than is needed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use strongroom_testkit::s3_server;

use crate::disks;
use crate::repo::Repo;

const KILLS: u64 = 100;
/// More than enough for so many kills: a run that ends before its moment is none.
const ATTEMPTS: u64 = 5 * KILLS;
/// One in so many runs of each verb is left alone, and tells how long it takes at present.
const ALONE: u64 = 4;
const DISK_BYTES: usize = 24 << 20;
const POINTS_MAX: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Backup,
    Forget,
    Collect,
}

/// What is promised of the repository, and what a process that was killed may have left beyond that.
struct Promises {
    repo: Repo,
    /// Point → what it must restore to.
    points: BTreeMap<String, blake3::Hash>,
    /// How often each verb was run, and microseconds that it took when it was left alone last.
    runs: BTreeMap<&'static str, (u64, u64)>,
    acknowledged: u64,
    killed: u64,
}

#[test]
fn nothing_acknowledged_is_lost_by_a_hundred_kills_of_the_engine() {
    survive(Repo::init());
}

#[test]
fn nothing_acknowledged_is_lost_in_a_bucket_by_a_hundred_kills() {
    let Some(server) = s3_server() else { return };
    survive(Repo::init_in(server, &server.endpoint()));
}

fn survive(repo: Repo) {
    let disk = repo.path("disk.raw");
    disks::random(&disk, DISK_BYTES, 0);
    let mut promises = Promises {
        repo,
        points: BTreeMap::new(),
        runs: BTreeMap::new(),
        acknowledged: 0,
        killed: 0,
    };
    for n in 0..ATTEMPTS {
        if promises.killed == KILLS {
            break;
        }
        let verb = match n % 5 {
            3 if promises.points.len() > 2 => Verb::Forget,
            1 | 4 if n > 5 => Verb::Collect,
            _ => Verb::Backup,
        };
        let content = disks::change(&disk, n);
        promises.strike(verb, &disk, content, n);
        if n % 40 == 39 {
            let report = promises.repo.json("verify", &["--read-data"]);
            assert_eq!(report["damage_count"], 0, "after kill {n}: {report}");
        }
    }
    println!(
        "{} killed, {} acknowledged",
        promises.killed, promises.acknowledged
    );
    assert_eq!(promises.killed, KILLS);
    promises.restore_all();
    promises.collect_and_compare();
    promises.restore_all();
}

impl Promises {
    fn strike(&mut self, verb: Verb, disk: &Path, content: blake3::Hash, n: u64) {
        // Some at once, so that a kill may come between two of them.
        let count = if self.points.len() > POINTS_MAX { 4 } else { 1 };
        let doomed: Vec<String> = self.points.keys().take(count).cloned().collect();
        let output = match verb {
            Verb::Backup => self.run("backup", &["--lineage", "d", disks::text(disk)], n),
            Verb::Forget => {
                let names: Vec<&str> = doomed.iter().map(String::as_str).collect();
                self.run("forget", &names, n)
            }
            Verb::Collect => self.run("gc", &["--compact-below", "80"], n),
        };
        let finished = output.status.code().is_some();
        if finished {
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{verb:?} {n}: {error}");
        }
        let there = self.list();
        match verb {
            Verb::Backup => {
                let new: Vec<&String> = there
                    .iter()
                    .filter(|id| !self.points.contains_key(*id))
                    .collect();
                assert!(new.len() <= 1, "kill {n} left {new:?}");
                if finished {
                    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
                    assert_eq!(answer["point"].as_str(), new.first().map(|id| id.as_str()));
                    self.acknowledged += 1;
                }
                if let Some(id) = new.first() {
                    self.points.insert((*id).clone(), content);
                }
            }
            Verb::Forget => {
                let gone = |id: &String| !there.contains(id);
                assert!(!finished || doomed.iter().all(gone), "kill {n}");
                self.points
                    .retain(|id, _| !doomed.contains(id) || there.contains(id));
            }
            Verb::Collect => {}
        }
        let promised: Vec<&String> = self.points.keys().collect();
        assert_eq!(
            promised,
            there.iter().collect::<Vec<_>>(),
            "kill {n}, {verb:?}"
        );
    }

    /// Runs a verb and kills it at the n-th moment, unless it is left alone this time.
    fn run(&mut self, verb: &'static str, arguments: &[&str], n: u64) -> Output {
        let mut command = self.repo.command(verb, arguments);
        let (runs, duration) = self.runs.entry(verb).or_default();
        *runs += 1;
        if *runs % ALONE == 1 {
            let started = tokio::time::Instant::now();
            let output = command.output().unwrap();
            *duration = u64::try_from(started.elapsed().as_micros()).unwrap();
            return output;
        }
        let moment = Duration::from_micros(n * 7919 % 1000 * *duration / 1000);
        let output = kill_after(&mut command, moment);
        if output.status.code().is_none() {
            self.killed += 1;
        }
        output
    }

    fn list(&self) -> Vec<String> {
        let listed = self.repo.json("list", &[]);
        let points = listed["points"].as_array().unwrap().iter();
        let mut ids: Vec<String> = points
            .map(|point| point["id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    }

    fn restore_all(&self) {
        let target = self.repo.path("restored.raw");
        for (id, content) in &self.points {
            self.repo
                .json("restore", &[id, "--to", disks::text(&target)]);
            assert!(disks::hash(&target) == *content, "{id}");
            std::fs::remove_file(&target).unwrap();
        }
    }

    /// The killed are on this machine: nobody waits for their leases.
    fn collect_and_compare(&self) {
        let report = self.repo.json("gc", &[]);
        assert_eq!(report["bytes_pending"], 0, "{report}");
        let clean = self.repo.json("verify", &["--read-data"]);
        assert_eq!(clean["damage_count"], 0, "{clean}");
        let fresh = self.repo.another();
        let source = self.repo.path("source.raw");
        for id in self.points.keys() {
            self.repo
                .json("restore", &[id, "--to", disks::text(&source)]);
            fresh.back_up(&source);
            std::fs::remove_file(&source).unwrap();
        }
        let (left, needed) = (self.repo.stored_bytes(), fresh.stored_bytes());
        println!("{left} bytes are left, {needed} in a fresh repository of the same points");
        // Packs are left alone until half of them is dead.
        assert!(left < 2 * needed + (1 << 20), "{left} {needed}");
    }
}

fn kill_after(command: &mut Command, moment: Duration) -> Output {
    let mut process = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Nobody sends anything: this is the passing of the time.
    let (_silent, nothing) = std::sync::mpsc::channel::<()>();
    let _ = nothing.recv_timeout(moment);
    // Only what we started, and it is not waited for yet.
    process.kill().unwrap();
    process.wait_with_output().unwrap()
}
