//! What stands between the audio that passes and one analysis of it: a queue, and the thread that empties it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use gst::prelude::*;
use gst::{ClockTime, glib};

use crate::channel::Pick;

/// Audio that may wait for an analysis. Everything behind it decouples by itself; this is for what converts the samples.
const ROOM: ClockTime = ClockTime::from_seconds(2);

type OnCaps = Box<dyn Fn(&gst_audio::AudioInfo) + Send + Sync>;

enum Item {
    Buffer(gst::Buffer),
    Event(gst::Event),
}

/// One analysis branch, seen from the audio.
pub struct Lane {
    /// Its beginning: a source pad of the tap.
    pub pad: gst::Pad,
    /// What it is given.
    pub pick: Pick,
    state: Mutex<State>,
    changed: Condvar,
    /// Called before CAPS go down.
    on_caps: OnceLock<OnCaps>,
    /// The outlet's pad at the branch's end.
    pub end: OnceLock<gst::Pad>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Item>,
    /// Audio in the queue.
    waiting: ClockTime,
    info: Option<gst_audio::AudioInfo>,
    /// From deactivation or FLUSH_START on.
    flushing: bool,
    /// The analysis failed: nothing is given to it any more.
    dead: bool,
    /// EOS came out at its end.
    drained: bool,
    /// A result came out at its end.
    heard: bool,
    /// The next buffer does not go on from the last one.
    discont: bool,
    counts: Counts,
}

/// What a lane did with the audio.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Buffers that were given to the analysis.
    pub passed: u64,
    /// Buffers that found no room, or no analysis.
    pub dropped: u64,
    /// How long those were.
    pub dropped_time: ClockTime,
}

impl Lane {
    /// A lane whose pad, named `name`, belongs to the tap.
    pub fn new(name: &str, template: &gst::PadTemplate, pick: Pick) -> Arc<Lane> {
        Arc::new_cyclic(|weak: &Weak<Lane>| {
            let (for_mode, for_query) = (weak.clone(), weak.clone());
            let pad = gst::Pad::builder_from_template(template)
                .name(name)
                .activatemode_function(move |pad, _, mode, active| {
                    let lane = for_mode.upgrade();
                    match (lane, mode) {
                        (Some(lane), gst::PadMode::Push) => lane.activate(pad, active),
                        _ => Err(gst::loggable_error!(gst::CAT_RUST, "a lane pushes")),
                    }
                })
                // What comes up from an analysis does not concern the audio: seeks, QoS and latency reach upstream
                // through the audio's own pad.
                .event_function(|_, _, _| true)
                .query_function(move |pad, parent, query| match query.type_() {
                    gst::QueryType::Caps | gst::QueryType::AcceptCaps => {
                        gst::Pad::query_default(pad, parent, query)
                    }
                    _ => for_query.upgrade().is_some_and(|_| upstream(pad, query)),
                })
                .build();
            Lane {
                pad,
                pick,
                state: Mutex::default(),
                changed: Condvar::new(),
                on_caps: OnceLock::new(),
                end: OnceLock::new(),
            }
        })
    }

