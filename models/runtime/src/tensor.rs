//! Tensors in memory, row-major, and borrowed views of them.

use std::fmt;

use crate::error::RuntimeError;

/// A tensor that owns its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Size of each dimension, outermost first.
    pub shape: Vec<usize>,
    /// The values, row-major.
    pub data: TensorData,
}

/// The values of a [`Tensor`].
#[derive(Debug, Clone, PartialEq)]
pub enum TensorData {
    /// float32.
    F32(Vec<f32>),
    /// 64-bit integers: token ids, masks.
    I64(Vec<i64>),
}

/// A borrowed tensor: what a session takes, without a copy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TensorRef<'a> {
    pub(crate) shape: &'a [usize],
    pub(crate) data: DataRef<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum DataRef<'a> {
    F32(&'a [f32]),
    I64(&'a [i64]),
}

/// Type of a tensor's elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElementType {
    /// float32.
    F32,
    /// 64-bit integers.
    I64,
    /// Any other, by ONNX Runtime's name; a session can neither take nor give it.
    Other(String),
}

impl Tensor {
    /// A float32 tensor.
    ///
    /// # Errors
    /// The data does not fill the shape.
    pub fn f32(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Result<Self, RuntimeError> {
        let shape = shape.into();
        check_length(&shape, data.len())?;
        Ok(Self { shape, data: TensorData::F32(data) })
    }

    /// A tensor of 64-bit integers.
    ///
    /// # Errors
    /// The data does not fill the shape.
    pub fn i64(shape: impl Into<Vec<usize>>, data: Vec<i64>) -> Result<Self, RuntimeError> {
        let shape = shape.into();
        check_length(&shape, data.len())?;
        Ok(Self { shape, data: TensorData::I64(data) })
    }

    /// The tensor without its values being copied.
    pub fn view(&self) -> TensorRef<'_> {
        let data = match &self.data {
            TensorData::F32(data) => DataRef::F32(data),
            TensorData::I64(data) => DataRef::I64(data),
        };
        TensorRef { shape: &self.shape, data }
    }

    /// The values, where they are float32.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            TensorData::F32(data) => Some(data),
            TensorData::I64(_) => None,
        }
    }

    /// The values, where they are float32, without a copy.
    pub fn into_f32(self) -> Option<Vec<f32>> {
        match self.data {
            TensorData::F32(data) => Some(data),
            TensorData::I64(_) => None,
        }
    }
}

impl<'a> TensorRef<'a> {
    /// A view of float32 values, row-major.
    ///
    /// # Errors
    /// The data does not fill the shape.
    pub fn f32(shape: &'a [usize], data: &'a [f32]) -> Result<Self, RuntimeError> {
        check_length(shape, data.len())?;
        Ok(Self { shape, data: DataRef::F32(data) })
    }

    /// A view of 64-bit integers, row-major.
    ///
    /// # Errors
    /// The data does not fill the shape.
    pub fn i64(shape: &'a [usize], data: &'a [i64]) -> Result<Self, RuntimeError> {
        check_length(shape, data.len())?;
        Ok(Self { shape, data: DataRef::I64(data) })
    }

    /// Size of each dimension.
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// Type of the elements.
    pub fn element(&self) -> ElementType {
        match self.data {
            DataRef::F32(_) => ElementType::F32,
            DataRef::I64(_) => ElementType::I64,
        }
    }

    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        match self.data {
            DataRef::F32(data) => data.len(),
            DataRef::I64(data) => data.len(),
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32 => f.write_str("float32"),
            Self::I64 => f.write_str("int64"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// Whether `found` values fill `shape`.
pub(crate) fn check_length(shape: &[usize], found: usize) -> Result<(), RuntimeError> {
    let expected = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    match expected {
        Some(expected) if expected == found => Ok(()),
        expected => Err(RuntimeError::Length {
            shape: shape.to_vec(),
            expected: expected.unwrap_or(usize::MAX),
            found,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_does_not_fill_the_shape_is_refused_with_both_numbers() {
        let error = Tensor::f32([2, 3], vec![0.0; 5]).map_err(|e| e.to_string());
        assert_eq!(error, Err("shape [2, 3] takes 6 values, 5 are given".into()));
        assert!(TensorRef::i64(&[2], &[1, 2, 3]).is_err());
    }

    #[test]
    fn a_shape_whose_size_overflows_is_an_error() {
        assert!(TensorRef::f32(&[usize::MAX, 2], &[]).is_err());
    }

    #[test]
    fn a_view_has_the_values_of_its_tensor() -> Result<(), RuntimeError> {
        let tensor = Tensor::i64([2], vec![3, 4])?;
        assert_eq!(tensor.view(), TensorRef::i64(&[2], &[3, 4])?);
        assert_eq!(tensor.as_f32(), None);
        Ok(())
    }
}
