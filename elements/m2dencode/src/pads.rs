//! What the pads take: buffers, events, queries.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst::{ClockTime, FlowError, FlowSuccess};
use gst_listen_common::caps::{self, MEDIA_TYPE, MIXED, MelCaps, WaveformCaps};
use gst_listen_common::latency::{self, Upstream};
use gst_listen_common::{errors, flow, flush};
use listen_encoder::WindowJob;

use crate::imp::{CAT, M2dEncode};
use crate::input::Input;
use crate::model::OpenModel;
use crate::state::Ticket;

impl M2dEncode {
    pub(crate) fn sink_chain(&self, pad: &gst::Pad, buffer: gst::Buffer) -> Result<FlowSuccess, FlowError> {
        gst::trace!(CAT, obj = pad, "Handling {buffer:?}");
        if self.ask_live.swap(false, Ordering::AcqRel) {
            self.ask_whether_live();
        }
        let segment = self.lock(&self.segment).clone().ok_or(FlowError::NotNegotiated)?;
        if segment.rate() < 0.0 {
            if let Some(pts) = buffer.pts() {
                self.queue.event(gst::event::Gap::new(pts, buffer.duration()))?;
            }
            return Ok(FlowSuccess::Ok);
        }
        let start = segment.start().unwrap_or(ClockTime::ZERO);
        let mut input = self.lock(&self.input);
        let input = input.as_mut().ok_or(FlowError::NotNegotiated)?;
        input.check(buffer.size()).map_err(|error| {
            self.post_error_message(error);
            FlowError::Error
        })?;
        input.take(&buffer, start, &mut |job, ticket, at_end| self.offer(job, ticket, at_end))?;
        Ok(FlowSuccess::Ok)
    }

    /// Hands a window over; it comes back where it is not encoded.
    fn offer(&self, job: WindowJob, ticket: Ticket, at_end: bool) -> Result<Option<WindowJob>, FlowError> {
        let offered = self.queue.offer(job, ticket, at_end)?;
        if let Some(dropped) = offered.dropped {
            self.tell_of_drop(&dropped);
        }
        Ok(offered.back)
    }

    pub(crate) fn tell_of_drop(&self, dropped: &Ticket) {
        let (counts, ..) = self.queue.counts();
        let segment = self.lock(&self.segment).clone();
        let start = dropped.start;
        gst::warning!(CAT, imp = self, "Dropped the window at {start}: encoding does not keep up");
        let message = gst::message::Qos::builder(self.live.load(Ordering::Acquire))
            .running_time(segment.as_ref().and_then(|segment| segment.to_running_time(start)))
            .stream_time(segment.as_ref().and_then(|segment| segment.to_stream_time(start)))
            .timestamp(start)
            .duration(dropped.gap.1)
            .stats(
                gst::format::Buffers::from_u64(counts.given),
                gst::format::Buffers::from_u64(counts.dropped),
            )
            .src(&*self.obj())
            .build();
        // Without a bus nobody listens.
        let _ = self.obj().post_message(message);
    }

    /// Live means upstream's answer to the LATENCY query; no answer means not live.
    fn ask_whether_live(&self) {
        let Upstream { live, min: held, .. } = Upstream::ask_or_not_live(&self.sinkpad);
        self.live.store(live, Ordering::Release);
        gst::debug!(CAT, imp = self, "Upstream is live: {live}, {held} behind");
        if let Some(model) = self.model().filter(|model| model.comes_in_windows()) {
            // Windows that melspec makes of one buffer of samples come one by one.
            self.queue.set_at_once(model.windows_held(held));
        }
        self.apply_policy();
    }

    /// Ends the stream before what comes next: its last window is on its way.
    fn drain(&self) -> Result<(), FlowError> {
        match self.lock(&self.input).as_mut() {
            Some(input) => input.finish(&mut |job, ticket, at_end| self.offer(job, ticket, at_end)),
            None => Ok(()),
        }
    }

