//! Jobs to embeddings.

use std::ops::Range;

use listen_features::Strength;
use listen_package::{EncoderKind, FrameEmbedding, HeadInput, Output, TokenOrder};
use listen_runtime::{Model, Provider, RuntimeError};

use crate::WindowJob;
use crate::graphs::Graphs;
use crate::recipe::{Recipe, activate};
use crate::tensor::{Grid, append_pooled, shape, unit_length};

mod steps;

/// What a window was turned into.
///
/// With `output=clip` it is one vector. With `output=frames` it is a vector for each time step that the window gives
/// ([`StepGrid`](crate::StepGrid)), in order. With `output=tokens` it is `rows_per_step` vectors for each of those time steps: step by step,
/// within a step from the lowest frequency to the highest, whatever the order in the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// Number of vectors; 0 where earlier windows gave all that is real.
    pub rows: usize,
    /// Length of a vector.
    pub dim: usize,
    /// `[rows, dim]`. Length 1 where they can be compared with text ([`Plan::in_text_space`](crate::Plan)), otherwise as
    /// the model gives them.
    pub data: Vec<f32>,
    /// The first frame that it describes, counted from the start of the stream.
    pub start_frame: u64,
    /// How many frames it describes: real sound only, so fewer than the window or the steps where the stream ended.
    pub frames: u32,
    /// Frames from one time step to the next; 0 with `output=clip`.
    pub frames_per_step: u32,
    /// Vectors per time step; 1 but for tokens.
    pub rows_per_step: usize,
    /// The window's first frame.
    pub window_start: u64,
    /// Frames of real sound in the window.
    pub valid_frames: u32,
    /// Whether the stream ended in the window.
    pub last: bool,
    /// Level of the window's real sound, in dB relative to a full-scale sine of 1 kHz.
    pub level_db: f32,
    /// How strongly sound begins and ends at each of the frames that it describes, by what the window (or the chunk with its
    /// contexts) holds within 120 ms on either side; none but with `output=frames`, and where the front end is in the graph.
    pub strengths: Vec<Strength>,
    /// What ran the encoder's graph; never `Auto`.
    pub provider: Provider,
    /// The classifier's scores in [0, 1], `[rows, classes]`, in the order of the package's classes.
    ///
    /// The classifier takes the clip embedding as it is given here. With `output=frames` it scores each time step where the
    /// clip embedding is the mean over time (or the head maps single steps), and nothing otherwise; tokens have no scores.
    pub scores: Option<Vec<f32>>,
    /// Which stream it is of, where that is encoded in chunks: counted. 0 otherwise.
    pub stream: u64,
}

/// An encoder with its graphs: windows in, embeddings out.
///
/// A window's embedding does not depend on what else is in its batch: to the bit in batches of one, and otherwise within
/// 1e-6 (kernels for several rows may add in another order). Windows of unequal length run apart. Where a batch fails
/// each of its windows is tried by itself, so that a failure is that of one window.
///
/// Where the graph carries over, a chunk is encoded with what the one before it left, or with its contexts where that was not
/// encoded: the same within what kernels round, and to the bit for a stream that hands over one job at a time. A chunk waits for
/// the one before it while that is being encoded.
#[derive(Debug)]
pub struct EncoderModel {
    recipe: Recipe,
    graphs: Graphs,
    output: Output,
}

/// Vectors on their way: which of a window's time steps they stand for is in `spans`.
struct Vectors {
    data: Vec<f32>,
    dim: usize,
    rows_per_step: usize,
    /// The steps that each window gives; `0..1` of a clip.
    spans: Vec<Range<usize>>,
}

impl EncoderModel {
    pub(crate) fn new(recipe: Recipe, graphs: Graphs, output: Output) -> Self {
        Self { recipe, graphs, output }
    }

    /// What runs the encoder's graph; never `Auto`.
    pub fn provider(&self) -> Provider {
        self.graphs.provider()
    }

    /// The embeddings of windows of equal length, as `output`.
    pub(crate) fn encode(
        &mut self,
        jobs: &[&WindowJob],
        output: Output,
    ) -> Result<Vec<Embedding>, RuntimeError> {
        let Some(first) = jobs.first() else { return Ok(Vec::new()) };
        let encoded = self.run_encoder(jobs, first.frames)?;
        let vectors = match output {
            Output::Clip => self.clips(encoded, jobs.len())?,
            Output::Frames => self.frames(&encoded, jobs)?,
            Output::Tokens => self.tokens(&encoded, jobs),
        };
        self.finish(jobs, vectors, output)
    }

