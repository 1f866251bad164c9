//! Between the three threads: the streaming thread asks for captions, the worker writes them, the source pad's task pushes
//! them.
//!
//! One mutex and one condition variable. What goes out stands in one list in the order of the stream, captions that are
//! still being written included. Where upstream is live, or the output is not in step with it, GAPs overtake those.
//!
//! The end of the stream waits for the captions before it and for the questions that were asked before it, so long as
//! `timeout` allows; what is not done then is left to the template. Where nothing flows any more (a branch behind a tee has had
//! enough) it waits for nothing.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gst::{ClockTime, FlowError};
use gst_listen_common::flow;

use crate::hearing::Ask;
use crate::stats::Counts;

mod items;
mod state;

pub use items::{BEHIND, ENDED, Item, Job, Limit, Next, Question, Work, Written};
use items::{End, Entry, Place, merged};
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
            if state.live && matches!(state.out.front(), Some(Entry::Caption(Place { written: None, .. }))) {
                // Only downstream may hold up who is live, never a backend; nor may a question that it answers.
                state.give_up(BEHIND);
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
            let (number, open) = (last.number, ask.open());
            last.ask = merged(&last.ask, ask);
            last.merged += 1;
            let (start, end) = (last.ask.start, last.ask.end);
            if let Some(place) = state.places().find(|place| place.number == number) {
                place.start = start;
                place.end = place.end.max(end);
                place.open.extend(open);
            }
            state.counts.merged += 1;
            return Ok(());
        }
        state.number += 1;
        let number = state.number;
        let (start, end, open) = (ask.start, ask.end, ask.open());
        state.out.push_back(Entry::Caption(Place { number, start, end, open, written: None }));
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

    /// Sounds went on up to `heard`, all but those that have ended.
    pub fn follow(&self, heard: ClockTime, ended: &[(u64, ClockTime)]) {
        for place in self.lock().places().filter(|place| !place.open.is_empty()) {
            for (id, end) in ended {
                if let Some(open) = place.open.iter().position(|open| open == id) {
                    place.open.swap_remove(open);
                    place.end = place.end.max(*end);
                }
            }
            if !place.open.is_empty() {
                place.end = place.end.max(heard);
            }
        }
        self.changed.notify_all();
    }

    /// Nothing begins before `end` any more.
    pub fn gap(&self, start: ClockTime, end: ClockTime) -> Result<(), FlowError> {
        let mut state = self.lock();
        state.check()?;
        state.reached = state.reached.max(Some(end));
        if let Some(Entry::Gap(_, until)) = state.out.back_mut() {
            *until = end.max(*until);
        } else {
            drop(state);
            state = self.room()?;
            state.out.push_back(Entry::Gap(start, end));
        }
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// An event, in its place.
    pub fn event(&self, event: gst::Event) -> Result<(), FlowError> {
        let mut state = self.room()?;
        if event.type_() == gst::EventType::Segment {
            state.reached = None;
        }
        state.out.push_back(Entry::Event(event));
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// The stream has ended: what is under way is done within `timeout`, or left to the template.
    pub fn end(&self, eos: gst::Event, timeout: Duration) -> Result<(), FlowError> {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.room()?;
        let end = End { deadline, questions: state.asked };
        state.out.push_back(Entry::End(eos, end));
        drop(state);
        self.changed.notify_all();
        Ok(())
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
            state = match state.deadline() {
                None => self.wait(state),
                Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => {
                        let waited = self.changed.wait_timeout(state, left);
                        waited.unwrap_or_else(PoisonError::into_inner).0
                    }
                    _ => {
                        state.give_up(ENDED);
                        state
                    }
                },
            };
        }
    }

    /// Waits for something that the worker is to do. Questions come first, because somebody waits for them, but one
    /// after the other they hold no caption up.
    pub fn work(&self) -> Work {
        let mut state = self.lock();
        loop {
            if !state.running {
                return Work::Stop;
            }
            let captions_turn = state.answered && !state.waiting.is_empty();
            if !captions_turn && let Some(question) = state.questions.pop_front() {
                state.answered = true;
                let until = state.deadline_of_question();
                let limit = state.begin(None, until);
                drop(state);
                self.changed.notify_all();
                return Work::Answer(Box::new(question), limit);
            }
            if let Some(job) = state.waiting.pop_front() {
                state.answered = false;
                let until = state.deadline_of_caption(job.number);
                let limit = state.begin(Some(job.number), until);
                drop(state);
                self.changed.notify_all();
                return Work::Caption(Box::new(job), limit);
            }
            state = self.wait(state);
        }
    }

    /// Why the template is to do what the worker has in hand, where the worker was told to leave it.
    pub fn given_up(&self) -> Option<&'static str> {
        self.lock().in_hand.as_ref()?.given_up
    }

    /// A caption was written; `None` where there was nothing to say. Whether anybody still waits for it.
    pub fn written(&self, number: u64, written: Option<Written>) -> bool {
        let mut state = self.lock();
        state.in_hand = None;
        let Some(place) = state.places().find(|place| place.number == number) else { return false };
        let written = written.map(Box::new);
        let took =
            written.as_ref().map(|written| (written.job.asked.elapsed(), written.reply.fallback.is_some()));
        place.written = Some(written);
        if let Some((took, fallback)) = took {
            state.counts.written(took, fallback);
        }
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Whether a caption of this number is still waited for.
    pub fn wants(&self, number: u64) -> bool {
        let mut state = self.lock();
        state.running && state.places().any(|place| place.number == number && place.written.is_none())
    }

    /// Asks the worker a question; `false`: too many wait, or it does not run.
    pub fn question(&self, question: Question) -> bool {
        let mut state = self.lock();
        if !state.running || state.questions.len() >= MOST_QUESTIONS {
            return false;
        }
        state.asked += 1;
        state.questions.push_back(question);
        drop(state);
        self.changed.notify_all();
        true
    }

    /// A question has an answer.
    pub fn answered(&self) {
        let mut state = self.lock();
        state.in_hand = None;
        state.counts.answers += 1;
    }

    /// Who asked was told.
    pub fn told(&self) {
        self.lock().dealt += 1;
        self.changed.notify_all();
    }

    /// Pushing came to an end: the streaming thread hears of it. The ends that wait already, where only one branch behind a tee
    /// has had enough: the others are still to hear of them.
    pub fn set_failed(&self, error: FlowError) -> Vec<gst::Event> {
        let mut state = self.lock();
        state.failed = Some(error);
        let mut ends = Vec::new();
        if error == FlowError::Eos {
            state.out.retain(|entry| match entry {
                Entry::End(event, _) | Entry::Event(event) if flow::is_end(event) => {
                    ends.push(event.clone());
                    false
                }
                _ => true,
            });
        }
        drop(state);
        self.changed.notify_all();
        ends
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
        (state.failed, state.reached) = (None, None);
        state.counts.flushed += state.unwritten();
        state.waiting.clear();
        if let Some(writing) = state.in_hand.as_ref().filter(|in_hand| in_hand.caption.is_some()) {
            writing.cancel.cancel();
        }
        let out = std::mem::take(&mut state.out);
        drop(state);
        self.changed.notify_all();
        let event = |entry| match entry {
            Entry::Event(event) | Entry::End(event, _) => Some(event),
            Entry::Caption(..) | Entry::Gap(..) => None,
        };
        out.into_iter().filter_map(event).collect()
    }

    /// A worker may begin: what was counted is forgotten.
    pub fn start(&self) {
        let mut state = self.lock();
        state.running = true;
        (state.asked, state.dealt, state.answered) = (0, 0, false);
        state.counts = Counts::default();
    }

    /// The worker gives up what it does and ends; the questions that nobody answers any more.
    pub fn stop(&self) -> Vec<Question> {
        let mut state = self.lock();
        state.running = false;
        if let Some(in_hand) = &state.in_hand {
            in_hand.cancel.cancel();
        }
        let questions = std::mem::take(&mut state.questions);
        drop(state);
        self.changed.notify_all();
        questions.into()
    }

    /// Counts since the start, and the captions that are under way.
    pub fn counts(&self) -> (Counts, u64) {
        let state = self.lock();
        (state.counts.clone(), state.unwritten())
    }
}
