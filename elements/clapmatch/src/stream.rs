//! One run of the stream: windows in, what they brought out. No pad is touched here.

use std::sync::Arc;
use std::time::Duration;

use gst::ClockTime;
use gst_listen_common::caps::EmbeddingCaps;
use gst_listen_common::event_times::EventTimes;
use gst_listen_common::labels::Listened;
use gst_listen_common::result_meta::{EventRecord, WindowResult};
use gst_listen_common::sparse::Sparse;
use gst_listen_common::strength_meta::StrengthMeta;
use gst_listen_common::values::value_array;
use gst_listen_common::window_meta::WindowMeta;
use listen_features::Strength;
use listen_package::{Output as Embeds, Package};
use listen_zeroshot::{
    Change, Counts, Detector, Edge, EndReason, Label, LabelScore, MatchError, SettingsError, Source, Span,
    Window,
};

use crate::output::{Form, Line, Observer, Report};
use crate::prepare::Prepared;
use crate::record::{record, result};
use crate::settings::Settings;

/// A hole in the stream that is longer ends what is active.
const LONG_GAP: ClockTime = ClockTime::SECOND;

/// Everything that belongs to one run of the stream.
#[derive(Default)]
pub struct Stream {
    /// What comes in. `Some` from CAPS on.
    pub caps: Option<EmbeddingCaps>,
    /// What goes out. `Some` from CAPS on.
    pub form: Option<Form>,
    /// What timestamps mean.
    pub times: EventTimes,
    /// Where the output is.
    pub sparse: Sparse,
    /// Whether upstream is live. `Some` from a segment's first buffer on.
    pub live: Option<bool>,
    /// What went out into the void, to be told with what comes next.
    pub carried_lines: Vec<Line>,
    carried: Vec<EventRecord>,
    /// `Some` once labels are there.
    listening: Option<Listening>,
    /// The last window, while what comes next goes on from there.
    last: Option<Covered>,
    /// Start of the last window told of in a message.
    told: Option<ClockTime>,
    tally: Tally,
}

/// A detector and what it listens by.
struct Listening {
    detector: Detector,
    package: Arc<Package>,
    /// The settings that it was last asked to follow, in vain or not.
    tried: listen_zeroshot::Settings,
    took: Duration,
}

/// A stretch of time that a window covered.
#[derive(Debug, Clone, Copy)]
struct Covered {
    start: u64,
    end: u64,
    step: u64,
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    unscored: u64,
    silent: u64,
    /// Of detectors that are gone.
    before: Counts,
}

/// What is to be done once no lock is held, in this order.
#[derive(Default)]
pub struct Todo {
    /// Warnings to post.
    pub warnings: Vec<SettingsError>,
    /// What the user may have meant otherwise: warnings too.
    pub doubts: Vec<String>,
    /// Structures of element messages to post.
    pub messages: Vec<gst::Structure>,
    /// Lines for whoever listens in.
    pub observed: Vec<(Form, Vec<Line>)>,
    /// Lines for the source pad.
    pub lines: Vec<Line>,
    /// Metas for the buffer.
    pub metas: Vec<WindowResult>,
}

/// What the user wants, and who listens in.
#[derive(Clone, Copy)]
pub struct Wishes<'a> {
    /// The properties.
    pub settings: &'a Settings,
    /// Rust code beside the source pad.
    pub observer: Option<&'a dyn Observer>,
}

impl Stream {
    /// Whether labels are there.
    pub fn is_listening(&self) -> bool {
        self.listening.is_some()
    }

    /// What it listens for, once labels are there.
    pub fn listens_for(&self) -> Option<Vec<Listened>> {
        let labels = self.listening.as_ref()?.detector.matcher().labels();
        let listened =
            |label: &Arc<Label>| Listened { label: label.text.clone(), names: label.names.clone() };
        Some(labels.iter().map(listened).collect())
    }

    /// Listens for other labels from the next window on; what is not wanted any more ends.
    pub fn adopt(
        &mut self,
        prepared: Prepared,
        wishes: Wishes,
        todo: &mut Todo,
    ) -> Result<(), SettingsError> {
        let rules = wishes.settings.rules();
        let Prepared { matcher, package, took, doubts } = prepared;
        let labels: Vec<String> = matcher.labels().texts().map(str::to_owned).collect();
        let changes = match &mut self.listening {
            Some(listening) => {
                let changes = listening.detector.replace(matcher, rules.clone())?;
                (listening.tried, listening.took) = (rules, took);
                listening.package = package;
                changes
            }
            None => {
                let detector = Detector::new(matcher, rules.clone())?;
                self.listening = Some(Listening { detector, package, tried: rules, took });
                Vec::new()
            }
        };
        todo.doubts.extend(doubts);
        let mut message = gst::Structure::new_empty("labels-changed");
        message.set_value("labels", value_array(labels));
        todo.messages.push(message);
        self.tell(None, &changes, wishes, todo);
        Ok(())
    }

