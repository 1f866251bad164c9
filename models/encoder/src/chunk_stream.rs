//! One stream that is encoded in chunks: frames to jobs.

use std::collections::VecDeque;

use listen_features::Level;

use crate::chunk::ChunkCutter;
use crate::prepare::{Piece, Pieces, Preparer, WindowJob};
use crate::{ChunkGrid, Plan, StepGrid, WindowGrid};

/// Cuts a stream into chunks and makes jobs of them: with `output=clip` a job for each window, which takes along the
/// chunks that no job before it has taken, otherwise one for each chunk.
///
/// A window that is not encoded (because it is silent) gives its chunks back: a later window that needs them takes them
/// along. So each chunk is encoded at most once, and only where a window is given that holds it.
#[derive(Debug)]
pub(crate) struct ChunkStream {
    cutter: ChunkCutter,
    chunks: ChunkGrid,
    windows: WindowGrid,
    frames_per_step: u32,
    /// The time steps that a chunk gives; `None` where windows are pooled from them.
    steps: Option<StepGrid>,
    /// Chunks that no job has taken along, oldest first.
    pending: VecDeque<Piece>,
    powers: Powers,
    /// Number of the next window.
    window: u64,
    /// Frames that the chunks so far hold.
    prepared: u64,
    /// Frames of the whole stream, once it has ended.
    total: Option<u64>,
    /// Counts streams: what was encoded of one is nothing to the next.
    stream: u64,
}

impl ChunkStream {
    pub(crate) fn new(plan: &Plan, chunks: ChunkGrid) -> Self {
        Self {
            cutter: ChunkCutter::new(chunks, plan.width),
            chunks,
            windows: plan.grid(),
            frames_per_step: plan.frames_per_step.max(1),
            steps: plan.steps,
            pending: VecDeque::new(),
            powers: Powers::default(),
            window: 0,
            prepared: 0,
            total: None,
            stream: 0,
        }
    }

    /// Where its windows lie; chunks where those are what is given.
    pub(crate) fn grid(&self) -> WindowGrid {
        self.windows
    }

    /// Takes what the next job needs from the front of `values`; `None` once they are used up.
    pub(crate) fn take(&mut self, preparer: &mut Preparer, values: &mut &[f32]) -> Option<WindowJob> {
        loop {
            if let Some(job) = self.due() {
                return Some(job);
            }
            let piece = preparer.piece(&self.cutter.take(values)?);
            if let Some(job) = self.add(piece) {
                return Some(job);
            }
        }
    }

    /// The stream has ended: the jobs that are left, one a call; then `None`, and a new stream begins.
    pub(crate) fn finish(&mut self, preparer: &mut Preparer) -> Option<WindowJob> {
        self.total.get_or_insert(self.cutter.frames());
        loop {
            if let Some(job) = self.due() {
                return Some(job);
            }
            let Some(chunk) = self.cutter.finish() else {
                self.reset();
                return None;
            };
            let piece = preparer.piece(&chunk);
            if let Some(job) = self.add(piece) {
                return Some(job);
            }
        }
    }

    /// Takes back the chunks of a job that is not encoded.
    pub(crate) fn keep(&mut self, job: WindowJob) {
        let Some(Pieces { stream, pieces }) = job.pieces else { return };
        if stream == self.stream && self.steps.is_none() {
            pieces.into_iter().rev().for_each(|piece| self.pending.push_front(piece));
        }
    }

    /// How many jobs the next `frames` frames make.
    pub(crate) fn jobs_after(&self, frames: u64) -> u64 {
        let so_far = self.cutter.frames();
        let jobs = |frames: u64| {
            let chunks = self.chunks.ready(frames);
            match self.steps {
                Some(_) => chunks,
                None => self.windows.whole(chunks.saturating_mul(self.chunks.chunk())),
            }
        };
        jobs(so_far.saturating_add(frames)) - jobs(so_far)
    }

    pub(crate) fn reset(&mut self) {
        self.cutter.reset();
        self.pending.clear();
        self.powers = Powers::default();
        (self.window, self.prepared, self.total) = (0, 0, None);
        self.stream += 1;
    }

