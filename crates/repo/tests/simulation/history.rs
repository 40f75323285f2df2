//! One history: the seed decides who comes next, what he does, and what goes wrong.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use object_store::ObjectStore;
use strongroom_repo::{Env, Repository};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::Met;
use crate::actions::{self, Done};
use crate::disk::Disk;
use crate::gate::{Life, Request, Verdict};
use crate::model::{Before, Model};
use crate::random::Random;
use crate::store::{Client, Listing, World};
use crate::time::{ThreadwiseIds, WrongClock};

/// Two processes collected at the same time.
pub(crate) const COLLECTIONS_AT_ONCE: &str = "collections at once";
/// A writer that slept longer than its lease was ended meanwhile, and committed nothing.
pub(crate) const FENCED: &str = "sleepers fenced";
/// A writer that slept longer than its lease committed all the same.
pub(crate) const LATE_COMMIT: &str = "late commits";
pub(crate) const POWER_CUT: &str = "power cuts";
/// A dying process left the beginning of an object.
pub(crate) const TORN: &str = "torn writes";
pub(crate) const PARITY: &str = "repositories with parity";
pub(crate) const NEW_KEYS: &str = "changes of keys";

/// Returns what it met.
pub(crate) fn run(seed: u64, loud: bool) -> Met {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut history = History::new(seed, loud).await;
        history.play().await;
        history.end().await;
        history.met
    })
}

/// Who is not heard of for so long may be taken for dead.
const LONG_MILLIS: u64 = 50_000;

/// What goes wrong in this history, each once in so many steps; 0 for never.
#[derive(Debug)]
pub(crate) struct Weather {
    pub(super) crash: u64,
    pub(super) failure: u64,
    pub(super) pause: u64,
    /// A dead process's requests that reach the store later.
    pub(super) ghosts: bool,
    /// All processes die at once.
    pub(super) power_cut: u64,
    /// What a dying process was writing may be there in part.
    pub(super) tears: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Task {
    Open,
    BackUp { name: String },
    Restore { name: String },
    Forget { name: String },
    Verify,
    Collect,
    Repair,
    Scrub,
    Rotate,
}

#[derive(Debug)]
pub(crate) struct Job {
    pub(super) task: Task,
    pub(super) before: Option<Before>,
    /// A call of it failed or was held up for long: it need not succeed.
    pub(super) disturbed: bool,
    /// It was held up for longer than its lease.
    pub(super) slept_long: bool,
    pub(super) answer: JoinHandle<Done>,
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(super) life: Life,
    pub(super) repository: Option<Repository>,
    pub(super) job: Option<Job>,
    /// Its calls are held up until then.
    pub(super) asleep_until: i64,
    /// It waits for time to pass.
    pub(super) dozes: bool,
}

/// Work that goes on in another thread keeps the time from passing by itself.
#[derive(Debug)]
pub(crate) struct Hold {
    release: mpsc::Sender<()>,
    work: JoinHandle<()>,
}

impl Hold {
    pub(super) fn new() -> Self {
        let (release, held) = mpsc::channel();
        // It ends when the sender is dropped.
        let work = tokio::task::spawn_blocking(move || held.iter().for_each(drop));
        Self { release, work }
    }

