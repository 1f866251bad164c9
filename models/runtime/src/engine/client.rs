//! One stream's side of an engine: windows in, results out in the same order.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::TrySendError;

use super::{Engine, Limits, Model};
use crate::error::RuntimeError;

/// A stream's access to an [`Engine`], which it keeps alive.
///
/// All methods take `&self`: one thread may submit, another receive and a third flush. Dropping it cancels what is
/// under way.
pub struct Client<M: Model> {
    engine: Arc<Engine<M>>,
    mailbox: Arc<Mailbox<M>>,
    /// Whether it and its windows count: `false` of one that stands beside another ([`Engine::side_client`]).
    counted: bool,
}

/// Why a window was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// [`Client::flush`] was called while it waited for room.
    #[error("cancelled by a flush")]
    Cancelled,
    /// The engine has no workers any more: each of them died of a panic outside the model.
    #[error("the engine has ended")]
    Ended,
}

/// Why a window was not taken at once, with the window.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrySubmitError<T> {
    /// There is no room: the client has as much under way as it may, or the engine's queue is full.
    #[error("no room")]
    Full(T),
    /// The engine has no workers any more.
    #[error("the engine has ended")]
    Ended(T),
}

impl<T> fmt::Debug for TrySubmitError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Ended(_) => "Ended(..)",
        })
    }
}

/// What a client and the workers share: the windows under way, oldest first.
pub(super) struct Mailbox<M: Model> {
    state: Mutex<State<M>>,
    /// Something was finished, taken or flushed.
    changed: Condvar,
    /// Counts flushes: a window of an older generation is void. Written under the lock of `state`.
    generation: AtomicU64,
}

struct State<M: Model> {
    slots: VecDeque<Slot<M>>,
    /// Number of the window in the first slot.
    first: u64,
}

enum Slot<M: Model> {
    Queued(M::Input),
    Running,
    Done(Result<M::Output, RuntimeError>),
}

/// A place in an engine's queue. The window itself stays with its client, where a flush can drop it.
pub(super) struct Ticket<M: Model> {
    mailbox: Arc<Mailbox<M>>,
    generation: u64,
    number: u64,
    /// What the window's batch may be.
    pub(super) max_batch: usize,
    /// When its batch must run; `None` is never by itself.
    pub(super) deadline: Option<Instant>,
    /// Whether a worker has put it back into the queue already.
    pub(super) returned: bool,
    /// Whether it counts as a window.
    pub(super) counted: bool,
}

impl<M: Model> Client<M> {
    pub(super) fn new(engine: Arc<Engine<M>>, counted: bool) -> Self {
        let mailbox = Arc::new(Mailbox {
            state: Mutex::new(State { slots: VecDeque::new(), first: 0 }),
            changed: Condvar::new(),
            generation: AtomicU64::new(0),
        });
        engine.core.clients.fetch_add(usize::from(counted), Ordering::Relaxed);
        Self { engine, mailbox, counted }
    }

    /// The engine that works for it.
    pub fn engine(&self) -> &Arc<Engine<M>> {
        &self.engine
    }

    /// Hands over a window; its result comes from [`recv_timeout`](Self::recv_timeout) after those of all before it.
    ///
    /// Blocks while there is no room: the engine's queue is full, or [`capacity`](Self::capacity) windows of this
    /// client are under way (a result counts until it is taken, so a client that takes none stops here).
    ///
    /// # Errors
    /// `Cancelled`: a flush came while it waited. The window was not taken, so the flush's number does not count it.
    /// A submit that starts after the flush is taken as usual: who wants to stop a thread first makes it stop
    /// submitting, then flushes.
    pub fn submit(&self, input: M::Input, limits: Limits) -> Result<(), SubmitError> {
        let generation = self.mailbox.generation.load(Ordering::Acquire);
        let mut input = input;
        loop {
            let state = self.mailbox.wait_for_room(self.capacity(limits), generation)?;
            match self.enqueue(state, input, limits) {
                Ok(()) => return Ok(()),
                Err(TrySubmitError::Full(back)) => input = back,
                Err(TrySubmitError::Ended(_)) => return Err(SubmitError::Ended),
            }
            let flushed = || self.mailbox.generation.load(Ordering::Acquire) != generation;
            self.engine.core.wait_for_room(|| self.engine.queue().is_full() && !flushed());
        }
    }

    /// Hands over a window if there is room for it now.
    ///
    /// # Errors
    /// There is none; the window comes back.
    pub fn try_submit(&self, input: M::Input, limits: Limits) -> Result<(), TrySubmitError<M::Input>> {
        let state = self.mailbox.lock();
        if state.slots.len() >= self.capacity(limits) {
            return Err(TrySubmitError::Full(input));
        }
        self.enqueue(state, input, limits)
    }

    /// How many windows of this client may be under way: twice what the workers run at once at these limits, and two.
    ///
    /// That keeps every worker busy for a client that is alone, though it be slow to wake, and lets one that floods
    /// the engine hold no more of the queue than this: the others' windows come after at most so many of its own.
    pub fn capacity(&self, limits: Limits) -> usize {
        self.engine.workers().saturating_mul(2).saturating_mul(limits.max_batch.max(1)).saturating_add(2)
    }

