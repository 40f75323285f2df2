//! What the processes of a history are given to do, and what is made of their answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use strongroom_repo::{CollectOptions, Error, PointId, Repository};

use crate::actions::{self, Done};
use crate::disk::Disk;
use crate::history::{COLLECTIONS_AT_ONCE, FENCED, History, Job, LATE_COMMIT, NEW_KEYS, Task};
use crate::model::Promise;

impl History {
    pub(super) fn start_job(&mut self, index: usize) {
        let Some(repository) = self.processes[index].repository.clone() else {
            // It could not open: a new one tries.
            self.processes[index] = self.new_process();
            return;
        };
        self.jobs_left -= 1;
        let acknowledged: Vec<String> = self.names_of(|promise| promise.must_exist);
        let job = match self.random.below(23) {
            0..=7 => Some(self.back_up(repository)),
            8..=10 => self.restore(repository, &acknowledged),
            11..=13 => self.forget(repository, &acknowledged),
            14..=17 => Some(self.collect(repository)),
            18 => Some(self.verify(repository)),
            19 => Some(self.repair(repository)),
            20 => Some(self.scrub(repository)),
            21 => Some(self.rotate(repository)),
            _ => None,
        };
        let life = self.processes[index].life;
        if let Some(job) = job {
            self.say(|| format!("{life} begins: {:?}", job.task));
            self.processes[index].job = Some(job);
            self.mind_verifications();
        } else {
            self.say(|| format!("{life} starts anew"));
            self.world.gate.kill(life);
            self.processes[index] = self.new_process();
        }
    }

    /// A verification tells of packs that a collection takes away meanwhile.
    fn mind_verifications(&mut self) {
        let jobs = self.processes.iter().filter_map(|p| p.job.as_ref());
        let collections = jobs.filter(|job| matches!(job.task, Task::Collect)).count();
        if collections == 0 {
            return;
        }
        if collections > 1 {
            self.meet(COLLECTIONS_AT_ONCE);
        }
        for job in self.processes.iter_mut().filter_map(|p| p.job.as_mut()) {
            job.disturbed |= matches!(job.task, Task::Verify | Task::Repair | Task::Scrub);
        }
    }

    pub(super) fn names_of(&self, wanted: impl Fn(&Promise) -> bool) -> Vec<String> {
        let all = self.model.promises.iter();
        all.filter(|(_, promise)| wanted(promise))
            .map(|(name, _)| name.clone())
            .collect()
    }

    pub(super) fn back_up(&mut self, repository: Repository) -> Job {
        let again = self.names_of(|promise| promise.forgets_running == 0);
        let (name, disk, lineage) = match self.random.pick(&again) {
            // A job that is tried again, after a crash, beside a sleeper, or for nothing.
            Some(name) if self.random.one_in(4) => {
                let promise = &self.model.promises[name];
                (name.clone(), Arc::clone(&promise.disk), promise.lineage)
            }
            _ => {
                let index = self.random.index(self.disks.len());
                if self.random.below(5) > 0 {
                    self.disks[index].change(&mut self.random);
                }
                self.names += 1;
                let disk = Arc::new(self.disks[index].clone());
                (format!("p{}", self.names), disk, index as u64)
            }
        };
        let until = match self.random.below(10) {
            0 => self.random.index(6),
            _ => usize::MAX,
        };
        self.model.begin_attempt(&name, &disk, lineage);
        let before = self.model.before(&name);
        let task = Task::BackUp { name: name.clone() };
        let disks = self.random.one_in(2).then(|| self.disks_by_name());
        let answer = self.spawn(async move {
            let result = match disks {
                Some(disks) => {
                    actions::back_up_changes(&repository, &name, lineage, &disk, &disks).await
                }
                None => actions::back_up(&repository, &name, lineage, &disk, until).await,
            };
            Done::BackedUp(result)
        });
        Job::new(task, Some(before), answer)
    }

    fn disks_by_name(&self) -> BTreeMap<String, Arc<Disk>> {
        let all = self.model.promises.iter();
        all.map(|(name, promise)| (name.clone(), Arc::clone(&promise.disk)))
            .collect()
    }

    pub(super) fn restore(
        &mut self,
        repository: Repository,
        acknowledged: &[String],
    ) -> Option<Job> {
        let name = self.random.pick(acknowledged)?.clone();
        let before = self.model.before(&name);
        let promise = &self.model.promises[&name];
        let (id, disk) = (promise.id.clone()?, Arc::clone(&promise.disk));
        let answer = self
            .spawn(async move { Done::Restored(actions::restore(&repository, &id, &disk).await) });
        Some(Job::new(Task::Restore { name }, Some(before), answer))
    }