    /// The flow is told, not whether the event was taken: an event that is refused without a reason is an error to upstream, as a
    /// segment was that came while the source pad was deactivated and the sink pad not yet.
    pub(crate) fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> Result<FlowSuccess, FlowError> {
        gst::debug!(CAT, obj = pad, "Handling {event:?}");
        let taken = match event.view() {
            gst::EventView::FlushStart(_) => {
                let forwarded = self.srcpad.push_event(event);
                flush::keep(&self.srcpad, &self.queue.flush(true));
                // It fails only where there is no task.
                let _ = self.srcpad.pause_task();
                flow::of(forwarded)
            }
            gst::EventView::FlushStop(_) => flow::of(self.flush_stop(event)),
            gst::EventView::Caps(caps) => self.take_caps(caps.caps()),
            gst::EventView::Segment(segment) => self.take_segment(segment, &event),
            gst::EventView::Gap(gap) => self.take_gap(gap, &event),
            gst::EventView::Eos(_) | gst::EventView::SegmentDone(_) => {
                self.set_ended(event.type_() == gst::EventType::Eos);
                let taken = self.drain().and_then(|()| self.queue.event(event.clone()));
                if taken == Err(FlowError::Eos) {
                    // One branch behind a tee has had enough; the others still wait for the end. The task is at rest.
                    flow::of(self.srcpad.push_event(event))
                } else {
                    taken
                }
            }
            gst::EventView::StreamStart(_) => {
                self.set_ended(false);
                self.drain().and_then(|()| self.queue.event(event))
            }
            _ if event.is_serialized() => self.queue.event(event),
            _ => flow::of(gst::Pad::event_default(pad, Some(&*self.obj()), event)),
        };
        taken.map(|()| FlowSuccess::Ok)
    }

    fn flush_stop(&self, event: gst::Event) -> bool {
        // Where no FLUSH_START came before, the task waits.
        flush::keep(&self.srcpad, &self.queue.flush(true));
        // The task has come to rest: what it handed over last is flushed too.
        let _ = self.srcpad.pause_task();
        let forwarded = self.srcpad.push_event(event);
        if let Some(input) = self.lock(&self.input).as_mut() {
            input.reset();
        }
        *self.lock(&self.segment) = None;
        self.set_ended(false);
        flush::keep(&self.srcpad, &self.queue.flush(false));
        if let Err(error) = self.start_task() {
            error.log_with_imp(self);
            return false;
        }
        forwarded
    }

    fn take_caps(&self, found: &gst::CapsRef) -> Result<(), FlowError> {
        let Some(model) = self.model() else { return Err(FlowError::Flushing) };
        let (channel, filled) = match self.channel(&model, found) {
            Ok(heard) => heard,
            Err(error) => {
                self.refusal.post(&*self.obj(), error);
                return Err(FlowError::NotNegotiated);
            }
        };
        self.refusal.forget();
        let caps = model.src_caps(channel);
        if self.lock(&self.input).is_none() {
            let input = Input::new(Arc::clone(&model)).map_err(|error| {
                self.post_error_message(errors::encoder(&error));
                FlowError::NotNegotiated
            })?;
            *self.lock(&self.input) = Some(input);
        }
        // The same frames of another channel are another stream.
        self.drain()?;
        if let Some(input) = self.lock(&self.input).as_mut() {
            input.set_filled(filled);
        }
        self.queue.event(gst::event::Caps::new(&caps))
    }

