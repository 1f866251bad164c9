//! One frame: window, transform, bands, logarithm.

use std::{f64::consts::TAU, sync::Arc};

use rustfft::{Fft, FftPlanner, num_complex::Complex64};

use crate::{Filterbank, FrontEnd, FrontEndError, Log, Spectrum, ln::ln};

/// Makes a frame from the samples under its window.
///
/// Each frame is transformed by itself, as a complex transform of half the length (its even samples the real parts, its
/// odd samples the imaginary parts). Two frames in one complex transform would take about the same time, but a frame's
/// last bits would then depend on its neighbour, and so on the cut of the stream.
pub(crate) struct Analysis {
    window: Box<[f64]>,
    fft: Arc<dyn Fft<f64>>,
    /// `[n_fft / 2]`: the frame, then the half-length transform.
    half: Box<[Complex64]>,
    scratch: Box<[Complex64]>,
    /// `-i e^(-2 pi i k / n_fft)` for `k` in `0..=n_fft/4`.
    twiddles: Box<[Complex64]>,
    /// `[n_fft / 2 + 1]`: four times the power, or twice the magnitude.
    spectrum: Box<[f64]>,
    kind: Spectrum,
    filterbank: Filterbank,
    /// `[n_mels]`
    sums: Box<[f64]>,
    log: Log,
}

impl Analysis {
    /// Checks the front end and takes all the memory that frames will need.
    pub(crate) fn new(front_end: &FrontEnd) -> Result<Self, FrontEndError> {
        front_end.validate()?;
        let FrontEnd { spectrum: kind, log, .. } = *front_end;
        let (n_fft, win) = (front_end.n_fft as usize, front_end.win_length as usize);
        let zeros = |len| vec![Complex64::ZERO; len].into_boxed_slice();
        let fft = FftPlanner::new().plan_fft_forward(n_fft / 2);
        let turn = |k: usize| Complex64::cis(-TAU * k as f64 / n_fft as f64) * -Complex64::I;
        let scale = match kind {
            Spectrum::Power => 0.25,
            Spectrum::Magnitude => 0.5,
        };
        Ok(Self {
            window: (0..win).map(|n| 0.5 - 0.5 * (TAU * n as f64 / win as f64).cos()).collect(),
            half: zeros(n_fft / 2),
            scratch: zeros(fft.get_inplace_scratch_len()),
            twiddles: (0..=n_fft / 4).map(turn).collect(),
            fft,
            spectrum: vec![0.0; n_fft / 2 + 1].into(),
            kind,
            // The spectrum's factor is a power of two: taken here it costs nothing and changes no bit.
            filterbank: Filterbank::new(front_end).scaled(scale),
            sums: vec![0.0; front_end.n_mels as usize].into(),
            log,
        })
    }

    /// Writes the frame `[n_mels]` of `samples` `[win_length]`.
    pub(crate) fn frame(&mut self, samples: &[f64], frame: &mut [f32]) {
        self.transform(samples);
        self.unpack();
        if self.kind == Spectrum::Magnitude {
            self.spectrum.iter_mut().for_each(|power| *power = power.sqrt());
        }
        self.filterbank.apply(&self.spectrum, &mut self.sums);
        take_log(self.log, &self.sums, frame);
    }

    /// The half-length transform of the windowed samples.
    ///
    /// A window shorter than the transform stands at its beginning: where it stands turns phases only.
    fn transform(&mut self, samples: &[f64]) {
        let (pairs, last) = samples.as_chunks::<2>();
        let (window_pairs, last_window) = self.window.as_chunks::<2>();
        let (head, tail) = self.half.split_at_mut(pairs.len());
        for ((z, x), w) in head.iter_mut().zip(pairs).zip(window_pairs) {
            *z = Complex64::new(x[0] * w[0], x[1] * w[1]);
        }
        tail.fill(Complex64::ZERO);
        if let ([x], [w], [z, ..]) = (last, last_window, tail) {
            z.re = x * w;
        }
        self.fft.process_with_scratch(&mut self.half, &mut self.scratch);
    }

    /// The frame's power spectrum, times four, from the half-length transform `Z`.
    ///
    /// With `E = Z[k] + conj Z[n-k]` and `O = -i w^k (Z[k] - conj Z[n-k])`, twice the frame's transform is `E + O` at
    /// bin `k` and `conj(E - O)` at bin `n - k`.
    fn unpack(&mut self) {
        let n = self.half.len();
        let dc = self.half[0];
        self.spectrum[0] = 4.0 * (dc.re + dc.im) * (dc.re + dc.im);
        self.spectrum[n] = 4.0 * (dc.re - dc.im) * (dc.re - dc.im);

        let middle = n / 2;
        let (low, high) = self.spectrum[1..n].split_at_mut(middle);
        let twiddles = self.twiddles[1..].iter();
        let below = self.half[1..=middle].iter();
        let above = self.half[n - middle..].iter().rev();
        // Where n is even the middle bin is its own mirror image: it stands in `low`, and `high` is one shorter.
        let mut mirrored = high.iter_mut().rev();
        for (((z, mirror), turn), power) in below.zip(above).zip(twiddles).zip(low) {
            let even = Complex64::new(z.re + mirror.re, z.im - mirror.im);
            let odd = Complex64::new(z.re - mirror.re, z.im + mirror.im);
            let odd =
                Complex64::new(odd.re * turn.re - odd.im * turn.im, odd.re * turn.im + odd.im * turn.re);
            *power = (even + odd).norm_sqr();
            if let Some(power) = mirrored.next() {
                *power = (even - odd).norm_sqr();
            }
        }
    }
}

/// The logarithm of band sums, rounded to float32.
pub(crate) fn take_log(log: Log, sums: &[f64], frame: &mut [f32]) {
    let values = frame.iter_mut().zip(sums);
    match log {
        Log::LnAdd { eps } => values.for_each(|(value, sum)| *value = ln(sum + eps) as f32),
        Log::LnMax { floor } => values.for_each(|(value, sum)| *value = ln(sum.max(floor)) as f32),
        Log::DbMax { amin } => {
            const DB: f64 = 10.0 / std::f64::consts::LN_10;
            values.for_each(|(value, sum)| *value = (DB * ln(sum.max(amin))) as f32);
        }
    }
}
