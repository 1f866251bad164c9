//! How loud a window of frames is.

use std::f64::consts::{LN_10, TAU};

use crate::{FrontEnd, FrontEndError, Log, LogMel, Spectrum, analysis::take_log, exp::exp};

/// Measures windows of frames in dB.
///
/// A window's level is its mean mel power over frames and bands, relative to that of a sine of amplitude 1 and 1 kHz
/// (the middle of the band where 1 kHz is outside) through the same front end: 0 dB for that sine, -20 dB for one of a
/// tenth of the amplitude. It weighs frequencies as the mel bands do.
#[derive(Debug, Clone)]
pub struct Level {
    front_end: FrontEnd,
    /// The frames' value for silence.
    silence_value: f32,
    /// What the logarithm adds before: the exponential of that value.
    silence: f64,
    /// Mean mel power of the sine.
    reference: f64,
}

impl Level {
    /// The level of digital silence, in dB; none is below.
    pub const FLOOR: f32 = -140.0;

    /// Measures the sine.
    ///
    /// # Errors
    /// Those of [`FrontEnd::validate`].
    pub fn new(front_end: &FrontEnd) -> Result<Self, FrontEndError> {
        let mut mel = LogMel::new(front_end)?;
        let (low, high, rate) = (front_end.f_min, front_end.f_max, f64::from(front_end.sample_rate));
        let hz = if low < 1_000.0 && 1_000.0 < high { 1_000.0 } else { (low + high) / 2.0 };

        // The first frames of a centred stream see reflected sound: those of the second window on do not.
        let frames = 16;
        let skipped = (front_end.left() as u64).div_ceil(u64::from(front_end.hop_length)) as usize;
        let samples =
            u64::from(front_end.hop_length) * (skipped as u64 + frames) + u64::from(front_end.n_fft);
        let sine: Vec<f32> = (0..samples).map(|n| (TAU * hz * n as f64 / rate).sin() as f32).collect();

        let silence_value = silence_value(front_end);
        let silence = f64::from(silence_value).exp();
        let mut level = Self { front_end: front_end.clone(), silence_value, silence, reference: 1.0 };
        let (mut nth, mut powers) = (0, Vec::new());
        mel.push(&sine, |frame| {
            nth += 1;
            if nth > skipped {
                powers.push(level.mean_power(frame));
            }
        });
        let mean = powers.iter().sum::<f64>() / powers.len() as f64;
        level.reference = mean.max(f64::MIN_POSITIVE);
        Ok(level)
    }

    /// Level of a window `[frames * n_mels]`, in dB; an empty one is silent.
    pub fn db(&self, window: &[f32]) -> f32 {
        let db = 10.0 * (self.mean_power(window) / self.reference).log10();
        (db as f32).max(Self::FLOOR)
    }

    /// Mean of the band sums' power; what the logarithm makes of silence counts as none.
    ///
    /// In float32: a level is for people and for the gate, and the encoder waits for it. Every 64 values go into a float64.
    fn mean_power(&self, window: &[f32]) -> f64 {
        let (slope, offset) = match self.front_end.log {
            Log::LnAdd { .. } => (1.0, self.silence as f32),
            Log::LnMax { .. } => (1.0, 0.0),
            Log::DbMax { .. } => (LN_10 as f32 / 10.0, 0.0),
        };
        let squared = self.front_end.spectrum == Spectrum::Magnitude;
        let power = |&value: &f32| {
            let sum = if value > self.silence_value { exp(value * slope) - offset } else { 0.0 };
            if squared { sum * sum } else { sum }
        };
        let part = |values: &[f32]| {
            let mut lanes = [0f32; 8];
            let (eights, rest) = values.as_chunks::<8>();
            for eight in eights {
                for (lane, value) in lanes.iter_mut().zip(eight) {
                    *lane += power(value);
                }
            }
            f64::from(lanes.iter().sum::<f32>() + rest.iter().map(power).sum::<f32>())
        };
        window.chunks(64).map(part).sum::<f64>() / window.len().max(1) as f64
    }
}

/// The log-mel of digital silence: `ln(eps)`, `ln(floor)` or `10 log10(amin)`, as [`LogMel`] gives it.
pub fn silence_value(front_end: &FrontEnd) -> f32 {
    let mut value = [0.0];
    take_log(front_end.log, &[0.0], &mut value);
    value[0]
}
