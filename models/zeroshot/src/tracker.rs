//! Follows one label in one channel through time.

use std::sync::Arc;

use crate::edges::Edges;
use crate::event::{Change, EndReason, Event, EventIds, Span};
use crate::heard::{Heard, falling, rising};
use crate::history::History;
use crate::labels::Label;
use crate::placing::Search;
use crate::rules::Rule;
use crate::steps::Steps;

/// One score of one label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// What it stands for.
    pub span: Span,
    /// Smoothed score; one that is not a number counts as below every threshold.
    pub score: f32,
    /// The score as it was before it was smoothed: it has the steps that onsets and offsets are placed at.
    pub raw: f32,
    /// Level of the window in dB, where it is known.
    pub level: Option<f32>,
    /// What the other labels leave to this one.
    pub standing: Standing,
}

/// What the other labels of a list leave to one of them in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may begin.
    Free,
    /// It is not among the best `top_k`: it may go on, but not begin.
    Outranked,
    /// Another label of its group has a higher score: it counts as not heard.
    Beaten,
}

/// Follows one label in one channel through time.
///
/// It reads no clock: the time of each score is given, so a test can run an hour in a moment, and a replay gives the
/// same events as the live run.
///
/// * A sound **begins** when a sample is at or above the onset threshold. Its onset lies among the samples in a row up to
///   that one that are at or above the offset threshold: hysteresis works both ways, so that a high onset threshold makes
///   events rarer, not later. Where samples are at most 120 ms apart it is where the score rises most steeply (of two
///   steps within a tenth the earlier), by the means over 240 ms before and behind (change detection of Ebbers et al.
///   2024, arXiv 2406.04212), moved to where the sound itself begins ([`Edges`], also before the first of them); otherwise the
///   first of them: the start of what is new in it (`max(start, end - step)`).
/// * It is **announced** (`Change::Start`) as soon as it is certain that it lasts `min_duration`, with its true onset;
///   where it falls below the offset threshold before that, nobody hears of it.
/// * It **ends** when it was below the offset threshold for `hold_time` (each sample counts for its step). Its offset is
///   the start of the first sample below: the sound had left the window by then; or, where samples are at most 120 ms
///   apart, where the score falls most steeply between the last sample at the onset threshold (or the first after a
///   pause) and that one, moved to where the sound itself ends ([`Edges`], also before that sample), by what is known 0.53 s
///   (or `hold_time`, if that is less) after it. It is never shorter than `min_duration`, nor than
///   the sample that its onset lies in.
#[derive(Debug)]
pub struct Tracker {
    rule: Rule,
    label: Arc<Label>,
    index: usize,
    channel: i32,
    phase: Phase,
    /// Where this label's last event ended: the next one does not begin before.
    free_from: u64,
    steps: Steps,
    /// Networks know the scores of this label.
    placed: bool,
    history: History,
}

#[derive(Debug)]
enum Phase {
    /// Nothing is heard.
    Silent,
    /// Nothing is heard, but where something is from the next sample on, it began here.
    Near(Heard),
    /// Something is heard, but not yet long enough.
    Rising(Heard),
    /// It was announced.
    Active(Open),
    /// It was announced, and has not been heard since.
    Fading(Open, Pause),
}

/// Where an event may have ended.
#[derive(Debug, Clone, Copy)]
struct Pause {
    /// Start of the first sample below the offset threshold.
    since: u64,
    /// What was known [`SETTLED`] later, or at its end, says that it ended here.
    ended: Option<u64>,
}

/// So long after a score fell all is known that says where, in nanoseconds: where an event ended does not depend on how long a
/// pause may be, unless that is shorter. No multiple of a usual step, as times are rounded: at 80 ms it is seven of them.
const SETTLED: u64 = 530_000_000;

/// An event that was announced.
#[derive(Debug)]
struct Open {
    id: u64,
    heard: Heard,
    score: f32,
    /// When it was last told of.
    told: u64,
    at: u64,
}

impl Tracker {
    /// A tracker that has heard nothing yet.
    pub fn new(rule: Rule, label: Arc<Label>, index: usize, channel: i32) -> Tracker {
        let (phase, steps, history) = (Phase::Silent, Steps::default(), History::default());
        Tracker { rule, label, index, channel, phase, free_from: 0, steps, placed: false, history }
    }

