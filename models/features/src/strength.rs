//! How strongly sound begins and ends, frame by frame.

use std::f64::consts::LN_10;
use std::ops::Range;

use crate::{FrontEnd, Log, Spectrum};

/// How much of a frame's past and future is compared, in seconds.
const REACH: f64 = 0.12;

/// What one band tells at most, in nats: silence is no stronger an edge than any quiet.
const MOST: f32 = 4.0;

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
/// up, 4 nats at most, in the mean over the bands are the onset strength, the steps down the offset strength. It tells
/// when something changed and not what: of events whose label says roughly when they began it says exactly when.
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
            onset += step.clamp(0.0, MOST);
            offset += (-step).clamp(0.0, MOST);
        }
        // Few frames vary more than their mean would.
        let there = (at - first).min(last - at) as f32 / self.reach as f32;
        let share = there / self.width as f32;
        Strength { onset: onset * share, offset: offset * share }
    }
}
