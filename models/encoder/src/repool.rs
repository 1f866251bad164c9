//! Windows pooled from the time steps of chunks.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use listen_package::Package;
use listen_runtime::{Client, Limits, RuntimeError, Stats, SubmitError, TrySubmitError};

use crate::{Embedding, EncoderError, EncoderModel, EncoderOptions, Plan, WindowJob, open};

/// What became of a window.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// Its embedding.
    Embedding(Embedding),
    /// Some of its chunks were lost: a job that had them was dropped. What is left is not joined over the hole.
    Missed,
}

/// One stream's access to an engine that encodes chunks: it keeps their time steps and has windows pooled from them.
///
/// Jobs come from a [`WindowStream`](crate::WindowStream) of a plan that [repools](Plan::repools), in order. Chunks and
/// poolings are windows of two clients of one engine, so that neither takes the other's place.
#[derive(Debug)]
pub struct Repooler {
    chunks: Client<EncoderModel>,
    pool: Client<EncoderModel>,
    kept: Mutex<Kept>,
    max_batch: AtomicUsize,
    frames_per_step: u32,
}

impl Repooler {
    /// The process's engine for a package and options, as [`open`].
    ///
    /// # Errors
    /// Those of [`open`].
    pub fn open(package: &Arc<Package>, options: &EncoderOptions) -> Result<Self, EncoderError> {
        let plan = Plan::new(package.manifest(), options)?;
        let engine = open(package, options)?;
        let output = &package.manifest().encoder.output;
        let per_step = output.dim as usize * output.freq_rows.max(1) as usize;
        Ok(Self {
            chunks: engine.client(),
            // A window and its pooling are one window.
            pool: engine.side_client(),
            kept: Mutex::new(Kept { per_step: per_step.max(1), ..Kept::default() }),
            max_batch: AtomicUsize::new(1),
            frames_per_step: plan.frames_per_step.max(1),
        })
    }

    /// Hands over a window if there is room for it now.
    ///
    /// # Errors
    /// There is none, and the window comes back.
    #[expect(clippy::result_large_err, reason = "the window itself comes back")]
    pub fn try_submit(&self, job: WindowJob, limits: Limits) -> Result<(), TrySubmitError<WindowJob>> {
        self.max_batch.store(limits.max_batch, Ordering::Relaxed);
        self.chunks.try_submit(job, limits)
    }

    /// Hands over a window when there is room for it.
    ///
    /// # Errors
    /// It was flushed meanwhile.
    pub fn submit(&self, job: WindowJob, limits: Limits) -> Result<(), SubmitError> {
        self.max_batch.store(limits.max_batch, Ordering::Relaxed);
        self.chunks.submit(job, limits)
    }

    /// What became of the oldest window; `None` after `timeout`, where nothing is under way, or after a flush.
    pub fn recv_under_way(&self, timeout: Duration) -> Option<Result<Heard, RuntimeError>> {
        // One is where the time was up while it was pooled.
        if self.pool.in_flight() == 0
            && let Some(heard) = self.encoded(self.chunks.recv_under_way(timeout)?)
        {
            return Some(heard);
        }
        Some(self.pool.recv_under_way(timeout)?.map(Heard::Embedding))
    }

    /// Keeps the time steps of a window's chunks and hands the window over to be pooled; what became of it where it is not.
    fn encoded(&self, steps: Result<Embedding, RuntimeError>) -> Option<Result<Heard, RuntimeError>> {
        let steps = match steps {
            Ok(steps) => steps,
            Err(error) => return Some(Err(error)),
        };
        let per_step = u64::from(self.frames_per_step);
        let (start, count) =
            (steps.window_start / per_step, steps.valid_frames.div_ceil(self.frames_per_step));
        let window = {
            let mut kept = self.lock();
            if !steps.data.is_empty() {
                kept.add(steps.stream, steps.start_frame / per_step, &steps.data);
            }
            kept.window(steps.stream, start, count as usize)
        };
        let Some(tokens) = window else { return Some(Ok(Heard::Missed)) };
        let job = WindowJob {
            start_frame: steps.window_start,
            valid_frames: steps.valid_frames,
            frames: count * self.frames_per_step,
            first: false,
            last: steps.last,
            level_db: steps.level_db,
            strengths: Vec::new(),
            steps: None,
            data: Vec::new(),
            pieces: None,
            tokens: Some(tokens),
        };
        let limits = Limits { max_batch: self.max_batch.load(Ordering::Relaxed), max_wait: Duration::ZERO };
        match self.pool.submit(job, limits) {
            // After a flush there is nothing to be received.
            Ok(()) | Err(SubmitError::Cancelled) => None,
            Err(error) => Some(Err(RuntimeError::Run { reason: error.to_string() })),
        }
    }

    /// Cancels everything that was handed over: how many windows. What was kept is forgotten.
    pub fn flush(&self) -> usize {
        let cancelled = self.chunks.flush();
        self.pool.flush();
        self.lock().forget();
        cancelled
    }

    /// Sessions that run at the same time.
    pub fn workers(&self) -> usize {
        self.chunks.engine().workers()
    }

    /// What the engine has done. A window counts once: its run is that of its chunks, and its pooling is in the mean.
    pub fn stats(&self) -> Stats {
        self.chunks.engine().stats()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Time steps of one stream without a hole, from some step on.
#[derive(Debug, Default)]
struct Kept {
    stream: u64,
    from: u64,
    values: Vec<f32>,
    per_step: usize,
}

impl Kept {
    fn end(&self) -> u64 {
        self.from + (self.values.len() / self.per_step) as u64
    }

    /// Adds steps from `start` on. Those of another stream, and those before a hole, are of no use any more.
    fn add(&mut self, stream: u64, start: u64, values: &[f32]) {
        if stream != self.stream || start != self.end() {
            self.values.clear();
            (self.stream, self.from) = (stream, start);
        }
        self.values.extend_from_slice(values);
    }

    /// The steps of a window, and lets go of those before it: the windows that follow begin no earlier.
    fn window(&mut self, stream: u64, start: u64, steps: usize) -> Option<Vec<f32>> {
        if stream != self.stream || start < self.from || start + steps as u64 > self.end() {
            return None;
        }
        self.values.drain(..(start - self.from) as usize * self.per_step);
        self.from = start;
        Some(self.values[..steps * self.per_step].to_vec())
    }

    fn forget(&mut self) {
        self.values.clear();
        (self.from, self.stream) = (0, 0);
    }
}