    /// Takes the next score; gives what it changes.
    ///
    /// `edges`: when something in the channel began or ended. What is not before the sample's end plays no part yet.
    /// `update_interval` in nanoseconds: an active event is told of again after so long; `None`: never.
    pub fn push(
        &mut self,
        sample: &Sample,
        edges: &Edges,
        update_interval: Option<u64>,
        ids: &mut EventIds,
    ) -> Option<Change> {
        let Sample { span, score, .. } = *sample;
        let beaten = sample.standing == Standing::Beaten;
        // A comparison with NaN is false: it is never heard.
        let begins = score >= self.rule.onset && sample.standing == Standing::Free;
        let goes_on = score >= self.rule.offset && !beaten;
        let near = goes_on && sample.standing == Standing::Free;
        self.steps.push(span, sample.raw);
        if self.placed {
            self.history.push(span, sample.raw);
        }
        let (phase, change) = match std::mem::replace(&mut self.phase, Phase::Silent) {
            Phase::Silent if begins => self.begin(self.first_heard(sample), sample, edges, ids),
            Phase::Silent if near => (Phase::Near(self.first_heard(sample)), None),
            Phase::Near(heard) if begins => self.begin(self.hear(heard, sample), sample, edges, ids),
            Phase::Near(heard) if near => (Phase::Near(self.hear(heard, sample)), None),
            Phase::Rising(heard) if goes_on => self.rise(self.goes_on(heard, sample, begins), sample, ids),
            Phase::Silent | Phase::Near(_) | Phase::Rising(_) => (Phase::Silent, None),
            Phase::Active(open) if goes_on => self.stay(open, sample, begins, update_interval),
            // A pause is over: it ends later than that.
            Phase::Fading(open, _) if goes_on => self.stay(open, sample, true, update_interval),
            Phase::Active(open) => self.fade(open, Pause { since: span.start, ended: None }, sample, edges),
            Phase::Fading(open, pause) => self.fade(open, pause, sample, edges),
        };
        self.phase = phase;
        change
    }

    /// Ends what is active, because the stream stops being heard at `at`.
    ///
    /// What fades already ends where it was last heard; what was not announced is forgotten.
    pub fn end(&mut self, at: u64, edges: &Edges, reason: EndReason) -> Option<Change> {
        let (open, offset) = match std::mem::replace(&mut self.phase, Phase::Silent) {
            Phase::Silent | Phase::Near(_) | Phase::Rising(_) => return None,
            Phase::Active(open) => (open, at),
            Phase::Fading(open, pause) => {
                let offset = self.fell(&open, pause, edges, at).min(at);
                (open, offset)
            }
        };
        Some(self.close(open, offset, reason))
    }

    /// Forgets where the last event ended: time begins anew.
    pub fn reset(&mut self) {
        self.phase = Phase::Silent;
        self.free_from = 0;
        self.steps.reset();
        self.history.clear();
    }

    /// Scores mean something else from now on.
    pub(crate) fn rescale(&mut self) {
        self.steps.cut();
        self.history.cut();
    }

    /// Whether onsets and offsets are placed by the networks of [`Edges`], where it has some: they know calibrated scores of
    /// text.
    pub fn set_placed(&mut self, placed: bool) {
        if self.placed && !placed {
            self.history.cut();
        }
        self.placed = placed;
    }

    /// It begins to listen in the middle of a stream, at `at`: nothing begins before.
    pub(crate) fn join(&mut self, at: u64) {
        self.free_from = at;
        self.history.join();
    }

    /// Follows another rule from now on, at another place of the list; what is active stays.
    pub fn set_rule(&mut self, rule: Rule, label: Arc<Label>, index: usize) {
        self.rule = rule;
        self.label = label;
        self.index = index;
    }

    /// Whether an event was announced and has not ended.
    pub fn is_active(&self) -> bool {
        matches!(self.phase, Phase::Active(_) | Phase::Fading(..))
    }

    /// Whether the label is heard with this score: by the onset threshold where it is silent (and free to begin), by
    /// the offset threshold where it is not.
    pub fn hears(&self, score: f32, standing: Standing) -> bool {
        match self.phase {
            Phase::Silent | Phase::Near(_) => score >= self.rule.onset && standing == Standing::Free,
            Phase::Rising(_) | Phase::Active(_) | Phase::Fading(..) => score >= self.rule.offset,
        }
    }

    /// The event that is active now.
    pub fn active(&self) -> Option<Event> {
        match &self.phase {
            Phase::Silent | Phase::Near(_) | Phase::Rising(_) => None,
            Phase::Active(open) | Phase::Fading(open, _) => Some(self.event(open, None)),
        }
    }

    fn first_heard(&self, sample: &Sample) -> Heard {
        Heard::begin(sample, self.free_from).half_heard(sample, self.rule.onset)
    }

    /// `heard` with one sample more.
    fn hear(&self, heard: Heard, sample: &Sample) -> Heard {
        let step = self.steps.whole().filter(|step| step.at.start >= heard.first);
        let heard = heard.and(sample).half_heard(sample, self.rule.onset);
        Heard { rise: rising(heard.rise, step), ..heard }
    }

