//! What flows: windows and events in, lines, metas and messages out.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_listen_common::caps::{EmbeddingCaps, EmbeddingKind};
use gst_listen_common::{errors, labels, latency};
use listen_package::Output as Embeds;
use listen_zeroshot::{EndReason, MatchError};

use crate::imp::{CAT, ClapMatch};
use crate::output::{self, Form};
use crate::prepare::{ListenError, Target};
use crate::record;
use crate::stream::Todo;
use crate::worker::NotReady;

impl ClapMatch {
    pub(crate) fn sink_chain(
        &self,
        pad: &gst::Pad,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Some(pts) = buffer.pts() else {
            gst::element_imp_error!(self, gst::StreamError::Format, ("embeddings without a timestamp came"));
            return Err(gst::FlowError::Error);
        };
        if self.src.check_reconfigure() && !self.negotiate() {
            self.src.mark_reconfigure();
            return Err(gst::FlowError::NotNegotiated);
        }
        let mut todo = Todo::default();
        self.fetch_labels(pad, &mut todo)?;
        let values = self.values(&buffer)?;
        let scored = self.with_wishes(|wishes| {
            let mut stream = self.stream();
            stream.follow(wishes, &mut todo);
            stream.window(&buffer, pts, &values, wishes, &mut todo)
        });
        if let Err(error) = scored {
            gst::element_imp_error!(self, gst::StreamError::Failed, ("{error}"));
            return Err(gst::FlowError::Error);
        }
        self.announce(&mut todo);
        if self.stream().form == Some(Form::Embedding) {
            return self.push_embedding(buffer, todo);
        }
        let reached = self.stream().next_start().unwrap_or(pts);
        self.push_lines(todo.lines, pts, reached)
    }

    /// The embeddings of a buffer, whole rows.
    fn values(&self, buffer: &gst::BufferRef) -> Result<Vec<f32>, gst::FlowError> {
        let dim = self.stream().caps.as_ref().map(|caps| caps.dim as usize);
        let Some(dim) = dim else { return Err(gst::FlowError::NotNegotiated) };
        let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        let bytes = map.as_slice();
        if bytes.len() % (4 * dim) != 0 {
            let text = format!("a buffer of {} bytes came, expected rows of {dim} float32", bytes.len());
            gst::element_imp_error!(self, gst::StreamError::Format, ("{text}"));
            return Err(gst::FlowError::Error);
        }
        let value = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        Ok(bytes.chunks_exact(4).map(value).collect())
    }

    /// Takes labels that are ready; waits for the first ones, unless upstream is live.
    fn fetch_labels(&self, pad: &gst::Pad, todo: &mut Todo) -> Result<(), gst::FlowError> {
        let (listening, live) = {
            let stream = self.stream();
            (stream.is_listening(), stream.live)
        };
        let live = live.unwrap_or_else(|| {
            let live = latency::Upstream::ask_or_not_live(pad).live;
            self.stream().live = Some(live);
            live
        });
        let outcome = if listening || live {
            match self.worker().fetch() {
                Some(outcome) => outcome,
                None => return Ok(()),
            }
        } else {
            match self.worker().wait() {
                Ok(outcome) => outcome,
                Err(NotReady::Flushing) => return Err(gst::FlowError::Flushing),
                Err(NotReady::Pending) => return Ok(()),
            }
        };
        let prepared = match outcome {
            Ok(prepared) => prepared,
            Err(error) => {
                self.post_error_message(message(&error));
                return Err(gst::FlowError::Error);
            }
        };
        let adopted = self.with_wishes(|wishes| self.stream().adopt(prepared, wishes, todo));
        match adopted {
            Ok(()) => self.listening.store(true, Ordering::SeqCst),
            Err(error) if listening => todo.warnings.push(error),
            Err(error) => {
                gst::element_imp_error!(self, gst::LibraryError::Settings, ("{error}"));
                return Err(gst::FlowError::Error);
            }
        }
        Ok(())
    }

    /// An event that cannot be taken.
    fn refuse(&self, why: gst::ErrorMessage) -> bool {
        self.refusal.post(&*self.obj(), why);
        false
    }

