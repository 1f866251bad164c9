//! Passes audio on as it is, and gives copies of it to lanes. A part of `listenbin`, not an element of its own.
//!
//! A `tee` would not do: it tells the latency of the analysis to the audio, and lets the two hold each other up.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_listen_common::{flush, latency};

use crate::lane::Lane;

glib::wrapper! {
    /// See the module.
    pub struct Tap(ObjectSubclass<TapImp>) @extends gst::Element, gst::Object;
}

/// What the bin does at certain points of the stream.
pub trait Hooks: Send + Sync {
    /// New caps come: whatever lanes they need are made.
    fn caps(&self, info: &gst_audio::AudioInfo);
    /// Whether the stream's end must wait for the analysis, because nothing else in the pipeline does.
    fn waits_at_eos(&self) -> bool;
}

/// The tap.
pub struct TapImp {
    sink: gst::Pad,
    src: gst::Pad,
    state: Mutex<State>,
    hooks: OnceLock<Box<dyn Hooks>>,
}

#[derive(Default)]
struct State {
    lanes: Vec<Arc<Lane>>,
    /// Lanes made in the middle of a segment, which they must be told of.
    fresh: Vec<Arc<Lane>>,
    /// Whether upstream is live; `None` where it must be asked.
    live: Option<bool>,
    /// Audio dropped since the last QoS message.
    untold: bool,
}

#[glib::object_subclass]
impl ObjectSubclass for TapImp {
    const NAME: &'static str = "GstListenBinTap";
    type Type = Tap;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name).expect("the class has it: see pad_templates");
        let through =
            gst::PadFlags::PROXY_CAPS | gst::PadFlags::PROXY_ALLOCATION | gst::PadFlags::PROXY_SCHEDULING;
        let sink = gst::Pad::builder_from_template(&template("sink"))
            .chain_function(|_, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |this| this.chain(buffer),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |this| this.sink_event(pad, event))
            })
            .iterate_internal_links_function(|_, parent| {
                Self::catch_panic_pad_function(
                    parent,
                    || gst::Iterator::from_vec(vec![]),
                    |this| gst::Iterator::from_vec(vec![this.src.clone()]),
                )
            })
            .flags(through)
            .build();
        let src = gst::Pad::builder_from_template(&template("src"))
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |this| this.src_event(pad, event))
            })
            .iterate_internal_links_function(|_, parent| {
                Self::catch_panic_pad_function(
                    parent,
                    || gst::Iterator::from_vec(vec![]),
                    |this| gst::Iterator::from_vec(vec![this.sink.clone()]),
                )
            })
            .flags(through)
            .build();
        Self { sink, src, state: Mutex::default(), hooks: OnceLock::new() }
    }
}

impl ObjectImpl for TapImp {
    fn constructed(&self) {
        self.parent_constructed();
        for pad in [&self.sink, &self.src] {
            self.obj().add_pad(pad).expect("a new element has no pads yet");
        }
    }
}

impl GstObjectImpl for TapImp {}

impl ElementImpl for TapImp {
    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst::Caps::new_empty_simple("audio/x-raw");
            let template = |name, direction, presence| {
                gst::PadTemplate::new(name, direction, presence, &caps).expect("name and caps are valid")
            };
            vec![
                template("sink", gst::PadDirection::Sink, gst::PadPresence::Always),
                template("src", gst::PadDirection::Src, gst::PadPresence::Always),
                template("lane_%u", gst::PadDirection::Src, gst::PadPresence::Sometimes),
            ]
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        change: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        let success = self.parent_change_state(change)?;
        if change == gst::StateChange::PausedToReady {
            let mut state = self.state();
            (state.live, state.untold) = (None, false);
            state.fresh.clear();
        }
        Ok(success)
    }
}

impl Tap {
    /// Sets what the bin does.
    pub fn set_hooks(&self, hooks: impl Hooks + 'static) {
        // Set once, where the bin is made.
        let _ = self.imp().hooks.set(Box::new(hooks));
    }

    /// A lane, from the next event on; the branch behind it must be linked already.
    pub fn add_lane(&self, lane: &Arc<Lane>) -> Result<(), glib::BoolError> {
        let imp = self.imp();
        let active = imp.src.is_active();
        self.add_pad(&lane.pad)?;
        if active {
            lane.pad.set_active(true)?;
            if let Some(event) = imp.sink.sticky_event::<gst::event::StreamStart>(0) {
                lane.send(&event.into());
            }
        }
        let mut state = imp.state();
        state.lanes.push(lane.clone());
        state.fresh.push(lane.clone());
        Ok(())
    }