    pub(super) async fn end(self) {
        drop(self.release);
        self.work.await.expect("it only waits");
    }
}

/// What reaches the store after its sender's death.
#[derive(Debug)]
pub(crate) struct Ghost {
    pub(super) at: i64,
    pub(super) request: Request,
    pub(super) task: Task,
}

pub(crate) struct History {
    pub(super) random: Random,
    pub(super) loud: bool,
    pub(super) weather: Weather,
    pub(super) world: Arc<World>,
    pub(super) started: Instant,
    /// While it is there, the runtime's time stands still unless it is moved.
    pub(super) hold: Option<Hold>,
    pub(super) processes: Vec<Process>,
    pub(super) lives: Life,
    pub(super) ghosts: Vec<Ghost>,
    pub(super) model: Model,
    pub(super) disks: Vec<Disk>,
    pub(super) names: u32,
    pub(super) jobs_left: u64,
    pub(super) parity: bool,
    /// Something was torn: there is damage, which hits no point.
    pub(super) torn: bool,
    pub(super) met: Met,
}

impl History {
    pub(super) async fn new(seed: u64, loud: bool) -> Self {
        let mut random = Random::new(seed);
        let listing = Listing {
            page: if random.one_in(2) { 5 } else { 1000 },
            sorted: random.one_in(2),
        };
        let grain = if random.one_in(2) { 1_000_000 } else { 1 };
        let weather = match random.below(4) {
            0 => Weather::calm(),
            1 => Weather {
                crash: 60,
                power_cut: 120,
                tears: true,
                ..Weather::calm()
            },
            2 => Weather {
                failure: 60,
                pause: 80,
                ..Weather::calm()
            },
            _ => Weather {
                crash: 90,
                failure: 120,
                pause: 90,
                ghosts: true,
                power_cut: 300,
                tears: random.one_in(2),
            },
        };
        let parity = random.one_in(6);
        let first = Disk::new(&mut random);
        let disks = (0..=random.below(2)).map(|_| first.clone()).collect();
        let mut history = Self {
            world: World::new(listing, grain),
            started: Instant::now(),
            hold: Some(Hold::new()),
            processes: Vec::new(),
            lives: 0,
            ghosts: Vec::new(),
            model: Model::default(),
            names: 0,
            jobs_left: 8 + random.below(12),
            disks,
            weather,
            random,
            loud,
            parity,
            torn: false,
            met: Met::new(),
        };
        if parity {
            history.meet(PARITY);
        }
        history.make_repository().await;
        for _ in 0..=history.random.below(3) {
            let process = history.new_process();
            history.processes.push(process);
        }
        history
    }

    pub(super) async fn make_repository(&mut self) {
        let (life, store, env) = self.new_life();
        self.world.gate.set_free(life);
        Repository::init(store, &actions::key(), actions::options(self.parity), env)
            .await
            .expect("a repository in an empty place");
    }

    pub(super) fn new_life(&mut self) -> (Life, Arc<dyn ObjectStore>, Env) {
        self.lives += 1;
        let life = self.lives;
        let error = i64::try_from(self.random.below(600)).expect("small") - 300;
        let env = Env {
            clock: Arc::new(WrongClock {
                world: Arc::clone(&self.world.time),
                error_micros: error * 1_000_000,
            }),
            ids: Arc::new(ThreadwiseIds::new(self.random.next())),
        };
        let world = Arc::clone(&self.world);
        (life, Arc::new(Client { world, life }), env)
    }

    pub(super) fn new_process(&mut self) -> Process {
        let (life, store, env) = self.new_life();
        let mut process = Process {
            life,
            repository: None,
            job: None,
            asleep_until: 0,
            dozes: false,
        };
        let answer = self.spawn(actions::open(store, env));
        process.job = Some(Job::new(Task::Open, None, answer));
        process
    }

    pub(super) fn spawn(
        &self,
        work: impl Future<Output = Done> + Send + 'static,
    ) -> JoinHandle<Done> {
        let world = Arc::clone(&self.world);
        tokio::spawn(async move {
            let done = work.await;
            world.gate.changed.notify_one();
            done
        })
    }

    #[expect(clippy::print_stdout, reason = "a history that was asked for is told")]
    pub(super) fn say(&self, text: impl FnOnce() -> String) {
        if self.loud {
            let seconds = self.started.elapsed().as_secs_f64();
            println!("{seconds:10.3} {}", text());
        }
    }

    pub(super) fn meet(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    pub(super) async fn play(&mut self) {
        loop {
            self.settle().await;
            self.reap().await;
            self.deliver_ghosts().await;
            let busy = self.processes.iter().any(|process| process.job.is_some());
            if !busy && self.jobs_left == 0 {
                return;
            }
            self.step().await;
        }
    }

    /// Waits until every process stands at the gate, sleeps, or has nothing to do.
    pub(super) async fn settle(&mut self) {
        for process in &mut self.processes {
            process.dozes &= !self.world.gate.has_waiting(process.life);
        }
        loop {
            let computes = |process: &&Process| {
                let job = process.job.as_ref();
                job.is_some_and(|job| !job.answer.is_finished())
                    && !process.dozes
                    && !self.world.gate.has_waiting(process.life)
            };
            let mut computing = self.processes.iter().filter(computes);
            let collects = |process: &Process| {
                let job = process.job.as_ref();
                job.is_some_and(|job| matches!(job.task, Task::Collect))
            };
            match computing.next() {
                None if self.world.gate.is_quiet() => break,
                // A collection may wait for time to pass; the others do not.
                Some(first) if collects(first) && computing.all(collects) => {
                    self.let_time_pass().await;
                }
                _ => self.world.gate.changed.notified().await,
            }
        }
        self.look_at_the_clock();
    }

    /// Time passes by itself only if nobody computes any more.
    async fn let_time_pass(&mut self) {
        if let Some(hold) = self.hold.take() {
            hold.end().await;
        }
        tokio::select! {
            () = self.world.gate.changed.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(1)) => {
                for process in &mut self.processes {
                    process.dozes = !self.world.gate.has_waiting(process.life);
                }
            }
        }
        self.hold = Some(Hold::new());
    }

