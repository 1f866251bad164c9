//! Between the streaming thread and the task: windows that wait, windows under way, events between them.
//!
//! One mutex and one condition variable. Everything that goes out has a number in the order of the stream; the task
//! pushes what has the lowest. A ring holds the whole windows that wait, so that overload drops whole windows of any
//! age; windows overlap, and a ring of frames could not give up one and keep its neighbours.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use gst::{ClockTime, FlowError, FlowSuccess};
use gst_listen_common::reference::Stamp;
use listen_encoder::{Embedding, WindowJob};
use listen_runtime::{Limits, RuntimeError, TrySubmitError};
use ringbuf::HeapRb;
use ringbuf::traits::Observer;

use crate::engine::Windows;
use crate::settings::Policy;
use crate::stats::Counts;

/// Windows that wait at most: one more than is needed where the engine keeps up.
const WAITING: usize = 2;

/// What is known of a window on its way.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    /// The time of its first frame.
    pub start: ClockTime,
    /// The same by other clocks.
    pub references: Vec<Stamp>,
    /// Start and duration of the GAP that stands for it where it does not come out.
    pub gap: (ClockTime, ClockTime),
    /// Whether nothing comes before it.
    pub discont: bool,
    /// When its last frame came.
    pub came: Instant,
}

/// What goes out beside embeddings.
#[derive(Debug)]
pub(crate) enum Control {
    Event(gst::Event),
    /// A window that does not come out.
    Gap {
        start: ClockTime,
        duration: ClockTime,
        hole: bool,
    },
}

/// What the task does next.
pub(crate) enum Next {
    Push(Control),
    /// Take the oldest window's result.
    Receive(Arc<dyn Windows>, u64),
    /// Hand over a window, however long that takes; then say [`Queue::submitted`].
    Submit(Arc<dyn Windows>, WindowJob, Limits, u64),
    /// Nothing came in time.
    Idle,
    /// The engine has ended.
    Dead,
    /// It is flushed or has stopped.
    Stop,
}

/// A result, with what is known of its window and whether it follows on a hole.
pub(crate) struct Received {
    pub ticket: Ticket,
    pub discont: bool,
    pub result: Result<Embedding, RuntimeError>,
}

#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Something came, went or was flushed, or the engine is there.
    changed: Condvar,
}

struct State {
    flushing: bool,
    /// Counts flushes: results of an older generation are void.
    generation: u64,
    /// What pushing has come to.
    flow: Result<FlowSuccess, FlowError>,
    engine: Engine,
    limits: Limits,
    policy: Policy,
    gate: f64,
    waiting: HeapRb<Waiting>,
    /// Handed to the engine, oldest first.
    sent: VecDeque<(u64, Ticket)>,
    controls: BTreeMap<u64, Control>,
    /// Number of what comes next.
    number: u64,
    /// Whether the task hands over a window outside of the lock: nobody may overtake it.
    submitting: bool,
    /// Whether what goes out next follows on a hole.
    hole: bool,
    counts: Counts,
}

/// Where the engine is.
enum Engine {
    /// NULL.
    None,
    /// Being loaded, by the job of this number.
    Loading(u64),
    Ready(Arc<dyn Windows>),
    Failed,
}