    /// Takes a chunk; it is a job where chunks are what is given.
    fn add(&mut self, mut piece: Piece) -> Option<WindowJob> {
        self.prepared = piece.end();
        if self.steps.is_some() {
            let strengths = std::mem::take(&mut piece.strengths);
            return Some(WindowJob {
                start_frame: piece.start_frame,
                valid_frames: piece.valid_frames,
                frames: piece.steps as u32 * self.frames_per_step,
                first: piece.start_frame == 0,
                last: self.total == Some(piece.end()),
                level_db: db(mean(piece.powers.iter().copied())),
                strengths,
                steps: self.steps,
                data: Vec::new(),
                pieces: Some(Pieces { stream: self.stream, pieces: vec![piece] }),
                tokens: None,
            });
        }
        let start = self.windows.start(self.window);
        self.powers.add(&piece.powers);
        self.powers.forget(start, self.frames_per_step);
        // What lies between windows is not encoded.
        if piece.end() > start {
            self.pending.push_back(piece);
        }
        None
    }

    /// The next window, if all its chunks are there.
    fn due(&mut self) -> Option<WindowJob> {
        if self.steps.is_some() {
            return None;
        }
        let (k, start) = (self.window, self.windows.start(self.window));
        let cut_short = || {
            let total = self.total.filter(|&total| total == self.prepared)?;
            self.windows.last(total).filter(|&(last, _)| last == k).map(|(_, valid)| valid)
        };
        let (valid, last) = match self.windows.end(k) <= self.prepared {
            true => (self.windows.window(), false),
            false => (cut_short()?, true),
        };
        self.pending_from(start);
        let taken = self.pending.iter().take_while(|piece| piece.start_frame < start + valid).count();
        let pieces = self.pending.drain(..taken).collect();
        self.window += 1;
        self.powers.forget(start, self.frames_per_step);
        let steps = valid.div_ceil(self.frames_per_step.into());
        Some(WindowJob {
            start_frame: start,
            valid_frames: valid as u32,
            frames: steps as u32 * self.frames_per_step,
            first: k == 0,
            last,
            level_db: db(self.powers.mean(steps as usize)),
            strengths: Vec::new(),
            steps: None,
            data: Vec::new(),
            pieces: Some(Pieces { stream: self.stream, pieces }),
            tokens: None,
        })
    }

    /// Lets go of chunks that end before `start`: no window needs them any more.
    fn pending_from(&mut self, start: u64) {
        while self.pending.front().is_some_and(|piece| piece.end() <= start) {
            self.pending.pop_front();
        }
    }
}

/// Power of each time step of real sound, relative to a full-scale sine, with its number of frames.
pub(crate) type StepPower = (f64, u32);

/// Those of the stream from some step on.
#[derive(Debug, Default)]
struct Powers {
    steps: VecDeque<StepPower>,
    from: u64,
}

impl Powers {
    fn add(&mut self, steps: &[StepPower]) {
        self.steps.extend(steps);
    }

    /// Lets go of steps before the one that begins at `frame`.
    fn forget(&mut self, frame: u64, frames_per_step: u32) {
        let before = frame / u64::from(frames_per_step) - self.from;
        let there = usize::try_from(before).unwrap_or(usize::MAX).min(self.steps.len());
        self.steps.drain(..there);
        self.from += there as u64;
    }

    /// Mean over the frames of the first `steps` steps.
    fn mean(&self, steps: usize) -> f64 {
        mean(self.steps.iter().take(steps).copied())
    }
}

fn mean(steps: impl Iterator<Item = StepPower>) -> f64 {
    let (power, frames) =
        steps.fold((0.0, 0.0), |(power, frames), (p, n)| (power + p * f64::from(n), frames + f64::from(n)));
    if frames > 0.0 { power / frames } else { 0.0 }
}

/// A power as a level.
fn db(power: f64) -> f32 {
    ((10.0 * power.log10()) as f32).max(Level::FLOOR)
}
