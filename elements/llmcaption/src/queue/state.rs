//! What the queue's lock guards.

use std::collections::VecDeque;
use std::time::Instant;

use gst::{FlowError, FlowSuccess};
use listen_captioner::Cancel;

use super::items::{Entry, Item, Job, Question};
use crate::stats::Counts;

/// The state of the three threads.
#[derive(Default)]
pub struct State {
    pub flushing: bool,
    /// The worker may work.
    pub running: bool,
    /// Upstream does not wait: nobody may be held up by a backend.
    pub live: bool,
    /// The output is not in step with the input.
    pub loose: bool,
    /// What pushing came to; `None` is well.
    pub failed: Option<FlowError>,
    pub number: u64,
    pub out: VecDeque<Entry>,
    pub waiting: VecDeque<Job>,
    pub questions: VecDeque<Question>,
    /// What the worker has in hand.
    pub writing: Option<(u64, Cancel)>,
    pub answering: Option<Cancel>,
    /// When all captions must be done: the stream has ended.
    pub deadline: Option<Instant>,
    pub counts: Counts,
}

impl State {
    /// Takes the caption that is being written from its backend: the worker leaves it to the template.
    pub fn give_up(&mut self) {
        if let Some((_, cancel)) = self.writing.take() {
            cancel.cancel();
        }
    }

    pub fn check(&self) -> Result<FlowSuccess, FlowError> {
        match self.failed {
            _ if self.flushing => Err(FlowError::Flushing),
            Some(error) => Err(error),
            None => Ok(FlowSuccess::Ok),
        }
    }

    /// The first thing that may go out now.
    pub fn take(&mut self) -> Option<Item> {
        loop {
            match self.out.front()? {
                Entry::Caption(_, None) => {
                    if !(self.live || self.loose) {
                        return None;
                    }
                    // Time goes on while it is written, but not beyond what ends this stretch of the stream.
                    let stretch = self.out.iter().take_while(|entry| !matches!(entry, Entry::Event(_)));
                    let gap = stretch.enumerate().find(|(_, entry)| matches!(entry, Entry::Gap(..)))?.0;
                    let Some(Entry::Gap(start, end)) = self.out.remove(gap) else { return None };
                    return Some(Item::Gap(start, end));
                }
                Entry::Caption(_, Some(None)) => {
                    self.out.pop_front();
                }
                _ => break,
            }
        }
        Some(match self.out.pop_front()? {
            Entry::Caption(_, written) => Item::Caption(written??),
            Entry::Gap(start, end) => Item::Gap(start, end),
            Entry::Event(event) => Item::Event(event),
        })
    }
}
