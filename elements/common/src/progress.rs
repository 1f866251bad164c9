//! Progress messages that always end.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};

use gst::prelude::*;

/// A job that takes long: START was posted, and exactly one of COMPLETE, CANCELED and ERROR follows.
///
/// Whoever ends it first decides, and whoever comes second goes on when the end has been posted: a START that follows
/// comes after it. Dropped without an end it is canceled. It does not keep its element alive.
#[derive(Debug)]
pub struct Progress {
    element: gst::glib::WeakRef<gst::Element>,
    code: &'static str,
    phase: Mutex<Phase>,
    ended: Condvar,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Open,
    /// This thread posts the end, without the lock: who hears of it may do anything.
    Ending(ThreadId),
    Ended,
}

impl Progress {
    /// Posts START: `code` is what programs look at, `text` what people read.
    pub fn start(element: &impl IsA<gst::Element>, code: &'static str, text: &str) -> Self {
        let progress = Self {
            element: element.upcast_ref().downgrade(),
            code,
            phase: Mutex::new(Phase::Open),
            ended: Condvar::new(),
        };
        progress.post(gst::ProgressType::Start, text);
        progress
    }

    /// It is done.
    pub fn complete(&self, text: &str) -> bool {
        self.end(gst::ProgressType::Complete, text)
    }

    /// It is not wanted any more.
    pub fn cancel(&self, text: &str) -> bool {
        self.end(gst::ProgressType::Canceled, text)
    }

    /// It failed.
    pub fn fail(&self, text: &str) -> bool {
        self.end(gst::ProgressType::Error, text)
    }

    /// Posts the end, if nobody has: whether this was it.
    fn end(&self, kind: gst::ProgressType, text: &str) -> bool {
        let here = thread::current().id();
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        while let Phase::Ending(other) = *phase
            && other != here
        {
            phase = self.ended.wait(phase).unwrap_or_else(PoisonError::into_inner);
        }
        if *phase != Phase::Open {
            return false;
        }
        *phase = Phase::Ending(here);
        drop(phase);
        self.post(kind, text);
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = Phase::Ended;
        self.ended.notify_all();
        true
    }

    fn post(&self, kind: gst::ProgressType, text: &str) {
        let Some(element) = self.element.upgrade() else { return };
        let message = gst::message::Progress::builder(kind, self.code, text).src(&element).build();
        // Without a bus nobody listens.
        let _ = element.post_message(message);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.cancel("not finished");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was posted on an element's bus.
    fn posted(run: impl FnOnce(&gst::Element)) -> Vec<gst::ProgressType> {
        gst::init().unwrap();
        let (element, bus) = (gst::Bin::new().upcast::<gst::Element>(), gst::Bus::new());
        element.set_bus(Some(&bus));
        run(&element);
        let kind = |message: gst::Message| match message.view() {
            gst::MessageView::Progress(progress) => Some(progress.get().0),
            _ => None,
        };
        std::iter::from_fn(|| bus.pop()).filter_map(kind).collect()
    }

    #[test]
    fn the_first_end_counts() {
        use gst::ProgressType::{Canceled, Complete, Error, Start};
        let all = posted(|element| {
            let progress = Progress::start(element, "loading", "Loading");
            assert!(progress.complete("Loaded"));
            assert!(!progress.cancel("Stopped"));
        });
        assert_eq!(all, [Start, Complete]);
        assert_eq!(posted(|element| drop(Progress::start(element, "loading", "Loading"))), [Start, Canceled]);
        let failed = posted(|element| assert!(Progress::start(element, "loading", "Loading").fail("no")));
        assert_eq!(failed, [Start, Error]);
    }

    #[test]
    fn of_two_threads_that_end_it_one_does_and_both_go_on_after_the_post() {
        for _ in 0..100 {
            let all = posted(|element| {
                let progress = Progress::start(element, "loading", "Loading");
                thread::scope(|scope| {
                    scope.spawn(|| progress.complete("Loaded"));
                    progress.cancel("Stopped");
                    Progress::start(element, "next", "Next").complete("Done");
                });
            });
            assert_eq!(all.len(), 4);
            assert!(all[1] != gst::ProgressType::Start && all[2] == gst::ProgressType::Start, "{all:?}");
        }
    }
}