struct Waiting {
    number: u64,
    ticket: Ticket,
    /// `None` only while it is handed over.
    job: Option<WindowJob>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            flushing: true,
            generation: 0,
            flow: Ok(FlowSuccess::Ok),
            engine: Engine::None,
            limits: Limits::default(),
            policy: Policy::Block,
            gate: crate::settings::GATE_OFF,
            waiting: HeapRb::new(WAITING),
            sent: VecDeque::new(),
            controls: BTreeMap::new(),
            number: 0,
            submitting: false,
            hole: false,
            counts: Counts::default(),
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes a window from the streaming thread: the windows that were dropped for it.
    ///
    /// `at_end` the stream has ended: then it waits for room whatever the policy.
    pub fn offer(&self, job: WindowJob, ticket: Ticket, at_end: bool) -> Result<Option<Ticket>, FlowError> {
        let mut state = self.lock();
        loop {
            state.check()?;
            state.pump();
            let policy = state.policy;
            match &state.engine {
                Engine::None | Engine::Failed => return Err(FlowError::Error),
                Engine::Loading(_) if policy == Policy::Block => {
                    state = self.wait(state);
                    continue;
                }
                _ => {}
            }
            let gated = f64::from(job.level_db) < state.gate;
            let loading = matches!(state.engine, Engine::Loading(_));
            if state.waiting.is_full() && (policy == Policy::Block || at_end) && !gated && !loading {
                state = self.wait(state);
                continue;
            }
            let number = state.next_number();
            state.counts.taken += 1;
            state.counts.level = Some(job.level_db.into());
            let mut dropped = None;
            if loading {
                state.counts.lost += 1;
                state.gap(number, &ticket, true);
            } else if gated {
                state.counts.gated += 1;
                state.gap(number, &ticket, false);
            } else if state.waiting.is_full() && policy == Policy::DropNewest {
                state.counts.dropped += 1;
                state.gap(number, &ticket, true);
                dropped = Some(ticket);
            } else if let Some(oldest) =
                state.waiting.push_overwrite(Waiting { number, ticket, job: Some(job) })
            {
                state.counts.dropped += 1;
                state.gap(oldest.number, &oldest.ticket, true);
                dropped = Some(oldest.ticket);
            }
            state.pump();
            self.changed.notify_all();
            return Ok(dropped);
        }
    }

    /// Takes an event, in its place between the windows.
    pub fn event(&self, event: gst::Event) -> Result<(), FlowError> {
        let mut state = self.lock();
        state.check()?;
        let number = state.next_number();
        state.controls.insert(number, Control::Event(event));
        self.changed.notify_all();
        Ok(())
    }

    /// Waits for something to do, at most for `timeout`.
    pub fn next(&self, timeout: Option<Duration>) -> Next {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.lock();
        loop {
            if state.flushing {
                return Next::Stop;
            }
            if state.pump() {
                self.changed.notify_all();
            }
            if let Some(next) = state.next() {
                self.changed.notify_all();
                return next;
            }
            state = match deadline {
                None => self.wait(state),
                Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                    None => return Next::Idle,
                    Some(left) => {
                        let waited = self.changed.wait_timeout(state, left);
                        waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0
                    }
                },
            };
        }
    }

    /// The window of [`Next::Submit`] is with the engine.
    pub fn submitted(&self, generation: u64) {
        let mut state = self.lock();
        if state.generation == generation {
            state.submitting = false;
        }
    }

    /// Takes the oldest window's result; `None` where a flush came meanwhile.
    pub fn received(&self, generation: u64, result: Result<Embedding, RuntimeError>) -> Option<Received> {
        let mut state = self.lock();
        if state.generation != generation {
            return None;
        }
        let (_, ticket) = state.sent.pop_front()?;
        match &result {
            Ok(_) => state.counts.given += 1,
            Err(_) => state.counts.dropped += 1,
        }
        state.counts.measured(ticket.came.elapsed());
        let discont = std::mem::take(&mut state.hole) || ticket.discont;
        state.pump();
        self.changed.notify_all();
        Some(Received { ticket, discont, result })
    }

    /// What is pushed next follows on a hole.
    pub fn set_hole(&self) {
        self.lock().hole = true;
    }

    /// Pushing came to an end: the streaming thread hears of it.
    pub fn set_flow(&self, error: FlowError) {
        self.lock().flow = Err(error);
        self.changed.notify_all();
    }

    /// Cancels everything; the events that were not pushed. While `flushing` nothing is taken.
    pub fn flush(&self, flushing: bool) -> Vec<gst::Event> {
        let mut state = self.lock();
        state.flushing = flushing;
        state.generation += 1;
        state.counts.flushed += state.pending();
        state.waiting.clear();
        state.sent.clear();
        state.submitting = false;
        state.hole = false;
        state.flow = Ok(FlowSuccess::Ok);
        let controls = std::mem::take(&mut state.controls);
        let client = state.client();
        drop(state);
        self.changed.notify_all();
        if let Some(client) = client {
            client.flush();
        }
        let events = controls.into_values().filter_map(|control| match control {
            Control::Event(event) => Some(event),
            Control::Gap { .. } => None,
        });
        events.collect()
    }

    /// A job begins to load the engine: its number.
    pub fn loading(&self, limits: Limits) -> u64 {
        let mut state = self.lock();
        state.generation += 1;
        state.limits = limits;
        state.engine = Engine::Loading(state.generation);
        state.generation
    }

    /// The job has ended; whether anybody still wants what it loaded.
    pub fn loaded(&self, job: u64, engine: Option<Arc<dyn Windows>>) -> bool {
        let mut state = self.lock();
        if !matches!(state.engine, Engine::Loading(current) if current == job) {
            return false;
        }
        state.engine = engine.map_or(Engine::Failed, Engine::Ready);
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Lets go of the engine, or of the job that loads it.
    pub fn unload(&self) {
        let engine = std::mem::replace(&mut self.lock().engine, Engine::None);
        self.changed.notify_all();
        // Outside of the lock: the last one waits for runs that have begun.
        drop(engine);
    }

    /// Forgets what was counted.
    pub fn restart(&self) {
        let mut state = self.lock();
        state.counts = Counts::default();
        state.number = 0;
    }

    pub fn set_policy(&self, policy: Policy) {
        self.lock().policy = policy;
        self.changed.notify_all();
    }

    pub fn set_gate(&self, gate: f64) {
        self.lock().gate = gate;
    }

    /// Wakes whoever waits, so that he looks at the settings again.
    pub fn wake(&self) {
        self.changed.notify_all();
    }

    /// What was counted, windows under way, and the engine.
    pub fn counts(&self) -> (Counts, u64, Option<Arc<dyn Windows>>) {
        let state = self.lock();
        (state.counts.clone(), state.pending(), state.client())
    }
}

