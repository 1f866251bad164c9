//! Embeddings in, events out: a matcher, and a tracker for every label and channel.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::edges::{Edge, Edges};
use crate::error::MatchError;
use crate::event::{Change, EndReason, Event, EventIds, Span};
use crate::matcher::Matcher;
use crate::rules::{Rule, Settings, SettingsError};
use crate::smoothing::{Smoother, Smoothing};
use crate::tracker::{Sample, Standing, Tracker};

/// Listens for a list of labels in one stream.
///
/// Of the labels of one **group** at most one is active in a channel at a time: of those that are heard (at or above the
/// onset threshold, or the offset threshold once they are), the one with the highest score is, and the others count as
/// not heard. **`top_k`** lets only the labels with the highest scores of a window begin; those that began go on.
///
/// Changes come in the order of the list, ends within a group before its starts. Every event that starts ends once; the
/// events of one label and channel do not overlap.
#[derive(Debug)]
pub struct Detector {
    matcher: Matcher,
    settings: Settings,
    rules: Vec<Rule>,
    /// Members of each group with more than one.
    groups: Vec<Option<usize>>,
    channels: Vec<Channel>,
    ids: EventIds,
    counts: Counts,
    /// Of the last window: smoothed scores and those before smoothing, labels by falling score, what each label may do,
    /// who has its group.
    scores: Vec<f32>,
    raw: Vec<f32>,
    order: Vec<usize>,
    standing: Vec<Standing>,
    taken: Vec<bool>,
}

#[derive(Debug)]
struct Channel {
    number: i32,
    smoother: Smoother,
    trackers: Vec<Tracker>,
    edges: Edges,
    /// End of the last window, if something goes on from there.
    end: Option<u64>,
}

/// What a detector has done so far: `started = ended + active`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Windows looked at, silent ones included.
    pub windows: u64,
    /// Events announced.
    pub started: u64,
    /// Updates of events.
    pub updated: u64,
    /// Events ended.
    pub ended: u64,
}

/// The score of one label in one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelScore {
    /// The label's place in the list, from 0.
    pub index: usize,
    /// The smoothed score.
    pub score: f32,
    /// The window's cosine; a class has none, nor has a window that was not encoded.
    pub cosine: Option<f32>,
}

impl Detector {
    /// A detector that has heard nothing yet.
    pub fn new(matcher: Matcher, settings: Settings) -> Result<Detector, SettingsError> {
        let rules = rules(&matcher, &settings)?;
        let mut detector = Detector {
            matcher,
            settings,
            rules,
            groups: Vec::new(),
            channels: Vec::new(),
            ids: EventIds::Process,
            counts: Counts::default(),
            scores: Vec::new(),
            raw: Vec::new(),
            order: Vec::new(),
            standing: Vec::new(),
            taken: Vec::new(),
        };
        detector.size();
        Ok(detector)
    }

    /// Numbers events in another way.
    pub fn with_ids(mut self, ids: EventIds) -> Detector {
        self.ids = ids;
        self
    }

    /// Takes when something in a channel begins or ends, in order: onsets and offsets of the events found from now on are
    /// moved there ([`Edges`]). An edge that is not before the end of the embedding that is taken plays no part yet.
    pub fn push_edges(&mut self, channel: i32, edges: impl IntoIterator<Item = Edge>) {
        let place = self.channel(channel);
        edges.into_iter().for_each(|edge| self.channels[place].edges.push(edge));
    }

    /// Takes one embedding and adds what it changes to `changes`.
    ///
    /// `level` is the window's level in dB, where it is known; `channel` is -1 for a mixture.
    pub fn push(
        &mut self,
        span: Span,
        channel: i32,
        level: Option<f32>,
        embedding: &[f32],
        changes: &mut Vec<Change>,
    ) -> Result<(), MatchError> {
        self.matcher.scores(embedding, &mut self.scores)?;
        self.track(span, channel, level, true, changes);
        Ok(())
    }

    /// Takes a window that was not encoded because it is silent: every label has the lowest score.
    pub fn push_silence(&mut self, span: Span, channel: i32, level: Option<f32>, changes: &mut Vec<Change>) {
        self.scores.fill(self.matcher.kind().lowest());
        self.track(span, channel, level, false, changes);
    }