    /// Takes a lane away; the audio does not wait for it any more.
    pub fn remove_lane(&self, lane: &Arc<Lane>) {
        let imp = self.imp();
        {
            let mut state = imp.state();
            state.lanes.retain(|other| !Arc::ptr_eq(other, lane));
            state.fresh.retain(|other| !Arc::ptr_eq(other, lane));
        }
        lane.kill();
        // A branch that could not be built has no pad here yet.
        if lane.pad.parent().as_ref() == Some(self.upcast_ref()) {
            // Both fail only where it is gone already.
            let _ = lane.pad.set_active(false);
            let _ = self.remove_pad(&lane.pad);
        }
    }

    /// Whether upstream was live when it was asked last.
    pub fn is_live(&self) -> Option<bool> {
        self.imp().state().live
    }
}

impl TapImp {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lanes(&self) -> Vec<Arc<Lane>> {
        self.state().lanes.clone()
    }

    fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let live = self.is_live();
        let mut dropped = false;
        for lane in self.lanes() {
            dropped |= lane.offer(&buffer, live);
        }
        self.tell_dropped(dropped, &buffer);
        self.src.push(buffer)
    }

    /// Asks upstream, once per segment and after each LATENCY event. No answer means not live.
    fn is_live(&self) -> bool {
        if let Some(live) = self.state().live {
            return live;
        }
        let live = latency::Upstream::ask_or_not_live(&self.sink).live;
        self.state().live = Some(live);
        live
    }

    /// One QoS message per row of buffers that the analysis had no time for.
    fn tell_dropped(&self, dropped: bool, buffer: &gst::Buffer) {
        let told_before = std::mem::replace(&mut self.state().untold, dropped);
        if !dropped || told_before {
            return;
        }
        let counts: Vec<_> = self.lanes().iter().map(|lane| lane.counts()).collect();
        let segment = self.sink.sticky_event::<gst::event::Segment>(0);
        let segment = segment.and_then(|event| event.segment().downcast_ref::<gst::ClockTime>().cloned());
        let running_time = segment.as_ref().and_then(|segment| segment.to_running_time(buffer.pts()));
        let stream_time = segment.as_ref().and_then(|segment| segment.to_stream_time(buffer.pts()));
        let message = gst::message::Qos::builder(true)
            .src(&*self.obj())
            .timestamp(buffer.pts())
            .duration(buffer.duration())
            .running_time(running_time)
            .stream_time(stream_time)
            .stats(
                gst::format::Buffers::from_u64(counts.iter().map(|counts| counts.passed).sum()),
                gst::format::Buffers::from_u64(counts.iter().map(|counts| counts.dropped).sum()),
            )
            .build();
        // Without a bus nobody reads messages.
        let _ = self.obj().post_message(message);
    }

    fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::Latency {
            self.state().live = None;
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::FlushStart(_) => {
                let passed = self.src.push_event(event.clone());
                self.lanes().iter().for_each(|lane| lane.flush_start(event.clone()));
                return passed;
            }
            gst::EventView::FlushStop(_) => {
                let standing = flush::standing(pad);
                self.lanes().iter().for_each(|lane| lane.flush_stop(event.clone(), &standing));
                self.state().live = None;
                return self.src.push_event(event);
            }
            gst::EventView::Caps(caps) => {
                if let (Some(hooks), Ok(info)) =
                    (self.hooks.get(), gst_audio::AudioInfo::from_caps(caps.caps()))
                {
                    hooks.caps(&info);
                }
            }
            gst::EventView::Segment(_) => {
                let mut state = self.state();
                state.live = None;
                state.fresh.clear();
            }
            gst::EventView::Eos(_) => return self.eos(event),
            _ => {}
        }
        if event.is_serialized() {
            for lane in self.lanes() {
                lane.send(&event);
            }
        }
        if event.type_() == gst::EventType::Caps {
            self.tell_segment(pad);
        }
        self.src.push_event(event)
    }

    /// Lanes made by these CAPS have missed the segment.
    fn tell_segment(&self, pad: &gst::Pad) {
        let fresh = std::mem::take(&mut self.state().fresh);
        if let Some(segment) = pad.sticky_event::<gst::event::Segment>(0) {
            let segment = gst::Event::from(segment);
            fresh.iter().for_each(|lane| lane.send(&segment));
        }
    }

    fn eos(&self, event: gst::Event) -> bool {
        let lanes = self.lanes();
        for lane in &lanes {
            if let Some(end) = lane.end.get().filter(|_| lane.is_dead()) {
                // What stands behind the branch is told, though the branch itself is not.
                end.send_event(event.clone());
            }
            lane.send(&event);
        }
        let waits = !self.is_live() && self.hooks.get().is_some_and(|hooks| hooks.waits_at_eos());
        if waits {
            lanes.iter().for_each(|lane| lane.wait_drained());
        }
        self.src.push_event(event)
    }
}