    /// It is at the onset threshold: where it began is decided now.
    fn begin(
        &self,
        heard: Heard,
        sample: &Sample,
        edges: &Edges,
        ids: &mut EventIds,
    ) -> (Phase, Option<Change>) {
        let open = self.steps.open().filter(|step| step.at.start >= heard.first);
        let rise = open.fold(heard.rise, |best, step| rising(best, Some(step)));
        let heard = rise.map_or(heard, |step| heard.placed(step.at, self.free_from));
        // Before it was free to begin another label of its group may have been heard.
        let first = if self.label.group.is_some() { heard.first } else { self.free_from };
        let edge = edges.onset(&Search {
            step: heard.onset,
            first: first.max(self.free_from),
            by_networks: self.placed,
            reference: heard.half.unwrap_or(sample.span.start),
            now: sample.span.end,
            scores: &self.history,
        });
        let heard = edge
            .filter(|_| self.steps.are_looked_for())
            .map_or(heard, |onset| heard.moved(onset, sample.span.step));
        let heard = Heard { sure: sample.span.start, fall: None, ..heard };
        self.rise(heard, sample, ids)
    }

    fn rise(&self, heard: Heard, sample: &Sample, ids: &mut EventIds) -> (Phase, Option<Change>) {
        // If the next sample is below, the event ends where that begins, and not before the floor.
        let certain = sample.span.next().max(heard.floor);
        if certain.saturating_sub(heard.onset.max(heard.risen)) < self.rule.min_duration {
            return (Phase::Rising(heard), None);
        }
        let floor = heard.floor.max(heard.onset.saturating_add(self.rule.min_duration));
        let end = sample.span.end;
        let heard = Heard { floor, ..heard };
        let open = Open { id: ids.next(), heard, score: sample.score, told: end, at: end };
        let change = Change::Start(self.event(&open, None));
        (Phase::Active(open), Some(change))
    }

    /// An event that is still heard.
    fn stay(
        &self,
        open: Open,
        sample: &Sample,
        surely: bool,
        update_interval: Option<u64>,
    ) -> (Phase, Option<Change>) {
        let Sample { span, score, .. } = *sample;
        let heard = self.goes_on(open.heard, sample, surely);
        let mut open = Open { heard, score, at: span.end, ..open };
        let due = update_interval.is_some_and(|interval| span.end >= open.told.saturating_add(interval));
        let change = due.then(|| {
            open.told = span.end;
            Change::Update(self.event(&open, None))
        });
        (Phase::Active(open), change)
    }

    /// What is still heard; `surely`: at the onset threshold, or again after a pause.
    fn goes_on(&self, heard: Heard, sample: &Sample, surely: bool) -> Heard {
        let start = sample.span.start;
        let heard = heard.and(sample);
        if surely {
            return Heard { sure: start, fall: None, ..heard };
        }
        let step = self.steps.whole().filter(|step| heard.may_end(step, start));
        Heard { fall: falling(heard.fall, step), ..heard }
    }

    fn fade(&mut self, open: Open, pause: Pause, sample: &Sample, edges: &Edges) -> (Phase, Option<Change>) {
        let Pause { since, ended } = pause;
        let step = self.steps.whole().filter(|step| open.heard.may_end(step, since));
        let heard = Heard { fall: falling(open.heard.fall, step), ..open.heard };
        let open = Open { heard, score: sample.score, at: sample.span.end, ..open };
        let (next, end) = (sample.span.next(), sample.span.end);
        let over = next.saturating_sub(since) >= self.rule.hold_time;
        let settled = ended.is_none() && (over || next.saturating_sub(since) >= SETTLED);
        let ended = if settled { Some(self.fell(&open, pause, edges, end)) } else { ended };
        if !over {
            return (Phase::Fading(open, Pause { since, ended }), None);
        }
        let beaten = sample.standing == Standing::Beaten;
        let reason = if beaten { EndReason::Group } else { EndReason::Quiet };
        let change = self.close(open, ended.unwrap_or(since), reason);
        (Phase::Silent, Some(change))
    }

    /// Where an event ended that is in a pause, by what is known at `now`.
    fn fell(&self, open: &Open, pause: Pause, edges: &Edges, now: u64) -> u64 {
        let Pause { since, ended: None } = pause else { return pause.ended.unwrap_or(pause.since) };
        let late = self.steps.open().filter(|step| open.heard.may_end(step, since));
        let fall = late.fold(open.heard.fall, |best, step| falling(best, Some(step)));
        let fell = fall.map_or(since, |step| step.at.start);
        let search = Search {
            step: fell,
            first: open.heard.floor,
            by_networks: self.placed,
            reference: open.heard.sure.saturating_add(self.history.step()),
            now,
            scores: &self.history,
        };
        let edge = edges.offset(&search, open.heard.sure);
        edge.filter(|_| self.steps.are_looked_for()).unwrap_or(fell)
    }

    fn close(&mut self, open: Open, offset: u64, reason: EndReason) -> Change {
        let offset = offset.max(open.heard.floor);
        self.free_from = offset;
        Change::End(self.event(&open, Some(offset)), reason)
    }

    fn event(&self, open: &Open, offset: Option<u64>) -> Event {
        Event {
            id: open.id,
            label: self.label.clone(),
            index: self.index,
            channel: self.channel,
            score: open.score,
            peak_score: open.heard.peak_score,
            level: open.heard.level,
            onset: open.heard.onset,
            offset,
            at: open.at,
        }
    }
}
