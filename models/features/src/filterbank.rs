//! The mel triangles (models.md 1.1), kept as the few weights that are not zero.

use std::array;

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

/// Values side by side in a vector register of float64.
pub(crate) const LANES: usize = 4;

/// Mel triangles over the bins `0..=n_fft/2` of a spectrum.
#[derive(Debug, Clone)]
pub struct Filterbank {
    bands: Box<[Band]>,
    groups: Box<[Group]>,
    /// The weights of all groups one after the other: register by register, in each band by band.
    weights: Box<[[Register; LANES]]>,
}

/// The weights of neighbouring bins.
type Register = [f64; LANES];

/// A band's weights belong to neighbouring bins.
#[derive(Debug, Clone)]
struct Band {
    first_bin: usize,
    weights: Vec<f64>,
}

impl Band {
    /// What of a band's weights is not zero, and all between.
    fn of(weights: &[f32]) -> Self {
        let first_bin = weights.iter().position(|&w| w > 0.0).unwrap_or(0);
        let end = weights.iter().rposition(|&w| w > 0.0).map_or(0, |last| last + 1);
        let weights = weights.get(first_bin..end).unwrap_or_default();
        Self { first_bin, weights: weights.iter().copied().map(f64::from).collect() }
    }
}

/// Bands that are summed side by side: each is filled up with zeros to the registers that the widest needs.
#[derive(Debug, Clone)]
struct Group {
    first_bins: [usize; LANES],
    registers: usize,
}

impl Filterbank {
    /// The triangles of a front end that has been [validated](FrontEnd::validate), or the weights that it brings along.
    pub fn new(front_end: &FrontEnd) -> Self {
        if let Some(bank) = &front_end.filterbank {
            let bands = bank.weights().unwrap_or_default().chunks(front_end.bins() as usize);
            return Self::side_by_side(bands.map(Band::of).collect());
        }
        let FrontEnd { f_min, f_max, mel_scale, .. } = *front_end;
        let (bands, bins) = (front_end.n_mels as usize, front_end.n_fft as usize / 2 + 1);
        let bin_hz = f64::from(front_end.sample_rate) / f64::from(front_end.n_fft);

        let (low, high) = (hz_to_mel(f_min, mel_scale), hz_to_mel(f_max, mel_scale));
        let mel_edge = |j: usize| low + (high - low) * j as f64 / (bands + 1) as f64;
        let hz_edge = |j: usize| mel_to_hz(mel_edge(j), mel_scale);

        let band = |band: usize| {
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
            let weighted = within.map(|bin| (bin, weight(bin))).filter(|&(_, weight)| weight > 0.0);
            let (covered, weights): (Vec<usize>, Vec<f64>) = weighted.unzip();
            Band { first_bin: covered.first().copied().unwrap_or(0), weights }
        };
        Self::side_by_side((0..bands).map(band).collect())
    }

    /// Lays the bands out for [`apply`](Self::apply).
    fn side_by_side(bands: Box<[Band]>) -> Self {
        let (mut groups, mut weights) = (Vec::new(), Vec::new());
        for group in bands.chunks(LANES) {
            let widest = group.iter().map(|band| band.weights.len()).max().unwrap_or(0);
            let registers = widest.div_ceil(LANES);
            // A group that the last bands do not fill has bands without weight at bin 0.
            let first_bins = array::from_fn(|nth| group.get(nth).map_or(0, |band| band.first_bin));
            let weight = |nth: usize, i: usize| group.get(nth).and_then(|band| band.weights.get(i)).copied();
            for register in 0..registers {
                let lane = |nth, lane| weight(nth, register * LANES + lane).unwrap_or(0.0);
                weights.push(array::from_fn(|nth| array::from_fn(|i| lane(nth, i))));
            }
            groups.push(Group { first_bins, registers });
        }
        Self { bands, groups: groups.into(), weights: weights.into() }
    }

    /// The weights that are not zero: band, bin, weight.
    pub fn iter(&self) -> impl Iterator<Item = (usize, usize, f64)> + '_ {
        self.bands.iter().enumerate().flat_map(|(nth, band)| {
            let bins = band.first_bin..;
            bins.zip(&band.weights).map(move |(bin, &weight)| (nth, bin, weight))
        })
    }

    /// Zeros that must follow a spectrum, and the bands' sums, for [`apply`](Self::apply).
    pub(crate) fn padding(&self) -> usize {
        self.groups.iter().map(|group| group.registers * LANES).max().unwrap_or(0).max(LANES)
    }

    /// The same triangles, all higher or lower by a factor.
    pub(crate) fn scaled(mut self, factor: f64) -> Self {
        self.weights.as_flattened_mut().as_flattened_mut().iter_mut().for_each(|weight| *weight *= factor);
        self.bands.iter_mut().flat_map(|band| &mut band.weights).for_each(|weight| *weight *= factor);
        self
    }

    /// Sums a spectrum `[n_fft/2 + 1 + padding]` in the bands `[n_mels + padding]`.
    #[inline(always)]
    pub(crate) fn apply(&self, spectrum: &[f64], sums: &mut [f64]) {
        let mut rest = &self.weights[..];
        for (sums, group) in sums.as_chunks_mut::<LANES>().0.iter_mut().zip(&self.groups) {
            let (weights, next) = rest.split_at(group.registers);
            rest = next;
            let bins = group.first_bins.map(|first| spectrum[first..].as_chunks::<LANES>().0);
            let mut lanes = [[0.0; LANES]; LANES];
            for (register, weights) in weights.iter().enumerate() {
                for ((lanes, weights), bins) in lanes.iter_mut().zip(weights).zip(bins) {
                    let bins = bins[register];
                    for i in 0..LANES {
                        lanes[i] += weights[i] * bins[i];
                    }
                }
            }
            *sums = lanes.map(|band| (band[0] + band[2]) + (band[1] + band[3]));
        }
    }
}
