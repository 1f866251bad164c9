//! The source pad's task: what goes out, in the order of the stream.

use std::time::{Duration, Instant};

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst::{FlowError, FlowSuccess};
use gst_listen_common::errors;
use gst_listen_common::strength_meta::StrengthMeta;
use gst_listen_common::window_meta::WindowMeta;
use listen_encoder::{Embedding, Heard};
use listen_runtime::{RuntimeError, SubmitError};

use crate::controls::{Control, Gap};
use crate::imp::{CAT, M2dEncode};
use crate::model::{OpenModel, clock_time};
use crate::state::{Next, Received};

/// How long a result is waited for at a time; a flush wakes.
const LONG: Duration = Duration::from_secs(3_600);

/// Since when no window has come out.
#[derive(Debug)]
pub(crate) struct Watch {
    pub playing: bool,
    pub since: Instant,
    pub warned: bool,
}

impl Default for Watch {
    fn default() -> Self {
        Self { playing: false, since: Instant::now(), warned: false }
    }
}

impl M2dEncode {
    pub(crate) fn start_task(&self) -> Result<(), gst::LoggableError> {
        let weak = self.obj().downgrade();
        let task = move || {
            if let Some(element) = weak.upgrade() {
                element.imp().iterate();
            }
        };
        self.srcpad
            .start_task(task)
            .map_err(|error| gst::loggable_error!(CAT, "The task did not start: {error}"))
    }

    fn iterate(&self) {
        let timeout = self.watchdog_left();
        let flow = match self.queue.next(timeout) {
            Next::Stop => Err(FlowError::Flushing),
            Next::Dead => self.failed(&RuntimeError::Run { reason: "the engine has ended".into() }),
            Next::Idle => self.check_watchdog(),
            Next::Push(control) => self.push_control(control),
            Next::Submit(client, job, limits, generation) => {
                let submitted = client.submit(job, limits);
                self.queue.submitted(generation);
                match submitted {
                    // A flush has taken care of it.
                    Ok(()) | Err(SubmitError::Cancelled) => Ok(FlowSuccess::Ok),
                    Err(error) => self.failed(&RuntimeError::Run { reason: error.to_string() }),
                }
            }
            Next::Receive(client, generation) => match client.recv_under_way(self.patience(timeout)) {
                None => self.check_watchdog(),
                Some(result) => match self.queue.received(generation, result) {
                    None => Ok(FlowSuccess::Ok),
                    Some(received) => self.give(received),
                },
            },
        };
        if let Err(error) = flow {
            gst::debug!(CAT, imp = self, "Pausing: {error:?}");
            if error != FlowError::Flushing {
                for end in self.queue.set_flow(error) {
                    self.srcpad.push_event(end);
                }
                self.tell_of(error);
            }
            // It fails only where there is no task.
            let _ = self.srcpad.pause_task();
        }
    }

    /// A run has failed: an element error, and the end of the stream.
    fn failed(&self, error: &RuntimeError) -> Result<FlowSuccess, FlowError> {
        self.post_error_message(errors::runtime(error));
        Err(FlowError::Error)
    }

    /// After the end nobody upstream hears of a flow error any more.
    fn tell_of(&self, error: FlowError) {
        let fatal = matches!(error, FlowError::Error | FlowError::NotLinked | FlowError::NotNegotiated);
        if fatal && self.has_ended() {
            gst::element_imp_error!(
                self,
                gst::StreamError::Failed,
                ("streaming stopped after EOS: {error:?}")
            );
        }
    }

    fn push_control(&self, control: Control) -> Result<FlowSuccess, FlowError> {
        let event = match control {
            Control::Event(event) => event,
            Control::Gap(Gap { start, duration, hole }) => {
                if !hole {
                    self.progressed();
                }
                // What was lost is not silence: clapmatch does not take it for that.
                let flags = if hole { gst::GapFlags::DATA } else { gst::GapFlags::empty() };
                gst::event::Gap::builder(start).duration(duration).gap_flags(flags).build()
            }
        };
        gst::log!(CAT, imp = self, "Pushing {event:?}");
        self.srcpad.push_event(event);
        Ok(FlowSuccess::Ok)
    }

