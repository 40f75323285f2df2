//! What was measured, and the medians of it.

use super::measure::Sample;
use super::tools::Step;

/// One step of one tool in one run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub(super) tool: &'static str,
    pub(super) step: Step,
    pub(super) sample: Sample,
    /// What the repository holds after the step.
    pub(super) repository_mib: f64,
}

#[derive(Debug, Default)]
pub(super) struct Results {
    pub(super) measured: Vec<Measured>,
}

impl Results {
    pub(super) fn has(&self, tool: &str) -> bool {
        self.measured.iter().any(|m| m.tool == tool)
    }

    /// Sorted; empty if the tool does not do the step.
    pub(super) fn values(
        &self,
        tool: &str,
        step: Step,
        value: impl Fn(&Measured) -> f64,
    ) -> Vec<f64> {
        let of_step = |m: &&Measured| m.tool == tool && m.step == step;
        let mut values: Vec<f64> = self.measured.iter().filter(of_step).map(value).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    /// The lower one of the two in the middle where their number is even.
    fn median(&self, tool: &str, step: Step, value: impl Fn(&Measured) -> f64) -> Option<f64> {
        let values = self.values(tool, step, value);
        values.get(values.len().saturating_sub(1) / 2).copied()
    }

    pub(super) fn wall(&self, tool: &str, step: Step) -> Option<f64> {
        self.median(tool, step, |m| m.sample.wall_seconds)
    }

    pub(super) fn cpu(&self, tool: &str, step: Step) -> Option<f64> {
        self.median(tool, step, |m| m.sample.cpu_seconds)
    }

    pub(super) fn memory_mib(&self, tool: &str, step: Step) -> Option<f64> {
        self.median(tool, step, |m| m.sample.peak_mib)
    }

    /// The repository after the step.
    pub(super) fn size_mib(&self, tool: &str, step: Step) -> Option<f64> {
        self.median(tool, step, |m| m.repository_mib)
    }

    /// What the repository grew by from `before` to `step`.
    pub(super) fn growth_mib(&self, tool: &str, before: Step, step: Step) -> Option<f64> {
        Some(self.size_mib(tool, step)? - self.size_mib(tool, before)?)
    }
}
