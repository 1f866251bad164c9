//! Between the streaming thread and the task: windows that wait, windows under way, events between them.
//!
//! One mutex and one condition variable. Everything that goes out has a number in the order of the stream; the task
//! pushes what has the lowest. A ring holds the whole windows that wait, so that overload drops whole windows of any
//! age; windows overlap, and a ring of frames could not give up one and keep its neighbours.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use gst::{FlowError, FlowSuccess};
use listen_encoder::{Heard, WindowJob};
use listen_runtime::{Limits, RuntimeError};
use ringbuf::traits::Observer;

use crate::engine::Windows;
use crate::settings::Policy;
use crate::state::{Engine, Next, Offered, Received, State, Ticket, Waiting};
use crate::stats::Counts;

#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Something came, went or was flushed, or the engine is there.
    changed: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes a window from the streaming thread.
    ///
    /// `at_end` the stream has ended: then it waits for room whatever the policy.
    pub fn offer(&self, job: WindowJob, ticket: Ticket, at_end: bool) -> Result<Offered, FlowError> {
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
            if policy != Policy::Block {
                let at_once = ticket.at_once.max(state.at_once);
                state.expect_at_once(at_once);
            }
            let number = state.next_number();
            state.counts.taken += 1;
            state.counts.level = Some(job.level_db.into());
            let mut offered = Offered::default();
            if loading {
                state.counts.lost += 1;
                state.gap(number, &ticket, true);
                offered.back = Some(job);
            } else if gated {
                state.counts.gated += 1;
                state.gap(number, &ticket, false);
                offered.back = Some(job);
            } else if state.waiting.is_full() && policy == Policy::DropNewest {
                state.counts.dropped += 1;
                state.gap(number, &ticket, true);
                offered = Offered { dropped: Some(ticket), back: Some(job) };
            } else if let Some(oldest) =
                state.waiting.push_overwrite(Waiting { number, ticket, job: Some(job) })
            {
                state.counts.dropped += 1;
                state.gap(oldest.number, &oldest.ticket, true);
                offered.dropped = Some(oldest.ticket);
                let next = state.waiting.first_mut().and_then(|next| next.job.as_mut());
                if let (Some(next), Some(job)) = (next, oldest.job) {
                    next.take_over(job);
                }
            }
            state.pump();
            self.changed.notify_all();
            return Ok(offered);
        }
    }

    /// Takes an event, in its place between the windows.
    pub fn event(&self, event: gst::Event) -> Result<(), FlowError> {
        let mut state = self.lock();
        state.check()?;
        let number = state.next_number();
        state.controls.insert_event(number, event);
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
            if std::mem::take(&mut state.poked) {
                return Next::Idle;
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

    /// Takes what became of the oldest window; `None` where a flush came meanwhile.
    pub fn received(&self, generation: u64, result: Result<Heard, RuntimeError>) -> Option<Received> {
        let mut state = self.lock();
        if state.generation != generation {
            return None;
        }
        let (number, ticket) = state.sent.pop_front()?;
        let mut discont = ticket.discont;
        match &result {
            Ok(Heard::Embedding(embedding)) => {
                state.counts.given += 1;
                state.counts.provider = Some(embedding.provider);
                state.counts.measured(ticket.came.elapsed());
                discont |= std::mem::take(&mut state.hole);
            }
            Ok(Heard::Missed) => {
                state.counts.dropped += 1;
                state.gap(number, &ticket, true);
            }
            Err(_) => state.counts.dropped += 1,
        }
        state.pump();
        self.changed.notify_all();
        Some(Received { ticket, discont, result })
    }

    /// What is pushed next follows on a hole.
    pub fn set_hole(&self) {
        self.lock().hole = true;
    }

    /// Pushing came to an end: the streaming thread hears of it. The ends that wait already, where only one branch behind a tee
    /// has had enough: the others are still to hear of them.
    pub fn set_flow(&self, error: FlowError) -> Vec<gst::Event> {
        let mut state = self.lock();
        state.flow = Err(error);
        let ends = if error == FlowError::Eos { state.controls.take_ends() } else { Vec::new() };
        drop(state);
        self.changed.notify_all();
        ends
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
        controls.into_events()
    }

    /// A job begins to load the engine, which `carries` over from window to window or does not: the job's number.
    pub fn loading(&self, carries: bool) -> u64 {
        let mut state = self.lock();
        state.generation += 1;
        state.carries = carries;
        state.engine = Engine::Loading(state.generation);
        state.generation
    }

    /// Whether anybody waits for what the job loads.
    pub fn wants(&self, job: u64) -> bool {
        matches!(self.lock().engine, Engine::Loading(current) if current == job)
    }

    /// The job has ended; whether anybody still wants what it loaded, with what its graph allows a batch.
    pub fn loaded(&self, job: u64, engine: Option<(Arc<dyn Windows>, Limits)>) -> bool {
        let mut state = self.lock();
        if !matches!(state.engine, Engine::Loading(current) if current == job) {
            return false;
        }
        state.engine = match engine {
            Some((engine, limits)) => {
                state.limits = limits;
                Engine::Ready(engine)
            }
            None => Engine::Failed,
        };
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
        state.at_once = 1;
        if state.waiting.is_empty() {
            state.waiting = State::default().waiting;
        }
    }

    pub fn set_policy(&self, policy: Policy) {
        self.lock().policy = policy;
        self.changed.notify_all();
    }

    /// Windows come so many at once, though in buffers of their own.
    pub fn set_at_once(&self, windows: usize) {
        self.lock().at_once = windows;
    }

    /// Whether windows wait or are under way.
    pub fn has_windows(&self) -> bool {
        self.lock().pending() > 0
    }

    pub fn set_gate(&self, gate: f64) {
        self.lock().gate = gate;
    }

    /// Wakes the task, so that it looks at the settings again.
    pub fn wake(&self) {
        self.lock().poked = true;
        self.changed.notify_all();
    }

    /// What was counted, windows under way, and the engine.
    pub fn counts(&self) -> (Counts, u64, Option<Arc<dyn Windows>>) {
        let state = self.lock();
        (state.counts.clone(), state.pending(), state.client())
    }
}
