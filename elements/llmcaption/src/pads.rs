//! What the pads take: buffers, events, queries.

use std::sync::atomic::Ordering;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst::{ClockTime, FlowError, FlowSuccess};
use gst_listen_common::caps::EmbeddingCaps;
use gst_listen_common::result_meta::WindowResult;
use gst_listen_common::{flow, flush, latency};
use listen_captioner::{LineError, Sound};

use crate::imp::{CAT, LlmCaption};
use crate::input::{self, Input};

impl LlmCaption {
    pub(crate) fn sink_chain(&self, pad: &gst::Pad, buffer: gst::Buffer) -> Result<FlowSuccess, FlowError> {
        gst::trace!(CAT, obj = pad, "Handling {buffer:?}");
        if self.ask_live.swap(false, Ordering::AcqRel) {
            self.ask_whether_live();
        }
        let Some(pts) = buffer.pts() else {
            gst::element_imp_error!(self, gst::StreamError::Format, ("buffers without a timestamp came"));
            return Err(FlowError::Error);
        };
        let Some(input) = self.input() else { return Err(FlowError::NotNegotiated) };
        let backwards = self.hearing().times.segment().is_some_and(|segment| segment.rate() < 0.0);
        if backwards {
            self.queue.gap(pts, pts)?;
            return Ok(FlowSuccess::Ok);
        }
        let reached = match input {
            Input::Embedding(caps) => self.take_embedding(&caps, &buffer, pts)?,
            Input::Json => self.take_lines(&buffer, pts)?,
        };
        self.queue.gap(self.late(pts), self.late(reached))?;
        Ok(FlowSuccess::Ok)
    }

    /// Takes a window; where the next one begins.
    fn take_embedding(
        &self,
        caps: &EmbeddingCaps,
        buffer: &gst::BufferRef,
        pts: ClockTime,
    ) -> Result<ClockTime, FlowError> {
        let embedding = input::embedding(caps, buffer, pts, |time| self.hearing().stream_time(time));
        let embedding = embedding.map_err(|error| {
            gst::element_imp_error!(self, gst::StreamError::Format, ("{error}"));
            FlowError::Error
        })?;
        let result = WindowResult::from_buffer(buffer);
        {
            let mut hearing = self.hearing();
            hearing.times.observe(buffer);
            hearing.window(embedding);
            if let Some(result) = &result {
                hearing.events(result);
            }
        }
        self.judge(false)?;
        // The meta may be a neighbour's: elements that cut buffers anew copy them.
        let step = result.filter(|result| result.timestamp == pts).map(|result| result.step);
        Ok(pts.saturating_add(step.unwrap_or_default()))
    }

