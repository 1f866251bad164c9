//! Scores smoothed over time.

use std::collections::VecDeque;

use crate::event::Span;
use crate::rules::SettingsError;

/// Longest time that scores are smoothed over: a minute, in nanoseconds.
pub const MAX_SMOOTHING: u64 = 60_000_000_000;

/// How scores are smoothed over time. All times in nanoseconds; 0 is no smoothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Smoothing {
    /// Not at all.
    #[default]
    None,
    /// An exponential mean: each score moves it by `1 - exp(-step / tau)` of the difference. The first score is taken
    /// as it is. A sound that stays reaches 63% of its score after `tau`.
    Ema {
        /// Time constant.
        tau: u64,
    },
    /// The mean of the scores whose spans began within the last `over`, this one's start included.
    Mean {
        /// Length of time.
        over: u64,
    },
}

impl Smoothing {
    pub(crate) fn validate(&self) -> Result<(), SettingsError> {
        match *self {
            Smoothing::None => Ok(()),
            Smoothing::Ema { tau: found } | Smoothing::Mean { over: found } if found > MAX_SMOOTHING => {
                Err(SettingsError::SmoothingTooLong { found, limit: MAX_SMOOTHING })
            }
            Smoothing::Ema { .. } | Smoothing::Mean { .. } => Ok(()),
        }
    }
}

/// Smooths the scores of all labels of a list at once.
#[derive(Debug)]
pub(crate) struct Smoother {
    smoothing: Smoothing,
    /// The last mean of each label ([`Smoothing::Ema`]); empty before the first.
    means: Vec<f32>,
    /// The rows within the span ([`Smoothing::Mean`]), with their starts, oldest first.
    rows: VecDeque<(u64, Box<[f32]>)>,
    /// Sum of the rows in units of 2^-32, so that a year of adding and taking away leaves no trace.
    sums: Vec<i64>,
}

impl Smoother {
    pub(crate) fn new(smoothing: Smoothing) -> Smoother {
        Smoother { smoothing, means: Vec::new(), rows: VecDeque::new(), sums: Vec::new() }
    }

    /// Changes `scores` (one of each label, in [-1, 1], none NaN) to their smoothed values.
    pub(crate) fn push(&mut self, span: Span, scores: &mut [f32]) {
        match self.smoothing {
            Smoothing::None | Smoothing::Ema { tau: 0 } | Smoothing::Mean { over: 0 } => {}
            Smoothing::Ema { tau } => self.exponential(span.step as f64 / tau as f64, scores),
            Smoothing::Mean { over } => self.sliding(over, span.start, scores),
        }
    }

    /// Forgets all scores.
    pub(crate) fn reset(&mut self) {
        self.means.clear();
        self.rows.clear();
        self.sums.clear();
    }

    /// Goes on with another list: label i was label `from[i]`, or is new.
    ///
    /// A label that is new begins with no past: with an exponential mean at `lowest`, in a sliding mean as if it had
    /// been at `lowest`.
    pub(crate) fn remap(&mut self, from: &[Option<usize>], lowest: f32) {
        let remap = |row: &[f32]| -> Box<[f32]> {
            from.iter().map(|old| old.and_then(|old| row.get(old).copied()).unwrap_or(lowest)).collect()
        };
        if !self.means.is_empty() {
            self.means = remap(&self.means).into_vec();
        }
        for (_, row) in &mut self.rows {
            *row = remap(row);
        }
        self.sum_up(from.len());
    }

    /// Smooths in another way from now on; what was heard so far is forgotten if the way is another.
    pub(crate) fn set(&mut self, smoothing: Smoothing) {
        if smoothing != self.smoothing {
            self.smoothing = smoothing;
            self.reset();
        }
    }

    fn exponential(&mut self, steps: f64, scores: &mut [f32]) {
        if self.means.len() != scores.len() {
            self.means.clear();
            self.means.extend_from_slice(scores);
            return;
        }
        let weight = (-(-steps).exp_m1()) as f32;
        for (mean, score) in self.means.iter_mut().zip(scores) {
            *mean += weight * (*score - *mean);
            *score = *mean;
        }
    }

