//! Tensors of safetensors files, as float32.

use safetensors::{Dtype, SafeTensors};

use crate::PackageError;

/// A file's tensors.
pub(crate) struct Tensors<'a> {
    file: String,
    tensors: SafeTensors<'a>,
}

/// A tensor's shape and values, the last dimension running fastest.
pub(crate) type Tensor = (Vec<usize>, Vec<f32>);

impl<'a> Tensors<'a> {
    /// Reads the header of `bytes`, the content of `file`.
    pub(crate) fn new(file: String, bytes: &'a [u8]) -> Result<Self, PackageError> {
        if let Some(claim) = bytes.first_chunk::<8>().map(|b| u64::from_le_bytes(*b)) {
            let limit = bytes.len() as u64 - 8;
            if claim > limit {
                return Err(PackageError::TooLarge {
                    file,
                    what: "the header of a safetensors file",
                    limit,
                    found: claim,
                });
            }
        }
        match SafeTensors::deserialize(bytes) {
            Ok(tensors) => Ok(Self { file, tensors }),
            Err(e) => Err(PackageError::Safetensors { file, reason: e.to_string() }),
        }
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.tensor(name).is_ok()
    }

    /// The tensor `name`: float64, float32, float16 or bfloat16, all of it finite.
    pub(crate) fn get(&self, name: &str) -> Result<Tensor, PackageError> {
        let Ok(view) = self.tensors.tensor(name) else {
            let mut names = self.tensors.names();
            names.sort_unstable();
            return Err(self.wrong(name, "there", format!("only [{}]", names.join(", "))));
        };
        let data = view.data();
        let values: Vec<f32> = match view.dtype() {
            Dtype::F64 => data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
            Dtype::F32 => data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::F16 => data.as_chunks().0.iter().map(|b| half(u16::from_le_bytes(*b))).collect(),
            Dtype::BF16 => data
                .as_chunks()
                .0
                .iter()
                .map(|b| f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16))
                .collect(),
            other => return Err(self.wrong(name, "F64, F32, F16 or BF16", other.to_string())),
        };
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(self.wrong(name, "finite", format!("{} at {i}", values[i])));
        }
        Ok((view.shape().to_vec(), values))
    }

    /// The tensor `name`, which must have this shape; 0 stands for any number above 0.
    pub(crate) fn shaped(&self, name: &str, expected: &[usize]) -> Result<Tensor, PackageError> {
        let (shape, values) = self.get(name)?;
        let fits = shape.len() == expected.len()
            && shape.iter().zip(expected).all(|(&s, &e)| if e == 0 { s > 0 } else { s == e });
        if fits {
            return Ok((shape, values));
        }
        let dims: Vec<_> =
            expected.iter().map(|&d| if d == 0 { "any".to_string() } else { d.to_string() }).collect();
        Err(self.wrong(name, format!("of shape [{}]", dims.join(", ")), format!("{shape:?}")))
    }

    /// A tensor that is not as it must be.
    pub(crate) fn wrong(
        &self,
        tensor: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> PackageError {
        let (expected, found) = (expected.into(), found.into());
        PackageError::Tensor { file: self.file.clone(), tensor: tensor.into(), expected, found }
    }
}

/// A float16 (IEEE 754 binary16) as float32, exactly.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) =
        (u32::from(bits >> 15) << 31, u32::from(bits >> 10) & 31, u32::from(bits) & 1023);
    match exponent {
        // Subnormal: fraction * 2^-24.
        0 => f32::from_bits(sign | (fraction as f32 / 16_777_216.0).to_bits()),
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::half;

    #[test]
    fn float16_becomes_float32_exactly() {
        let known =
            [(0x0000, 0.0), (0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65_504.0), (0x3555, 0.333_251_95)];
        for (bits, value) in known {
            assert_eq!(half(bits), value, "{bits:#06x}");
        }
        assert_eq!(half(0x0001), 2.0_f32.powi(-24));
        assert_eq!(half(0x83ff), -1023.0 * 2.0_f32.powi(-24));
        assert_eq!(half(0x8000).to_bits(), (-0.0_f32).to_bits());
        assert_eq!(half(0xfc00), f32::NEG_INFINITY);
        assert!(half(0x7e00).is_nan());
    }
}