    /// Takes lines of JSON. Those of one window come with the same timestamp, and belong together.
    fn take_lines(&self, buffer: &gst::BufferRef, pts: ClockTime) -> Result<ClockTime, FlowError> {
        let moved = self.hearing().moves_to(pts);
        if moved {
            self.judge(false)?;
        }
        let map = buffer.map_readable().map_err(|_| FlowError::Error)?;
        for line in map.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            match Sound::from_json_line(&String::from_utf8_lossy(line)) {
                Ok(sounds) => sounds.into_iter().for_each(|sound| self.hearing().event(sound)),
                Err(error) => self.complain(&error),
            }
        }
        Ok(pts)
    }

    /// A line that cannot be read does not stop a stream; the first one is told of.
    fn complain(&self, error: &LineError) {
        if self.complained.swap(true, Ordering::AcqRel) {
            gst::warning!(CAT, imp = self, "Left out: {error}");
        } else {
            gst::element_imp_warning!(self, gst::StreamError::Decode, ("left out: {error}"));
        }
    }

    /// Asks for a caption, if one is due.
    pub(crate) fn judge(&self, last: bool) -> Result<(), FlowError> {
        let settings = self.settings();
        let (news, ask) = {
            let mut hearing = self.hearing();
            (hearing.news(), hearing.due(&settings, last))
        };
        if let Some((heard, ended)) = news {
            self.queue.follow(heard, &ended);
        }
        match ask {
            Some(ask) => self.queue.ask(ask, settings.context),
            None => Ok(()),
        }
    }

    /// A position of the input as one of the output.
    fn late(&self, position: ClockTime) -> ClockTime {
        let start = self.hearing().times.segment().and_then(|segment| segment.start());
        let latency = self.settings().latency().unwrap_or_default();
        position.saturating_sub(latency).max(start.unwrap_or_default())
    }

    pub(crate) fn ask_whether_live(&self) {
        let live = latency::Upstream::ask_or_not_live(&self.sink).live;
        gst::debug!(CAT, imp = self, "Upstream is live: {live}");
        self.live.store(live, Ordering::Release);
        self.apply_policy();
    }

    /// The flow is told, not whether the event was taken: an event that is refused without a reason is an error to upstream, as a
    /// segment was that came while the source pad was deactivated and the sink pad not yet.
    pub(crate) fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> Result<FlowSuccess, FlowError> {
        gst::debug!(CAT, obj = pad, "Handling {event:?}");
        let taken = match event.view() {
            gst::EventView::FlushStart(_) => {
                let forwarded = self.src.push_event(event);
                flush::keep(&self.src, &self.queue.flush(true));
                // It fails only where there is no task.
                let _ = self.src.pause_task();
                flow::of(forwarded)
            }
            gst::EventView::FlushStop(_) => flow::of(self.flush_stop(event)),
            gst::EventView::Caps(caps) => self.take_caps(caps.caps()),
            gst::EventView::Segment(segment) => self.take_segment(segment, &event),
            gst::EventView::Gap(gap) => self.take_gap(gap),
            gst::EventView::Eos(_) | gst::EventView::SegmentDone(_) => {
                let whole = event.type_() == gst::EventType::Eos;
                if whole {
                    self.set_ended(true);
                }
                let taken = self.judge(true).and_then(|()| match whole {
                    true => self.queue.end(event.clone(), self.settings().timeout()),
                    false => self.queue.event(event.clone()),
                });
                if taken == Err(FlowError::Eos) {
                    // One branch behind a tee has had enough; the others still wait for the end. The task is at rest.
                    flow::of(self.src.push_event(event))
                } else {
                    taken
                }
            }
            gst::EventView::StreamStart(_) => {
                self.set_ended(false);
                self.judge(true).and_then(|()| self.queue.event(event))
            }
            gst::EventView::CustomDownstream(_) => match WindowResult::from_event(&event) {
                Some(result) => self.take_result(&result),
                None => self.queue.event(event),
            },
            _ if event.is_serialized() => self.queue.event(event),
            _ => flow::of(gst::Pad::event_default(pad, Some(&*self.obj()), event)),
        };
        taken.map(|()| FlowSuccess::Ok)
    }

    fn flush_stop(&self, event: gst::Event) -> bool {
        // Where no FLUSH_START came before, the task waits.
        flush::keep(&self.src, &self.queue.flush(true));
        // The task has come to rest.
        let _ = self.src.pause_task();
        let forwarded = self.src.push_event(event);
        self.forget();
        flush::keep(&self.src, &self.queue.flush(false));
        if let Err(error) = self.start_task() {
            error.log_with_imp(self);
            return false;
        }
        forwarded
    }

    fn take_caps(&self, caps: &gst::CapsRef) -> Result<(), FlowError> {
        let lines = caps.structure(0).is_some_and(|structure| structure.has_name(input::JSON));
        let input = if lines {
            Input::Json
        } else {
            let caps = EmbeddingCaps::from_caps(caps).map_err(|error| {
                self.refusal.post(&*self.obj(), gst::error_msg!(gst::StreamError::Format, ("{error}")));
                FlowError::NotNegotiated
            })?;
            Input::Embedding(caps)
        };
        if self.input().is_some_and(|before| before != input) {
            // Another stream: what was heard in the one before belongs to its own caption.
            self.judge(true)?;
        }
        self.refusal.forget();
        self.set_input(input);
        self.queue.event(gst::event::Caps::new(&text_caps()))
    }

    fn take_segment(&self, event: &gst::event::Segment, whole: &gst::Event) -> Result<(), FlowError> {
        let Some(segment) = event.segment().downcast_ref::<ClockTime>() else {
            let found = event.segment().format();
            let text = format!(
                "expected a segment of time, found {found:?}: lines are heard as clapmatch or listenbin gives them, a file of \
                 them has no times"
            );
            self.refusal.post(&*self.obj(), gst::error_msg!(gst::StreamError::Format, ("{text}")));
            return Err(FlowError::Error);
        };
        let same = self.hearing().times.segment() == Some(segment);
        if !same {
            self.judge(true)?;
            self.hearing().set_segment(segment);
        }
        self.ask_live.store(true, Ordering::Release);
        self.queue.event(whole.clone())?;
        // Captions come when something is heard: a first GAP lets sinks preroll before that.
        let edge = if segment.rate() < 0.0 { segment.stop() } else { segment.start() };
        let edge = edge.unwrap_or_default();
        self.queue.gap(edge, edge)
    }

    fn take_gap(&self, gap: &gst::event::Gap) -> Result<(), FlowError> {
        let (start, duration) = gap.get();
        let end = start.saturating_add(duration.unwrap_or_default());
        let backwards = self.hearing().times.segment().is_some_and(|segment| segment.rate() < 0.0);
        if !backwards {
            {
                let mut hearing = self.hearing();
                let end = hearing.stream_time(end);
                hearing.advance(end);
            }
            self.judge(false)?;
        }
        self.queue.gap(self.late(start), self.late(end))
    }

    /// Events that no buffer carried.
    fn take_result(&self, result: &WindowResult) -> Result<(), FlowError> {
        self.hearing().events(result);
        self.judge(false)
    }

    pub(crate) fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::Latency {
            self.ask_live.store(true, Ordering::Release);
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    pub(crate) fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Latency(query) => {
                let Some(own) = self.settings().latency() else {
                    query.set(true, ClockTime::ZERO, ClockTime::NONE);
                    return true;
                };
                let own = latency::answer(&self.sink, query, || own);
                gst::debug!(CAT, imp = self, "Latency: {own:?} of our own");
                own.is_some()
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }
}

/// What goes out.
pub fn text_caps() -> gst::Caps {
    gst::Caps::builder("text/x-raw").field("format", "utf8").build()
}