    /// What the chunks of a job give, or the clip embedding of time steps that were kept.
    fn encode_part(&mut self, job: &WindowJob) -> Result<Embedding, RuntimeError> {
        let (vectors, output) = match (&job.tokens, &job.pieces) {
            (Some(tokens), _) => (self.clips(self.in_order_of_graph(tokens), 1)?, Output::Clip),
            (None, Some(_)) => {
                let steps = self.steps_of(job)?;
                match self.output {
                    Output::Frames => (self.frames(&self.in_order_of_graph(&steps), &[job])?, Output::Frames),
                    Output::Clip | Output::Tokens => {
                        let Recipe { dim, rows, .. } = self.recipe;
                        let spans = std::iter::once(0..steps.len() / self.step_size()).collect();
                        (Vectors { data: steps, dim, rows_per_step: rows, spans }, Output::Tokens)
                    }
                }
            }
            (None, None) => return self.encode_one(job),
        };
        let one = self.finish(&[job], vectors, output)?.pop();
        one.ok_or_else(|| self.graphs.broken("an embedding for each window, found none".into()))
    }

    /// Vectors that stand step by step, as the graph would have put them.
    fn in_order_of_graph(&self, steps: &[f32]) -> Vec<f32> {
        let Recipe { order, rows, dim, .. } = self.recipe;
        if rows == 1 || order == TokenOrder::TMajor {
            return steps.to_vec();
        }
        let grid = Grid::new(steps, TokenOrder::TMajor, rows, dim);
        let places = (0..rows).flat_map(|row| (0..grid.steps()).map(move |step| (row, step)));
        places.flat_map(|(row, step)| grid.token(row, step).iter().copied()).collect()
    }

    fn finish(
        &mut self,
        jobs: &[&WindowJob],
        mut vectors: Vectors,
        output: Output,
    ) -> Result<Vec<Embedding>, RuntimeError> {
        if self.recipe.in_text_space(output) {
            vectors.data.chunks_mut(vectors.dim.max(1)).for_each(unit_length);
        }
        if let Some(at) = vectors.data.iter().position(|v| !v.is_finite()) {
            let (value, at) = (vectors.data[at], at % vectors.dim.max(1));
            return Err(self.graphs.broken(format!("finite embeddings, found {value} as value {at}")));
        }
        let scores = self.scores(&vectors, output)?;
        Ok(split(jobs, vectors, scores, self.provider()))
    }

    /// The encoder's output, one window after the other.
    fn run_encoder(&mut self, jobs: &[&WindowJob], frames: u32) -> Result<Vec<f32>, RuntimeError> {
        let windows: Vec<&[f32]> = jobs.iter().map(|job| job.data.as_slice()).collect();
        self.run_graph(&windows, frames)
    }

    fn run_graph(&mut self, jobs: &[&[f32]], frames: u32) -> Result<Vec<f32>, RuntimeError> {
        let Recipe { layout, width, .. } = self.recipe;
        let shape = shape(layout, jobs.len(), frames as usize, width);
        let (found, data) = match jobs {
            [one] => self.graphs.encode(&shape, one)?,
            several => self.graphs.encode(&shape, &several.concat())?,
        };
        if found.first() != Some(&jobs.len()) || !self.recipe.fits(frames, &found[1..]) {
            let mut expected = vec![jobs.len()];
            expected.extend(self.recipe.output_shape(frames));
            return Err(self.graphs.broken(format!(
                "an output of {expected:?} for {} windows of {frames} frames, found {found:?}",
                jobs.len()
            )));
        }
        Ok(data)
    }

