//! The last scores of one label.

use std::collections::VecDeque;

use crate::event::Span;

/// So many are remembered: ten seconds of steps of 80 ms.
const KEPT: usize = 128;

/// The last scores of one label, as they were before smoothing, one a step.
#[derive(Debug, Clone)]
pub(crate) struct History {
    scores: VecDeque<f32>,
    /// Start of the last one.
    last: u64,
    step: u64,
}

impl Default for History {
    fn default() -> History {
        // All of it at once: scores take no memory while they come.
        History { scores: VecDeque::with_capacity(KEPT), last: 0, step: 0 }
    }
}

impl History {
    /// Takes the next score; where it does not follow the last one by its step, those before are forgotten.
    pub fn push(&mut self, span: Span, score: f32) {
        let expected = self.last.saturating_add(self.step);
        // Times are rounded.
        let follows = span.step.abs_diff(self.step) <= 1 + self.step / 64
            && span.start.abs_diff(expected) <= self.step / 4;
        if !follows {
            self.scores.clear();
        }
        if self.scores.len() == KEPT {
            self.scores.pop_front();
        }
        self.scores.push_back(score);
        (self.last, self.step) = (span.start, span.step);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.scores.clear();
    }

    /// From one score to the next, in nanoseconds.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The place of the score that begins nearest to `at` (of two the later), from 0 for the oldest; it may lie before or behind
    /// what is known.
    pub fn place(&self, at: u64) -> i64 {
        let step = i128::from(self.step.max(1));
        let newest = self.scores.len() as i128 - 1;
        let away = i128::from(at) - i128::from(self.last);
        i64::try_from(newest + (2 * away + step).div_euclid(2 * step)).unwrap_or(i64::MIN)
    }

    /// The score at a place: `None` before the first, the last one behind it.
    pub fn at(&self, place: i64) -> Option<f32> {
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
        assert_eq!(
            (history.at(-1), history.at(0), history.at(2), history.at(5)),
            (None, Some(800.0), Some(960.0), Some(960.0))
        );
    }

    #[test]
    fn what_does_not_follow_begins_anew_and_ten_seconds_are_kept() {
        let history = pushed(&[0, 80, 240]);
        assert_eq!((history.at(0), history.at(1)), (Some(240.0), Some(240.0)));
        let long: Vec<u64> = (0..1000).map(|k| k * 80).collect();
        let history = pushed(&long);
        assert_eq!(
            (history.at(0), history.place(999 * 80 * MS)),
            (Some((1000 - KEPT as u64) as f32 * 80.0), KEPT as i64 - 1)
        );
    }
}
