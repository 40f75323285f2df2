//! What an administrator does to a repository at work: repairs, scrubs, new keys.

use strongroom_repo::{Damage, Repository, ScrubOptions};

use crate::actions::{self, Done};
use crate::history::{History, Job, Task};

impl History {
    pub(super) fn repair(&mut self, repository: Repository) -> Job {
        let answer = self.spawn(async move { Done::Repaired(actions::repair(&repository).await) });
        Job::new(Task::Repair, None, answer)
    }

    pub(super) fn scrub(&mut self, repository: Repository) -> Job {
        let options = ScrubOptions {
            dry_run: self.random.one_in(3),
            ..ScrubOptions::default()
        };
        let answer =
            self.spawn(async move { Done::Scrubbed(actions::scrub(&repository, options).await) });
        Job::new(Task::Scrub, None, answer)
    }

    pub(super) fn rotate(&mut self, repository: Repository) -> Job {
        let answer =
            self.spawn(async move { Done::Rotated(repository.rotate_keys(&actions::key()).await) });
        Job::new(Task::Rotate, None, answer)
    }

    /// Damage is what was torn, or a change of keys that goes on or has stopped in the middle; it hits no point.
    pub(super) fn check_damage(&self, damage: &[Damage]) {
        let excused =
            |damage: &Damage| damage.hit_count == 0 && self.may_be_damaged(&damage.object);
        assert!(damage.iter().all(excused), "{damage:?}");
    }

    pub(super) fn may_be_damaged(&self, object: &str) -> bool {
        let of_keys = object.starts_with("keys/") || object.starts_with("config");
        // Who opens the repository finishes a change of keys.
        let plays = !self.processes.is_empty();
        if of_keys { plays } else { self.torn }
    }
}