    /// The channel of a stream that fits the package, and whether its last window comes filled.
    fn channel(&self, model: &OpenModel, caps: &gst::CapsRef) -> Result<(i32, bool), gst::ErrorMessage> {
        let Some(format) = &model.format else {
            let structure = caps.structure(0);
            if structure.is_some_and(|structure| structure.name() == MEDIA_TYPE) {
                let found = WaveformCaps::from_caps(caps).map_err(|error| errors::caps(&error))?;
                let (expected, found_rate) = (model.plan.sample_rate, found.rate);
                return match found_rate == expected {
                    true => Ok((found.channel, false)),
                    false => Err(gst::error_msg!(
                        gst::CoreError::Negotiation,
                        ("{} takes {expected} samples a second, found {found_rate}", model.package.space())
                    )),
                };
            }
            let channel = structure.and_then(|s| s.get::<i32>("channel").ok());
            let expected = model.sink_caps();
            return match caps.can_intersect(&expected) {
                true => Ok((channel.unwrap_or(MIXED), false)),
                false => Err(gst::error_msg!(
                    gst::CoreError::Negotiation,
                    ("{} takes samples: expected {expected}, found {caps}", model.package.space())
                )),
            };
        };
        if caps.structure(0).is_some_and(|structure| structure.name() == "audio/x-raw") {
            let space = model.package.space();
            return Err(gst::error_msg!(
                gst::CoreError::Negotiation,
                ("{space} takes log-mel frames, found {caps}: put melspec before {}", self.obj().name())
            ));
        }
        let found = MelCaps::from_caps(caps).map_err(|error| errors::caps(&error))?;
        let sender = self.sinkpad.peer().and_then(|pad| pad.parent());
        let sender = sender.map_or_else(|| "upstream".into(), |parent| parent.name().to_string());
        let receiver = format!("{} ({})", self.obj().name(), model.package.space());
        let fits = format.expect(&found.format, &receiver, &sender);
        fits.map(|()| (found.channel, found.format.edge.is_filled())).map_err(|error| errors::caps(&error))
    }

    fn take_segment(&self, event: &gst::event::Segment, whole: &gst::Event) -> Result<(), FlowError> {
        let Some(segment) = event.segment().downcast_ref::<ClockTime>() else {
            let found = event.segment().format();
            let why =
                gst::error_msg!(gst::StreamError::Format, ("expected a segment in time, found {found:?}"));
            self.refusal.post(&*self.obj(), why);
            return Err(FlowError::Error);
        };
        let mut moved = segment.clone();
        let before = self.lock(&self.segment).clone();
        moved.set_position(before.as_ref().and_then(|before| before.position()));
        if before.is_some_and(|before| before != moved) {
            self.drain()?;
        }
        *self.lock(&self.segment) = Some(segment.clone());
        self.ask_live.store(true, Ordering::Release);
        self.queue.event(whole.clone())?;
        // The first window takes its time: this is what sinks preroll on.
        let edge = if segment.rate() < 0.0 { segment.stop() } else { segment.start() };
        self.queue.event(gst::event::Gap::new(edge.unwrap_or(ClockTime::ZERO), ClockTime::ZERO))
    }

    fn take_gap(&self, gap: &gst::event::Gap, whole: &gst::Event) -> Result<(), FlowError> {
        let (pts, duration) = gap.get();
        let backwards = self.lock(&self.segment).as_ref().is_some_and(|segment| segment.rate() < 0.0);
        let part_of_stream = match self.lock(&self.input).as_mut() {
            Some(input) if !backwards => {
                input.gap(pts, duration, &mut |job, ticket, at_end| self.offer(job, ticket, at_end))?
            }
            _ => false,
        };
        if part_of_stream { Ok(()) } else { self.queue.event(whole.clone()) }
    }

    pub(crate) fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::Latency {
            self.ask_live.store(true, Ordering::Release);
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    pub(crate) fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(caps) => {
                let template = pad.pad_template_caps();
                let mut ours = self.model().map_or_else(|| template.clone(), |model| model.sink_caps());
                if caps.filter().is_none() {
                    // So do converters ask when a decoder is linked to them: it would not be, and nobody would say why.
                    ours.merge(template.clone());
                }
                caps::answer_or_hear(caps, &ours, &template);
                true
            }
            gst::QueryViewMut::AcceptCaps(accept) => {
                // What does not fit the package is refused with an error that says so, when CAPS arrive.
                let accepted = accept.caps().is_subset(&pad.pad_template_caps());
                accept.set_result(accepted);
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    pub(crate) fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Latency(query) => {
                let own = latency::answer(&self.sinkpad, query, || {
                    self.model().map_or(ClockTime::ZERO, |model| model.latency(&self.settings()))
                });
                gst::debug!(CAT, imp = self, "Latency: {own:?} of our own");
                own.is_some()
            }
            gst::QueryViewMut::Caps(caps) => {
                let ours = pad.current_caps().unwrap_or_else(|| match self.model() {
                    Some(model) => model.src_caps_of_any_channel(),
                    None => pad.pad_template_caps(),
                });
                caps::answer(caps, &ours);
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }
}
