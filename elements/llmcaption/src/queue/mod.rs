//! Between the three threads: the streaming thread asks for captions, the worker writes them, the source pad's task pushes
//! them.
//!
//! One mutex and one condition variable. What goes out stands in one list in the order of the stream, captions that are
//! still being written included. Where upstream is live, or the output is not in step with it, GAPs overtake those.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gst::{ClockTime, FlowError};
use listen_captioner::Cancel;

use crate::hearing::Ask;
use crate::stats::Counts;

mod items;
mod state;

use items::{Entry, merged};
pub use items::{Item, Job, Next, Question, Work, Written};
use state::State;

/// Captions that wait for the worker.
const MOST_WAITING: usize = 4;
/// Things that wait to be pushed, before whoever adds one waits.
const MOST_OUT: usize = 64;
/// Questions that wait for the worker.
const MOST_QUESTIONS: usize = 16;

#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room in the output.
    fn room(&self) -> Result<MutexGuard<'_, State>, FlowError> {
        let mut state = self.lock();
        loop {
            state.check()?;
            if state.out.len() < MOST_OUT {
                return Ok(state);
            }
            if state.live && matches!(state.out.front(), Some(Entry::Caption(_, None))) {
                // Only downstream may hold up who is live, never a backend.
                state.give_up();
            }
            state = self.wait(state);
        }
    }

    /// Asks for a caption in its place in the output. Live, what waits is merged rather than waited for, as far as one
    /// caption may tell of no more than `context` nanoseconds.
    pub fn ask(&self, ask: Ask, context: u64) -> Result<(), FlowError> {
        let mut state = self.room()?;
        while !state.live && state.waiting.len() >= MOST_WAITING {
            state = self.wait(state);
            state.check()?;
        }
        state.counts.asked += 1;
        if state.live
            && let Some(last) = state.waiting.back_mut().filter(|last| !last.by_template)
            && ask.end.max(last.ask.end).saturating_sub(last.ask.start).nseconds() <= context
        {
            last.ask = merged(&last.ask, ask);
            last.merged += 1;
            state.counts.merged += 1;
            return Ok(());
        }
        state.number += 1;
        let number = state.number;
        state.out.push_back(Entry::Caption(number, None));
        let asked = Instant::now();
        state.waiting.push_back(Job { number, ask, merged: 1, by_template: false, asked });
        let over = state.waiting.iter().filter(|job| !job.by_template).count().saturating_sub(MOST_WAITING);
        // Live and far behind: the oldest are not left untold.
        state
            .waiting
            .iter_mut()
            .filter(|job| !job.by_template)
            .take(over)
            .for_each(|job| job.by_template = true);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Nothing begins before `end` any more.
    pub fn gap(&self, start: ClockTime, end: ClockTime) -> Result<(), FlowError> {
        {
            let mut state = self.lock();
            state.check()?;
            if let Some(Entry::Gap(_, until)) = state.out.back_mut() {
                *until = end.max(*until);
                return Ok(());
            }
        }
        self.room()?.out.push_back(Entry::Gap(start, end));
        self.changed.notify_all();
        Ok(())
    }

    /// An event, in its place.
    pub fn event(&self, event: gst::Event) -> Result<(), FlowError> {
        self.room()?.out.push_back(Entry::Event(event));
        self.changed.notify_all();
        Ok(())
    }

    /// The stream has ended: what is under way is done within `timeout`, or written by the template.
    pub fn end(&self, eos: gst::Event, timeout: Duration) -> Result<(), FlowError> {
        self.event(eos)?;
        self.lock().deadline = Instant::now().checked_add(timeout);
        self.changed.notify_all();
        Ok(())
    }

    /// Another stream begins: it has all the time that it wants.
    pub fn begin(&self) {
        self.lock().deadline = None;
    }

    /// Waits for the next thing to push.
    pub fn next(&self) -> Next {
        let mut state = self.lock();
        loop {
            if state.flushing {
                return Next::Stop;
            }
            if let Some(item) = state.take() {
                drop(state);
                self.changed.notify_all();
                return Next::Push(item);
            }
            let under_way = state.writing.is_some() && !state.out.is_empty();
            state = match state.deadline.filter(|_| under_way) {
                None => self.wait(state),
                Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => {
                        let waited = self.changed.wait_timeout(state, left);
                        waited.unwrap_or_else(PoisonError::into_inner).0
                    }
                    _ => {
                        // Too late: the worker leaves it to the template.
                        state.give_up();
                        state
                    }
                },
            };
        }
    }

    /// Waits for something that the worker is to do. Questions come first: somebody waits for them.
    pub fn work(&self) -> Work {
        let mut state = self.lock();
        loop {
            if !state.running {
                return Work::Stop;
            }
            let cancel = Cancel::new();
            if let Some(question) = state.questions.pop_front() {
                state.answering = Some(cancel.clone());
                return Work::Answer(Box::new(question), cancel);
            }
            if let Some(job) = state.waiting.pop_front() {
                state.writing = Some((job.number, cancel.clone()));
                let deadline = state.deadline;
                drop(state);
                self.changed.notify_all();
                return Work::Caption(Box::new(job), cancel, deadline);
            }
            state = self.wait(state);
        }
    }

    /// A caption was written; `None` where there was nothing to say. Whether anybody still waits for it.
    pub fn written(&self, number: u64, written: Option<Written>) -> bool {
        let mut state = self.lock();
        state.writing = None;
        let place = state.out.iter_mut().find_map(|entry| match entry {
            Entry::Caption(of, place) if *of == number => Some(place),
            _ => None,
        });
        let Some(place) = place else { return false };
        let written = written.map(Box::new);
        let took =
            written.as_ref().map(|written| (written.job.asked.elapsed(), written.reply.fallback.is_some()));
        *place = Some(written);
        if let Some((took, fallback)) = took {
            state.counts.written(took, fallback);
        }
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Whether a caption of this number is still waited for.
    pub fn wants(&self, number: u64) -> bool {
        let is_it = |entry: &Entry| matches!(entry, Entry::Caption(of, None) if *of == number);
        self.lock().out.iter().any(is_it)
    }

    /// Asks the worker a question; `false`: too many wait, or it does not run.
    pub fn question(&self, question: Question) -> bool {
        let mut state = self.lock();
        if !state.running || state.questions.len() >= MOST_QUESTIONS {
            return false;
        }
        state.questions.push_back(question);
        drop(state);
        self.changed.notify_all();
        true
    }

    /// A question was dealt with.
    pub fn answered(&self) {
        let mut state = self.lock();
        state.answering = None;
        state.counts.answers += 1;
    }

    /// Pushing came to an end, or writing: the streaming thread hears of it.
    pub fn set_failed(&self, error: FlowError) {
        self.lock().failed = Some(error);
        self.changed.notify_all();
    }

    /// Says what waits for whom: `live` upstream does not wait, `loose` the output is not in step with the input.
    pub fn set_policy(&self, live: bool, loose: bool) {
        let mut state = self.lock();
        (state.live, state.loose) = (live, loose);
        drop(state);
        self.changed.notify_all();
    }

    /// Drops everything that was to go out; the events of it. While `flushing` nothing is taken.
    pub fn flush(&self, flushing: bool) -> Vec<gst::Event> {
        let mut state = self.lock();
        state.flushing = flushing;
        (state.failed, state.deadline) = (None, None);
        let dropped = state.waiting.iter().map(|job| job.merged).sum::<u64>();
        state.counts.flushed += dropped;
        state.waiting.clear();
        if let Some((_, cancel)) = state.writing.take() {
            state.counts.flushed += 1;
            cancel.cancel();
        }
        let out = std::mem::take(&mut state.out);
        drop(state);
        self.changed.notify_all();
        let event = |entry| match entry {
            Entry::Event(event) => Some(event),
            Entry::Caption(..) | Entry::Gap(..) => None,
        };
        out.into_iter().filter_map(event).collect()
    }

    /// A worker may begin: what was counted is forgotten.
    pub fn start(&self) {
        let mut state = self.lock();
        state.running = true;
        state.counts = Counts::default();
    }

    /// The worker gives up what it does and ends; the questions that nobody answers any more.
    pub fn stop(&self) -> Vec<Question> {
        let mut state = self.lock();
        state.running = false;
        if let Some(cancel) = state.answering.take() {
            cancel.cancel();
        }
        if let Some((_, cancel)) = state.writing.take() {
            cancel.cancel();
        }
        let questions = std::mem::take(&mut state.questions);
        drop(state);
        self.changed.notify_all();
        questions.into()
    }

    /// Counts since the start, and the captions that are under way.
    pub fn counts(&self) -> (Counts, u64) {
        let state = self.lock();
        let pending = state.out.iter().filter(|entry| matches!(entry, Entry::Caption(_, None))).count();
        (state.counts.clone(), pending as u64)
    }
}