    pub(super) fn forget(
        &mut self,
        repository: Repository,
        acknowledged: &[String],
    ) -> Option<Job> {
        let name = self.random.pick(acknowledged)?.clone();
        let id: PointId = self.model.promises[&name].id.clone()?;
        let before = self.model.begin_forget(&name);
        let answer = self.spawn(async move { Done::Forgotten(repository.delete_point(&id).await) });
        Some(Job::new(Task::Forget { name }, Some(before), answer))
    }

    pub(super) fn verify(&mut self, repository: Repository) -> Job {
        let answer = self.spawn(async move { Done::Verified(actions::verify(&repository).await) });
        Job::new(Task::Verify, None, answer)
    }

    fn collect(&mut self, repository: Repository) -> Job {
        let options = CollectOptions {
            dry_run: self.random.one_in(8),
            compact_below_percent: u8::try_from(self.random.below(101)).expect("small"),
            bytes_per_second: self.random.one_in(4).then_some(50_000),
            wait: Duration::from_secs([0, 15, 300][self.random.index(3)]),
        };
        let answer = self
            .spawn(async move { Done::Collected(actions::collect(&repository, &options).await) });
        Job::new(Task::Collect, None, answer)
    }

    /// Takes the answers of the jobs that ended.
    pub(super) async fn reap(&mut self) {
        for index in 0..self.processes.len() {
            let ended = |job: &mut Job| job.answer.is_finished();
            let Some(mut job) = self.processes[index].job.take_if(ended) else {
                continue;
            };
            let answer = (&mut job.answer).await.expect("no job panics");
            let life = self.processes[index].life;
            self.say(|| format!("{life} ends: {:?}: {}", job.task, brief(&answer)));
            if let Done::Opened(Ok(repository)) = &answer {
                self.processes[index].repository = Some(repository.clone());
            }
            self.judge(&job, answer);
        }
    }

    pub(super) fn judge(&mut self, job: &Job, answer: Done) {
        let may_fail = |result: Option<&Error>| {
            assert!(
                result.is_none() || job.disturbed,
                "{:?} failed without reason: {result:?}",
                job.task
            );
        };
        match (&job.task, answer) {
            (Task::Open, Done::Opened(result)) => may_fail(result.as_ref().err()),
            (Task::BackUp { name }, Done::BackedUp(result)) => {
                let before = job.before.expect("it has a name");
                match &result {
                    Err(Error::Fenced) if job.slept_long => self.meet(FENCED),
                    Ok(_) if job.slept_long => self.meet(LATE_COMMIT),
                    _ => {}
                }
                match &result {
                    Err(Error::PointExists(_) | Error::Fenced) => {}
                    // Of another attempt's point that was forgotten at once, nothing is left to be told.
                    Err(Error::Missing { .. }) if self.model.was_forgotten(name, before) => {}
                    result => may_fail(result.as_ref().err()),
                }
                self.model.end_attempt(name, before, Some(result));
            }
            (Task::Restore { name }, Done::Restored(result)) => {
                if result.is_ok() || !job.disturbed {
                    self.model
                        .check_read(name, job.before.expect("it has a name"), &result);
                }
            }
            (Task::Forget { name }, Done::Forgotten(result)) => {
                may_fail(result.as_ref().err());
                let before = job.before.expect("it has a name");
                self.model.end_forget(name, before, Some(result.is_ok()));
            }
            (Task::Verify, Done::Verified(result)) => {
                may_fail(result.as_ref().err());
                if let Ok(report) = result
                    && !job.disturbed
                {
                    self.check_damage(&report.damage);
                }
            }
            (Task::Repair, Done::Repaired(result)) => {
                may_fail(result.as_ref().err());
                if let Ok(report) = result
                    && !job.disturbed
                {
                    self.check_damage(&report.left);
                }
            }
            (Task::Scrub, Done::Scrubbed(result)) => {
                may_fail(result.as_ref().err());
                if let Ok(report) = result
                    && !job.disturbed
                {
                    let mut damage = report.damage.iter();
                    assert!(damage.all(|d| self.may_be_damaged(&d.object)), "{report:?}");
                }
            }
            (Task::Rotate, Done::Rotated(result)) => match &result {
                // Somebody else changed them at the same time.
                Err(Error::KeysChanged) => {}
                Ok(()) => self.meet(NEW_KEYS),
                Err(error) => may_fail(Some(error)),
            },
            (Task::Collect, Done::Collected(result)) => match &result {
                // Another one is at work.
                Err(Error::Busy) => {}
                result => may_fail(result.as_ref().err()),
            },
            (task, answer) => panic!("{task:?} gave {answer:?}"),
        }
    }
}

fn brief(answer: &Done) -> String {
    match answer {
        Done::Opened(Ok(_)) => "open".to_owned(),
        other => {
            let mut text = format!("{other:?}");
            text.truncate(300);
            text
        }
    }
}
