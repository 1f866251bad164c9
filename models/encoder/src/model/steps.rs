//! Windows and pieces of streams to the encoder's time steps.

use listen_runtime::{RuntimeError, Value};

use super::EncoderModel;
use crate::WindowJob;
use crate::carry::{Carried, Chain};
use crate::prepare::{Piece, Pieces};
use crate::recipe::Recipe;
use crate::tensor::{shape, some_frames};

impl EncoderModel {
    /// Whether the graph carries over from chunk to chunk.
    pub(crate) fn carries(&self) -> bool {
        self.graphs.carries()
    }

    /// Values of a time step of the encoder.
    pub(crate) fn step_size(&self) -> usize {
        (self.recipe.rows * self.recipe.dim).max(1)
    }

    /// The encoder's time steps of a window, or of a job's chunks, step by step.
    pub(crate) fn steps_of(&mut self, job: &WindowJob) -> Result<Vec<f32>, RuntimeError> {
        let mut steps = Vec::new();
        let Some(Pieces { pieces, .. }) = &job.pieces else {
            let encoded = self.run_encoder(&[job], job.frames)?;
            let grid = self.grid(&encoded);
            (0..grid.steps()).for_each(|step| grid.append_step(step, &mut steps));
            return Ok(steps);
        };
        for piece in pieces {
            self.encode_piece(piece, &mut steps)?;
        }
        Ok(steps)
    }

    /// Adds a chunk's own time steps, step by step.
    fn encode_piece(&mut self, piece: &Piece, steps: &mut Vec<f32>) -> Result<(), RuntimeError> {
        if let Some(chain) = piece.chain.as_ref().filter(|_| self.graphs.carries()) {
            return self.encode_carrying(piece, chain, steps);
        }
        let encoded = self.run_graph(&[&piece.data], piece.frames)?;
        let grid = self.grid(&encoded);
        let own = piece.lead_steps..piece.lead_steps + piece.steps;
        if grid.steps() < own.end {
            return Err(self.graphs.broken(format!("{} time steps, found {}", own.end, grid.steps())));
        }
        own.for_each(|step| grid.append_step(step, steps));
        Ok(())
    }

    /// The same where the graph carries over: only the frames that the chunk before it has not heard go through it.
    fn encode_carrying(
        &mut self,
        piece: &Piece,
        chain: &Chain,
        steps: &mut Vec<f32>,
    ) -> Result<(), RuntimeError> {
        let running = chain.own.begin();
        let per_step = u64::from(self.recipe.frames_per_step.max(1));
        let size = self.step_size();
        let begins = piece.start_frame - piece.lead_steps as u64 * per_step;
        let first = piece.start_frame / per_step;
        let end = first + piece.steps as u64;
        let reaches = |carried: &Carried| carried.first_step + (carried.steps.len() / size) as u64 >= end;
        let before = chain.before.as_ref().and_then(|before| before.wait()).filter(|carried| {
            // One more frame at least: a graph takes no part of 0 frames, though that would be the end of a stream that ended with
            // the chunk before it.
            let new = begins..begins + u64::from(piece.real);
            let goes_on = carried.states.is_some() && new.contains(&carried.heard);
            carried.first_step <= first && (goes_on || reaches(carried))
        });
        let (states, from, first_step, mut found) = match &before {
            Some(carried) => {
                (carried.states.as_deref(), carried.heard, carried.first_step, carried.steps.clone())
            }
            None => (None, begins, begins / per_step, Vec::new()),
        };
        // What fills a recording that is too short for the encoder stands behind its end. A part that goes on has nothing behind it.
        let frames = if before.is_none() && piece.ends { piece.frames } else { piece.real };
        let mut carried = None;
        if !before.as_deref().is_some_and(reaches) {
            let new = (from - begins) as usize..frames as usize;
            let data = some_frames(self.recipe.layout, &piece.data, piece.frames as usize, new.clone());
            carried = self.run_part(&data, new.len() as u32, states, piece.ends, &mut found)?;
        }
        let skip = (first - first_step) as usize * size;
        let own = found.get(skip..skip + piece.steps * size).ok_or_else(|| {
            let steps = first_step as usize + found.len() / size;
            self.graphs.broken(format!("time steps up to {end}, found {steps}"))
        })?;
        steps.extend_from_slice(own);
        found.drain(..skip + piece.steps * size);
        let heard = begins + u64::from(frames);
        running.leave(Carried { heard, states: carried, first_step: end, steps: found });
        Ok(())
    }

    /// Adds the time steps of a stream's next part, step by step; gives what it carries over.
    fn run_part(
        &mut self,
        data: &[f32],
        frames: u32,
        states: Option<&[Value]>,
        ends: bool,
        steps: &mut Vec<f32>,
    ) -> Result<Option<Vec<Value>>, RuntimeError> {
        let Recipe { layout, width, rows, dim, delay, .. } = self.recipe;
        let part = self.graphs.encode_part(&shape(layout, 1, frames as usize, width), data, states, ends)?;
        let came =
            (frames / self.recipe.frames_per_step.max(1)) as usize + if states.is_some() { delay } else { 0 };
        let expected = [1, came.saturating_sub(if ends { 0 } else { delay }) * rows, dim];
        if part.shape != expected {
            let place = if states.is_some() { "more" } else { "first" };
            return Err(self.graphs.broken(format!(
                "an output of {expected:?} for {frames} {place} frames of a stream, found {:?}",
                part.shape
            )));
        }
        let grid = self.grid(&part.steps);
        (0..grid.steps()).for_each(|step| grid.append_step(step, steps));
        Ok(part.states)
    }
}