    fn enqueue(
        &self,
        mut state: MutexGuard<'_, State<M>>,
        input: M::Input,
        limits: Limits,
    ) -> Result<(), TrySubmitError<M::Input>> {
        let ticket = Ticket {
            mailbox: Arc::clone(&self.mailbox),
            generation: self.mailbox.generation.load(Ordering::Acquire),
            number: state.first + state.slots.len() as u64,
            max_batch: limits.max_batch.max(1),
            deadline: Instant::now().checked_add(limits.max_wait),
            returned: false,
            counted: self.counted,
        };
        // Under the mailbox's lock: a worker that has the ticket waits until the window is in its slot.
        match self.engine.queue().try_send(ticket) {
            Ok(()) => {
                state.slots.push_back(Slot::Queued(input));
                Ok(())
            }
            Err(TrySendError::Full(_)) => Err(TrySubmitError::Full(input)),
            Err(TrySendError::Disconnected(_)) => Err(TrySubmitError::Ended(input)),
        }
    }

    /// The oldest window's result, waiting for it at most `timeout`.
    ///
    /// `None`: it was not ready in time, or a flush came meanwhile.
    pub fn recv_timeout(&self, timeout: Duration) -> Option<Result<M::Output, RuntimeError>> {
        self.recv(timeout, true)
    }

    /// As [`recv_timeout`](Self::recv_timeout), but `None` at once where nothing is under way.
    ///
    /// Who knows that he has submitted something waits here: a flush that comes between his knowing and his waiting is
    /// not missed.
    pub fn recv_under_way(&self, timeout: Duration) -> Option<Result<M::Output, RuntimeError>> {
        self.recv(timeout, false)
    }

    fn recv(&self, timeout: Duration, wait_for_submit: bool) -> Option<Result<M::Output, RuntimeError>> {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.mailbox.lock();
        let generation = self.mailbox.generation.load(Ordering::Acquire);
        loop {
            if let Some(result) = state.take_first() {
                self.mailbox.changed.notify_all();
                return Some(result);
            }
            let idle = !wait_for_submit && state.slots.is_empty();
            if idle || self.mailbox.generation.load(Ordering::Acquire) != generation {
                return None;
            }
            state = match deadline {
                None => self.mailbox.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.checked_duration_since(Instant::now()).filter(|d| !d.is_zero())?;
                    let waited = self.mailbox.changed.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// The oldest window's result, if it is ready.
    pub fn try_recv(&self) -> Option<Result<M::Output, RuntimeError>> {
        let result = self.mailbox.lock().take_first()?;
        self.mailbox.changed.notify_all();
        Some(result)
    }

    /// Windows submitted whose results have not been taken.
    pub fn in_flight(&self) -> usize {
        self.mailbox.lock().slots.len()
    }

    /// Cancels all windows under way and wakes whoever waits in `submit` or `recv_timeout`.
    ///
    /// Gives how many it cancelled: those in the queue, which are dropped, those being run, whose results will be
    /// ignored, and those whose results nobody has taken. With the results taken they add up to the windows that
    /// `submit` accepted.
    pub fn flush(&self) -> usize {
        let cancelled = self.mailbox.flush();
        self.engine.core.wake_submitters();
        cancelled
    }
}

impl<M: Model> Drop for Client<M> {
    fn drop(&mut self) {
        self.mailbox.flush();
        self.engine.core.clients.fetch_sub(usize::from(self.counted), Ordering::Relaxed);
    }
}

impl<M: Model> fmt::Debug for Client<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("in_flight", &self.in_flight()).finish_non_exhaustive()
    }
}

impl<M: Model> Mailbox<M> {
    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_room(
        &self,
        capacity: usize,
        generation: u64,
    ) -> Result<MutexGuard<'_, State<M>>, SubmitError> {
        let mut state = self.lock();
        loop {
            if self.generation.load(Ordering::Acquire) != generation {
                return Err(SubmitError::Cancelled);
            }
            if state.slots.len() < capacity {
                return Ok(state);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn flush(&self) -> usize {
        let dropped = {
            let mut state = self.lock();
            self.generation.fetch_add(1, Ordering::AcqRel);
            state.first += state.slots.len() as u64;
            std::mem::take(&mut state.slots)
        };
        self.changed.notify_all();
        // The windows themselves are dropped here, outside the lock.
        dropped.len()
    }
}

impl<M: Model> State<M> {
    /// Takes the oldest result, if it is ready.
    fn take_first(&mut self) -> Option<Result<M::Output, RuntimeError>> {
        match self.slots.pop_front()? {
            Slot::Done(result) => {
                self.first += 1;
                Some(result)
            }
            waiting => {
                self.slots.push_front(waiting);
                None
            }
        }
    }

    fn slot(&mut self, number: u64) -> Option<&mut Slot<M>> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.slots.get_mut(index)
    }
}

impl<M: Model> Ticket<M> {
    /// Whether its window still waits for a worker.
    pub(super) fn is_live(&self) -> bool {
        self.mailbox.generation.load(Ordering::Acquire) == self.generation
    }

    /// Takes its window for a run; `None` if it was flushed.
    pub(super) fn take(&self) -> Option<M::Input> {
        let mut state = self.mailbox.lock();
        if !self.is_live() {
            return None;
        }
        let slot = state.slot(self.number)?;
        match std::mem::replace(slot, Slot::Running) {
            Slot::Queued(input) => Some(input),
            other => {
                *slot = other;
                None
            }
        }
    }

    /// Hands back the result of its window; it is dropped if the window was flushed meanwhile.
    pub(super) fn finish(&self, result: Result<M::Output, RuntimeError>) {
        let mut state = self.mailbox.lock();
        if !self.is_live() {
            drop(state);
            return;
        }
        if let Some(slot) = state.slot(self.number) {
            *slot = Slot::Done(result);
        }
        drop(state);
        self.mailbox.changed.notify_all();
    }
}
