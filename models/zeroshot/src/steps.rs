//! Where a score steps up or down: the edges of events.

use std::collections::VecDeque;

use crate::event::Span;

/// How much of a score's past and future a step is looked for in, on either side, in nanoseconds.
const REACH: u64 = 240_000_000;

/// Fewer scores than this on either side are no mean: steps are not looked for.
const FEWEST: usize = 2;

/// More scores than this on either side tell no more.
const MOST: usize = 32;

/// Finds the steps of one label's scores, after the change detection of sound event bounding boxes (Ebbers et al. 2024,
/// arXiv 2406.04212).
///
/// A step lies before a score: the mean of the scores from there on, over [`REACH`], less the mean of as many before.
/// A score at a threshold says when a sound is surely heard; its steepest step says when it began or ended, however
/// loud it is and however far an encoder's context smears it. It takes frames that are much shorter than `REACH`: with
/// spans further than half of it apart no steps are looked for.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    /// The last scores, oldest first: twice `reach`.
    recent: VecDeque<Frame>,
    /// Scores on either side; 0: none are looked for.
    reach: usize,
    step: u64,
    /// A part is missing before the first of them: what came before is not silence.
    cut: bool,
}

/// A score's own time, as long as it is remembered.
#[derive(Debug, Clone, Copy)]
struct Frame {
    score: f32,
    at: At,
}

/// When one span begins, its new part begins, and it ends, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct At {
    pub start: u64,
    pub onset: u64,
    pub end: u64,
}

/// How much higher scores are from a time on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub height: f32,
    pub at: At,
}

impl Steps {
    /// Takes the next score, which is not smoothed. One that is not a number counts as 0.
    pub fn push(&mut self, span: Span, score: f32) {
        let last = self.recent.back().map(|frame| frame.at.start);
        // Times are rounded, and one span may be missing.
        let even = span.step.abs_diff(self.step) <= self.step / 8;
        let follows = last
            .is_some_and(|last| (last..=last.saturating_add(2 * self.step)).contains(&span.start) && even);
        if !follows {
            self.cut |= last.is_some();
            self.recent.clear();
            self.step = span.step;
            let fit = usize::try_from(REACH / span.step.max(1)).unwrap_or(MOST).min(MOST);
            self.reach = if fit < FEWEST { 0 } else { fit };
        }
        if self.reach == 0 {
            return;
        }
        if self.recent.len() == 2 * self.reach {
            self.recent.pop_front();
        }
        let score = if score.is_finite() { score } else { 0.0 };
        let at = At { start: span.start, onset: span.onset(), end: span.end };
        self.recent.push_back(Frame { score, at });
    }

    /// Forgets all scores: a stream begins.
    pub fn reset(&mut self) {
        self.recent.clear();
        self.cut = false;
    }

    /// Forgets all scores in the middle of a stream, because they mean something else from now on.
    pub fn cut(&mut self) {
        self.recent.clear();
        self.cut = true;
    }

    /// Whether scores come closely enough for steps.
    pub fn are_looked_for(&self) -> bool {
        self.reach > 0
    }

    /// The step that all of its scores are there of since the last `push`.
    pub fn whole(&self) -> Option<Step> {
        let place = self.recent.len().checked_sub(self.reach)?;
        (self.reach > 0).then(|| self.step_before(place)).flatten()
    }

    /// The steps that later scores may still change, oldest first.
    pub fn open(&self) -> impl Iterator<Item = Step> + '_ {
        let first = (self.recent.len() + 1).saturating_sub(self.reach).min(self.recent.len());
        (first..self.recent.len()).filter_map(|place| self.step_before(place))
    }

    /// The step before the score at `place`; before the first of a stream there is silence, a score of 0.
    fn step_before(&self, place: usize) -> Option<Step> {
        if place == 0 && self.cut {
            return None;
        }
        let at = self.recent.get(place)?.at;
        let mean = |from: usize, to: usize| {
            let some = self.recent.range(from..to.min(self.recent.len()));
            let count = some.len().max(1) as f32;
            some.map(|frame| frame.score).sum::<f32>() / count
        };
        let height = mean(place, place + self.reach) - mean(place.saturating_sub(self.reach), place);
        Some(Step { height, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn steps(step: u64, scores: &[f32]) -> Steps {
        let mut steps = Steps::default();
        for (k, score) in scores.iter().enumerate() {
            let start = k as u64 * step;
            steps.push(Span::new(start, start + step, step), *score);
        }
        steps
    }

    #[test]
    fn a_step_is_the_difference_of_two_means() {
        let steps = steps(80 * MS, &[0.0, 0.3, 0.0, 0.9, 0.9, 0.6]);
        let whole = steps.whole().unwrap();
        assert_eq!(whole.at, At { start: 240 * MS, onset: 240 * MS, end: 320 * MS });
        assert!((whole.height - 0.7).abs() < 1e-6, "{whole:?}");
        let open: Vec<f32> = steps.open().map(|step| step.height).collect();
        let expected = [0.75 - 0.4, 0.6 - 0.6];
        assert_eq!(open.len(), 2);
        assert!(open.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{open:?}");
    }

    #[test]
    fn a_stream_begins_after_silence() {
        let steps = steps(80 * MS, &[0.9]);
        let open: Vec<f32> = steps.open().map(|step| step.height).collect();
        assert_eq!(open, [0.9]);
        assert!(steps.whole().is_none());
    }

    #[test]
    fn spans_far_apart_have_no_steps() {
        for far in [121 * MS, 240 * MS, 1000 * MS] {
            let steps = steps(far, &[0.0, 0.9, 0.9, 0.9]);
            assert!(steps.whole().is_none() && steps.open().next().is_none());
        }
        assert!(steps(120 * MS, &[0.0, 0.9, 0.9, 0.9]).whole().is_some());
    }

    #[test]
    fn short_spans_take_no_more_memory() {
        let steps = steps(1, &vec![0.5; 1000]);
        assert_eq!(steps.recent.len(), 2 * MOST);
    }

    #[test]
    fn a_jump_in_time_begins_anew() {
        let mut steps = steps(80 * MS, &[0.0, 0.0, 0.9, 0.9]);
        steps.push(Span::new(10_000 * MS, 10_080 * MS, 80 * MS), 0.5);
        // What came before is not known.
        assert!(steps.open().next().is_none());
        steps.push(Span::new(10_080 * MS, 10_160 * MS, 80 * MS), 0.9);
        let open: Vec<f32> = steps.open().map(|step| step.height).collect();
        assert!(open.len() == 1 && (open[0] - 0.4).abs() < 1e-6, "{open:?}");
    }

    #[test]
    fn times_may_be_rounded_and_one_span_may_be_missing() {
        let mut steps = steps(80 * MS, &[0.1, 0.1]);
        steps.push(Span::new(160 * MS + 1, 240 * MS + 1, 80 * MS + 1), 0.9);
        steps.push(Span::new(320 * MS, 400 * MS, 80 * MS), 0.9);
        assert_eq!(steps.recent.len(), 4);
    }
}
