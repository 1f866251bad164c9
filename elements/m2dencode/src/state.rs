//! What waits and what is under way, in the order of the stream: plain state, under the lock of [`Queue`](crate::queue::Queue).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::{ClockTime, FlowError, FlowSuccess};
use gst_listen_common::reference::Stamp;
use listen_encoder::{Heard, WindowJob, carries_over};
use listen_runtime::{Limits, RuntimeError, TrySubmitError};
use ringbuf::HeapRb;
use ringbuf::traits::Observer;

use crate::controls::{Control, Controls, Gap};
use crate::engine::Windows;
use crate::settings::Policy;
use crate::stats::Counts;

/// Windows that wait at most, beside those that come at once: one more than is needed where the engine keeps up.
const SPARE: usize = 1;
/// Windows that come at once for which there is room at most. More are no live stream's.
const AT_ONCE: usize = 128;

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
    /// Windows that came with it, itself counted.
    pub at_once: usize,
    /// When its last frame came.
    pub came: Instant,
}

/// What the task does next.
pub(crate) enum Next {
    Push(Control),
    /// Take the oldest window's result.
    Receive(Arc<dyn Windows>, u64),
    /// Hand over a window, however long that takes; then say [`Queue::submitted`].
    Submit(Arc<dyn Windows>, WindowJob, Limits, u64),
    /// Nothing came in time, or the settings have changed.
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
    pub result: Result<Heard, RuntimeError>,
}

/// What became of a window that came.
#[derive(Debug, Default)]
pub(crate) struct Offered {
    /// A window that was dropped for it, or itself.
    pub dropped: Option<Ticket>,
    /// It is not encoded: it goes back to the stream, whose later windows may need a part of it.
    pub back: Option<WindowJob>,
}

/// Everything between the two threads.
pub(crate) struct State {
    pub flushing: bool,
    /// Counts flushes: results of an older generation are void.
    pub generation: u64,
    /// What pushing has come to.
    pub flow: Result<FlowSuccess, FlowError>,
    pub engine: Engine,
    /// Whether each window takes what the one before it left.
    pub carries: bool,
    pub limits: Limits,
    pub policy: Policy,
    pub gate: f64,
    pub waiting: HeapRb<Waiting>,
    /// Windows that come at once, each in a buffer of its own.
    pub at_once: usize,
    /// Handed to the engine, oldest first.
    pub sent: VecDeque<(u64, Ticket)>,
    pub controls: Controls,
    /// Number of what comes next.
    pub number: u64,
    /// Whether the task hands over a window outside of the lock: nobody may overtake it.
    pub submitting: bool,
    /// Whether what goes out next follows on a hole.
    pub hole: bool,
    /// Whether the task is to look at the settings again.
    pub poked: bool,
    pub counts: Counts,
}

/// Where the engine is.
pub(crate) enum Engine {
    /// NULL.
    None,
    /// Being loaded, by the job of this number.
    Loading(u64),
    Ready(Arc<dyn Windows>),
    Failed,
}

pub(crate) struct Waiting {
    pub number: u64,
    pub ticket: Ticket,
    /// `None` only while it is handed over.
    pub job: Option<WindowJob>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            flushing: true,
            generation: 0,
            flow: Ok(FlowSuccess::Ok),
            engine: Engine::None,
            carries: false,
            limits: Limits::default(),
            policy: Policy::Block,
            gate: crate::settings::GATE_OFF,
            waiting: HeapRb::new(1 + SPARE),
            at_once: 1,
            sent: VecDeque::new(),
            controls: Controls::default(),
            number: 0,
            submitting: false,
            hole: false,
            poked: false,
            counts: Counts::default(),
        }
    }
}

impl State {
    pub fn check(&self) -> Result<(), FlowError> {
        if self.flushing {
            return Err(FlowError::Flushing);
        }
        self.flow.map(|_| ())
    }

    pub fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    pub fn pending(&self) -> u64 {
        (self.waiting.occupied_len() + self.sent.len()) as u64
    }

    pub fn client(&self) -> Option<Arc<dyn Windows>> {
        match &self.engine {
            Engine::Ready(client) => Some(Arc::clone(client)),
            _ => None,
        }
    }

    /// A GAP in place of a window that does not come out.
    pub fn gap(&mut self, number: u64, ticket: &Ticket, hole: bool) {
        let under_way = self.sent.iter().map(|(number, _)| *number);
        let windows = under_way.chain(self.waiting.iter().map(|waiting| waiting.number));
        let gap = Gap { start: ticket.gap.0, duration: ticket.gap.1, hole };
        self.controls.insert_gap(number, gap, windows);
    }

    /// Makes room for `windows` windows that come at once, in a stream whose windows may be dropped.
    ///
    /// An engine that keeps up encodes them before as many come again; what waits in the meantime is not overload, and
    /// upstream's latency covers it.
    pub fn expect_at_once(&mut self, windows: usize) {
        let capacity = windows.min(AT_ONCE) + SPARE;
        if capacity > self.waiting.capacity().get() {
            let mut larger = HeapRb::new(capacity);
            larger.push_iter(self.waiting.pop_iter());
            self.waiting = larger;
        }
    }

    /// Whether windows go to the engine one at a time: each takes what the one before it left. Who runs the graph is known with the
    /// first result.
    fn goes_alone(&self) -> bool {
        self.carries && self.counts.provider.is_none_or(carries_over)
    }

    /// What may be run together with a window.
    fn limits(&self) -> Limits {
        match self.goes_alone() {
            // Nothing is: to wait for company would be in vain.
            true => Limits { max_batch: 1, max_wait: Duration::ZERO },
            false => self.limits,
        }
    }

    /// Hands windows that wait to the engine, as many as it takes at once: whether any went.
    pub fn pump(&mut self) -> bool {
        let Some(client) = self.client().filter(|_| !self.submitting) else { return false };
        // What is with the engine cannot be dropped any more: where windows may be dropped, only what runs is there.
        let (alone, limits) = (self.goes_alone(), self.limits());
        let most = match self.policy {
            // One that waits for what the one before it leaves would keep a worker from other streams.
            _ if alone => 1,
            Policy::Block => usize::MAX,
            Policy::DropOldest | Policy::DropNewest => client.workers() * self.limits.max_batch.max(1),
        };
        let mut any = false;
        while self.sent.len() < most
            && let Some(front) = self.waiting.first_mut()
            && let Some(job) = front.job.take()
        {
            match client.try_submit(job, limits) {
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
    pub fn next(&mut self) -> Option<Next> {
        let sent = self.sent.front().map(|(number, _)| *number);
        let waiting = self.waiting.first().map(|waiting| waiting.number);
        if let Some(control) = self.controls.take_before(sent.or(waiting)) {
            self.hole |= matches!(control, Control::Gap(Gap { hole: true, .. }));
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
        Some(Next::Submit(client, job?, self.limits(), self.generation))
    }
}
