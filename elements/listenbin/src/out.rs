//! One of the outlet's source pads: lines in, buffers out, on a thread of its own.
//!
//! Two pads fed by one thread would hold each other up: the first sink keeps its first buffer until the pipeline plays,
//! which it does not before the second sink has one too.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use gst::prelude::*;
use gst::{ClockTime, FormattedSegment, glib};
use gst_listen_clapmatch::{Form, Line, buffer};
use gst_listen_common::sparse::Sparse;

/// What a pad is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// JSON.
    Events,
    /// Lines for people.
    Text,
}

impl Kind {
    /// The pad's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Events => "events",
            Kind::Text => "text",
        }
    }

    /// What it can give.
    pub fn caps(self) -> gst::Caps {
        let mut caps = gst::Caps::new_empty();
        self.forms().iter().for_each(|form| caps.merge(form.caps()));
        caps
    }

    fn forms(self) -> &'static [Form] {
        match self {
            Kind::Events => &[Form::Events, Form::Scores],
            Kind::Text => &[Form::Text],
        }
    }
}

/// The stream that is listened to.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// Its stream id.
    pub id: String,
    /// Its group.
    pub group: Option<gst::GroupId>,
}

/// Lines that wait for a slow reader before the analysis waits too.
const ROOM: usize = 4_096;

enum Item {
    /// A segment begins.
    Begin(Origin, gst::Event),
    Line(Line),
    /// Nothing begins before this running time any more.
    Reach(ClockTime),
    Eos(gst::Event),
}

/// A source pad and what is to be sent on it.
pub struct Out {
    /// The pad.
    pub pad: gst::Pad,
    /// What it is for.
    pub kind: Kind,
    state: Mutex<State>,
    changed: Condvar,
    /// Only the pad's own thread uses it while that runs.
    sent: Mutex<Sent>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Item>,
    /// While inactive, and from FLUSH_START to FLUSH_STOP.
    flushing: bool,
    /// The pad was given back.
    gone: bool,
    /// The thread is downstream, which may keep it for as long as it likes.
    pushing: bool,
    /// Written during a flush, for downstream to hear afterwards.
    carried: Vec<Line>,
}

/// What went out.
#[derive(Default)]
struct Sent {
    started: bool,
    /// `Some` once CAPS and SEGMENT went out.
    segment: Option<FormattedSegment<ClockTime>>,
    sparse: Sparse,
    /// Lines that came before any segment.
    early: Vec<Line>,
}

impl Out {
    /// A pad of this kind.
    pub fn new(kind: Kind, template: &gst::PadTemplate) -> Arc<Out> {
        Arc::new_cyclic(|weak: &Weak<Out>| {
            let weak = weak.clone();
            let pad = gst::Pad::builder_from_template(template)
                .name(kind.name())
                .activatemode_function(move |pad, _, _, active| match weak.upgrade() {
                    Some(out) => out.activate(pad, active),
                    None => Err(gst::loggable_error!(gst::CAT_RUST, "the pad's output is gone")),
                })
                .build();
            let state = Mutex::new(State { flushing: true, ..State::default() });
            Out { pad, kind, state, changed: Condvar::new(), sent: Mutex::default() }
        })
    }

    /// Whether somebody reads it.
    pub fn is_read(&self) -> bool {
        let Some(peer) = self.pad.peer() else { return false };
        // The bin's ghost pad stands between.
        match peer.parent().and_downcast::<gst::GhostPad>() {
            Some(ghost) => ghost.is_linked(),
            None => true,
        }
    }