    /// The labels' scores of the last window, highest first, `top_k` of them; none before the first.
    pub fn scores(&self) -> impl ExactSizeIterator<Item = LabelScore> + '_ {
        let shown = if self.counts.windows == 0 { 0 } else { self.best() };
        self.order[..shown].iter().map(|&index| LabelScore {
            index,
            score: self.scores[index],
            cosine: self.matcher.cosine(index),
        })
    }

    /// Ends every active event, because nothing comes after `at`, or something else does; forgets the past.
    pub fn end_all(&mut self, at: u64, reason: EndReason, changes: &mut Vec<Change>) {
        for channel in &mut self.channels {
            let Channel { trackers, edges, .. } = channel;
            let ended = trackers.iter_mut().filter_map(|tracker| tracker.end(at, edges, reason));
            changes.extend(ended.inspect(|_| self.counts.ended += 1));
            trackers.iter_mut().for_each(Tracker::reset);
            edges.clear();
            channel.smoother.reset();
            channel.end = None;
        }
    }

    /// Listens for another list, or with other settings, from the next window on.
    ///
    /// Events of labels that stay (the same text) go on, also under other thresholds; those of labels that are gone end,
    /// and all of them where scores mean something else now. If the settings do not fit, nothing changes.
    pub fn replace(&mut self, matcher: Matcher, settings: Settings) -> Result<Vec<Change>, SettingsError> {
        let rules = rules(&matcher, &settings)?;
        let mut changes = Vec::new();
        let comparable = matcher.kind() == self.matcher.kind() && matcher.dim() == self.matcher.dim();
        if !comparable {
            for channel in &mut self.channels {
                let end = channel.end.unwrap_or(0);
                let Channel { trackers, edges, .. } = channel;
                changes.extend(trackers.iter_mut().filter_map(|tracker| {
                    let ended = tracker.end(end, edges, EndReason::Reconfigured);
                    tracker.rescale();
                    ended
                }));
                channel.smoother.reset();
            }
        }
        let places: HashMap<&str, usize> = self.matcher.labels().texts().zip(0..).collect();
        let from: Vec<Option<usize>> =
            matcher.labels().texts().map(|text| places.get(text).copied()).collect();
        let smoothing = settings.smoothing.unwrap_or(matcher.smoothing());
        for channel in &mut self.channels {
            let mut old: Vec<Option<Tracker>> = channel.trackers.drain(..).map(Some).collect();
            for (index, (label, rule)) in matcher.labels().iter().zip(&rules).enumerate() {
                let kept = from[index].and_then(|place| old[place].take());
                let mut tracker = kept.unwrap_or_else(|| {
                    let mut tracker = Tracker::new(*rule, label.clone(), index, channel.number);
                    channel.end.into_iter().for_each(|end| tracker.join(end));
                    tracker
                });
                tracker.set_rule(*rule, label.clone(), index);
                tracker.set_placed(matcher.is_placed(index));
                channel.trackers.push(tracker);
            }
            // Without an end nothing is active.
            let (gone, edges, end) = (old.into_iter().flatten(), &channel.edges, channel.end.unwrap_or(0));
            let ended = |mut tracker: Tracker| tracker.end(end, edges, EndReason::LabelRemoved);
            changes.extend(gone.filter_map(ended));
            channel.smoother.remap(&from, matcher.kind().lowest());
            channel.smoother.set(smoothing);
            channel.edges.place_by(matcher.placing().cloned());
        }
        self.counts.ended += changes.len() as u64;
        (self.matcher, self.settings, self.rules) = (matcher, settings, rules);
        self.size();
        Ok(changes)
    }

    /// Follows other settings from the next window on, for the same labels; what is active stays.
    pub fn configure(&mut self, settings: Settings) -> Result<(), SettingsError> {
        self.rules = rules(&self.matcher, &settings)?;
        self.settings = settings;
        let smoothing = self.smoothing();
        for channel in &mut self.channels {
            let labels = self.matcher.labels().iter().zip(&self.rules).enumerate();
            for (tracker, (index, (label, rule))) in channel.trackers.iter_mut().zip(labels) {
                tracker.set_rule(*rule, label.clone(), index);
            }
            channel.smoother.set(smoothing);
        }
        Ok(())
    }

    /// What it compares with.
    pub fn matcher(&self) -> &Matcher {
        &self.matcher
    }

    /// What it goes by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The events that are active now.
    pub fn active(&self) -> impl Iterator<Item = Event> + '_ {
        self.channels.iter().flat_map(|channel| channel.trackers.iter().filter_map(Tracker::active))
    }

    /// Memory for one window of the present list.
    fn size(&mut self) {
        let labels = self.matcher.labels();
        let lowest = self.matcher.kind().lowest();
        self.scores = vec![lowest; labels.len()];
        self.raw = vec![lowest; labels.len()];
        self.order = (0..labels.len()).collect();
        self.standing = vec![Standing::Free; labels.len()];
        let mut names: HashMap<&str, usize> = HashMap::new();
        self.groups = labels
            .iter()
            .map(|label| {
                let next = names.len();
                label.group.as_deref().map(|group| *names.entry(group).or_insert(next))
            })
            .collect();
        self.taken = vec![false; names.len()];
    }

    fn best(&self) -> usize {
        self.settings.top_k.unwrap_or(usize::MAX).min(self.order.len())
    }

    fn track(
        &mut self,
        span: Span,
        number: i32,
        level: Option<f32>,
        encoded: bool,
        changes: &mut Vec<Change>,
    ) {
        let place = self.channel(number);
        let channel = &mut self.channels[place];
        channel.end = Some(span.end);
        self.raw.copy_from_slice(&self.scores);
        channel.smoother.push(span, &mut self.scores);
        self.counts.windows += 1;
        if !encoded {
            self.matcher.forget_cosines();
        }
        self.rank(place);
        // Those who lose their group first: its new holder starts after they have ended.
        for beaten in [true, false] {
            for index in 0..self.scores.len() {
                let standing = self.standing[index];
                if (standing == Standing::Beaten) == beaten {
                    let (score, raw) = (self.scores[index], self.raw[index]);
                    let sample = Sample { span, score, raw, level, standing };
                    self.step(place, index, &sample, changes);
                }
            }
        }
    }

    fn step(&mut self, place: usize, index: usize, sample: &Sample, changes: &mut Vec<Change>) {
        let Channel { trackers, edges, .. } = &mut self.channels[place];
        let interval = self.settings.update_interval;
        let Some(change) = trackers[index].push(sample, edges, interval, &mut self.ids) else { return };
        match &change {
            Change::Start(event) => {
                self.counts.started += 1;
                if self.groups[index].is_some() {
                    let others = (0..trackers.len())
                        .filter(|&other| other != index && self.groups[other] == self.groups[index]);
                    for other in others {
                        let ended = trackers[other].end(event.onset, edges, EndReason::Group);
                        self.counts.ended += u64::from(ended.is_some());
                        changes.extend(ended);
                    }
                }
            }
            Change::Update(_) => self.counts.updated += 1,
            Change::End(..) => self.counts.ended += 1,
        }
        changes.push(change);
    }

    /// Orders the labels by their scores and says what each may do.
    fn rank(&mut self, place: usize) {
        let Detector { scores, order, standing, taken, groups, channels, .. } = self;
        let falling = |a: &usize, b: &usize| {
            scores[*b].partial_cmp(&scores[*a]).unwrap_or(Ordering::Equal).then(a.cmp(b))
        };
        order.sort_unstable_by(falling);
        let best = self.settings.top_k.unwrap_or(usize::MAX);
        taken.fill(false);
        for (rank, &index) in order.iter().enumerate() {
            standing[index] = if rank < best { Standing::Free } else { Standing::Outranked };
            let Some(group) = groups[index] else { continue };
            if taken[group] {
                standing[index] = Standing::Beaten;
                continue;
            }
            let tracker = &channels[place].trackers[index];
            taken[group] = tracker.hears(scores[index], standing[index]);
        }
    }

    /// The user's smoothing, or the package's.
    fn smoothing(&self) -> Smoothing {
        self.settings.smoothing.unwrap_or(self.matcher.smoothing())
    }

    fn channel(&mut self, number: i32) -> usize {
        if let Some(place) = self.channels.iter().position(|channel| channel.number == number) {
            return place;
        }
        let labels = self.matcher.labels().iter().zip(&self.rules).enumerate();
        let trackers = labels
            .map(|(index, (label, rule))| {
                let mut tracker = Tracker::new(*rule, label.clone(), index, number);
                tracker.set_placed(self.matcher.is_placed(index));
                tracker
            })
            .collect();
        let smoother = Smoother::new(self.smoothing());
        let mut edges = Edges::default();
        edges.place_by(self.matcher.placing().cloned());
        self.channels.push(Channel { number, smoother, trackers, edges, end: None });
        self.channels.len() - 1
    }
}

fn rules(matcher: &Matcher, settings: &Settings) -> Result<Vec<Rule>, SettingsError> {
    settings.validate()?;
    let labels = matcher.labels().iter().enumerate();
    labels.map(|(i, label)| settings.rule(label, matcher.kind(), matcher.defaults(i))).collect()
}