    fn sliding(&mut self, over: u64, start: u64, scores: &mut [f32]) {
        if self.sums.len() != scores.len() {
            self.rows.clear();
            self.sums.clear();
            self.sums.resize(scores.len(), 0);
        }
        // Rows that begin later than this one are of another time, before a jump.
        let old = |row_start: u64| row_start.saturating_add(over) <= start || row_start > start;
        let mut spare = None;
        while let Some((row_start, _)) = self.rows.front()
            && old(*row_start)
        {
            let Some((_, row)) = self.rows.pop_front() else { break };
            self.sums.iter_mut().zip(&row).for_each(|(sum, score)| *sum -= fixed(*score));
            spare = Some(row);
        }
        // The oldest row's memory becomes the newest's.
        let mut row = spare.unwrap_or_else(|| vec![0.0; scores.len()].into_boxed_slice());
        row.copy_from_slice(scores);
        self.rows.push_back((start, row));
        let count = self.rows.len() as f64;
        for (sum, score) in self.sums.iter_mut().zip(scores) {
            *sum += fixed(*score);
            *score = (*sum as f64 / UNIT / count) as f32;
        }
    }

    fn sum_up(&mut self, labels: usize) {
        self.sums.clear();
        if self.rows.is_empty() {
            return;
        }
        self.sums.resize(labels, 0);
        for (_, row) in &self.rows {
            self.sums.iter_mut().zip(row).for_each(|(sum, score)| *sum += fixed(*score));
        }
    }
}

const UNIT: f64 = 4_294_967_296.0;

fn fixed(score: f32) -> i64 {
    (f64::from(score) * UNIT) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn smooth(smoothing: Smoothing, scores: &[f32]) -> Vec<f32> {
        let mut smoother = Smoother::new(smoothing);
        let mut out = Vec::new();
        for (i, score) in scores.iter().enumerate() {
            let mut row = [*score];
            smoother.push(Span::new(i as u64 * SECOND, (i as u64 + 1) * SECOND, SECOND), &mut row);
            out.push(row[0]);
        }
        out
    }

    #[test]
    fn nothing_is_smoothed_unless_asked_for() {
        for smoothing in [Smoothing::None, Smoothing::Ema { tau: 0 }, Smoothing::Mean { over: 0 }] {
            assert_eq!(smooth(smoothing, &[0.1, 0.9, 0.2]), [0.1, 0.9, 0.2]);
        }
    }

    #[test]
    fn an_exponential_mean_reaches_63_percent_after_its_time_constant() {
        let scores = smooth(Smoothing::Ema { tau: 4 * SECOND }, &[0.0, 1.0, 1.0, 1.0, 1.0]);
        assert!((scores[4] - 0.632).abs() < 1e-3, "{scores:?}");
    }

    #[test]
    fn a_sliding_mean_holds_what_began_within_its_span() {
        let scores = smooth(Smoothing::Mean { over: 3 * SECOND }, &[1.0, 0.0, 0.5, 0.0, 0.0, 0.0]);
        let expected = [1.0, 0.5, 0.5, 1.0 / 6.0, 1.0 / 6.0, 0.0];
        assert!(scores.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{scores:?}");
    }

    #[test]
    fn a_sliding_mean_of_a_million_scores_leaves_no_trace() {
        let mut smoother = Smoother::new(Smoothing::Mean { over: 7 });
        for i in 0..1_000_000u64 {
            let mut row = [(i as f32 * 0.618).fract()];
            smoother.push(Span::new(i, i + 1, 1), &mut row);
        }
        let mut row = [0.0];
        for i in 1_000_000..1_000_007u64 {
            row = [0.0];
            smoother.push(Span::new(i, i + 1, 1), &mut row);
        }
        assert_eq!(row, [0.0]);
        assert_eq!(smoother.rows.len(), 7);
    }

    #[test]
    fn a_jump_back_in_time_forgets_what_came_before() {
        let mut smoother = Smoother::new(Smoothing::Mean { over: 5 * SECOND });
        let mut row = [1.0];
        smoother.push(Span::new(100 * SECOND, 101 * SECOND, SECOND), &mut row);
        row = [0.0];
        smoother.push(Span::new(0, SECOND, SECOND), &mut row);
        assert_eq!(row, [0.0]);
    }

    #[test]
    fn labels_that_stay_keep_their_past() {
        for smoothing in [Smoothing::Ema { tau: SECOND }, Smoothing::Mean { over: 2 * SECOND }] {
            let mut smoother = Smoother::new(smoothing);
            smoother.push(Span::new(0, SECOND, SECOND), &mut [0.25, 0.75]);
            smoother.remap(&[Some(1), None], 0.0);
            let mut row = [0.75, 0.0];
            smoother.push(Span::new(SECOND, 2 * SECOND, SECOND), &mut row);
            assert_eq!(row, [0.75, 0.0], "{smoothing:?}");
        }
    }
}
