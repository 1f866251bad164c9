//! How strongly sound begins and ends, frame by frame.

use std::f64::consts::LN_10;
use std::ops::Range;

use crate::{FrontEnd, Log, Spectrum};

/// How much of a frame's past and future is compared, in seconds.
const REACH: f64 = 0.12;

/// So much one band tells whole, in nats: silence is hardly a stronger edge than any quiet.
const MOST: f32 = 4.0;

/// The share of what is more: a strength is highest at the edge itself, however high that is.
const BEYOND: f32 = 0.15;

/// How strongly sound begins and ends before a frame, both at least 0, in nats of power (1 nat is 4.34 dB) in the mean of the
/// bands.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Strength {
    /// How much more there is from the frame on.
    pub onset: f32,
    /// How much less there is.
    pub offset: f32,
}

/// Measures onset and offset strengths of frames of log-mel: spectral flux (Böck et al. 2012, "Evaluating the online
/// capabilities of onset detection methods") between means of 120 ms.
///
/// In each band the mean of the frames from one on, over 120 ms, is compared with that of as many before it. The steps
/// up (of what one band has over 4 nats only a part counts) in the mean over the bands are the onset strength, the steps
/// down the offset strength. They tell when something changed and not what.
#[derive(Debug, Clone, Copy)]
pub struct Strengths {
    width: usize,
    reach: usize,
    /// Nats of power in a unit of the frames.
    nats: f32,
}

impl Strengths {
    /// For the frames of a front end.
    pub fn new(front_end: &FrontEnd) -> Self {
        let frame = f64::from(front_end.hop_length) / f64::from(front_end.sample_rate.max(1));
        let of_log = match front_end.log {
            Log::LnAdd { .. } | Log::LnMax { .. } => 1.0,
            Log::DbMax { .. } => (LN_10 / 10.0) as f32,
        };
        let squared = front_end.spectrum == Spectrum::Magnitude;
        Self {
            width: (front_end.n_mels as usize).max(1),
            reach: ((REACH / frame.max(f64::MIN_POSITIVE)).round() as usize).max(1),
            nats: if squared { 2.0 * of_log } else { of_log },
        }
    }

    /// The strengths of `which` of the frames `[frames * n_mels]`; those beyond them are not known. Where less than 120 ms
    /// are there on one side they count by as much less; the first frame has none.
    ///
    /// Each is computed by itself: how a stream was cut changes nothing as long as 120 ms are there on either side.
    pub fn of(&self, frames: &[f32], which: Range<usize>) -> Vec<Strength> {
        let count = frames.len() / self.width;
        let mut step = vec![0.0_f32; self.width];
        let which = which.start.min(count)..which.end.min(count);
        which.map(|at| self.strength(frames, at, count, &mut step)).collect()
    }

    fn strength(&self, frames: &[f32], at: usize, count: usize, step: &mut [f32]) -> Strength {
        if at == 0 {
            return Strength::default();
        }
        let (first, last) = (at.saturating_sub(self.reach), (at + self.reach).min(count));
        step.fill(0.0);
        for (range, sign) in [(at..last, 1.0), (first..at, -1.0)] {
            let weight = sign * self.nats / range.len() as f32;
            let frames = &frames[range.start * self.width..range.end * self.width];
            for frame in frames.chunks_exact(self.width) {
                for (sum, &value) in step.iter_mut().zip(frame) {
                    *sum += weight * value;
                }
            }
        }
        let (mut onset, mut offset) = (0.0, 0.0);
        for &step in step.iter().filter(|step| step.is_finite()) {
            onset += limited(step.max(0.0));
            offset += limited((-step).max(0.0));
        }
        // A mean of few frames varies more.
        let there = (at - first).min(last - at) as f32 / self.reach as f32;
        let share = there / self.width as f32;
        Strength { onset: onset * share, offset: offset * share }
    }
}

fn limited(step: f32) -> f32 {
    step.min(MOST) + BEYOND * (step - MOST).max(0.0)
}
