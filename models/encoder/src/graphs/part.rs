//! A graph that carries over, run on one part of a stream after the other.

use listen_package::Carry;
use listen_runtime::{Argument, ElementType, RuntimeError, TensorRef, Value};

use super::{Graph, names};
use crate::EncoderError;

/// What the encoder makes of a stream's next part.
#[derive(Debug)]
pub(crate) struct Part {
    /// Shape of its time steps.
    pub(crate) shape: Vec<usize>,
    pub(crate) steps: Vec<f32>,
    /// What is carried over; `None` where the stream has ended.
    pub(crate) states: Option<Vec<Value>>,
}

impl Graph {
    pub(super) fn part(
        &mut self,
        carry: &Carry,
        shape: &[usize],
        data: &[f32],
        states: Option<&[Value]>,
        ends: bool,
    ) -> Result<Part, RuntimeError> {
        let nothing = vec![1; self.tail_rank.saturating_sub(1)].into_iter().chain([0]).collect::<Vec<_>>();
        let mut inputs = vec![(self.input.as_str(), Argument::Tensor(TensorRef::f32(shape, data)?))];
        if !ends {
            inputs.push((&carry.tail, Argument::Tensor(TensorRef::f32(&nothing, &[])?)));
        }
        let states = carry.states.iter().zip(states.unwrap_or_default());
        inputs.extend(states.map(|(state, value)| (state.input.as_str(), Argument::Value(value))));
        let mut outputs = vec![self.output.as_str()];
        outputs.extend(carry.states.iter().filter(|_| !ends).map(|state| state.output.as_str()));
        let mut found = self.session.run_values(&inputs, &outputs)?.into_iter();
        let steps = found.next().ok_or_else(|| self.broken("an output, found none".into()))?;
        let (shape, steps) = (steps.shape().to_vec(), steps.f32()?.to_vec());
        Ok(Part { shape, steps, states: (!ends).then(|| found.collect()) })
    }

    /// Whether the graph has the ends that the manifest names.
    pub(super) fn check_carry(&mut self, carry: &Carry) -> Result<(), EncoderError> {
        let ends = std::iter::once((true, &carry.tail))
            .chain(carry.states.iter().flat_map(|state| [(true, &state.input), (false, &state.output)]));
        for (goes_in, name) in ends {
            let (side, ports) = match goes_in {
                true => ("input with a default", self.session.optional_inputs()),
                false => ("output", self.session.outputs()),
            };
            let found = ports.iter().find(|port| port.name == *name);
            let wrong = |expected: String, found: String| EncoderError::Graph {
                file: self.file.clone(),
                what: format!("streaming.carry: {side} that is carried over"),
                expected,
                found,
            };
            match found {
                None => return Err(wrong(name.clone(), names(ports))),
                Some(port) if port.element != ElementType::F32 => {
                    return Err(wrong(format!("`{name}` float32"), port.element.to_string()));
                }
                Some(port) if *name == carry.tail => self.tail_rank = port.dims.len(),
                Some(_) => {}
            }
        }
        Ok(())
    }
}
