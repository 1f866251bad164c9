//! Samples as they are, for models that have their front end inside.

/// A stream of samples for a graph that has its front end inside: they stay as they are, but for those that are not finite.
///
/// ```
/// use listen_features::Plain;
///
/// let (mut plain, mut samples) = (Plain::default(), [0.5, f32::NAN, f32::NEG_INFINITY, -1.0]);
/// plain.mend(&mut samples);
/// assert_eq!((samples, plain.bad_samples()), ([0.5, 0.0, 0.0, -1.0], 2));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Plain {
    bad: u64,
}

impl Plain {
    /// Takes samples that are not finite as 0, and counts them.
    pub fn mend(&mut self, samples: &mut [f32]) {
        for sample in samples.iter_mut().filter(|sample| !sample.is_finite()) {
            *sample = 0.0;
            self.bad += 1;
        }
    }

    /// Samples so far that were not finite.
    pub fn bad_samples(&self) -> u64 {
        self.bad
    }
}
