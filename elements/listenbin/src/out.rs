//! One of the outlet's source pads: lines in, buffers out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gst::prelude::*;
use gst::{ClockTime, FormattedSegment};
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

/// A source pad and what it has sent.
pub struct Out {
    /// The pad.
    pub pad: gst::Pad,
    /// What it is for.
    pub kind: Kind,
    /// Held while something is pushed: branches push from threads of their own, and what one of them places behind the
    /// other must also go out behind it. Nobody who flushes needs it.
    stream: Mutex<Stream>,
    /// From FLUSH_START to FLUSH_STOP: what is written meanwhile waits.
    flushing: AtomicBool,
}

#[derive(Default)]
struct Stream {
    /// `Some` once CAPS and SEGMENT went out.
    segment: Option<FormattedSegment<ClockTime>>,
    started: bool,
    sparse: Sparse,
    /// Written during a flush, for downstream to hear afterwards.
    carried: Vec<Line>,
}

impl Out {
    /// A pad of this kind.
    pub fn new(kind: Kind, template: &gst::PadTemplate) -> Arc<Out> {
        let pad = gst::Pad::builder_from_template(template).name(kind.name()).build();
        Arc::new(Out { pad, kind, stream: Mutex::default(), flushing: AtomicBool::new(false) })
    }

    /// Whether somebody reads it.
    pub fn is_read(&self) -> bool {
        self.peer().is_some()
    }

    /// The pad that reads it; the bin's ghost pad stands between.
    fn peer(&self) -> Option<gst::Pad> {
        let peer = self.pad.peer()?;
        match peer.parent().and_downcast::<gst::GhostPad>() {
            Some(ghost) => ghost.peer(),
            None => Some(peer),
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

    fn stream(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream is over: the next one begins from nothing.
    pub fn reset(&self) {
        *self.stream() = Stream::default();
        self.flushing.store(false, Ordering::SeqCst);
    }

    /// A segment begins: sinks preroll by the GAP behind it.
    pub fn begin(&self, group: Option<gst::GroupId>, segment: &gst::Event) {
        let mut stream = self.stream();
        stream.segment = None;
        self.start(&mut stream, group, Some(segment));
    }

    /// Sends lines, each at its time or where the output already is.
    pub fn write(&self, group: Option<gst::GroupId>, segment: Option<&gst::Event>, lines: Vec<Line>) {
        let mut stream = self.stream();
        if self.flushing.load(Ordering::SeqCst) || !self.start(&mut stream, group, segment) {
            // Times from before the flush mean nothing after it: such a line goes out as soon as it can.
            stream.carried.extend(lines.into_iter().map(Line::without_time));
            return;
        }
        let carried = std::mem::take(&mut stream.carried);
        let lines: Vec<Line> = lines.into_iter().map(|line| stream.in_own_time(line)).collect();
        for line in carried.into_iter().chain(lines) {
            let buffer = buffer(line, &mut stream.sparse);
            // Whoever reads it tells its errors itself; the analysis goes on for messages.
            let _ = self.pad.push(buffer);
        }
    }

    /// Nothing begins before this running time any more.
    pub fn advance(
        &self,
        group: Option<gst::GroupId>,
        segment: Option<&gst::Event>,
        running_time: ClockTime,
    ) {
        let mut stream = self.stream();
        if !self.start(&mut stream, group, segment) {
            return;
        }
        let Some(end) = stream.segment.as_ref().and_then(|own| own.position_from_running_time(running_time))
        else {
            return;
        };
        self.gap(&mut stream, end, end);
    }

    /// The end of the stream.
    pub fn eos(&self, group: Option<gst::GroupId>, segment: Option<&gst::Event>, event: gst::Event) {
        let mut stream = self.stream();
        self.start(&mut stream, group, segment);
        self.pad.push_event(event);
    }

    /// Passes FLUSH_START, without waiting for a push to end: it is what ends it.
    pub fn flush_start(&self, event: gst::Event) {
        self.flushing.store(true, Ordering::SeqCst);
        self.pad.push_event(event);
    }

    /// Passes FLUSH_STOP. What was written during the flush goes out after it.
    pub fn flush_stop(&self, event: gst::Event) {
        let mut stream = self.stream();
        self.pad.push_event(event);
        stream.segment = None;
        stream.sparse.reset();
        self.flushing.store(false, Ordering::SeqCst);
    }

    /// Makes sure that STREAM_START, CAPS and SEGMENT went out; false where there is no segment yet.
    fn start(&self, stream: &mut Stream, group: Option<gst::GroupId>, segment: Option<&gst::Event>) -> bool {
        if stream.segment.is_some() {
            return true;
        }
        let Some(event) = segment else { return false };
        let gst::EventView::Segment(view) = event.view() else { return false };
        let Some(own) = view.segment().downcast_ref::<ClockTime>() else { return false };
        if !stream.started {
            stream.started = true;
            let id = self.pad.create_stream_id(&self.parent(), Some(self.kind.name()));
            let start =
                gst::event::StreamStart::builder(&id).group_id_if_some(group).flags(gst::StreamFlags::SPARSE);
            self.pad.push_event(start.build());
            let form = self.form();
            self.pad.push_event(gst::event::Caps::new(&form.caps()));
        }
        self.pad.push_event(event.clone());
        stream.sparse.reset();
        stream.segment = Some(own.clone());
        let start = own.start().unwrap_or_default();
        self.gap(stream, start, start);
        true
    }

    fn parent(&self) -> gst::Element {
        self.pad.parent_element().expect("the outlet added it and outlives it")
    }

    fn gap(&self, stream: &mut Stream, start: ClockTime, end: ClockTime) {
        if let Some((start, duration)) = stream.sparse.gap(start, end) {
            self.pad.push_event(gst::event::Gap::builder(start).duration(duration).build());
        }
    }
}

impl Stream {
    /// A line of a branch that is in another segment yet, or still, in times of the segment that went out.
    fn in_own_time(&self, line: Line) -> Line {
        let own = |time: Option<ClockTime>| {
            time.and_then(|time| self.segment.as_ref()?.position_from_running_time(time))
        };
        match own(line.running_time) {
            Some(start) => {
                let length = line.end.saturating_sub(line.start);
                Line { start, end: start + length, ..line }
            }
            None => line,
        }
    }
}
