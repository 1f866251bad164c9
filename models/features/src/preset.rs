//! The front ends of published models (models.md 1.2).

use crate::{FrontEnd, Log, MelNorm, MelScale, PadMode, Spectrum, TriangleDomain, Window};

/// float32's epsilon, `2^-23`: what PyTorch code adds before the logarithm.
const F32_EPSILON: f64 = f32::EPSILON as f64;

impl FrontEnd {
    /// M2D, M2D-AS, M2D-S, M2D-CLAP and MSM-MAE at 16 kHz: 25 ms windows every 10 ms, 80 bands of 50 to 8000 Hz.
    pub fn m2d_16k() -> Self {
        Self {
            sample_rate: 16_000,
            n_fft: 400,
            win_length: 400,
            hop_length: 160,
            window: Window::HannPeriodic,
            center: true,
            pad_mode: PadMode::Reflect,
            spectrum: Spectrum::Power,
            n_mels: 80,
            f_min: 50.0,
            f_max: 8_000.0,
            mel_scale: MelScale::Slaney,
            mel_norm: MelNorm::Slaney,
            triangle_domain: TriangleDomain::Hz,
            zero_dc: false,
            log: Log::LnAdd { eps: F32_EPSILON },
            filterbank: None,
        }
    }

    /// M2D-AS at 32 kHz: the same in time, 80 bands of 50 to 16000 Hz.
    pub fn m2d_32k() -> Self {
        Self {
            sample_rate: 32_000,
            n_fft: 800,
            win_length: 800,
            hop_length: 320,
            f_max: 16_000.0,
            ..Self::m2d_16k()
        }
    }

    /// BYOL-A: 64 ms windows every 10 ms at 16 kHz, 64 bands of 60 to 7800 Hz.
    pub fn byol_a() -> Self {
        Self { n_fft: 1_024, win_length: 1_024, n_mels: 64, f_min: 60.0, f_max: 7_800.0, ..Self::m2d_16k() }
    }

    /// LAION-CLAP (unfused): 48 kHz, 64 bands of 50 to 14000 Hz, decibels. The fused models take HTK mels without norm.
    pub fn laion_clap() -> Self {
        Self {
            sample_rate: 48_000,
            n_fft: 1_024,
            win_length: 1_024,
            hop_length: 480,
            n_mels: 64,
            f_max: 14_000.0,
            log: Log::DbMax { amin: 1e-10 },
            ..Self::m2d_16k()
        }
    }

    /// YAMNet: magnitudes of uncentred 25 ms frames, HTK triangles straight over mel, `ln(S + 0.001)`.
    pub fn yamnet() -> Self {
        Self {
            n_fft: 512,
            center: false,
            pad_mode: PadMode::None,
            spectrum: Spectrum::Magnitude,
            n_mels: 64,
            f_min: 125.0,
            f_max: 7_500.0,
            mel_scale: MelScale::Htk,
            mel_norm: MelNorm::None,
            triangle_domain: TriangleDomain::Mel,
            zero_dc: true,
            log: Log::LnAdd { eps: 0.001 },
            ..Self::m2d_16k()
        }
    }

    /// Frames in a recording of `samples` samples: `1 + samples / hop` when centred (none in an empty one), else the
    /// windows that fit into it.
    pub fn frames_in(&self, samples: u64) -> u64 {
        let (win, hop) = (u64::from(self.win_length), u64::from(self.hop_length));
        match (self.center, samples) {
            (true, 0) => 0,
            (true, _) => 1 + samples / hop,
            (false, _) if samples < win => 0,
            (false, _) => 1 + (samples - win) / hop,
        }
    }

    /// The fewest samples that make `frames` frames as a recording of their own: `(frames - 1) * hop` when centred, else
    /// one window more. One centred frame alone takes a sample that this count does not name.
    pub fn exact_samples(&self, frames: u64) -> u64 {
        let win = if self.center { 0 } else { u64::from(self.win_length) };
        frames.checked_sub(1).map_or(0, |hops| win + hops * u64::from(self.hop_length))
    }

    /// Samples before a frame's position `t * hop` that belong to it; the window stands in the middle of `n_fft` when
    /// centred (librosa and PyTorch), and begins at the position otherwise (TensorFlow).
    pub(crate) fn left(&self) -> usize {
        if self.center { (self.n_fft / 2 - (self.n_fft - self.win_length) / 2) as usize } else { 0 }
    }

    /// Samples from a frame's position on that belong to it.
    pub(crate) fn right(&self) -> usize {
        self.win_length as usize - self.left()
    }

    /// The fewest samples that reach over the reflection at a recording's edges.
    pub(crate) fn shortest(&self) -> u64 {
        if self.center { self.left() as u64 + 1 } else { 0 }
    }

    /// Samples from a frame's position on that must be there before it can be made. The first one of a centred stream
    /// takes one more than the others: its reflection begins beside the sample at the edge.
    pub(crate) fn lookahead(&self) -> usize {
        self.right().max(self.shortest() as usize)
    }

    /// Frames that can be made from the first `samples` samples of a stream that goes on.
    pub(crate) fn frames_ready(&self, samples: u64) -> u64 {
        if samples < self.lookahead() as u64 {
            return 0;
        }
        1 + (samples - self.right() as u64) / u64::from(self.hop_length)
    }
}

impl Log {
    /// The constant's name and value.
    pub(crate) fn constant(&self) -> (&'static str, f64) {
        match *self {
            Log::LnAdd { eps } => ("eps", eps),
            Log::LnMax { floor } => ("floor", floor),
            Log::DbMax { amin } => ("amin", amin),
        }
    }
}
