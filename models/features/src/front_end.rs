//! What a log-mel front end is: every number that its frames depend on.

use serde::{Deserialize, Serialize};

use crate::Bank;

/// A log-mel front end (models.md 1.1 and 1.2): samples of one channel in, `n_mels` values per frame out.
///
/// It is written in the model package's manifest and travels in the caps of the mel stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontEnd {
    /// Samples per second.
    pub sample_rate: u32,
    /// Length of the Fourier transform, in samples.
    pub n_fft: u32,
    /// Length of the window, in samples; shorter than `n_fft` it is zero-padded symmetrically.
    pub win_length: u32,
    /// Distance between frames, in samples.
    pub hop_length: u32,
    /// Shape of the window.
    pub window: Window,
    /// Whether frame `t` is centred on sample `t * hop_length` (with `pad_mode` at the ends) or begins there.
    pub center: bool,
    /// What stands before the first and after the last sample of a centred stream.
    pub pad_mode: PadMode,
    /// What of the spectrum is summed in the bands.
    pub spectrum: Spectrum,
    /// Number of mel bands.
    pub n_mels: u32,
    /// Lower edge of the first band, in Hz.
    pub f_min: f64,
    /// Upper edge of the last band, in Hz.
    pub f_max: f64,
    /// The mel scale.
    pub mel_scale: MelScale,
    /// The norm of the triangles.
    pub mel_norm: MelNorm,
    /// Where the triangles' sides are straight.
    pub triangle_domain: TriangleDomain,
    /// Whether the bin of 0 Hz is left out.
    pub zero_dc: bool,
    /// The logarithm.
    pub log: Log,
    /// The bands' weights, where a file holds them: the mel scale, norm and triangles then only describe it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filterbank: Option<Bank>,
}

/// Shape of the analysis window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// `0.5 - 0.5 cos(2 pi n / win_length)`.
    HannPeriodic,
}

/// Padding of a centred stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PadMode {
    /// Reflection without repeating the edge sample.
    Reflect,
    /// No padding: only for front ends that are not centred.
    None,
}

/// What is summed in the bands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spectrum {
    /// Squared magnitude.
    Power,
    /// Magnitude.
    Magnitude,
}

/// The mel scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MelScale {
    /// Linear below 1 kHz, logarithmic above (Slaney's Auditory Toolbox).
    Slaney,
    /// `2595 log10(1 + f / 700)`.
    Htk,
}

/// The norm of the mel triangles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MelNorm {
    /// Each triangle has the area 1 over frequency in Hz.
    Slaney,
    /// Each triangle has the height 1.
    None,
}

/// Where the mel triangles' sides are straight lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriangleDomain {
    /// Over frequency in Hz.
    Hz,
    /// Over mel.
    Mel,
}

/// The logarithm taken of the band sums `S`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Log {
    /// `ln(S + eps)`.
    LnAdd {
        /// Added before the logarithm.
        eps: f64,
    },
    /// `ln(max(S, floor))`.
    LnMax {
        /// Smallest value taken.
        floor: f64,
    },
    /// `10 log10(max(S, amin))`.
    DbMax {
        /// Smallest value taken.
        amin: f64,
    },
}