    fn look_at_the_clock(&self) {
        let elapsed = self.started.elapsed().as_micros();
        let elapsed = i64::try_from(elapsed).expect("a short history");
        self.world.time.set_elapsed(elapsed);
    }

    pub(super) async fn advance(&mut self, by: Duration) {
        tokio::time::advance(by).await;
        self.look_at_the_clock();
        // Whoever waited for this comes to the gate.
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }

    pub(super) async fn step(&mut self) {
        let passes = match self.random.below(400) {
            0 => 60_000 + self.random.below(240_000),
            1..=8 => self.random.below(20_000),
            _ => self.random.below(40),
        };
        if passes > LONG_MILLIS {
            // Nobody was seen for so long that others may take him for dead.
            self.processes.iter_mut().for_each(Process::disturb);
        }
        self.advance(Duration::from_millis(passes)).await;
        let idle: Vec<usize> = self.indices(|process| process.job.is_none());
        let now = self.world.time.micros();
        let ready = self.indices(|process| {
            process.asleep_until <= now && self.world.gate.has_waiting(process.life)
        });
        if self.jobs_left > 0 && !idle.is_empty() && (ready.is_empty() || self.random.one_in(12)) {
            let index = idle[self.random.index(idle.len())];
            self.start_job(index);
            return;
        }
        let Some(index) = self.random.pick(&ready).copied() else {
            self.advance(Duration::from_secs(5)).await;
            return;
        };
        if self.random.one_in(self.weather.power_cut) {
            self.say(|| "the power is cut".to_owned());
            self.meet(POWER_CUT);
            for index in 0..self.processes.len() {
                self.crash(index).await;
            }
        } else if self.random.one_in(self.weather.crash) {
            self.crash(index).await;
        } else if self.random.one_in(self.weather.pause) {
            let seconds = [5, 50, 130, 400][self.random.index(4)];
            let process = &mut self.processes[index];
            process.asleep_until = now + seconds * 1_000_000;
            process.disturb();
            if let Some(job) = &mut process.job {
                job.slept_long |= seconds > 120;
            }
            let life = process.life;
            self.say(|| format!("{life} sleeps for {seconds} s"));
        } else {
            self.release(index);
        }
    }

    pub(super) fn indices(&self, wanted: impl Fn(&Process) -> bool) -> Vec<usize> {
        let all = self.processes.iter().enumerate();
        all.filter(|(_, process)| wanted(process))
            .map(|(index, _)| index)
            .collect()
    }

    pub(super) fn release(&mut self, index: usize) {
        let verdict = if self.random.one_in(self.weather.failure) {
            let faults = [Verdict::Fail, Verdict::FailAfterEffect, Verdict::Twice];
            faults[self.random.index(faults.len())]
        } else {
            Verdict::Work
        };
        let process = &mut self.processes[index];
        if verdict != Verdict::Work {
            process.disturb();
        }
        let life = process.life;
        if let Some(request) = self.world.gate.release(life, verdict) {
            self.say(|| format!("{life} {request}: {verdict:?}"));
        }
    }
}

impl Job {
    pub(super) fn new(task: Task, before: Option<Before>, answer: JoinHandle<Done>) -> Self {
        Self {
            task,
            before,
            disturbed: false,
            slept_long: false,
            answer,
        }
    }
}

impl Process {
    pub(super) fn disturb(&mut self) {
        if let Some(job) = &mut self.job {
            job.disturbed = true;
        }
    }
}

impl Weather {
    pub(super) fn calm() -> Self {
        Self {
            crash: 0,
            failure: 0,
            pause: 0,
            ghosts: false,
            power_cut: 0,
            tears: false,
        }
    }
}