    /// Calls `hook` on the lane's thread before new CAPS go down.
    pub fn on_caps(&self, hook: impl Fn(&gst_audio::AudioInfo) + Send + Sync + 'static) {
        // Set once, where the branch is built.
        let _ = self.on_caps.set(Box::new(hook));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn activate(self: &Arc<Self>, pad: &gst::Pad, active: bool) -> Result<(), gst::LoggableError> {
        if !active {
            self.set_flushing(true);
            return pad.stop_task().map_err(|error| gst::loggable_error!(gst::CAT_RUST, "{error}"));
        }
        *self.lock() = State::default();
        self.start().map_err(|error| gst::loggable_error!(gst::CAT_RUST, "{error}"))
    }

    fn start(self: &Arc<Self>) -> Result<(), glib::BoolError> {
        let lane = Arc::downgrade(self);
        self.pad.start_task(move || {
            if let Some(lane) = lane.upgrade() {
                lane.turn();
            }
        })
    }

    /// Takes a copy of a buffer. Where `live` it never waits: what has waited longest makes room. Otherwise the audio waits.
    ///
    /// Whether audio was dropped.
    pub fn offer(&self, buffer: &gst::Buffer, live: bool) -> bool {
        let mut state = self.lock();
        let Some(info) = state.info.clone().filter(|_| !state.dead && !state.flushing) else {
            state.count_dropped(buffer.duration());
            return false;
        };
        drop(state);
        let copy = self.pick.copy(buffer, &info);
        let mut state = self.lock();
        let Some(mut copy) = copy else {
            state.count_dropped(buffer.duration());
            return false;
        };
        let length = copy.duration().unwrap_or_default();
        let mut dropped = false;
        // A buffer that is longer than the room waits for an empty queue.
        while state.waiting > ClockTime::ZERO && state.waiting.saturating_add(length) > ROOM {
            if state.flushing || state.dead {
                return dropped;
            }
            if live {
                dropped = true;
                state.drop_oldest();
                continue;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.flushing || state.dead {
            return dropped;
        }
        if std::mem::take(&mut state.discont)
            && let Some(copy) = copy.get_mut()
        {
            copy.set_flags(gst::BufferFlags::DISCONT);
        }
        state.waiting = state.waiting.saturating_add(length);
        state.queue.push_back(Item::Buffer(copy));
        drop(state);
        self.changed.notify_all();
        dropped
    }

    /// Takes a serialized event, behind the audio that waits.
    pub fn send(&self, event: &gst::Event) {
        let mut state = self.lock();
        if let gst::EventView::Caps(caps) = event.view() {
            state.info = gst_audio::AudioInfo::from_caps(caps.caps()).ok();
        }
        if state.flushing || state.dead {
            return;
        }
        state.queue.push_back(Item::Event(event.clone()));
        drop(state);
        self.changed.notify_all();
    }

    /// Passes FLUSH_START, and lets everybody go who waits.
    pub fn flush_start(&self, event: gst::Event) {
        self.set_flushing(true);
        self.pad.push_event(event);
    }

    /// Passes FLUSH_STOP and begins anew, also after a failure, with the `standing` events: those of the audio that
    /// outlive a flush. They may still have waited here when it came, and nobody sends them again.
    pub fn flush_stop(self: &Arc<Self>, event: gst::Event, standing: &[gst::Event]) {
        if !self.lock().flushing {
            // It was made by CAPS that were under way when the flush began: its thread, and those behind it, wait.
            self.flush_start(gst::event::FlushStart::builder().seqnum(event.seqnum()).build());
        }
        // The thread is not in the middle of anything after this.
        let _ = self.pad.pause_task();
        self.pad.push_event(event);
        let mut state = self.lock();
        let (info, counts, heard) = (state.info.clone(), state.counts, state.heard);
        let queue = standing.iter().cloned().map(Item::Event).collect();
        *state = State { queue, info, counts, heard, ..State::default() };
        drop(state);
        let _ = self.start();
    }

    fn set_flushing(&self, flushing: bool) {
        let mut state = self.lock();
        state.flushing = flushing;
        if flushing {
            state.queue.clear();
            state.waiting = ClockTime::ZERO;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Gives the analysis up: it failed.
    pub fn kill(&self) {
        let mut state = self.lock();
        state.dead = true;
        state.queue.clear();
        state.waiting = ClockTime::ZERO;
        drop(state);
        self.changed.notify_all();
    }

    /// Whether it was given up.
    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// EOS came out at the end.
    pub fn set_drained(&self) {
        self.lock().drained = true;
        self.changed.notify_all();
    }

    /// Waits until everything that was taken came out at the end, or is not going to.
    pub fn wait_drained(&self) {
        let mut state = self.lock();
        while !(state.drained || state.flushing || state.dead) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A result came out at the end.
    pub fn set_heard(&self) {
        self.lock().heard = true;
    }

    /// Whether a result ever came out since the start.
    pub fn has_heard(&self) -> bool {
        self.lock().heard
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// One item, from the queue to the analysis.
    fn turn(&self) {
        let mut state = self.lock();
        let item = loop {
            if state.flushing {
                drop(state);
                // It is called by the task itself.
                let _ = self.pad.pause_task();
                return;
            }
            if let Some(item) = state.queue.pop_front() {
                break item;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        if let Item::Buffer(buffer) = &item {
            state.waiting = state.waiting.saturating_sub(buffer.duration().unwrap_or_default());
            state.counts.passed += 1;
        }
        drop(state);
        self.changed.notify_all();
        match item {
            Item::Buffer(buffer) => self.push(buffer),
            Item::Event(event) => self.push_event(event),
        }
    }

    fn push(&self, buffer: gst::Buffer) {
        match self.pad.push(buffer) {
            // A flush stops the thread by itself, and after EOS nothing comes.
            Ok(_) | Err(gst::FlowError::Flushing | gst::FlowError::Eos) => {}
            Err(flow) => {
                self.kill();
                if let Some(tap) = self.pad.parent_element()
                    && flow != gst::FlowError::Error
                {
                    // Nobody has told it: elements do not post errors for these.
                    let text = format!("the analysis of the sound stopped: {flow}");
                    gst::element_error!(tap, gst::StreamError::Failed, ("{}", text));
                }
            }
        }
    }

    fn push_event(&self, event: gst::Event) {
        let event = match event.view() {
            gst::EventView::Caps(caps) => {
                if let (Some(hook), Ok(info)) =
                    (self.on_caps.get(), gst_audio::AudioInfo::from_caps(caps.caps()))
                {
                    hook(&info);
                }
                let picked = self.pick.caps(caps.caps());
                if self.pad.current_caps().as_ref() == Some(&picked) {
                    // They outlived a flush; the branch has them.
                    return;
                }
                gst::event::Caps::builder(&picked).seqnum(event.seqnum()).build()
            }
            _ => event,
        };
        self.pad.push_event(event);
    }
}

impl State {
    fn drop_oldest(&mut self) {
        let oldest = self.queue.iter().position(|item| matches!(item, Item::Buffer(_)));
        let Some(Item::Buffer(buffer)) = oldest.and_then(|oldest| self.queue.remove(oldest)) else {
            // Without a buffer nothing waits.
            self.waiting = ClockTime::ZERO;
            return;
        };
        self.waiting = self.waiting.saturating_sub(buffer.duration().unwrap_or_default());
        self.count_dropped(buffer.duration());
        // What comes next in the queue does not go on from what went before.
        let next = self.queue.iter_mut().find_map(|item| match item {
            Item::Buffer(buffer) => Some(buffer),
            Item::Event(_) => None,
        });
        match next {
            Some(buffer) => buffer.make_mut().set_flags(gst::BufferFlags::DISCONT),
            None => self.discont = true,
        }
    }

    fn count_dropped(&mut self, duration: Option<ClockTime>) {
        self.counts.dropped += 1;
        self.counts.dropped_time = self.counts.dropped_time.saturating_add(duration.unwrap_or_default());
        self.discont = true;
    }
}

/// Asks who stands before the tap.
fn upstream(pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
    pad.parent_element().and_then(|tap| tap.static_pad("sink")).is_some_and(|sink| sink.peer_query(query))
}
