//! Tensors that stay where ONNX Runtime made them: what one run gives and the next takes, without a copy.

use ort::value::{DynValue, TensorElementType, ValueType};

use crate::error::{RuntimeError, Side, run_failed};
use crate::exit::{self, Pass};
use crate::session::{Session, all_given, check, index, with_values};
use crate::tensor::{ElementType, TensorRef};

/// An output of [`Session::run_values`], which may be an input of the next run.
pub struct Value {
    /// `None` only while it is dropped.
    value: Option<DynValue>,
    element: ElementType,
    shape: Vec<usize>,
}

/// What a run is given: values of ours, or of a run before. Either may be empty.
#[derive(Debug, Clone, Copy)]
pub enum Argument<'a> {
    /// Values of ours, which are not copied.
    Tensor(TensorRef<'a>),
    /// What a run has given.
    Value(&'a Value),
}

impl Value {
    fn new(value: DynValue) -> Value {
        let (element, shape) = match value.dtype() {
            ValueType::Tensor { ty, shape, .. } => {
                let element = match ty {
                    TensorElementType::Float32 => ElementType::F32,
                    TensorElementType::Int64 => ElementType::I64,
                    other => ElementType::Other(other.to_string()),
                };
                (element, shape.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect())
            }
            other => (ElementType::Other(other.to_string()), Vec::new()),
        };
        Value { value: Some(value), element, shape }
    }

    /// Size of each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The values, row-major.
    ///
    /// # Errors
    /// They are no float32.
    pub fn f32(&self) -> Result<&[f32], RuntimeError> {
        let Some(value) = &self.value else { return Ok(&[]) };
        let (_, values) = value.try_extract_tensor::<f32>().map_err(run_failed)?;
        Ok(values)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        let value = self.value.take();
        // While the process exits, the library may be gone at any time: then it is left to the system.
        match Pass::get() {
            Ok(_pass) => drop(value),
            Err(_) => std::mem::forget(value),
        }
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Value({} {:?})", self.element, self.shape)
    }
}

impl Argument<'_> {
    fn element(&self) -> ElementType {
        match self {
            Argument::Tensor(tensor) => tensor.element(),
            Argument::Value(value) => value.element.clone(),
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Argument::Tensor(tensor) => tensor.shape(),
            Argument::Value(value) => value.shape(),
        }
    }
}

impl Session {
    /// As [`run`](Self::run), but dimensions may be 0, inputs may be outputs of a run before (of this session or
    /// another), and outputs stay where ONNX Runtime made them: nothing is copied.
    ///
    /// # Errors
    /// As [`run`](Self::run), but for types of outputs.
    pub fn run_values(
        &mut self,
        inputs: &[(&str, Argument<'_>)],
        outputs: &[&str],
    ) -> Result<Vec<Value>, RuntimeError> {
        let loaded = &*self.loaded;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for (name, argument) in inputs {
            let i = index(Side::Input, &loaded.inputs, name)?;
            check(&loaded.inputs[i], &argument.element(), argument.shape())?;
            match argument {
                Argument::Tensor(tensor) => ours.push((i, *tensor)),
                Argument::Value(value) => theirs.extend(value.value.as_ref().map(|value| (i, value))),
            }
        }
        all_given(loaded.needed(), inputs.iter().map(|(name, _)| *name))?;
        let wanted: Vec<usize> = outputs
            .iter()
            .map(|name| index(Side::Output, &loaded.outputs, name))
            .collect::<Result<_, _>>()?;
        // A value takes a pass of its own when it is dropped: none is made while this one is held.
        let results = {
            let _pass = Pass::get()?;
            with_values(&ours, |values| {
                let all: Vec<(usize, &DynValue)> = values.iter().chain(&theirs).copied().collect();
                let results = loaded.callable.run(&all, &wanted)?;
                exit::register_again();
                Ok(results)
            })?
        };
        Ok(results.into_iter().map(Value::new).collect())
    }
}
