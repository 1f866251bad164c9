//! Normalisation of frames.

use listen_package::Normalize;

/// Smallest deviation that is divided by: a window of one value (digital silence) becomes zeros.
const MIN_STD: f64 = 1e-6;

/// What a window is normalised with: `(x - mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    /// Subtracted.
    pub mean: f64,
    /// Divided by.
    pub std: f64,
}

impl Statistics {
    /// Those that change nothing.
    pub const IDENTITY: Self = Self { mean: 0.0, std: 1.0 };

    /// The normalised value, rounded once.
    pub fn apply(&self, value: f32) -> f32 {
        ((f64::from(value) - self.mean) / self.std) as f32
    }
}

/// Finds the statistics of each window of one stream, in float64.
///
/// It belongs to the stream, not to the engine: `running` statistics follow what this stream heard.
///
/// `running`: an exponentially weighted mean and deviation over all values of the frames, one step a frame:
/// with `a = exp(-seconds per frame / tau)`, `d = mean(frame) - mean`,
/// `mean += (1 - a) d` and `var = a (var + (1 - a) d^2) + (1 - a) var(frame)`, which is the weighted variance exactly
/// (no difference of large numbers). A window is normalised with the statistics at its end. A frame in two windows counts
/// once, a frame in no window (a gap, a dropped window) does not count. The deviation never falls below a tenth of the
/// manifest's, so that after minutes of digital silence the first sound is not blown up.
#[derive(Debug, Clone)]
pub struct Normalizer {
    how: Normalize,
    /// `exp(-seconds per frame / tau)`, for `running`.
    keep: f64,
    mean: f64,
    var: f64,
    /// Frames before this one have been counted.
    seen: u64,
}

impl Normalizer {
    /// Whether statistics go on from window to window.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.how, Normalize::Running { .. })
    }

    /// For a stream of frames `frame_seconds` apart.
    pub fn new(how: &Normalize, frame_seconds: f64) -> Self {
        let keep = match how {
            Normalize::Running { tau, .. } => (-frame_seconds / tau).exp(),
            _ => 0.0,
        };
        let mut new = Self { how: how.clone(), keep, mean: 0.0, var: 0.0, seen: 0 };
        new.reset();
        new
    }

    /// A new stream begins: running statistics start at the manifest's again.
    pub fn reset(&mut self) {
        if let Normalize::Running { mean, std, .. } = self.how {
            (self.mean, self.var) = (mean, std * std);
        }
        self.seen = 0;
    }

    /// The statistics for a window of real (not padded) frames `[frames, width]` that begins at `start_frame`.
    ///
    /// Windows come in the order of their starts.
    pub fn statistics(&mut self, start_frame: u64, frames: &[f32], width: usize) -> Statistics {
        match self.how {
            Normalize::None => Statistics::IDENTITY,
            Normalize::Fixed { mean, std } => Statistics { mean, std },
            Normalize::PerWindow => {
                let (mean, var) = moments(frames);
                Statistics { mean, std: var.sqrt().max(MIN_STD) }
            }
            Normalize::Running { std, .. } => {
                for (index, frame) in (start_frame..).zip(frames.chunks_exact(width.max(1))) {
                    if index >= self.seen {
                        self.follow(frame);
                        self.seen = index + 1;
                    }
                }
                Statistics { mean: self.mean, std: self.var.sqrt().max(std / 10.0) }
            }
        }
    }

    fn follow(&mut self, frame: &[f32]) {
        let (mean, var) = moments(frame);
        let (step, difference) = (1.0 - self.keep, mean - self.mean);
        self.mean += step * difference;
        self.var = self.keep * (self.var + step * difference * difference) + step * var;
    }
}

/// Mean and variance (over n, not n - 1) of values, in float64; zeros of none.
fn moments(values: &[f32]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    (mean, values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: Normalize = Normalize::Running { tau: 2.0, mean: -7.0, std: 4.0 };

    fn noise(n: usize) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 12.9898).sin() * 5.0 - 6.0).collect()
    }

    #[test]
    fn per_window_gives_mean_0_and_deviation_1() {
        let frames = noise(800);
        let s = Normalizer::new(&Normalize::PerWindow, 0.01).statistics(0, &frames, 80);
        let normal: Vec<f32> = frames.iter().map(|&v| s.apply(v)).collect();
        let (mean, var) = moments(&normal);
        assert!(mean.abs() < 1e-6 && (var - 1.0).abs() < 1e-6, "{mean} {var}");
    }

    #[test]
    fn a_window_of_one_value_becomes_zeros() {
        let frames = [-15.942_385_f32; 160];
        let s = Normalizer::new(&Normalize::PerWindow, 0.01).statistics(0, &frames, 80);
        assert!(frames.iter().all(|&v| s.apply(v).abs() < 1e-6));
    }

    #[test]
    fn running_statistics_are_the_weighted_moments_of_all_that_was_heard() {
        let (width, frames) = (4, noise(4 * 300));
        let s = Normalizer::new(&RUNNING, 0.01).statistics(0, &frames, width);
        let keep = (-0.01f64 / 2.0).exp();
        let weight = |age: i32| (1.0 - keep) * keep.powi(age);
        let start = keep.powi(300);
        let parts =
            || frames.chunks(width).rev().enumerate().map(|(age, f)| (weight(age as i32), moments(f)));
        let mean = start * -7.0 + parts().map(|(w, (m, _))| w * m).sum::<f64>();
        let square = start * (16.0 + 49.0) + parts().map(|(w, (m, v))| w * (v + m * m)).sum::<f64>();
        assert!((s.mean - mean).abs() < 1e-12, "{} {mean}", s.mean);
        assert!((s.std - (square - mean * mean).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn running_statistics_count_a_frame_once_however_windows_overlap() {
        let frames = noise(4 * 40);
        let run = |window: usize, hop: usize| {
            let mut n = Normalizer::new(&RUNNING, 0.01);
            let starts = (0..=40 - window).step_by(hop);
            starts.map(|a| n.statistics(a as u64, &frames[4 * a..4 * (a + window)], 4)).last()
        };
        assert_eq!(run(10, 1), run(40, 1));
        assert_eq!(run(20, 10), run(40, 1));
    }

    #[test]
    fn after_a_reset_running_statistics_start_anew() {
        let (mut n, frames) = (Normalizer::new(&RUNNING, 0.01), noise(400));
        let first = n.statistics(0, &frames, 80);
        assert_ne!(n.statistics(5, &frames, 80), first);
        n.reset();
        assert_eq!(n.statistics(0, &frames, 80), first);
    }

    #[test]
    fn long_silence_does_not_blow_up_the_sound_after_it() {
        let mut n = Normalizer::new(&RUNNING, 0.01);
        let s = n.statistics(0, &vec![-15.942_385; 80 * 6000], 80);
        assert_eq!(s.std, 0.4);
        assert!(s.apply(4.0) < 60.0);
    }
}