    pub(crate) fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        gst::log!(CAT, obj = pad, "{event:?}");
        match event.view() {
            gst::EventView::Caps(e) => self.set_caps(e.caps()),
            gst::EventView::Segment(e) => match e.segment().downcast_ref::<gst::ClockTime>() {
                Some(segment) => self.set_segment(segment, &event),
                None => {
                    let found = e.segment().format();
                    self.refuse(gst::error_msg!(
                        gst::StreamError::Format,
                        ("expected a segment of time, found {found:?}")
                    ))
                }
            },
            gst::EventView::Gap(e) => {
                let (start, duration) = e.get();
                let hole = e.gap_flags().contains(gst::GapFlags::DATA);
                self.gap(start, start.saturating_add(duration.unwrap_or_default()), hole, event.clone())
            }
            gst::EventView::Eos(_) | gst::EventView::SegmentDone(_) => {
                self.end(EndReason::Eos);
                self.src.push_event(event)
            }
            gst::EventView::FlushStart(_) => {
                self.worker().set_flushing(true);
                self.src.push_event(event)
            }
            gst::EventView::FlushStop(_) => {
                self.flushed();
                self.worker().set_flushing(false);
                self.src.push_event(event)
            }
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    pub(crate) fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Custom(query) = query.view_mut()
            && labels::is_asked(query)
        {
            // Until there are labels, nobody knows.
            let listened = self.stream().listens_for();
            return listened.map(|listened| labels::answer(query, listened)).is_some();
        }
        gst::Pad::query_default(pad, Some(&*self.obj()), query)
    }

    fn set_caps(&self, caps: &gst::CapsRef) -> bool {
        let now = match EmbeddingCaps::from_caps(caps) {
            Ok(now) if now.output == Embeds::Tokens => {
                let text = "output=tokens gives parts of the spectrum, which no label is about; set output=clip or frames";
                return self.refuse(gst::error_msg!(gst::StreamError::Format, ("{text}")));
            }
            Ok(now) => now,
            Err(error) => {
                return self.refuse(gst::error_msg!(gst::StreamError::Format, ("{error}")));
            }
        };
        let before = self.stream().caps.clone();
        if before.as_ref().is_some_and(|before| *before != now) {
            self.end(EndReason::Reconfigured);
        }
        let scores = now.kind == EmbeddingKind::ClassScores;
        let target = Target { space: now.space.clone(), dim: now.dim as usize, scores };
        let same = |before: &EmbeddingCaps| {
            before.space == now.space && before.dim == now.dim && before.kind == now.kind
        };
        {
            let mut stream = self.stream();
            if !before.as_ref().is_some_and(same) {
                stream.forget_labels();
                self.listening.store(false, Ordering::SeqCst);
            }
            stream.caps = Some(now);
        }
        if let Err(error) = self.worker().set_target(target, &self.settings().listen) {
            return self.refuse(message(&error));
        }
        self.src.check_reconfigure();
        self.negotiate_for(caps)
    }

    fn negotiate(&self) -> bool {
        self.sink.current_caps().is_none_or(|input| self.negotiate_for(&input))
    }

    /// Gives the peer the first form that it can take.
    fn negotiate_for(&self, input: &gst::CapsRef) -> bool {
        let peer = self.src.peer_query_caps(None);
        let Some(form) = Form::choose(&peer, input) else {
            let text = if peer.is_empty() {
                "downstream takes nothing, expected one form for all: where branches behind a tee want several, put the tee before \
                 clapmatch and a clapmatch into each branch"
                    .to_owned()
            } else {
                format!("downstream takes {peer}, expected application/x-json, text/x-raw or {input}")
            };
            return self.refuse(gst::error_msg!(gst::CoreError::Negotiation, ("{text}")));
        };
        self.refusal.forget();
        let changed = self.stream().form.replace(form) != Some(form);
        if changed {
            gst::info!(CAT, imp = self, "gives {form:?}");
        }
        let caps = if form == Form::Embedding { input.to_owned() } else { form.caps() };
        if self.src.current_caps().as_ref() == Some(&caps) {
            return true;
        }
        self.src.push_event(gst::event::Caps::new(&caps))
    }

    fn set_segment(&self, segment: &gst::FormattedSegment<gst::ClockTime>, event: &gst::Event) -> bool {
        let same = self.stream().times.segment() == Some(segment);
        if !same {
            self.end(EndReason::Gap);
        }
        {
            let mut stream = self.stream();
            stream.live = None;
            stream.times.set_segment(segment);
            if !same {
                stream.sparse.begin(segment.stop());
            }
        }
        let pushed = self.src.push_event(event.clone());
        let start = segment.start().unwrap_or_default();
        // Lines come when something is heard: a first GAP lets sinks preroll before that.
        if self.makes_lines() && segment.rate() > 0.0 {
            self.push_gap(start, start);
        }
        pushed
    }

