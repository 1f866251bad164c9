//! The mel triangles (models.md 1.1), kept as the few weights that are not zero.

use crate::{FrontEnd, MelNorm, MelScale, TriangleDomain};

/// Hertz to mel.
///
/// Slaney: linear below 1 kHz, logarithmic above; HTK: `2595 log10(1 + f / 700)`.
pub fn hz_to_mel(hz: f64, scale: MelScale) -> f64 {
    match scale {
        MelScale::Slaney if hz < 1_000.0 => 3.0 * hz / 200.0,
        MelScale::Slaney => 15.0 + 27.0 * (hz / 1_000.0).ln() / 6.4_f64.ln(),
        MelScale::Htk => 2_595.0 * (1.0 + hz / 700.0).log10(),
    }
}

/// Mel to hertz: the inverse of [`hz_to_mel`].
pub fn mel_to_hz(mel: f64, scale: MelScale) -> f64 {
    match scale {
        MelScale::Slaney if mel < 15.0 => 200.0 * mel / 3.0,
        MelScale::Slaney => 1_000.0 * ((mel - 15.0) * 6.4_f64.ln() / 27.0).exp(),
        MelScale::Htk => 700.0 * (10_f64.powf(mel / 2_595.0) - 1.0),
    }
}

/// Mel triangles over the bins `0..=n_fft/2` of a spectrum.
#[derive(Debug, Clone)]
pub struct Filterbank {
    bands: Box<[Band]>,
    /// The weights of all bands, one after the other.
    weights: Box<[f64]>,
}

/// A band's weights belong to neighbouring bins.
#[derive(Debug, Clone, Copy)]
struct Band {
    first_bin: usize,
    len: usize,
}

impl Filterbank {
    /// The triangles of a front end that has been [validated](FrontEnd::validate).
    pub fn new(front_end: &FrontEnd) -> Self {
        let FrontEnd { f_min, f_max, mel_scale, .. } = *front_end;
        let (bands, bins) = (front_end.n_mels as usize, front_end.n_fft as usize / 2 + 1);
        let bin_hz = f64::from(front_end.sample_rate) / f64::from(front_end.n_fft);

        let (low, high) = (hz_to_mel(f_min, mel_scale), hz_to_mel(f_max, mel_scale));
        let mel_edge = |j: usize| low + (high - low) * j as f64 / (bands + 1) as f64;
        let hz_edge = |j: usize| mel_to_hz(mel_edge(j), mel_scale);

        let mut ranges = Vec::with_capacity(bands);
        let mut weights = Vec::new();
        for band in 0..bands {
            let norm = match front_end.mel_norm {
                MelNorm::Slaney => 2.0 / (hz_edge(band + 2) - hz_edge(band)),
                MelNorm::None => 1.0,
            };
            let weight = |bin: usize| {
                let hz = bin as f64 * bin_hz;
                let (at, [low, peak, high]) = match front_end.triangle_domain {
                    TriangleDomain::Hz => (hz, [hz_edge(band), hz_edge(band + 1), hz_edge(band + 2)]),
                    TriangleDomain::Mel => {
                        (hz_to_mel(hz, mel_scale), [mel_edge(band), mel_edge(band + 1), mel_edge(band + 2)])
                    }
                };
                norm * ((at - low) / (peak - low)).min((high - at) / (high - peak)).max(0.0)
            };
            // A triangle covers no bin outside its edges: only those within, and one to each side, are looked at.
            let first = ((hz_edge(band) / bin_hz).floor() as usize).saturating_sub(1);
            let last = ((hz_edge(band + 2) / bin_hz).ceil() as usize + 2).min(bins);
            let within = first.max(usize::from(front_end.zero_dc))..last;
            let mut covered =
                within.map(|bin| (bin, weight(bin))).filter(|&(_, weight)| weight > 0.0).peekable();
            let first_bin = covered.peek().map_or(0, |&(bin, _)| bin);
            let before = weights.len();
            weights.extend(covered.map(|(_, weight)| weight));
            ranges.push(Band { first_bin, len: weights.len() - before });
        }
        Self { bands: ranges.into(), weights: weights.into() }
    }

    /// The weights that are not zero: band, bin, weight.
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
        let places = self.bands.iter().enumerate();
        let places =
            places.flat_map(|(band, of)| (of.first_bin..of.first_bin + of.len).map(move |bin| (band, bin)));
        places.zip(&self.weights).map(|((band, bin), &weight)| (band, bin, weight))
    }

    /// The same triangles, all higher or lower by a factor.
    pub(crate) fn scaled(mut self, factor: f64) -> Self {
        self.weights.iter_mut().for_each(|weight| *weight *= factor);
        self
    }

    /// Sums a spectrum `[n_fft/2 + 1]` in the bands `[n_mels]`.
    pub(crate) fn apply(&self, spectrum: &[f64], sums: &mut [f64]) {
        let mut rest = &self.weights[..];
        for (sum, band) in sums.iter_mut().zip(&self.bands) {
            let (weights, next) = rest.split_at(band.len);
            rest = next;
            let bins = &spectrum[band.first_bin..][..band.len];
            *sum = weights.iter().zip(bins).map(|(weight, bin)| weight * bin).sum();
        }
    }
}