    /// The form that downstream is given, in its own order of caps.
    pub fn form(&self) -> Form {
        let forms = self.kind.forms();
        if let Some(caps) = self.pad.current_caps() {
            return forms.iter().copied().find(|form| form.caps() == caps).unwrap_or(forms[0]);
        }
        let peer = self.pad.peer_query_caps(Some(&self.kind.caps()));
        let chosen = Form::choose(&peer, gst::Caps::new_empty().as_ref());
        chosen.filter(|form| forms.contains(form)).unwrap_or(forms[0])
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn activate(self: &Arc<Self>, pad: &gst::Pad, active: bool) -> Result<(), gst::LoggableError> {
        if !active {
            self.set_flushing(true);
            pad.stop_task().map_err(|error| gst::loggable_error!(gst::CAT_RUST, "{error}"))?;
            *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = Sent::default();
            self.state().carried.clear();
            return Ok(());
        }
        if !self.set_flushing(false) {
            return Err(gst::loggable_error!(gst::CAT_RUST, "the pad was given back"));
        }
        self.start().map_err(|error| gst::loggable_error!(gst::CAT_RUST, "{error}"))
    }

    fn start(self: &Arc<Self>) -> Result<(), glib::BoolError> {
        let out = Arc::downgrade(self);
        self.pad.start_task(move || {
            if let Some(out) = out.upgrade() {
                out.turn();
            }
        })
    }

    /// Whether the thread may go on.
    fn set_flushing(&self, flushing: bool) -> bool {
        let mut state = self.state();
        state.flushing = flushing || state.gone;
        state.queue.clear();
        let goes_on = !state.flushing;
        drop(state);
        self.changed.notify_all();
        goes_on
    }

    /// The pad was given back: nothing is taken any more. Whether its thread is downstream, so that to wait for its end
    /// is to wait for a sink.
    pub fn retire(&self) -> bool {
        let mut state = self.state();
        (state.flushing, state.gone) = (true, true);
        state.queue.clear();
        let pushing = state.pushing;
        drop(state);
        self.changed.notify_all();
        pushing
    }

    /// A segment begins: sinks preroll by the GAP behind it.
    pub fn begin(&self, origin: &Origin, segment: &gst::Event) {
        self.add(Item::Begin(origin.clone(), segment.clone()));
    }

    /// Sends lines, each at its time or where the output already is. It waits only where very many wait already.
    pub fn write(&self, lines: Vec<Line>) {
        lines.into_iter().for_each(|line| self.add(Item::Line(line)));
    }

    /// Nothing begins before this running time any more.
    pub fn advance(&self, running_time: ClockTime) {
        let mut state = self.state();
        if let Some(Item::Reach(reached)) = state.queue.back_mut() {
            *reached = running_time.max(*reached);
            return;
        }
        drop(state);
        self.add(Item::Reach(running_time));
    }

    /// The end of the stream.
    pub fn eos(&self, event: gst::Event) {
        self.add(Item::Eos(event));
    }

    /// Passes FLUSH_START.
    pub fn flush_start(&self, event: gst::Event) {
        self.set_flushing(true);
        self.pad.push_event(event);
    }

    /// Passes FLUSH_STOP. What was written during the flush goes out after it.
    pub fn flush_stop(self: &Arc<Self>, event: gst::Event) {
        if !self.state().flushing {
            // It was asked for in the middle of the flush: its thread waits.
            self.flush_start(gst::event::FlushStart::builder().seqnum(event.seqnum()).build());
        }
        // The thread is not in the middle of anything after this.
        let _ = self.pad.pause_task();
        self.pad.push_event(event);
        {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.segment = None;
            sent.sparse.reset();
            sent.early.append(&mut self.state().carried);
        }
        if self.set_flushing(false) {
            let _ = self.start();
        }
    }

    fn add(&self, item: Item) {
        let mut state = self.state();
        while state.queue.len() >= ROOM && !state.flushing {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match item {
            // Times from before the flush mean nothing after it: such a line goes out as soon as it can.
            Item::Line(line) if state.flushing => state.carried.push(line.without_time()),
            _ if state.flushing => {}
            item => state.queue.push_back(item),
        }
        drop(state);
        self.changed.notify_all();
    }

    /// One item, from the queue to the pad.
    fn turn(&self) {
        let mut state = self.state();
        state.pushing = false;
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
        state.pushing = true;
        drop(state);
        self.changed.notify_all();
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        match item {
            Item::Begin(origin, segment) => self.send_beginning(&mut sent, &origin, &segment),
            Item::Line(line) if sent.segment.is_none() => sent.early.push(line.without_time()),
            Item::Line(line) => {
                let line = sent.in_own_time(line);
                self.send(&mut sent, line);
            }
            Item::Reach(running_time) => {
                let own = sent.segment.as_ref();
                if let Some(end) = own.and_then(|own| own.position_from_running_time(running_time)) {
                    self.send_gap(&mut sent, end);
                }
            }
            Item::Eos(event) => {
                self.pad.push_event(event);
            }
        }
    }

    fn send_beginning(&self, sent: &mut Sent, origin: &Origin, event: &gst::Event) {
        let gst::EventView::Segment(view) = event.view() else { return };
        let Some(segment) = view.segment().downcast_ref::<ClockTime>() else { return };
        if !std::mem::replace(&mut sent.started, true) {
            let id = format!("{}/{}", origin.id, self.kind.name());
            let start = gst::event::StreamStart::builder(&id);
            let start = start.group_id_if_some(origin.group).flags(gst::StreamFlags::SPARSE);
            self.pad.push_event(start.build());
            let form = self.form();
            self.pad.push_event(gst::event::Caps::new(&form.caps()));
        }
        self.pad.push_event(event.clone());
        sent.sparse.reset();
        sent.segment = Some(segment.clone());
        self.send_gap(sent, segment.start().unwrap_or_default());
        for line in std::mem::take(&mut sent.early) {
            self.send(sent, line);
        }
    }

    fn send(&self, sent: &mut Sent, line: Line) {
        let buffer = buffer(line, &mut sent.sparse);
        // Whoever reads it tells its errors itself; the analysis goes on for messages.
        let _ = self.pad.push(buffer);
    }

    fn send_gap(&self, sent: &mut Sent, end: ClockTime) {
        if let Some((start, duration)) = sent.sparse.gap(end, end) {
            self.pad.push_event(gst::event::Gap::builder(start).duration(duration).build());
        }
    }
}

impl Sent {
    /// A line of a branch that is in another segment yet, or still, in times of the segment that went out.
    fn in_own_time(&self, line: Line) -> Line {
        let own = |time: Option<ClockTime>| {
            time.and_then(|time| self.segment.as_ref()?.position_from_running_time(time))
        };
        match own(line.running_time) {
            Some(start) => {
                let length = line.end.saturating_sub(line.start);
                Line { start, end: start.saturating_add(length), ..line }
            }
            None => line,
        }
    }
}