    fn give(&self, received: Received) -> Result<FlowSuccess, FlowError> {
        let Received { ticket, discont, result } = received;
        let embedding = match result {
            Ok(Heard::Embedding(embedding)) => embedding,
            Ok(Heard::Missed) => {
                // A GAP stands for it already, and what follows it follows on a hole.
                self.tell_of_drop(&ticket);
                return Ok(FlowSuccess::Ok);
            }
            Err(error) => return self.failed(&error),
        };
        self.progressed();
        if embedding.rows == 0 {
            // Earlier windows gave all that is real in this one.
            if discont {
                self.queue.set_hole();
            }
            return Ok(FlowSuccess::Ok);
        }
        let Some(model) = self.model() else { return Err(FlowError::Flushing) };
        let Some(values) = values(&model, &embedding) else {
            let reason = format!("expected rows of {} values, found {}", model.dim(), embedding.dim);
            return self.failed(&RuntimeError::Run { reason });
        };
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        // A buffer that was just made is not shared.
        if let Some(buffer) = buffer.get_mut() {
            let first = embedding.start_frame.saturating_sub(embedding.window_start);
            let later = model.time(first);
            let duration = model.time(first + u64::from(embedding.frames)).saturating_sub(later);
            buffer.set_pts(ticket.start.saturating_add(later));
            buffer.set_duration(duration);
            buffer.set_offset(embedding.start_frame);
            buffer.set_offset_end(embedding.start_frame + u64::from(embedding.frames));
            if discont {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
            ticket.references.iter().for_each(|stamp| stamp.attach(buffer, later, Some(duration)));
            if !embedding.strengths.is_empty() {
                let (start, strengths) = (ticket.start.saturating_add(later), embedding.strengths.clone());
                StrengthMeta { start, duration, strengths }.attach(buffer);
            }
            let duration = model.time(u64::from(embedding.valid_frames));
            WindowMeta { level: embedding.level_db.into(), start: ticket.start, duration }.attach(buffer);
        }
        gst::log!(CAT, imp = self, "Pushing {buffer:?}, {:?} after its last frame", ticket.came.elapsed());
        self.srcpad.push(buffer)
    }

    /// A window was dealt with.
    fn progressed(&self) {
        let mut watch = self.watch();
        (watch.since, watch.warned) = (Instant::now(), false);
    }

    /// How long until the watchdog barks; `None` where it does not: after EOS no window is expected but those under way.
    fn watchdog_left(&self) -> Option<Duration> {
        let limit = Duration::from_nanos(self.settings().watchdog);
        let expected = !self.has_ended() || self.queue.has_windows();
        let watch = self.watch();
        let watched = watch.playing && !watch.warned && !limit.is_zero() && expected;
        watched.then(|| limit.saturating_sub(watch.since.elapsed()))
    }

    /// How long a result is waited for: PLAYING may come meanwhile, and nothing else wakes.
    fn patience(&self, watchdog_left: Option<Duration>) -> Duration {
        let limit = Duration::from_nanos(self.settings().watchdog);
        watchdog_left.unwrap_or(if limit.is_zero() { LONG } else { limit.max(Duration::from_millis(100)) })
    }

    fn check_watchdog(&self) -> Result<FlowSuccess, FlowError> {
        if self.watchdog_left().is_some_and(|left| left.is_zero()) {
            self.watch().warned = true;
            let limit = clock_time(self.settings().watchdog.into());
            gst::element_imp_warning!(self, gst::StreamError::Failed, ("no window came out for {limit}"));
        }
        Ok(FlowSuccess::Ok)
    }
}

/// What flows of a result; `None` where it has not the size that the caps say.
fn values<'a>(model: &OpenModel, embedding: &'a Embedding) -> Option<&'a [f32]> {
    let values = match model.gives_scores() {
        true => embedding.scores.as_deref()?,
        false => &embedding.data,
    };
    (values.len() == embedding.rows * model.dim()).then_some(values)
}
