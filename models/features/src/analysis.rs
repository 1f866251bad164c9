//! One frame: window, transform, bands, logarithm.

use std::{f64::consts::TAU, sync::Arc};

use rustfft::{Fft, FftPlanner, num_complex::Complex64};

use crate::{Filterbank, FrontEnd, FrontEndError, Log, Spectrum, filterbank::LANES, ln::ln};

/// Makes a frame from the samples under its window.
///
/// Each frame is transformed by itself, as a complex transform of half the length (its even samples the real parts, its
/// odd samples the imaginary parts). Two frames in one complex transform would take about the same time, but a frame's
/// last bits would then depend on its neighbour, and so on the cut of the stream.
pub(crate) struct Analysis {
    window: Box<[f64]>,
    fft: Arc<dyn Fft<f64>>,
    /// `[n_fft / 2]`: the windowed samples in pairs; zeros after a window that is shorter.
    pairs: Box<[Complex64]>,
    /// `[n_fft / 2 + 1]`: the half-length transform, its first bin once more at the end.
    half: Box<[Complex64]>,
    scratch: Box<[Complex64]>,
    twiddles: Twiddles,
    /// `[n_fft / 2 + 1]`: four times the power, or twice the magnitude; zeros after it.
    spectrum: Box<[f64]>,
    kind: Spectrum,
    filterbank: Filterbank,
    /// `[n_mels]`, and a few more.
    sums: Box<[f64]>,
    log: Log,
}

/// `-i e^(-2 pi i k / n_fft)` for `k` in `0..=n_fft/4`.
struct Twiddles {
    re: Box<[f64]>,
    im: Box<[f64]>,
}

impl Analysis {
    /// Checks the front end and takes all the memory that frames will need.
    pub(crate) fn new(front_end: &FrontEnd) -> Result<Self, FrontEndError> {
        front_end.validate()?;
        front_end.must_be_read()?;
        let FrontEnd { spectrum: kind, log, .. } = *front_end;
        let (n_fft, win) = (front_end.n_fft as usize, front_end.win_length as usize);
        let zeros = |len| vec![Complex64::ZERO; len].into_boxed_slice();
        let fft = FftPlanner::new().plan_fft_forward(n_fft / 2);
        let angles = (0..=n_fft / 4).map(|k| TAU * k as f64 / n_fft as f64);
        let scale = match kind {
            Spectrum::Power => 0.25,
            Spectrum::Magnitude => 0.5,
        };
        // The spectrum's factor is a power of two: taken here it costs nothing and changes no bit.
        let filterbank = Filterbank::new(front_end).scaled(scale);
        Ok(Self {
            window: (0..win).map(|n| 0.5 - 0.5 * (TAU * n as f64 / win as f64).cos()).collect(),
            pairs: zeros(n_fft / 2),
            half: zeros(n_fft / 2 + 1),
            scratch: zeros(fft.get_immutable_scratch_len()),
            twiddles: Twiddles {
                re: angles.clone().map(|angle| -angle.sin()).collect(),
                im: angles.map(|angle| -angle.cos()).collect(),
            },
            fft,
            spectrum: vec![0.0; n_fft / 2 + 1 + filterbank.padding()].into(),
            kind,
            sums: vec![0.0; front_end.n_mels as usize + filterbank.padding()].into(),
            filterbank,
            log,
        })
    }

    /// Writes the frame `[n_mels]` of `samples` `[win_length]`.
    pub(crate) fn frame(&mut self, samples: &[f64], frame: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            #[allow(unsafe_code, reason = "calls code for a processor's extension")]
            // SAFETY: the processor has just been asked.
            return unsafe { self.frame_avx2(samples, frame) };
        }
        self.frame_anywhere(samples, frame);
    }

    /// The same operations in wider registers: the compiler fuses none and changes no order, so the bits are the same.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn frame_avx2(&mut self, samples: &[f64], frame: &mut [f32]) {
        self.frame_anywhere(samples, frame);
    }

    #[inline(always)]
    fn frame_anywhere(&mut self, samples: &[f64], frame: &mut [f32]) {
        lay_pairs(samples, &self.window, &mut self.pairs);
        let bins = self.pairs.len();
        self.fft.process_immutable_with_scratch(&self.pairs, &mut self.half[..bins], &mut self.scratch);
        self.half[bins] = self.half[0];
        unpack(&self.half, &self.twiddles, &mut self.spectrum[..=bins]);
        if self.kind == Spectrum::Magnitude {
            self.spectrum.iter_mut().for_each(|power| *power = power.sqrt());
        }
        self.filterbank.apply(&self.spectrum, &mut self.sums);
        take_log(self.log, &self.sums, frame);
    }
}

/// Windows samples and lays them out in pairs, from the beginning of `pairs` on.
///
/// A window shorter than the transform stands at its beginning: where it stands turns phases only.
#[inline(always)]
fn lay_pairs(samples: &[f64], window: &[f64], pairs: &mut [Complex64]) {
    let windowed = |x: &[f64; 2], w: &[f64; 2]| Complex64::new(x[0] * w[0], x[1] * w[1]);
    let ((samples, last), (window, last_weight)) = (samples.as_chunks(), window.as_chunks());
    for ((pair, x), w) in pairs.iter_mut().zip(samples).zip(window) {
        *pair = windowed(x, w);
    }
    if let ([x], [w]) = (last, last_weight) {
        pairs[samples.len()].re = x * w;
    }
}

