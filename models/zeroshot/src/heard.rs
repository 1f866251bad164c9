//! What is known of a sound while it is heard: where it began, how high its score was, where it may end.

use crate::steps::{At, Step};
use crate::tracker::Sample;

/// What is heard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    pub onset: u64,
    /// Where the score rose: an edge before that does not make it last longer.
    pub risen: u64,
    /// It does not end before.
    pub floor: u64,
    /// Start of the first sample.
    pub first: u64,
    /// Start of the first one at half the onset threshold, as that was then: the sound is half heard, and has begun or is about to.
    pub half: Option<u64>,
    /// The steepest step up since.
    pub rise: Option<Step>,
    /// Start of the last sample at or above the onset threshold, or of the first after a pause.
    pub sure: u64,
    /// The steepest step down since.
    pub fall: Option<Step>,
    pub peak_score: f32,
    pub level: Option<f32>,
}

impl Heard {
    /// Whether it may end at `step`, if it has not been heard since `since`.
    pub fn may_end(&self, step: &Step, since: u64) -> bool {
        step.at.start > self.sure && step.at.start <= since
    }

    pub fn begin(sample: &Sample, free_from: u64) -> Heard {
        let onset = sample.span.onset().max(free_from);
        let floor = sample.span.end.max(onset);
        let first = sample.span.start;
        Heard {
            onset,
            risen: onset,
            floor,
            first,
            half: None,
            rise: None,
            sure: first,
            fall: None,
            peak_score: sample.score,
            level: sample.level,
        }
    }

    /// It began in this sample.
    pub fn placed(self, at: At, free_from: u64) -> Heard {
        let onset = at.onset.max(free_from);
        Heard { onset, risen: onset, floor: at.end.max(onset), ..self }
    }

    /// It began at an edge, and lasts a step at least.
    pub fn moved(self, onset: u64, step: u64) -> Heard {
        Heard { onset, floor: self.floor.max(onset.saturating_add(step)), ..self }
    }

    /// Half heard in this sample, if it was not before and `onset` is the threshold.
    pub fn half_heard(self, sample: &Sample, onset: f32) -> Heard {
        let half = (sample.score >= onset / 2.0).then_some(sample.span.start);
        Heard { half: self.half.or(half), ..self }
    }

    pub fn and(self, sample: &Sample) -> Heard {
        let level = match (self.level, sample.level) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (known, None) | (None, known) => known,
        };
        Heard { peak_score: self.peak_score.max(sample.score), level, ..self }
    }
}

/// How much steeper a later step up must be than an earlier one: of two that are nearly alike a sound began at the first,
/// also where a resampler that begins at another part of a sample changes them a little.
const CLEARLY: f32 = 1.1;

/// The step up that a sound began at, of what was found so far and a later one.
pub(crate) fn rising(best: Option<Step>, step: Option<Step>) -> Option<Step> {
    let least = best.map_or(0.0, |best| best.height * CLEARLY);
    step.filter(|step| step.height > least).or(best)
}

/// The steeper of two steps down, the earlier of two that are alike.
pub(crate) fn falling(best: Option<Step>, step: Option<Step>) -> Option<Step> {
    let least = best.map_or(0.0, |best| best.height);
    step.filter(|step| step.height < least).or(best)
}