    /// One vector a window. All its time steps are pooled, those on padding too: the papers' procedure. What is padded is
    /// less than a step where the encoder takes windows of any length ([`Preparer`](crate::Preparer)).
    fn clips(&mut self, encoded: Vec<f32>, batch: usize) -> Result<Vectors, RuntimeError> {
        let window = encoded.len() / batch;
        let recipe = &self.recipe;
        let (mut data, mut dim) = match recipe.head {
            Some(head) if recipe.in_time() && head.takes == HeadInput::All => {
                let shape = [batch, window / recipe.dim, recipe.dim];
                (self.graphs.map(&shape, encoded, head.dim)?, head.dim)
            }
            _ if recipe.in_time() => {
                let (mut pooled, mut frames) = (Vec::new(), Vec::new());
                for window in encoded.chunks_exact(window) {
                    let grid = self.grid(window);
                    frames.clear();
                    (0..grid.steps())
                        .for_each(|step| grid.append_frame(recipe.frame_embedding, step, &mut frames));
                    append_pooled(
                        recipe.clip_pooling,
                        &frames,
                        grid.frame_dim(recipe.frame_embedding),
                        &mut pooled,
                    );
                }
                let dim = pooled.len() / batch;
                (pooled, dim)
            }
            _ => (encoded, recipe.dim),
        };
        if let Some(head) = self.recipe.head.filter(|head| head.takes == HeadInput::Pooled) {
            data = self.graphs.map(&[batch, dim], data, head.dim)?;
            dim = head.dim;
        }
        Ok(Vectors { data, dim, rows_per_step: 1, spans: vec![0..1; batch] })
    }

    /// A vector for each time step that a window gives.
    fn frames(&mut self, encoded: &[f32], jobs: &[&WindowJob]) -> Result<Vectors, RuntimeError> {
        let how = self.recipe.frame_embedding;
        let head = self.recipe.head.filter(|head| head.frames);
        let all = head.is_some_and(|head| head.takes == HeadInput::All);
        let (mut data, mut spans, mut dim) = (Vec::new(), Vec::new(), 0);
        for (window, job) in encoded.chunks_exact(encoded.len() / jobs.len()).zip(jobs) {
            let grid = self.grid(window);
            let span = given(job, grid.steps());
            dim = grid.frame_dim(if all { FrameEmbedding::StackFreq } else { how });
            for step in span.clone() {
                match all {
                    true => grid.append_step(step, &mut data),
                    false => grid.append_frame(how, step, &mut data),
                }
            }
            spans.push(span);
        }
        if let Some(head) = head {
            let steps = spans.iter().map(Range::len).sum();
            let shape = if all { vec![steps, self.recipe.rows, self.recipe.dim] } else { vec![steps, dim] };
            data = if steps == 0 { data } else { self.graphs.map(&shape, data, head.dim)? };
            dim = head.dim;
        }
        Ok(Vectors { data, dim, rows_per_step: 1, spans })
    }

    /// The tokens of each time step that a window gives.
    fn tokens(&self, encoded: &[f32], jobs: &[&WindowJob]) -> Vectors {
        let (mut data, mut spans) = (Vec::new(), Vec::new());
        for (window, job) in encoded.chunks_exact(encoded.len() / jobs.len()).zip(jobs) {
            let grid = self.grid(window);
            let span = given(job, grid.steps());
            span.clone().for_each(|step| grid.append_step(step, &mut data));
            spans.push(span);
        }
        Vectors { data, dim: self.recipe.dim, rows_per_step: self.recipe.rows, spans }
    }

    /// The classifier's scores of each vector.
    fn scores(&mut self, vectors: &Vectors, output: Output) -> Result<Option<Vec<f32>>, RuntimeError> {
        let scored = match output {
            Output::Clip => true,
            Output::Frames => self.recipe.scores_frames,
            Output::Tokens => false,
        };
        let Some(activation) = self.recipe.activation.filter(|_| scored) else { return Ok(None) };
        let mut scores = match self.recipe.kind {
            EncoderKind::Logits => vectors.data.clone(),
            _ if vectors.data.is_empty() => Vec::new(),
            _ => self
                .graphs
                .classify(&[vectors.data.len() / vectors.dim, vectors.dim], vectors.data.clone())?,
        };
        activate(activation, &mut scores, self.graphs.classes());
        Ok(Some(scores))
    }

    fn grid<'a>(&self, window: &'a [f32]) -> Grid<'a> {
        Grid::new(window, self.recipe.order, self.recipe.rows, self.recipe.dim)
    }
}

impl Model for EncoderModel {
    type Input = WindowJob;
    type Output = Embedding;

