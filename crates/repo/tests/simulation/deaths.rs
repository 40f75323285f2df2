//! Processes that die, and their requests that reach the store all the same.

use bytes::Bytes;
use object_store::path::Path;

use crate::gate::Request;
use crate::history::{Ghost, History, TORN, Task};

/// Names that nobody chooses twice: whatever lies there was never acknowledged.
fn may_tear(path: &Path) -> bool {
    ["packs/", "nodes/", "index/"]
        .iter()
        .any(|folder| path.as_ref().starts_with(folder))
}

impl History {
    pub(super) async fn crash(&mut self, index: usize) {
        let life = self.processes[index].life;
        self.say(|| format!("{life} dies"));
        let requests = self.world.gate.kill(life);
        let fresh = self.new_process();
        let dead = std::mem::replace(&mut self.processes[index], fresh);
        let Some(job) = dead.job else { return };
        job.answer.abort();
        // Whatever it was: nobody hears it any more.
        drop(job.answer.await);
        drop(dead.repository);
        let mut requests = requests;
        if self.weather.tears {
            self.tear(&mut requests).await;
        }
        if self.weather.ghosts {
            self.raise_ghosts(requests, &job.task);
        }
        match (job.task, job.before) {
            (Task::BackUp { name }, Some(before)) => self.model.end_attempt(&name, before, None),
            (Task::Forget { name }, Some(before)) => self.model.end_forget(&name, before, None),
            _ => {}
        }
    }

    /// Of packs and index segments that were being written, some are there in part. Nobody was told that they are.
    async fn tear(&mut self, requests: &mut Vec<Request>) {
        for request in std::mem::take(requests) {
            let torn = match &request {
                Request::Put(path, payload, options) if may_tear(path) && self.random.one_in(2) => {
                    let kept = self.random.index(payload.content_length());
                    let bytes = Bytes::from(payload.clone()).slice(..kept);
                    Request::Put(path.clone(), bytes.into(), options.clone())
                }
                _ => {
                    requests.push(request);
                    continue;
                }
            };
            self.say(|| format!("torn: {torn}"));
            self.torn = true;
            self.meet(TORN);
            self.world.haunt(torn).await;
        }
    }

    fn raise_ghosts(&mut self, requests: Vec<Request>, task: &Task) {
        for request in requests {
            if !matches!(request, Request::Put(..) | Request::Delete(_)) || self.random.one_in(2) {
                continue;
            }
            let delay = i64::try_from(self.random.below(90_000_000)).expect("small");
            let at = self.world.time.micros() + delay;
            if let Some(count) = self.running(task) {
                *count += 1;
            }
            let task = task.clone();
            self.ghosts.push(Ghost { at, request, task });
        }
    }

    pub(super) async fn deliver_ghosts(&mut self) {
        let now = self.world.time.micros();
        let (due, later) = self.ghosts.drain(..).partition(|ghost| ghost.at <= now);
        self.ghosts = later;
        self.deliver(due).await;
    }

    pub(super) async fn deliver(&mut self, due: Vec<Ghost>) {
        for ghost in due {
            self.say(|| format!("a dead one's request arrives: {}", ghost.request));
            self.world.haunt(ghost.request).await;
            if let Some(count) = self.running(&ghost.task) {
                *count -= 1;
            }
            if let Task::BackUp { name } | Task::Forget { name } = &ghost.task {
                self.model.promise(name).in_doubt = true;
            }
        }
    }

    /// How many of the task's kind are at work on its point.
    fn running(&mut self, task: &Task) -> Option<&mut u32> {
        match task {
            Task::BackUp { name } => Some(&mut self.model.promise(name).attempts),
            Task::Forget { name } => Some(&mut self.model.promise(name).forgets_running),
            _ => None,
        }
    }
}