    /// Follows thresholds and durations that have changed.
    pub fn follow(&mut self, wishes: Wishes, todo: &mut Todo) {
        let Some(listening) = &mut self.listening else { return };
        let rules = wishes.settings.rules();
        if rules != listening.tried {
            listening.tried = rules.clone();
            todo.warnings.extend(listening.detector.configure(rules).err());
        }
    }

    /// Takes a buffer of embeddings, `values` in rows.
    pub fn window(
        &mut self,
        buffer: &gst::BufferRef,
        pts: ClockTime,
        values: &[f32],
        wishes: Wishes,
        todo: &mut Todo,
    ) -> Result<(), MatchError> {
        self.times.observe(buffer);
        let Some(caps) = self.caps.clone() else { return Ok(()) };
        let known = WindowMeta::of(buffer);
        let level = known.map(|known| known.level as f32);
        let rows = values.chunks_exact(caps.dim as usize);
        if self.listening.is_none() {
            self.tally.unscored += rows.len() as u64;
            self.last = None;
            return Ok(());
        }
        let whole = buffer.duration().unwrap_or_default();
        let count = rows.len() as u64;
        // A time step that the caps do not tell is an equal part of the buffer.
        let step = match caps.output {
            Embeds::Clip => None,
            Embeds::Frames | Embeds::Tokens => Some(caps.step.unwrap_or(whole.nseconds() / count.max(1))),
        };
        for (index, row) in (0..count).zip(rows) {
            let span = match step {
                None => self.clip_span(pts.nseconds(), whole.nseconds()),
                Some(step) => {
                    let start = pts.nseconds().saturating_add(index.saturating_mul(step));
                    Span::new(start, start.saturating_add(step), step)
                }
            };
            self.end_before(span.start, wishes, todo);
            let Some(listening) = &mut self.listening else { break };
            if index == 0
                && let Some(meta) = StrengthMeta::of(buffer)
            {
                listening.detector.push_edges(caps.channel, edges(&meta));
            }
            let mut changes = Vec::new();
            listening.detector.push(span, caps.channel, level, row, &mut changes)?;
            let scores: Vec<LabelScore> = listening.detector.scores().collect();
            self.last = Some(Covered { start: span.start, end: span.end, step: span.step });
            self.tell(Some((span, caps.channel, level, &scores)), &changes, wishes, todo);
        }
        Ok(())
    }

    /// Takes a GAP: windows that are missing in it were silent, unless what is there was lost (`hole`); after a long one
    /// nothing goes on.
    pub fn gap(&mut self, start: ClockTime, end: ClockTime, hole: bool, wishes: Wishes, todo: &mut Todo) {
        let Some(mut last) = self.last else { return };
        let channel = self.caps.as_ref().map_or(-1, |caps| caps.channel);
        let next = last.start.saturating_add(last.step);
        let begins = start.nseconds().max(next);
        if end.nseconds().saturating_sub(begins) > LONG_GAP.nseconds().max(last.step.saturating_mul(2)) {
            return self.end(EndReason::Gap, Some(begins.min(last.end)), wishes, todo);
        }
        let mut changes = Vec::new();
        while !hole
            && last.step > 0
            && last.start.saturating_add(last.step.saturating_mul(2)) <= end.nseconds()
        {
            let length = last.end - last.start;
            last.start += last.step;
            last.end = last.start.saturating_add(length);
            let Some(listening) = &mut self.listening else { return };
            self.tally.silent += 1;
            listening.detector.push_silence(
                Span::new(last.start, last.end, last.step),
                channel,
                None,
                &mut changes,
            );
        }
        self.last = Some(last);
        self.tell(None, &changes, wishes, todo);
    }

    /// Ends what is active and forgets the past: nothing goes on from here.
    pub fn end(&mut self, reason: EndReason, at: Option<u64>, wishes: Wishes, todo: &mut Todo) {
        let at = at.or(self.last.map(|last| last.end)).unwrap_or(0);
        let Some(listening) = &mut self.listening else { return };
        let mut changes = Vec::new();
        listening.detector.end_all(at, reason, &mut changes);
        self.tell(None, &changes, wishes, todo);
        self.last = None;
    }

    /// Forgets the labels: embeddings of another space come.
    pub fn forget_labels(&mut self) {
        let Some(listening) = self.listening.take() else { return };
        let (counts, sum) = (listening.detector.counts(), &mut self.tally.before);
        sum.windows += counts.windows;
        sum.started += counts.started;
        sum.updated += counts.updated;
        sum.ended += counts.ended;
    }