    fn run(&mut self, batch: &mut Vec<WindowJob>) -> Vec<Result<Embedding, RuntimeError>> {
        let jobs = std::mem::take(batch);
        let mut results: Vec<Option<Result<Embedding, RuntimeError>>> = jobs.iter().map(|_| None).collect();
        for (job, result) in jobs.iter().zip(&mut results).filter(|(job, _)| job.is_part()) {
            *result = Some(self.encode_part(job));
        }
        let mut order: Vec<usize> = (0..jobs.len()).filter(|&i| !jobs[i].is_part()).collect();
        order.sort_by_key(|&i| jobs[i].frames); // stable: within a length in the order in which they came
        for equal in order.chunk_by(|&a, &b| jobs[a].frames == jobs[b].frames) {
            let together: Vec<&WindowJob> = equal.iter().map(|&i| &jobs[i]).collect();
            match self.encode(&together, self.output) {
                Ok(embeddings) => {
                    equal.iter().zip(embeddings).for_each(|(&i, embedding)| results[i] = Some(Ok(embedding)));
                }
                Err(error) if equal.len() == 1 => results[equal[0]] = Some(Err(error)),
                Err(_) => equal.iter().for_each(|&i| results[i] = Some(self.encode_one(&jobs[i]))),
            }
        }
        let missing = || Err(self.graphs.broken("an embedding for each window, found none".into()));
        results.into_iter().map(|result| result.unwrap_or_else(missing)).collect()
    }
}

impl EncoderModel {
    fn encode_one(&mut self, job: &WindowJob) -> Result<Embedding, RuntimeError> {
        let one = self.encode(&[job], self.output)?.pop();
        one.ok_or_else(|| self.graphs.broken("an embedding for each window, found none".into()))
    }
}

/// The steps that a window gives, of those that the graph gave.
fn given(job: &WindowJob, steps: usize) -> Range<usize> {
    match &job.steps {
        Some(grid) => {
            let steps = u32::try_from(steps).unwrap_or(u32::MAX).min(grid.steps(job.frames));
            grid.given(job.valid_frames, steps, job.first, job.last)
        }
        None => 0..0,
    }
}

/// Gives each window its vectors and scores.
fn split(
    jobs: &[&WindowJob],
    vectors: Vectors,
    scores: Option<Vec<f32>>,
    provider: Provider,
) -> Vec<Embedding> {
    let Vectors { data, dim, rows_per_step, spans } = vectors;
    let rows_of = |span: &Range<usize>| span.len() * rows_per_step;
    let all: usize = spans.iter().map(rows_of).sum();
    let classes = scores.as_ref().map_or(0, |scores| scores.len() / all.max(1));
    let mut at = 0;
    let mut embeddings = Vec::with_capacity(jobs.len());
    for (job, span) in jobs.iter().zip(spans) {
        let (first, rows) = (at, rows_of(&span));
        at += rows;
        let (start, frames, frames_per_step) = described(job, &span);
        embeddings.push(Embedding {
            rows,
            dim,
            data: data[first * dim..at * dim].to_vec(),
            start_frame: start,
            frames,
            frames_per_step,
            rows_per_step,
            window_start: job.start_frame,
            valid_frames: job.valid_frames,
            last: job.last,
            level_db: job.level_db,
            // A graph may give fewer steps than the window has.
            strengths: job.strengths.iter().take(frames as usize).copied().collect(),
            provider,
            scores: scores.as_ref().map(|scores| scores[first * classes..at * classes].to_vec()),
            stream: job.pieces.as_ref().map_or(0, |pieces| pieces.stream),
        });
    }
    embeddings
}

/// First frame, number of frames, and frames per step of what a window gives.
fn described(job: &WindowJob, span: &Range<usize>) -> (u64, u32, u32) {
    let kept = job.pieces.as_ref().and_then(|pieces| pieces.pieces.first());
    match &job.steps {
        None if kept.is_some() => (kept.map_or(0, |piece| piece.start_frame), job.valid_frames, 0),
        None => (job.start_frame, job.valid_frames, 0),
        Some(grid) => {
            let frames = grid.frames_of(span, job.valid_frames);
            (job.start_frame + u64::from(frames.start), frames.len() as u32, grid.frames_per_step())
        }
    }
}
