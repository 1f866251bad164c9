//! The engine: a few workers with a model each, shared by all streams that need it.
//!
//! Windows go in through a bounded queue, in batches where their streams allow it, and each stream gets its results
//! in the order in which it submitted, whatever order the workers finish in. The queue holds only tickets; a window
//! lies with its stream until a worker takes it, so that a flush drops it at once and counts exactly.
//!
//! Nobody waits for anybody but for work: a worker never blocks on a client (its result has a place already), a
//! client never on another client's results, and the engine's end only on runs that have begun. The model's panics
//! are caught.

mod client;
mod shared;
mod stats;
mod worker;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam::channel::{Sender, bounded};

pub use self::client::{Client, SubmitError, TrySubmitError};
pub use self::shared::shared;
pub use self::stats::Stats;

use self::client::Ticket;
use self::stats::Durations;
use self::worker::Worker;
use crate::error::RuntimeError;

/// What an engine runs. Each worker has one of its own.
///
/// # For implementations
/// [`run`](Self::run) gives one result for each input, in order. A result must not depend on what else is in the
/// batch. It may take the inputs out of `batch`. A panic is caught and told to all windows of the batch; the model
/// is used again.
pub trait Model: Send + 'static {
    /// A window.
    type Input: Send + 'static;
    /// What becomes of it.
    type Output: Send + 'static;

    /// Runs a batch of at least one window.
    fn run(&mut self, batch: &mut Vec<Self::Input>) -> Vec<Result<Self::Output, RuntimeError>>;
}

/// How an engine is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineOptions {
    /// Threads, and models; 0 counts as 1.
    pub workers: usize,
    /// Windows of all clients that may wait for a worker; 0 counts as 1.
    pub queue: usize,
}

/// What a window allows its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Windows in its batch at most, itself included; 0 counts as 1. At 1 it never waits for others.
    pub max_batch: usize,
    /// How long it may wait, from when it was submitted, for others to run with it.
    pub max_wait: Duration,
}

impl Default for Limits {
    /// One at a time.
    fn default() -> Self {
        Self { max_batch: 1, max_wait: Duration::ZERO }
    }
}

/// Workers that share a queue. It ends when the last holder and the last client let it go.
pub struct Engine<M: Model> {
    /// `None` only while it is dropped: without it the workers end.
    queue: Option<Arc<Sender<Ticket<M>>>>,
    threads: Vec<JoinHandle<()>>,
    core: Arc<Core>,
}

/// What an engine, its clients and its workers share, whatever the model.
#[derive(Debug, Default)]
struct Core {
    durations: Mutex<Durations>,
    clients: AtomicUsize,
    /// Guards the moment between finding the queue full and waiting for room in it.
    gate: Mutex<()>,
    /// A window was taken from the queue, or a flush came.
    room: Condvar,
}

impl<M: Model> Engine<M> {
    /// Makes the models, one after the other with their number, and starts the workers.
    ///
    /// # Errors
    /// `make` fails or a thread cannot be started: the error, after what was started has ended.
    pub fn new(
        options: EngineOptions,
        make: impl Fn(usize) -> Result<M, RuntimeError>,
    ) -> Result<Arc<Self>, RuntimeError> {
        let models = (0..options.workers.max(1)).map(make).collect::<Result<Vec<_>, _>>()?;
        let (sender, receiver) = bounded(options.queue.max(1));
        let sender = Arc::new(sender);
        let back = Arc::downgrade(&sender);
        let core = Arc::new(Core::default());
        // From here on an early return drops the engine and with it the only sender, which ends what was started.
        let mut engine = Self { queue: Some(sender), threads: Vec::new(), core: Arc::clone(&core) };
        for (number, model) in models.into_iter().enumerate() {
            let worker =
                Worker { model, queue: receiver.clone(), back: back.clone(), core: Arc::clone(&core) };
            let name = format!("listen-infer-{number}");
            let thread = thread::Builder::new()
                .name(name.clone())
                .spawn(move || worker.work())
                .map_err(|error| RuntimeError::Thread { name, reason: error.to_string() })?;
            engine.threads.push(thread);
        }
        Ok(Arc::new(engine))
    }

    /// A new client of it.
    pub fn client(self: &Arc<Self>) -> Client<M> {
        Client::new(Arc::clone(self), true)
    }

    /// A client beside another of the same stream, for what a window needs besides its own run.
    ///
    /// It is not counted among the clients nor its inputs among the windows; the time of its runs is in the mean
    /// ([`Stats`]), so that the mean is what a window costs in all.
    pub fn side_client(self: &Arc<Self>) -> Client<M> {
        Client::new(Arc::clone(self), false)
    }

    /// Threads that run models.
    pub fn workers(&self) -> usize {
        self.threads.len()
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        let durations = self.core.durations.lock().unwrap_or_else(PoisonError::into_inner);
        Stats {
            queue_depth: self.queue().len(),
            clients: self.core.clients.load(Ordering::Relaxed),
            ..durations.stats()
        }
    }

    fn queue(&self) -> &Sender<Ticket<M>> {
        // Taken only in `drop`, which nobody can call this during.
        self.queue.as_ref().expect("the queue is there until the engine is dropped")
    }
}

impl<M: Model> Drop for Engine<M> {
    /// Ends the workers and waits for runs that have begun. No client is left, so nobody misses a result.
    fn drop(&mut self) {
        self.queue = None;
        let here = thread::current().id();
        for thread in self.threads.drain(..) {
            // Dropped by what a worker runs: it cannot wait for itself, and ends right after.
            if thread.thread().id() != here {
                // A worker that died of a panic has ended too.
                let _ = thread.join();
            }
        }
    }
}

impl<M: Model> fmt::Debug for Engine<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Core {
    fn record(&self, windows: usize, took: Duration) {
        self.durations.lock().unwrap_or_else(PoisonError::into_inner).record(windows, took);
    }

    /// Waits while `must_wait` says so; it is asked again after each [`wake_submitters`](Self::wake_submitters).
    fn wait_for_room(&self, must_wait: impl Fn() -> bool) {
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        while must_wait() {
            gate = self.room.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// There may be room in the queue, or a reason not to wait for it. What made it so must have happened before.
    fn wake_submitters(&self) {
        // Taken and let go, so that nobody is between asking and waiting.
        drop(self.gate.lock().unwrap_or_else(PoisonError::into_inner));
        self.room.notify_all();
    }
}
