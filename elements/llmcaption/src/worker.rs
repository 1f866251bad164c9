//! The thread that writes captions and answers questions, one after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use listen_captioner::{Cancel, CaptionError, Captioner as _, Notice, Progress, Reply, Request};

use crate::imp::CAT;
use crate::messages;
use crate::open::Opened;
use crate::queue::{Job, Question, Queue, Work, Written};

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
        let writing = Writing { element: element.downgrade(), queue, opened };
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
                Work::Answer(question, cancel) => self.answer(*question, &cancel),
                Work::Caption(job, cancel, deadline) => self.caption(*job, &cancel, deadline),
            }
        }
    }

    fn caption(&mut self, job: Job, cancel: &Cancel, deadline: Option<Instant>) {
        let timeout = self.timeout();
        let left = deadline
            .map_or(timeout, |deadline| timeout.min(deadline.saturating_duration_since(Instant::now())));
        let request = Request::caption(job.ask.scene.clone()).within(left);
        let hopeless = job.by_template || left.is_zero();
        let number = job.number;
        let reply = match hopeless {
            true => Err(CaptionError::Cancelled),
            false => self.reply(&request, cancel, &|element, progress| {
                messages::delta(element, "caption", number, progress);
            }),
        };
        let reply = match reply {
            Ok(reply) => Some(reply),
            // A flush, or the end.
            Err(_) if !self.queue.wants(number) => None,
            Err(error) => self.by_template(&request, &error),
        };
        let Some(reply) = reply.filter(|reply| !reply.text.is_empty()) else {
            self.queue.written(number, None);
            return;
        };
        self.tell(&reply);
        self.queue.written(number, Some(Written { job, reply }));
    }

    fn answer(&mut self, question: Question, cancel: &Cancel) {
        let request = Request::answer(question.scene.clone(), question.text.clone()).within(self.timeout());
        let id = question.id;
        let reply = self.reply(&request, cancel, &|element, progress| {
            messages::delta(element, "answer", id, progress);
        });
        let reply = match reply {
            Err(error) if !cancel.is_cancelled() => self.by_template(&request, &error).ok_or(error),
            reply => reply,
        };
        if let Ok(reply) = &reply {
            self.tell(reply);
        }
        self.queue.answered();
        if let Some(element) = self.element.upgrade() {
            messages::answer(&element, &question, &reply.map_err(|error| error.to_string()));
        }
    }

    /// Asks the captioner, telling of its progress.
    fn reply(
        &mut self,
        request: &Request,
        cancel: &Cancel,
        tell: &dyn Fn(&super::LlmCaption, Progress<'_>),
    ) -> Result<Reply, CaptionError> {
        let opened = &mut self.opened;
        let weak = &self.element;
        let mut progress = |progress: Progress<'_>| {
            if let Some(element) = weak.upgrade() {
                tell(&element, progress);
            }
        };
        let run = AssertUnwindSafe(|| opened.captioner.reply(request, cancel, &mut progress));
        catch_unwind(run).unwrap_or_else(|_| {
            gst::error!(CAT, "The backend panicked; this is a bug");
            Err(CaptionError::Cancelled)
        })
    }

    /// What the template makes of it where nobody else may.
    fn by_template(&mut self, request: &Request, why: &CaptionError) -> Option<Reply> {
        match self.opened.template.reply(request, &Cancel::new(), &mut |_| {}) {
            Ok(reply) => Some(Reply { fallback: Some(why.to_string()), ..reply }),
            Err(error) => {
                gst::error!(CAT, "The template failed: {error}");
                None
            }
        }
    }

    /// Says on the bus what changed about the backend.
    fn tell(&self, reply: &Reply) {
        let Some(element) = self.element.upgrade() else { return };
        match &reply.notice {
            Some(Notice::Open { reason, pause }) => messages::fallback(&element, reason, *pause),
            Some(Notice::Lost { reason }) => messages::lost(&element, reason),
            Some(Notice::Closed) => messages::recovered(&element),
            None => {}
        }
    }

    fn timeout(&self) -> Duration {
        self.element.upgrade().map_or(Duration::ZERO, |element| element.imp().settings().timeout())
    }
}
