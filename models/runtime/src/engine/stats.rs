//! What an engine has done, in numbers.

use std::time::Duration;

/// Runs of which the percentiles are taken: the last so many.
const KEPT: usize = 1024;

/// What an engine has done so far, and what it is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Runs of the model, failed ones included; those for side clients alone are not.
    pub runs: u64,
    /// Windows in those runs.
    pub windows: u64,
    /// Mean duration of a run, over all, in ns; with what was run beside them for side clients.
    pub mean_ns: u64,
    /// Half of the last 1,024 runs took at most this, in ns.
    pub p50_ns: u64,
    /// 95 % of the last 1,024 runs took at most this, in ns.
    pub p95_ns: u64,
    /// The longest run, over all, in ns.
    pub max_ns: u64,
    /// Windows that wait in the queue.
    pub queue_depth: usize,
    /// Clients that there are.
    pub clients: usize,
}

/// Durations of runs, in bounded memory.
#[derive(Debug, Default)]
pub(super) struct Durations {
    runs: u64,
    windows: u64,
    total_ns: u128,
    max_ns: u64,
    /// A ring of the last [`KEPT`] durations in ns; the oldest is overwritten.
    last: Vec<u64>,
}

impl Durations {
    /// Takes a run of so many windows; of none it is a side client's.
    pub(super) fn record(&mut self, windows: usize, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.total_ns += u128::from(ns);
        if windows == 0 {
            return;
        }
        if self.last.len() < KEPT {
            self.last.push(ns);
        } else {
            self.last[(self.runs % KEPT as u64) as usize] = ns;
        }
        self.runs += 1;
        self.windows += windows as u64;
        self.max_ns = self.max_ns.max(ns);
    }

    /// The figures; queue depth and clients are left 0.
    pub(super) fn stats(&self) -> Stats {
        let mut sorted = self.last.clone();
        sorted.sort_unstable();
        Stats {
            runs: self.runs,
            windows: self.windows,
            mean_ns: u64::try_from(self.total_ns / u128::from(self.runs.max(1))).unwrap_or(u64::MAX),
            p50_ns: percentile(&sorted, 50),
            p95_ns: percentile(&sorted, 95),
            max_ns: self.max_ns,
            ..Stats::default()
        }
    }
}

/// The smallest value that `percent` of the sorted values do not exceed (nearest rank); 0 of none.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_run_is_all_zeros() {
        assert_eq!(Durations::default().stats(), Stats::default());
    }

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let mut durations = Durations::default();
        for ns in (1..=100).rev() {
            durations.record(2, Duration::from_nanos(ns));
        }
        let stats = durations.stats();
        assert_eq!((stats.runs, stats.windows), (100, 200));
        assert_eq!((stats.mean_ns, stats.p50_ns, stats.p95_ns, stats.max_ns), (50, 50, 95, 100));
    }

    #[test]
    fn what_is_run_beside_the_windows_is_in_the_mean_and_nowhere_else() {
        let mut durations = Durations::default();
        for _ in 0..10 {
            durations.record(1, Duration::from_nanos(100));
            durations.record(0, Duration::from_nanos(7));
        }
        let stats = durations.stats();
        assert_eq!((stats.runs, stats.windows, stats.mean_ns), (10, 10, 107));
        assert_eq!((stats.p50_ns, stats.p95_ns, stats.max_ns), (100, 100, 100));
    }

    #[test]
    fn percentiles_follow_the_last_runs_while_mean_and_maximum_remember_all() {
        let mut durations = Durations::default();
        durations.record(1, Duration::from_nanos(1_000_000));
        for _ in 0..KEPT {
            durations.record(1, Duration::from_nanos(10));
        }
        let stats = durations.stats();
        assert_eq!((stats.p50_ns, stats.p95_ns, stats.max_ns), (10, 10, 1_000_000));
        assert_eq!(stats.mean_ns, (1_000_000 + 10 * KEPT as u64) / (KEPT as u64 + 1));
        assert_eq!(durations.last.len(), KEPT);
    }
}
