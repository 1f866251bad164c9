//! Encoding in chunks: what a package may promise.

use std::collections::HashSet;

use super::{Check, Fault, must, within, word};
use crate::{Carry, Edge, EncoderKind, Frontend, Manifest, Normalize, Streaming};

/// Most states that a graph carries over.
const MAX_STATES: u32 = 1 << 10;

impl Manifest {
    pub(super) fn check_streaming(&self) -> Check {
        let Some(streaming) = &self.streaming else { return Ok(()) };
        let kind = self.encoder.output.kind;
        let refused = |why: &str| {
            let expected = format!("absent, as {why}");
            Err(Fault { key: "streaming".into(), expected, found: word(streaming) })
        };
        if matches!(kind, EncoderKind::Clip | EncoderKind::Logits) {
            return refused(&format!("the encoder gives no time steps but {}", word(kind)));
        }
        if self.frontend == Frontend::InGraph {
            return refused("the graph takes samples");
        }
        if self.window.edge == Edge::Exact {
            return refused("`window.edge` is exact: each window is a recording of its own");
        }
        if !matches!(self.normalize, Normalize::None | Normalize::Fixed { .. }) {
            return refused(
                "`normalize` follows the sound: a chunk would be normalised otherwise than the whole",
            );
        }
        self.check_lengths(streaming)?;
        streaming.carry.as_ref().map_or(Ok(()), |carry| self.check_carry(carry))
    }

    /// Each end of the graph is named once.
    fn check_carry(&self, carry: &Carry) -> Check {
        let count = u32::try_from(carry.states.len()).unwrap_or(u32::MAX);
        within("streaming.carry.states", 1, MAX_STATES, count)?;
        let (mut inputs, mut outputs) = (HashSet::new(), HashSet::new());
        inputs.insert(self.encoder.input.name.as_str());
        outputs.insert(self.encoder.output.name.as_str());
        let named = |seen: &HashSet<&str>, key: String, name: &str| {
            let free = !name.is_empty() && !seen.contains(name);
            must(free, key, "the name of an end of the graph that nothing else has", word(name))
        };
        named(&inputs, "streaming.carry.tail".into(), &carry.tail)?;
        inputs.insert(&carry.tail);
        for (i, state) in carry.states.iter().enumerate() {
            named(&inputs, format!("streaming.carry.states[{i}].input"), &state.input)?;
            named(&outputs, format!("streaming.carry.states[{i}].output"), &state.output)?;
            inputs.insert(&state.input);
            outputs.insert(&state.output);
        }
        Ok(())
    }

    fn check_lengths(&self, streaming: &Streaming) -> Check {
        let &Streaming { chunk_frames, left_context, right_context, .. } = streaming;
        let (step, multiple) = (self.encoder.output.frames_per_column.max(1), self.window.multiple_of.max(1));
        let keys = [
            ("chunk_frames", chunk_frames),
            ("left_context", left_context),
            ("right_context", right_context),
        ];
        for (key, found) in keys {
            let key = format!("streaming.{key}");
            let expected = format_args!("a multiple of `encoder.output.frames_per_column` ({step})");
            must(found.is_multiple_of(step), &key, expected, found)?;
            let expected = format_args!("a multiple of `window.multiple_of` ({multiple})");
            must(found.is_multiple_of(multiple), &key, expected, found)?;
        }
        must(chunk_frames > 0, "streaming.chunk_frames", "above 0", chunk_frames)?;
        let (shortest, longest) = (u64::from(self.window.min_frames), u64::from(self.window.max_frames));
        let all = u64::from(chunk_frames) + u64::from(left_context) + u64::from(right_context);
        must(
            (shortest..=longest).contains(&all),
            "streaming",
            format_args!(
                "`window.min_frames` to `window.max_frames` ({shortest} to {longest}) frames with both contexts"
            ),
            all,
        )
    }
}
