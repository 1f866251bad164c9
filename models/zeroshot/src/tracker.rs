//! Follows one label in one channel through time.

use std::sync::Arc;

use crate::event::{Change, EndReason, Event, EventIds, Span};
use crate::labels::Label;
use crate::rules::Rule;

/// One score of one label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// What it stands for.
    pub span: Span,
    /// Smoothed score; one that is not a number counts as below every threshold.
    pub score: f32,
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
/// * A sound **begins** when a sample is at or above the onset threshold. Its onset is the start of what is new
///   (`max(start, end - step)`) in the first of the samples in a row up to that one that are at or above the offset
///   threshold: hysteresis works both ways, so that a high onset threshold makes events rarer, not later.
/// * It is **announced** (`Change::Start`) as soon as it is certain that it lasts `min_duration`, with its true onset;
///   where it falls below the offset threshold before that, nobody hears of it.
/// * It **ends** when it was below the offset threshold for `hold_time` (each sample counts for its step). Its offset is
///   the start of the first sample below: the sound had left the window by then. It is never shorter than
///   `min_duration`, nor than the step in which it was found.
#[derive(Debug)]
pub struct Tracker {
    rule: Rule,
    label: Arc<Label>,
    index: usize,
    channel: i32,
    phase: Phase,
    /// Where this label's last event ended: the next one does not begin before.
    free_from: u64,
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
    Fading(Open, u64),
}

/// What is heard.
#[derive(Debug, Clone, Copy)]
struct Heard {
    onset: u64,
    /// It does not end before.
    floor: u64,
    peak_score: f32,
    level: Option<f32>,
}

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
        Tracker { rule, label, index, channel, phase: Phase::Silent, free_from: 0 }
    }

    /// Takes the next score; gives what it changes.
    ///
    /// `update_interval` in nanoseconds: an active event is told of again after so long; `None`: never.
    pub fn push(
        &mut self,
        sample: &Sample,
        update_interval: Option<u64>,
        ids: &mut EventIds,
    ) -> Option<Change> {
        let Sample { span, score, .. } = *sample;
        let beaten = sample.standing == Standing::Beaten;
        // A comparison with NaN is false: it is never heard.
        let begins = score >= self.rule.onset && sample.standing == Standing::Free;
        let goes_on = score >= self.rule.offset && !beaten;
        let near = goes_on && sample.standing == Standing::Free;
        let (phase, change) = match std::mem::replace(&mut self.phase, Phase::Silent) {
            Phase::Silent if begins => self.rise(Heard::begin(sample, self.free_from), sample, ids),
            Phase::Silent if near => (Phase::Near(Heard::begin(sample, self.free_from)), None),
            Phase::Near(heard) if begins => self.rise(heard.and(sample), sample, ids),
            Phase::Near(heard) if near => (Phase::Near(heard.and(sample)), None),
            Phase::Rising(heard) if goes_on => self.rise(heard.and(sample), sample, ids),
            Phase::Silent | Phase::Near(_) | Phase::Rising(_) => (Phase::Silent, None),
            Phase::Active(open) | Phase::Fading(open, _) if goes_on => {
                let mut open = Open { heard: open.heard.and(sample), score, at: span.end, ..open };
                let due =
                    update_interval.is_some_and(|interval| span.end >= open.told.saturating_add(interval));
                let change = due.then(|| {
                    open.told = span.end;
                    Change::Update(self.event(&open, None))
                });
                (Phase::Active(open), change)
            }
            Phase::Active(open) => self.fade(Open { score, at: span.end, ..open }, span.start, sample),
            Phase::Fading(open, since) => self.fade(Open { score, at: span.end, ..open }, since, sample),
        };
        self.phase = phase;
        change
    }

    /// Ends what is active, because the stream stops being heard at `at`.
    ///
    /// What fades already ends where it was last heard; what was not announced is forgotten.
    pub fn end(&mut self, at: u64, reason: EndReason) -> Option<Change> {
        let (open, offset) = match std::mem::replace(&mut self.phase, Phase::Silent) {
            Phase::Silent | Phase::Near(_) | Phase::Rising(_) => return None,
            Phase::Active(open) => (open, at),
            Phase::Fading(open, since) => (open, since.min(at)),
        };
        Some(self.close(open, offset, reason))
    }

    /// Forgets where the last event ended: time begins anew.
    pub fn reset(&mut self) {
        self.phase = Phase::Silent;
        self.free_from = 0;
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

    fn rise(&self, heard: Heard, sample: &Sample, ids: &mut EventIds) -> (Phase, Option<Change>) {
        // If the next sample is below, the event ends where that begins, and not before the floor.
        let certain = sample.span.next().max(heard.floor);
        if certain.saturating_sub(heard.onset) < self.rule.min_duration {
            return (Phase::Rising(heard), None);
        }
        let floor = heard.floor.max(heard.onset.saturating_add(self.rule.min_duration));
        let end = sample.span.end;
        let heard = Heard { floor, ..heard };
        let open = Open { id: ids.next(), heard, score: sample.score, told: end, at: end };
        let change = Change::Start(self.event(&open, None));
        (Phase::Active(open), Some(change))
    }

    fn fade(&mut self, open: Open, since: u64, sample: &Sample) -> (Phase, Option<Change>) {
        if sample.span.next().saturating_sub(since) < self.rule.hold_time {
            return (Phase::Fading(open, since), None);
        }
        let beaten = sample.standing == Standing::Beaten;
        let reason = if beaten { EndReason::Group } else { EndReason::Quiet };
        let change = self.close(open, since, reason);
        (Phase::Silent, Some(change))
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

impl Heard {
    fn begin(sample: &Sample, free_from: u64) -> Heard {
        let onset = sample.span.onset().max(free_from);
        let floor = sample.span.end.max(onset);
        Heard { onset, floor, peak_score: sample.score, level: sample.level }
    }

    fn and(self, sample: &Sample) -> Heard {
        let level = match (self.level, sample.level) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (known, None) | (None, known) => known,
        };
        Heard { peak_score: self.peak_score.max(sample.score), level, ..self }
    }
}
