//! The last scores of one label.

use std::collections::VecDeque;

use crate::event::Span;

/// So many are remembered: what [`Placing`](crate::Placing) looks back at, at the shortest step that it may have.
const KEPT: usize = 160;

/// The last scores of one label, as they were before smoothing, one a step.
#[derive(Debug, Clone)]
pub(crate) struct History {
    scores: VecDeque<f32>,
    /// Start of the last one.
    last: u64,
    step: u64,
    /// There were others before the first of them, or may have been.
    cut: bool,
    /// The next one is the first that is heard.
    begins: bool,
    /// Start of the first that was heard.
    begun: Option<u64>,
}

impl Default for History {
    fn default() -> History {
        History { scores: VecDeque::new(), last: 0, step: 0, cut: false, begins: true, begun: None }
    }
}

impl History {
    /// Takes the next score. Of one that is missing the one before stands in its place; where more are, those before are
    /// forgotten.
    pub fn push(&mut self, span: Span, score: f32) {
        if self.scores.capacity() == 0 {
            self.scores.reserve_exact(KEPT);
        }
        let even = span.step.abs_diff(self.step) <= 1 + self.step / 64;
        // Times are rounded.
        let near = |steps: u64| {
            span.start.abs_diff(self.last.saturating_add(steps.saturating_mul(self.step))) <= self.step / 4
        };
        match self.scores.back().copied() {
            Some(_) if even && near(1) => {}
            Some(before) if even && near(2) => self.add(before),
            Some(_) => self.cut(),
            None => {}
        }
        self.add(score);
        (self.last, self.step) = (span.start, span.step);
        if std::mem::take(&mut self.begins) {
            self.begun = Some(span.start);
        }
    }

    fn add(&mut self, score: f32) {
        if self.scores.len() == KEPT {
            self.scores.pop_front();
            self.cut = true;
        }
        self.scores.push_back(score);
    }

    /// Forgets all: a stream begins.
    pub fn clear(&mut self) {
        self.scores.clear();
        (self.cut, self.begins, self.begun) = (false, true, None);
    }

    /// Forgets all: it is listened for from here on, in the middle of a stream.
    pub fn join(&mut self) {
        self.scores.clear();
        (self.cut, self.begins, self.begun) = (true, true, None);
    }

    /// Forgets all in the middle of a stream.
    pub fn cut(&mut self) {
        self.scores.clear();
        (self.cut, self.begins, self.begun) = (true, false, None);
    }

    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// From one score to the next, in nanoseconds.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Whether the first score that was heard begins at `at`: what was before is not known.
    pub fn begins_at(&self, at: u64) -> bool {
        self.begun.is_some_and(|begun| at.abs_diff(begun) <= self.step / 4)
    }

    /// The place of the score that begins nearest to `at` (of two the later), from 0 for the oldest; it may lie before or behind
    /// what is known.
    pub fn place(&self, at: u64) -> i64 {
        let step = i128::from(self.step.max(1));
        let newest = self.scores.len() as i128 - 1;
        let away = i128::from(at) - i128::from(self.last);
        i64::try_from(newest + (2 * away + step).div_euclid(2 * step)).unwrap_or(i64::MIN)
    }

    /// The score at a place, behind the last one that. Before the first: `None` where the stream begins with it, otherwise
    /// the first.
    pub fn at(&self, place: i64) -> Option<f32> {
        let place = if self.cut { place.max(0) } else { place };
        let place = usize::try_from(place).ok()?;
        self.scores.get(place).or(self.scores.back()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn pushed(times: &[u64]) -> History {
        let mut history = History::default();
        for &at in times {
            history.push(Span::new(at * MS, (at + 80) * MS, 80 * MS), at as f32);
        }
        history
    }

    #[test]
    fn places_are_the_nearest_steps_and_reach_beyond_what_is_known() {
        let history = pushed(&[800, 880, 960]);
        let place = |at: u64| history.place(at * MS);
        assert_eq!((place(800), place(839), place(840), place(960)), (0, 0, 1, 2));
        assert_eq!((place(760), place(759), place(1200)), (0, -1, 5));
        let at = [-1, 0, 2, 5].map(|place| history.at(place));
        assert_eq!(at, [None, Some(800.0), Some(960.0), Some(960.0)]);
        assert!(history.begins_at(800 * MS) && !history.begins_at(880 * MS));
    }

    #[test]
    fn one_that_is_missing_is_filled_and_more_begin_anew_without_silence_before() {
        let history = pushed(&[0, 80, 240]);
        assert_eq!([-1, 1, 2, 3].map(|place| history.at(place)), [None, Some(80.0), Some(80.0), Some(240.0)]);
        let history = pushed(&[0, 80, 320]);
        assert_eq!([-9, 0, 1].map(|place| history.at(place)), [Some(320.0); 3]);
        assert!(!history.begins_at(320 * MS));
    }

    #[test]
    fn more_than_twelve_seconds_are_kept_and_what_was_before_is_no_silence() {
        let long: Vec<u64> = (0..1000).map(|k| k * 80).collect();
        let history = pushed(&long);
        let oldest = (1000 - KEPT as u64) as f32 * 80.0;
        assert_eq!((history.at(0), history.at(-1)), (Some(oldest), Some(oldest)));
        assert_eq!(history.place(999 * 80 * MS), KEPT as i64 - 1);
        assert!(history.begins_at(0) && !history.begins_at((1000 - KEPT as u64) * 80 * MS));
        let memory = history.scores.capacity();
        assert!(memory < 2 * KEPT, "{memory}");
    }
}
