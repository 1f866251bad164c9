//! How long the last of something took.

use std::collections::VecDeque;
use std::time::Duration;

/// The last `MOST` durations.
#[derive(Debug, Clone, Default)]
pub struct Recent<const MOST: usize> {
    kept: VecDeque<Duration>,
}

impl<const MOST: usize> Recent<MOST> {
    /// Takes one more; the oldest goes where there are too many.
    pub fn push(&mut self, duration: Duration) {
        if self.kept.len() == MOST {
            self.kept.pop_front();
        }
        self.kept.push_back(duration);
    }

    /// Percentiles (0 to 100) in nanoseconds by nearest rank; 0 where nothing was taken.
    pub fn percentiles<const N: usize>(&self, percents: [usize; N]) -> [u64; N] {
        let mut sorted: Vec<_> = self.kept.iter().collect();
        sorted.sort_unstable();
        percents.map(|percent| {
            let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            sorted.get(rank).map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_last_ones_by_nearest_rank() {
        let mut recent = Recent::<4>::default();
        assert_eq!(recent.percentiles([50, 100]), [0, 0]);
        for n in [9, 4, 1, 3, 2] {
            recent.push(Duration::from_nanos(n));
        }
        assert_eq!(recent.percentiles([0, 25, 50, 51, 99, 100]), [1, 1, 2, 3, 4, 4]);
    }
}
