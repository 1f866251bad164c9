//! The thread that writes captions and answers questions, one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use listen_captioner::{Cancel, CaptionError, Captioner as _, Progress, Reply, Request};

use crate::imp::CAT;
use crate::messages;
use crate::open::Opened;
use crate::queue::{BEHIND, ENDED, Job, Limit, Question, Queue, Work, Written};
use crate::tell::Told;

/// Why a question has no answer.
pub const STOPPED: &str = "the element was stopped";

/// The thread, from `start` to `stop`.
#[derive(Default)]
pub struct Worker {
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread has.
struct Writing {
    element: glib::WeakRef<super::LlmCaption>,
    queue: Arc<Queue>,
    opened: Opened,
    told: Told,
}

impl Worker {
    /// Begins to work.
    pub fn start(
        &self,
        element: &super::LlmCaption,
        queue: Arc<Queue>,
        opened: Opened,
    ) -> std::io::Result<()> {
        queue.start();
        let writing = Writing { element: element.downgrade(), queue, opened, told: Told::default() };
        let thread = std::thread::Builder::new().name("llmcaption".into()).spawn(move || writing.run())?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// Waits for its end; the queue has been told to stop.
    pub fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It catches its panics; one that got through has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Writing {
    fn run(mut self) {
        loop {
            match self.queue.work() {
                Work::Stop => return,
                Work::Answer(question, limit) => self.answer(*question, &limit),
                Work::Caption(job, limit) => self.caption(*job, &limit),
            }
        }
    }

    fn caption(&mut self, job: Job, limit: &Limit) {
        let left = limit.within(self.timeout());
        let request = Request::caption(job.ask.scene.clone()).within(left);
        let number = job.number;
        let reply = if job.by_template {
            Err(BEHIND.to_owned())
        } else if left.is_zero() {
            Err(ENDED.to_owned())
        } else {
            self.reply(&request, &limit.cancel, &|element, progress| {
                messages::delta(element, "caption", number, progress);
            })
        };
        let reply = match reply {
            Ok(reply) => Some(reply),
            // A flush, or the end.
            Err(_) if !self.queue.wants(number) => None,
            Err(why) => self.by_template(&request, why),
        };
        let Some(reply) = reply.filter(|reply| !reply.text.is_empty()) else {
            self.queue.written(number, None);
            return;
        };
        self.tell(&reply);
        self.queue.written(number, Some(Written { job, reply }));
    }

    fn answer(&mut self, question: Question, limit: &Limit) {
        let left = limit.within(self.timeout());
        let request = Request::answer(question.scene.clone(), question.text.clone()).within(left);
        let id = question.id;
        let reply = if left.is_zero() {
            Err(ENDED.to_owned())
        } else {
            self.reply(&request, &limit.cancel, &|element, progress| {
                messages::delta(element, "answer", id, progress);
            })
        };
        let stopped = limit.cancel.is_cancelled() && self.queue.given_up().is_none();
        let reply = match reply {
            Err(_) if stopped => Err(STOPPED.to_owned()),
            Err(why) => self.by_template(&request, why.clone()).ok_or(why),
            reply => reply,
        };
        if let Ok(reply) = &reply {
            self.tell(reply);
        }
        self.queue.answered();
        if let Some(element) = self.element.upgrade() {
            messages::answer(&element, &question, &reply);
        }
        // Only now, so that the end of the stream comes behind the answer.
        self.queue.told();
    }

    /// Asks the captioner, telling of its progress; or why it has not done it.
    fn reply(
        &mut self,
        request: &Request,
        cancel: &Cancel,
        tell: &dyn Fn(&super::LlmCaption, Progress<'_>),
    ) -> Result<Reply, String> {
        let opened = &mut self.opened;
        let weak = &self.element;
        let mut progress = |progress: Progress<'_>| {
            if let Some(element) = weak.upgrade() {
                tell(&element, progress);
            }
        };
        let run = AssertUnwindSafe(|| opened.captioner.reply(request, cancel, &mut progress));
        let done = catch_unwind(run).unwrap_or_else(|_| {
            gst::error!(CAT, "The backend panicked; this is a bug");
            Err(CaptionError::Cancelled)
        });
        done.map_err(|error| match self.queue.given_up() {
            Some(why) if error.is_cancelled() => why.to_owned(),
            _ => error.to_string(),
        })
    }

    /// What the template makes of it where nobody else may.
    fn by_template(&mut self, request: &Request, why: String) -> Option<Reply> {
        match self.opened.template.reply(request, &Cancel::new(), &mut |_| {}) {
            Ok(reply) => Some(Reply { fallback: Some(why), ..reply }),
            Err(error) => {
                gst::error!(CAT, "The template failed: {error}");
                None
            }
        }
    }

    /// Says on the bus what changed about the backend.
    fn tell(&mut self, reply: &Reply) {
        if let Some(element) = self.element.upgrade() {
            self.told.tell(&element, reply);
        }
    }

    fn timeout(&self) -> Duration {
        self.element.upgrade().map_or(Duration::ZERO, |element| element.imp().settings().timeout())
    }
}
