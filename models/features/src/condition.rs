//! What is done to samples before the front end.

/// What is done to samples in [-1, 1] before the front end (models.md 1.2): rounded to 16 bits where the model was
/// trained so, and multiplied by a constant.
///
/// ```
/// use listen_features::Conditioning;
///
/// let plain = Conditioning::default();
/// assert_eq!(plain.apply(0.1), 0.1);
/// let scaled = Conditioning { pre_scale: 0.5, int16_roundtrip: true };
/// assert_eq!(scaled.apply(0.1), (0.5 * 3_277.0 / 32_767.0) as f32);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditioning {
    /// Samples are multiplied by it.
    pub pre_scale: f64,
    /// Whether they are clamped to [-1, 1] and rounded to a whole number of 1/32767 first.
    pub int16_roundtrip: bool,
}

impl Default for Conditioning {
    /// Samples as they are.
    fn default() -> Self {
        Self { pre_scale: 1.0, int16_roundtrip: false }
    }
}

impl Conditioning {
    /// A sample as the front end takes it; in float64, rounded to float32 once. One that is not finite stays so.
    pub fn apply(&self, sample: f32) -> f32 {
        let rounded = match self.int16_roundtrip {
            true => (f64::from(sample.clamp(-1.0, 1.0)) * 32_767.0).round() / 32_767.0,
            false => f64::from(sample),
        };
        (rounded * self.pre_scale) as f32
    }

    /// The same for samples in a row.
    pub fn apply_to(&self, samples: &mut [f32]) {
        if *self != Self::default() {
            samples.iter_mut().for_each(|sample| *sample = self.apply(*sample));
        }
    }
}

/// Little-endian 16-bit samples as float32 in [-1, 1), exactly; as many as both sides hold, which is the answer.
pub fn from_s16le(bytes: &[u8], samples: &mut [f32]) -> usize {
    let pairs = bytes.as_chunks().0.iter().zip(samples);
    pairs.map(|(bytes, sample)| *sample = f32::from(i16::from_le_bytes(*bytes)) / 32_768.0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_are_kept_exactly_from_end_to_end() {
        let mut samples = [9.0; 4];
        let integers = [i16::MIN, -1, 16_384];
        let bytes: Vec<u8> = integers.iter().flat_map(|integer| integer.to_le_bytes()).chain([7]).collect();
        assert_eq!(from_s16le(&bytes, &mut samples), 3);
        assert_eq!(samples, [-1.0, -1.0 / 32_768.0, 0.5, 9.0]);
    }

    #[test]
    fn samples_are_rounded_before_they_are_scaled() {
        let both = Conditioning { pre_scale: 32_767.0, int16_roundtrip: true };
        let mut samples = [0.1, -0.000_01, 2.0, -2.0];
        both.apply_to(&mut samples);
        assert_eq!(samples, [3_277.0, 0.0, 32_767.0, -32_767.0]);
        assert_eq!(Conditioning { int16_roundtrip: false, ..both }.apply(2.0), 65_534.0);
    }

    #[test]
    fn what_is_no_number_stays_none() {
        let both = Conditioning { pre_scale: 0.5, int16_roundtrip: true };
        assert!(both.apply(f32::NAN).is_nan());
        assert_eq!(Conditioning::default().apply(f32::INFINITY), f32::INFINITY);
    }
}