/// The frame's power spectrum `[n + 1]`, times four, from its half-length transform `Z` `[n + 1]`, where `Z[n] = Z[0]`.
///
/// With `E = Z[k] + conj Z[n-k]` and `O = -i w^k (Z[k] - conj Z[n-k])`, twice the frame's transform is `E + O` at bin `k`
/// and `conj(E - O)` at bin `n - k`.
#[inline(always)]
fn unpack(half: &[Complex64], twiddles: &Twiddles, spectrum: &mut [f64]) {
    let n = half.len() - 1;
    let below = n.div_ceil(2);
    let (low, high) = spectrum.split_at_mut(below);
    if n.is_multiple_of(2) {
        high[0] = 4.0 * half[below].norm_sqr();
    }
    let (low, low_rest) = low.as_chunks_mut::<LANES>();
    let (high_rest, high) = high[n + 1 - 2 * below..].as_rchunks_mut::<LANES>();
    let (z, z_rest) = half[..below].as_chunks::<LANES>();
    let (mirror_rest, mirror) = half[n + 1 - below..].as_rchunks::<LANES>();
    let (re, re_rest) = twiddles.re[..below].as_chunks::<LANES>();
    let (im, im_rest) = twiddles.im[..below].as_chunks::<LANES>();

    let registers =
        low.iter_mut().zip(high.iter_mut().rev()).zip(z).zip(mirror.iter().rev()).zip(re.iter().zip(im));
    for ((((low, high), z), mirror), (re, im)) in registers {
        (*low, *high) = unpack_bins(z, mirror, re, im);
    }
    let rest = low_rest.iter_mut().zip(high_rest.iter_mut().rev());
    let rest = rest.zip(z_rest).zip(mirror_rest.iter().rev()).zip(re_rest.iter().zip(im_rest));
    for ((((low, high), z), mirror), (re, im)) in rest {
        ([*low], [*high]) = unpack_bins(&[*z], &[*mirror], &[*re], &[*im]);
    }
}

/// Bins `k..k + N`, and bins `n - k - N + 1..=n - k`, from `Z` at the same places.
#[inline(always)]
fn unpack_bins<const N: usize>(
    z: &[Complex64; N],
    mirror: &[Complex64; N],
    re: &[f64; N],
    im: &[f64; N],
) -> ([f64; N], [f64; N]) {
    let (mut low, mut high) = ([0.0; N], [0.0; N]);
    for i in 0..N {
        let (z, mirror) = (z[i], mirror[N - 1 - i]);
        let (even_re, even_im) = (z.re + mirror.re, z.im - mirror.im);
        let (odd_re, odd_im) = (z.re - mirror.re, z.im + mirror.im);
        let turned_re = odd_re * re[i] - odd_im * im[i];
        let turned_im = odd_re * im[i] + odd_im * re[i];
        let (sum_re, sum_im) = (even_re + turned_re, even_im + turned_im);
        let (difference_re, difference_im) = (even_re - turned_re, even_im - turned_im);
        low[i] = sum_re * sum_re + sum_im * sum_im;
        high[N - 1 - i] = difference_re * difference_re + difference_im * difference_im;
    }
    (low, high)
}

/// The logarithm of band sums, rounded to float32.
#[inline(always)]
pub(crate) fn take_log(log: Log, sums: &[f64], frame: &mut [f32]) {
    const DB: f64 = 10.0 / std::f64::consts::LN_10;
    // Sums are numbers: a comparison alone takes one instruction, `f64::max` also looks for NaN.
    let at_least = |sum: f64, least: f64| if sum > least { sum } else { least };
    let values = frame.iter_mut().zip(sums);
    match log {
        Log::LnAdd { eps } => values.for_each(|(value, sum)| *value = ln(sum + eps) as f32),
        Log::LnMax { floor } => values.for_each(|(value, sum)| *value = ln(at_least(*sum, floor)) as f32),
        Log::DbMax { amin } => {
            values.for_each(|(value, sum)| *value = (DB * ln(at_least(*sum, amin))) as f32)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Analysis;
    use crate::FrontEnd;

    #[test]
    fn wider_registers_give_the_same_bits() {
        let odd = FrontEnd { n_fft: 250, win_length: 249, n_mels: 13, ..FrontEnd::m2d_16k() };
        let tiny = FrontEnd { n_fft: 2, win_length: 2, n_mels: 1, ..FrontEnd::m2d_16k() };
        for front_end in [FrontEnd::m2d_16k(), FrontEnd::laion_clap(), FrontEnd::yamnet(), odd, tiny] {
            let mut analysis = Analysis::new(&front_end).unwrap();
            let (mut wide, mut narrow) = ([0.0; 80], [0.0; 80]);
            let bands = front_end.n_mels as usize;
            for seed in 0..50 {
                let sample = |n| (f64::from(n) * 0.37 + f64::from(seed)).sin() * 10_f64.powi(-seed % 9);
                let samples: Vec<f64> = (0..front_end.win_length).map(sample).collect();
                analysis.frame(&samples, &mut wide[..bands]);
                analysis.frame_anywhere(&samples, &mut narrow[..bands]);
                assert_eq!(wide.map(f32::to_bits), narrow.map(f32::to_bits), "{front_end:?}");
            }
        }
    }
}