    fn makes_lines(&self) -> bool {
        self.stream().form.is_some_and(|form| form != Form::Embedding)
    }

    fn gap(&self, start: gst::ClockTime, end: gst::ClockTime, hole: bool, event: gst::Event) -> bool {
        let mut todo = Todo::default();
        self.with_wishes(|wishes| self.stream().gap(start, end, hole, wishes, &mut todo));
        self.announce(&mut todo);
        if self.makes_lines() {
            // What goes wrong downstream comes back with the next buffer.
            let _ = self.push_lines(todo.lines, start, end);
            return true;
        }
        self.push_carried();
        self.src.push_event(event)
    }

    /// Ends what is active, and tells it downstream.
    fn end(&self, reason: EndReason) {
        let mut todo = Todo::default();
        self.with_wishes(|wishes| self.stream().end(reason, None, wishes, &mut todo));
        self.announce(&mut todo);
        for line in todo.lines {
            if self.push_line(line).is_err() {
                break;
            }
        }
        self.push_carried();
    }

    /// What was active ends in the messages; downstream, which drops everything now, is told with what comes next.
    fn flushed(&self) {
        let mut todo = Todo::default();
        self.with_wishes(|wishes| {
            let mut stream = self.stream();
            stream.end(EndReason::Flush, None, wishes, &mut todo);
            stream.carried_lines.extend(todo.lines.drain(..).map(output::Line::without_time));
            stream.sparse.reset();
            stream.live = None;
        });
        self.announce(&mut todo);
    }

    /// Posts what there is to post, and tells who listens in.
    pub(crate) fn announce(&self, todo: &mut Todo) {
        let obj = self.obj();
        for warning in todo.warnings.drain(..) {
            let text = format!("the thresholds stay as they were: {warning}");
            gst::element_warning!(obj, gst::LibraryError::Settings, ("{}", text));
        }
        for doubt in todo.doubts.drain(..) {
            gst::element_warning!(obj, gst::LibraryError::Settings, ("{}", doubt));
        }
        for structure in todo.messages.drain(..) {
            gst::debug!(CAT, imp = self, "{structure}");
            // Without a bus nobody reads messages.
            let _ = obj.post_message(gst::message::Element::builder(structure).src(&*obj).build());
        }
        let observer = self.observer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(observer) = observer {
            todo.observed.drain(..).for_each(|(form, lines)| observer.lines(form, lines));
        }
    }

    fn push_embedding(
        &self,
        mut buffer: gst::Buffer,
        todo: Todo,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let writable = buffer.make_mut();
        if let Some(Err(error)) = record::merged(&todo.metas).map(|meta| meta.attach(writable)) {
            gst::warning!(CAT, imp = self, "no meta: {error}");
        }
        self.src.push(buffer)
    }

    /// Pushes lines, and a GAP up to `reached`, before which nothing begins any more.
    fn push_lines(
        &self,
        lines: Vec<output::Line>,
        start: gst::ClockTime,
        reached: gst::ClockTime,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let carried = std::mem::take(&mut self.stream().carried_lines);
        for line in carried.into_iter().chain(lines) {
            self.push_line(line)?;
        }
        self.push_gap(start, reached);
        Ok(gst::FlowSuccess::Ok)
    }

    fn push_line(&self, line: output::Line) -> Result<gst::FlowSuccess, gst::FlowError> {
        let buffer = output::buffer(line, &mut self.stream().sparse);
        self.src.push(buffer)
    }

    fn push_gap(&self, start: gst::ClockTime, end: gst::ClockTime) {
        let gap = self.stream().sparse.gap(start, end);
        if let Some((start, duration)) = gap {
            self.src.push_event(gst::event::Gap::builder(start).duration(duration).build());
        }
    }

    fn push_carried(&self) {
        let carried = self.stream().take_carried();
        if let Some(result) = carried {
            self.src.push_event(result.to_event());
        }
    }
}

/// What is said of an error.
fn message(error: &ListenError) -> gst::ErrorMessage {
    match error {
        ListenError::Package(error) | ListenError::Match(MatchError::Package(error)) => {
            errors::package(error)
        }
        ListenError::Match(MatchError::Runtime(error)) => errors::runtime(error),
        ListenError::File { .. } => gst::error_msg!(gst::ResourceError::OpenRead, ("{error}")),
        ListenError::Dim { .. } => gst::error_msg!(gst::StreamError::Format, ("{error}")),
        _ => gst::error_msg!(gst::LibraryError::Settings, ("{error}")),
    }
}
