//! What the queue's lock guards.

use std::collections::VecDeque;
use std::time::Instant;

use gst::{ClockTime, FlowError, FlowSuccess};
use listen_captioner::Cancel;

use super::items::{Entry, Item, Job, Limit, Place, Question};
use crate::stats::Counts;

/// Things in the output from which on no caption waits for its time.
const MOST_HELD: usize = 32;

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
    /// Where GAPs have got to, in this stretch of the stream.
    pub reached: Option<ClockTime>,
    pub waiting: VecDeque<Job>,
    pub questions: VecDeque<Question>,
    /// Questions that were taken, and those of them that were dealt with.
    pub asked: u64,
    pub dealt: u64,
    /// Whether the worker dealt with a question last: captions have their turn.
    pub answered: bool,
    pub in_hand: Option<InHand>,
    pub counts: Counts,
}

/// What the worker does.
pub struct InHand {
    /// The caption's number; none for an answer.
    pub caption: Option<u64>,
    pub cancel: Cancel,
    /// Why the template does it, once it was given up.
    pub given_up: Option<&'static str>,
}

impl State {
    /// Takes what the worker has in hand from its backend: it leaves it to the template.
    pub fn give_up(&mut self, why: &'static str) {
        if let Some(in_hand) = &mut self.in_hand {
            in_hand.given_up.get_or_insert(why);
            in_hand.cancel.cancel();
        }
    }

    /// The worker begins something.
    pub fn begin(&mut self, caption: Option<u64>, until: Option<Instant>) -> Limit {
        let cancel = Cancel::new();
        self.in_hand = Some(InHand { caption, cancel: cancel.clone(), given_up: None });
        Limit { cancel, until }
    }

    /// When what the worker has in hand must be done because the end of the stream waits for it.
    pub fn deadline(&self) -> Option<Instant> {
        self.in_hand.as_ref().filter(|in_hand| in_hand.given_up.is_none())?;
        self.out.iter().find_map(|entry| match entry {
            Entry::End(_, end) => end.deadline,
            _ => None,
        })
    }

    /// When this caption must be done.
    pub fn deadline_of_caption(&self, number: u64) -> Option<Instant> {
        let place = |entry: &&Entry| !matches!(entry, Entry::Caption(place) if place.number == number);
        self.out.iter().skip_while(place).find_map(|entry| match entry {
            Entry::End(_, end) => end.deadline,
            _ => None,
        })
    }

    /// When the question that comes next must be answered.
    pub fn deadline_of_question(&self) -> Option<Instant> {
        self.out.iter().find_map(|entry| match entry {
            Entry::End(_, end) if self.dealt < end.questions => end.deadline,
            _ => None,
        })
    }

    pub fn check(&self) -> Result<FlowSuccess, FlowError> {
        match self.failed {
            _ if self.flushing => Err(FlowError::Flushing),
            Some(error) => Err(error),
            None => Ok(FlowSuccess::Ok),
        }
    }

    /// The places of captions that have not gone out.
    pub fn places(&mut self) -> impl Iterator<Item = &mut Place> {
        self.out.iter_mut().filter_map(|entry| match entry {
            Entry::Caption(place) => Some(place),
            _ => None,
        })
    }

    /// Captions that are still to be written.
    pub fn unwritten(&self) -> u64 {
        let unwritten = |entry: &&Entry| matches!(entry, Entry::Caption(Place { written: None, .. }));
        self.out.iter().filter(unwritten).count() as u64
    }

    /// The first thing that may go out now.
    pub fn take(&mut self) -> Option<Item> {
        loop {
            match self.out.front()? {
                Entry::Caption(place) => match &place.written {
                    None if self.live || self.loose => return self.overtaking(),
                    None => return None,
                    Some(None) => drop(self.out.pop_front()),
                    Some(Some(_)) if self.is_held(place) => return self.overtaking(),
                    Some(Some(_)) => break,
                },
                Entry::End(_, end) if self.dealt < end.questions => return None,
                _ => break,
            }
        }
        Some(match self.out.pop_front()? {
            Entry::Caption(place) => {
                let mut written = place.written??;
                written.job.ask.end = place.end;
                Item::Caption(written, self.next_caption())
            }
            Entry::Gap(start, end) => Item::Gap(start, end),
            Entry::Event(event) | Entry::End(event, _) => Item::Event(event),
        })
    }

    /// Whether a caption that is written waits for its time: a sound of it goes on, and nobody knows yet for how long.
    /// That costs nothing, because the output has not come to where it begins.
    fn is_held(&self, place: &Place) -> bool {
        let in_step = !self.live && !self.loose;
        let early = self.reached.is_none_or(|reached| reached < place.start);
        let goes_on = self.out.iter().all(|entry| matches!(entry, Entry::Caption(_) | Entry::Gap(..)));
        // Nor may it hold up who waits for room.
        in_step && early && goes_on && !place.open.is_empty() && self.out.len() < MOST_HELD
    }

    /// A GAP behind what stands first: time goes on, but not beyond what ends this stretch of the stream.
    fn overtaking(&mut self) -> Option<Item> {
        let stretch = self.out.iter().take_while(|entry| !matches!(entry, Entry::Event(_) | Entry::End(..)));
        let gap = stretch.enumerate().find(|(_, entry)| matches!(entry, Entry::Gap(..)))?.0;
        match self.out.remove(gap)? {
            Entry::Gap(start, end) => Some(Item::Gap(start, end)),
            _ => None,
        }
    }

    /// Where the first caption of the queue will stand.
    fn next_caption(&self) -> Option<ClockTime> {
        let mut reached = ClockTime::ZERO;
        for entry in &self.out {
            match entry {
                Entry::Gap(_, end) => reached = reached.max(*end),
                Entry::Caption(Place { written: Some(None), .. }) => {}
                Entry::Caption(place) => return Some(place.start.max(reached)),
                Entry::Event(_) | Entry::End(..) => return None,
            }
        }
        None
    }
}
