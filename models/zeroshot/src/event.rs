//! Events: what begins, goes on and ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::labels::Label;

/// The stretch of time that a score stands for, in nanoseconds of the stream's timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub start: u64,
    /// Where it ends; not before its start.
    pub end: u64,
    /// Distance from the previous span's start: what is new in this one lies in its last `step`.
    pub step: u64,
}

impl Span {
    /// A span; an end before the start is taken as the start.
    pub fn new(start: u64, end: u64, step: u64) -> Span {
        Span { start, end: end.max(start), step }
    }

    /// Where a sound begins that is heard in this span and was not heard in the one before.
    pub fn onset(&self) -> u64 {
        self.end.saturating_sub(self.step).max(self.start)
    }

    /// Where the next span begins, if nothing is missing between.
    pub(crate) fn next(&self) -> u64 {
        self.start.saturating_add(self.step)
    }
}

/// A sound that was heard: one label, one channel, one stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The same from start to end, and no other event's.
    pub id: u64,
    /// What it is.
    pub label: Arc<Label>,
    /// The label's place in the list as it is now, from 0; of a label that was removed, as it was.
    pub index: usize,
    /// Channel it was heard in; -1 for a mixture of all.
    pub channel: i32,
    /// The smoothed score of the last window.
    pub score: f32,
    /// The highest smoothed score so far.
    pub peak_score: f32,
    /// The loudest window so far, in dB relative to a full-scale sine, where levels are known.
    pub level: Option<f32>,
    /// Where the sound begins, in nanoseconds.
    pub onset: u64,
    /// Where it ended, in nanoseconds; `None` until it did.
    pub offset: Option<u64>,
    /// The end of the last window that was looked at: when this became known.
    pub at: u64,
}

/// Why an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The sound did.
    Quiet,
    /// Another label of its group began.
    Group,
    /// Its label is not listened for any more.
    LabelRemoved,
    /// Scores mean something else from now on (another model or kind of score).
    Reconfigured,
    /// The stream ended, or the part of it that was asked for.
    Eos,
    /// The stream was flushed.
    Flush,
    /// A part of the stream is missing.
    Gap,
    /// The pipeline was stopped.
    Stop,
}

impl EndReason {
    /// Its name in outputs.
    pub fn as_str(self) -> &'static str {
        match self {
            EndReason::Quiet => "quiet",
            EndReason::Group => "group",
            EndReason::LabelRemoved => "label-removed",
            EndReason::Reconfigured => "reconfigured",
            EndReason::Eos => "eos",
            EndReason::Flush => "flush",
            EndReason::Gap => "gap",
            EndReason::Stop => "stop",
        }
    }
}

/// What happened to an event. Each begins once, may be updated, and ends once.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// It began, at its onset.
    Start(Event),
    /// It goes on.
    Update(Event),
    /// It ended; `offset` is known.
    End(Event, EndReason),
}

impl Change {
    /// The event as it is now.
    pub fn event(&self) -> &Event {
        match self {
            Change::Start(event) | Change::Update(event) | Change::End(event, _) => event,
        }
    }

    /// `start`, `update` or `end`.
    pub fn kind(&self) -> &'static str {
        match self {
            Change::Start(_) => "start",
            Change::Update(_) => "update",
            Change::End(..) => "end",
        }
    }
}

/// Gives events their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventIds {
    /// Numbers that no other event in this process has.
    Process,
    /// This number next, then the following ones.
    From(u64),
}

impl EventIds {
    pub(crate) fn next(&mut self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        match self {
            // Nothing else depends on the number, so no order between threads is needed.
            EventIds::Process => NEXT.fetch_add(1, Ordering::Relaxed),
            EventIds::From(next) => {
                let id = *next;
                *next = next.wrapping_add(1);
                id
            }
        }
    }
}