impl State {
    fn check(&self) -> Result<(), FlowError> {
        if self.flushing {
            return Err(FlowError::Flushing);
        }
        self.flow.map(|_| ())
    }

    fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    fn pending(&self) -> u64 {
        (self.waiting.occupied_len() + self.sent.len()) as u64
    }

    fn client(&self) -> Option<Arc<dyn Windows>> {
        match &self.engine {
            Engine::Ready(client) => Some(Arc::clone(client)),
            _ => None,
        }
    }

    fn gap(&mut self, number: u64, ticket: &Ticket, hole: bool) {
        let (start, duration) = ticket.gap;
        self.controls.insert(number, Control::Gap { start, duration, hole });
    }

    /// Hands windows that wait to the engine, as many as it takes at once: whether any went.
    fn pump(&mut self) -> bool {
        let Some(client) = self.client().filter(|_| !self.submitting) else { return false };
        // What is with the engine cannot be dropped any more: where windows may be dropped, only what runs is there.
        let most = match self.policy {
            Policy::Block => usize::MAX,
            Policy::DropOldest | Policy::DropNewest => client.workers() * self.limits.max_batch.max(1),
        };
        let mut any = false;
        while self.sent.len() < most
            && let Some(front) = self.waiting.first_mut()
            && let Some(job) = front.job.take()
        {
            match client.try_submit(job, self.limits) {
                Ok(()) => {}
                Err(TrySubmitError::Full(job)) => {
                    front.job = Some(job);
                    break;
                }
                Err(TrySubmitError::Ended(job)) => {
                    front.job = Some(job);
                    self.engine = Engine::Failed;
                    break;
                }
            }
            let sent = self.waiting.try_pop().map(|waiting| (waiting.number, waiting.ticket));
            self.sent.extend(sent);
            any = true;
        }
        any
    }

    /// What has the lowest number, if it can be done now.
    fn next(&mut self) -> Option<Next> {
        let sent = self.sent.front().map(|(number, _)| *number);
        let waiting = self.waiting.first().map(|waiting| waiting.number);
        if let Some(control) = self.controls.first_entry()
            && sent.or(waiting).is_none_or(|window| *control.key() < window)
        {
            let control = control.remove();
            self.hole |= matches!(control, Control::Gap { hole: true, .. });
            return Some(Next::Push(control));
        }
        if matches!(self.engine, Engine::Failed) && (sent.is_some() || waiting.is_some()) {
            return Some(Next::Dead);
        }
        let client = self.client()?;
        if sent.is_some() {
            return Some(Next::Receive(client, self.generation));
        }
        // Nothing of ours is under way and still there is no room: the engine's queue is full of others' windows.
        let Waiting { number, ticket, job } = self.waiting.try_pop()?;
        self.sent.push_back((number, ticket));
        self.submitting = true;
        Some(Next::Submit(client, job?, self.limits, self.generation))
    }
}