    /// Events that no buffer carried, as a result of their own.
    pub fn take_carried(&mut self) -> Option<WindowResult> {
        if self.carried.is_empty() {
            return None;
        }
        let events = std::mem::take(&mut self.carried);
        let start = events.iter().map(|event| event.timestamp).min().unwrap_or_default();
        let end = events
            .iter()
            .map(|event| event.timestamp.saturating_add(event.duration))
            .max()
            .unwrap_or_default();
        Some(WindowResult {
            timestamp: start,
            running_time: self.times.running_time(start),
            stream_time: self.times.stream_time(start),
            duration: end.saturating_sub(start),
            step: ClockTime::ZERO,
            utc: self.times.utc(start),
            channel: self.caps.as_ref().map_or(-1, |caps| caps.channel),
            level: None,
            scores: Vec::new(),
            events,
        })
    }

    /// The property `stats`.
    pub fn stats(&self) -> gst::Structure {
        let now = self.listening.as_ref().map(|listening| listening.detector.counts()).unwrap_or_default();
        let before = self.tally.before;
        let labels =
            self.listening.as_ref().map_or(0, |listening| listening.detector.matcher().labels().len());
        let active = self.listening.as_ref().map_or(0, |listening| listening.detector.active().count());
        let took = self.listening.as_ref().map(|listening| listening.took).unwrap_or_default();
        gst::Structure::builder("clapmatch-stats")
            .field("windows", before.windows + now.windows)
            .field("silent", self.tally.silent)
            .field("unscored", self.tally.unscored)
            .field("started", before.started + now.started)
            .field("updated", before.updated + now.updated)
            .field("ended", before.ended + now.ended)
            .field("active", active as u64)
            .field("labels", labels as u64)
            .field("label-time", u64::try_from(took.as_nanos()).unwrap_or(u64::MAX))
            .build()
    }

    /// The end of the last window: nothing of the stream before it is still to come.
    pub fn next_start(&self) -> Option<ClockTime> {
        self.last.map(|last| ClockTime::from_nseconds(last.start.saturating_add(last.step)))
    }

    fn clip_span(&self, start: u64, length: u64) -> Span {
        // The first window is all new, and so is one after a hole.
        let step = match self.last {
            Some(last) if start > last.start => (start - last.start).min(length),
            _ => length,
        };
        Span::new(start, start.saturating_add(length), step)
    }

    /// A window that does not go on from the last one ends what is active.
    fn end_before(&mut self, start: u64, wishes: Wishes, todo: &mut Todo) {
        let Some(last) = self.last else { return };
        let hole = start.saturating_sub(last.end.max(last.start.saturating_add(last.step)));
        if start < last.start || hole > LONG_GAP.nseconds() {
            self.end(EndReason::Gap, None, wishes, todo);
        }
    }

    fn tell(
        &mut self,
        window: Option<(Span, i32, Option<f32>, &[LabelScore])>,
        changes: &[Change],
        wishes: Wishes,
        todo: &mut Todo,
    ) {
        let Some(listening) = &self.listening else { return };
        if window.is_none() && changes.is_empty() {
            return;
        }
        let labels = listening.detector.matcher().labels();
        let manifest = listening.package.manifest();
        let window =
            window.map(|(span, channel, level, scores)| Window { span, channel, level, labels, scores });
        let report = Report {
            window,
            changes,
            source: Source {
                rate: Some(manifest.audio.sample_rate),
                model: Some(&manifest.id),
                space: Some(listening.package.space()),
            },
            language: &wishes.settings.language,
            times: &self.times,
        };
        for form in [Form::Events, Form::Scores, Form::Text] {
            if wishes.observer.is_some_and(|observer| observer.wants(form)) {
                todo.observed.push((form, report.lines(form)));
            }
            if self.form == Some(form) {
                todo.lines.extend(report.lines(form));
            }
        }
        let mut events: Vec<EventRecord> = changes.iter().map(|change| record(change, &self.times)).collect();
        let event_messages: Vec<gst::Structure> = events.iter().map(EventRecord::to_structure).collect();
        if let Some(window) = &report.window {
            let mut result = result(window, wishes.settings, &self.times);
            if self.is_due(result.timestamp, wishes.settings) {
                self.told = Some(result.timestamp);
                todo.messages.push(result.scores_structure("clapmatch"));
            }
            if self.form == Some(Form::Embedding) {
                result.events = std::mem::take(&mut self.carried);
                result.events.append(&mut events);
                todo.metas.push(result);
            }
        } else if self.form == Some(Form::Embedding) {
            self.carried.append(&mut events);
        }
        todo.messages.extend(event_messages);
    }

    /// Whether a message tells of the window that begins at `start`.
    fn is_due(&self, start: ClockTime, settings: &Settings) -> bool {
        let since = self.told.map(|told| start.saturating_sub(told));
        // A jump back begins anew.
        let back = self.told.is_some_and(|told| start < told);
        settings.post_messages && (back || since.is_none_or(|since| since >= settings.interval()))
    }
}

fn edges(meta: &StrengthMeta) -> impl Iterator<Item = Edge> + '_ {
    meta.timed().map(|(at, Strength { onset, offset })| Edge { at: at.nseconds(), onset, offset })
}
