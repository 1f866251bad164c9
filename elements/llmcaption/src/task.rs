//! The source pad's task: what goes out, in the order of the stream.

use std::sync::atomic::Ordering;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst::{ClockTime, FlowError, FlowSuccess};
use gst_listen_common::sparse::Sparse;
use listen_captioner::Said;

use crate::imp::{CAT, LlmCaption};
use crate::messages::{self, Times};
use crate::queue::{Item, Next, Written};

/// A caption stands at least so long, even into the next one: shorter ones nobody could read.
const READABLE: ClockTime = ClockTime::from_seconds(2);

/// Where the output is. Only the task has it while it runs.
#[derive(Debug, Default)]
pub struct Output {
    sparse: Sparse,
    segment: Option<gst::FormattedSegment<ClockTime>>,
}

impl LlmCaption {
    pub(crate) fn start_task(&self) -> Result<(), gst::LoggableError> {
        let weak = self.obj().downgrade();
        let task = move || {
            if let Some(element) = weak.upgrade() {
                element.imp().iterate();
            }
        };
        self.src
            .start_task(task)
            .map_err(|error| gst::loggable_error!(CAT, "The task did not start: {error}"))
    }

    fn iterate(&self) {
        let flow = match self.queue.next() {
            Next::Stop => Err(FlowError::Flushing),
            Next::Push(item) => self.push_item(item),
        };
        if let Err(error) = flow {
            gst::debug!(CAT, imp = self, "Pausing: {error:?}");
            if error != FlowError::Flushing {
                for end in self.queue.set_failed(error) {
                    self.src.push_event(end);
                }
                self.tell_of(error);
            }
            // It fails only where there is no task.
            let _ = self.src.pause_task();
        }
    }

    /// After the end nobody upstream hears of a flow error any more.
    fn tell_of(&self, error: FlowError) {
        let fatal = matches!(error, FlowError::Error | FlowError::NotLinked | FlowError::NotNegotiated);
        if fatal && self.has_ended() {
            let text = format!("streaming stopped after EOS: {error:?}");
            gst::element_imp_error!(self, gst::StreamError::Failed, ("{text}"));
        }
    }

    fn push_item(&self, item: Item) -> Result<FlowSuccess, FlowError> {
        match item {
            Item::Event(event) => {
                self.follow(&event);
                gst::log!(CAT, imp = self, "Pushing {event:?}");
                self.src.push_event(event);
                Ok(FlowSuccess::Ok)
            }
            Item::Gap(start, end) => {
                let gap = self.output().sparse.gap(start, end);
                if let Some((start, duration)) = gap {
                    self.src.push_event(gst::event::Gap::builder(start).duration(duration).build());
                }
                Ok(FlowSuccess::Ok)
            }
            Item::Caption(written, next) => self.push_caption(&written, next),
        }
    }

    /// A new segment: another order of times.
    fn follow(&self, event: &gst::Event) {
        if let gst::EventView::Segment(event) = event.view() {
            let mut output = self.output();
            let segment = event.segment().downcast_ref::<ClockTime>().cloned();
            if segment != output.segment {
                output.sparse.begin(segment.as_ref().and_then(|segment| segment.stop()));
            }
            output.segment = segment;
        }
    }

    fn push_caption(&self, written: &Written, next: Option<ClockTime>) -> Result<FlowSuccess, FlowError> {
        let Written { job, reply } = written;
        let now = self.position_now();
        let (buffer, times) = {
            let mut output = self.output();
            let start = now.map_or(job.ask.start, |now| now.max(job.ask.start));
            let (timestamp, rest) = output.sparse.place(start, job.ask.end);
            // In step, a caption that comes late still stands as long as its sound was there, but not into the next one.
            let in_step = now.is_none() && !self.live.load(Ordering::Acquire);
            let length = if in_step { job.ask.end.saturating_sub(job.ask.start) } else { rest };
            let room = next.filter(|next| in_step && *next > timestamp);
            let duration = room.map_or(length, |next| length.min(next - timestamp)).max(READABLE);
            let mut text = reply.text.clone();
            if self.in_lines() {
                text.push('\n');
            }
            let mut buffer = gst::Buffer::from_slice(text.into_bytes());
            // It was made here, so nobody else holds it.
            if let Some(buffer) = buffer.get_mut() {
                buffer.set_pts(timestamp);
                buffer.set_duration(duration);
            }
            let segment = output.segment.as_ref();
            let times = Times {
                timestamp,
                duration,
                running_time: segment.and_then(|segment| segment.to_running_time(timestamp)),
                stream_time: segment.and_then(|segment| segment.to_stream_time(timestamp)),
            };
            (buffer, times)
        };
        let scene = &job.ask.scene;
        self.said(Said { start: scene.start, end: scene.now, text: reply.text.clone() });
        gst::debug!(CAT, imp = self, "{:?} after it was asked for: {}", job.asked.elapsed(), reply.text);
        messages::caption(&self.obj(), written, &times);
        self.src.push(buffer)
    }

    /// Where the stream is now by the clock, where the output is not in step with the input.
    fn position_now(&self) -> Option<ClockTime> {
        if self.settings().latency().is_some() {
            return None;
        }
        let running = self.obj().current_running_time()?;
        self.output().segment.as_ref()?.position_from_running_time(running)
    }

    /// Whether captions are lines: downstream takes anything, as `fdsink` and `filesink` do, or text of whatever format.
    /// Who reads text as such names its format.
    fn in_lines(&self) -> bool {
        let caps = self.src.peer_query_caps(None);
        let names_none = |text: &gst::StructureRef| !text.has_field("format");
        caps.is_any() || (!caps.is_empty() && caps.iter().all(names_none))
    }
}
