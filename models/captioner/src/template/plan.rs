//! What a sentence tells, and in which order: sounds of one label together, by onset, with how they lie to one another.

use std::collections::HashMap;
use std::sync::Arc;

use crate::evidence::heard::{Heard, heard};
use crate::evidence::{Scene, Sound};
use crate::words::same_form;

/// Sounds named in one sentence; the likeliest.
const MOST_NAMED: usize = 6;
/// Part of the scene from which on a sound was there all the while.
const ALL_THE_WHILE: f64 = 0.8;
/// Shortest scene of which something can fill a part, in nanoseconds.
const SHORTEST_WHILE: u64 = 3_000_000_000;

/// All sounds of one label in a scene.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// One of them, for its names.
    pub sound: Arc<Sound>,
    /// Each time it was heard, by onset.
    pub heard: Vec<Heard>,
    /// From and to of each, within the scene.
    pub spans: Vec<(u64, u64)>,
    /// The highest peak score.
    pub peak: f32,
    /// Whether one had not ended when the scene did.
    pub going_on: bool,
}

/// What a sentence says: steps one after the other, each of sounds that are told together.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub steps: Vec<Step>,
    /// There all the while, beside the steps.
    pub background: Vec<Group>,
    /// Kinds of sound that are not named.
    pub unnamed: usize,
}

#[derive(Debug)]
pub(crate) struct Step {
    pub groups: Vec<Group>,
    /// Whether they were heard at the same time, and not only one among the other.
    pub together: bool,
}

impl Group {
    /// How often it was heard.
    pub(crate) fn times(&self) -> usize {
        self.heard.len()
    }

    /// Where it began, though that may be before the scene.
    pub(crate) fn onset(&self) -> u64 {
        self.heard.first().map_or(0, |heard| heard.onset)
    }

    /// Where its last sound began.
    pub(crate) fn last_onset(&self) -> u64 {
        self.heard.last().map_or(0, |heard| heard.onset)
    }

    /// Where it begins.
    pub(crate) fn start(&self) -> u64 {
        self.spans.first().map_or(0, |span| span.0)
    }

    /// Where it ends.
    pub(crate) fn end(&self) -> u64 {
        self.spans.iter().map(|span| span.1).max().unwrap_or(0)
    }

    /// How long it was there, in nanoseconds; what overlaps counts once.
    pub(crate) fn duration(&self) -> u64 {
        let (mut total, mut reached) = (0, 0);
        for &(start, end) in &self.spans {
            total += end.saturating_sub(start.max(reached));
            reached = reached.max(end);
        }
        total
    }

    /// The longest of its sounds, in nanoseconds.
    pub(crate) fn longest(&self) -> u64 {
        self.spans.iter().map(|(start, end)| end - start).max().unwrap_or(0)
    }

    /// Nanoseconds for which both were there.
    fn overlap(&self, other: &Group) -> u64 {
        let pairs = self.spans.iter().flat_map(|a| other.spans.iter().map(move |b| (a, b)));
        pairs.map(|(a, b)| a.1.min(b.1).saturating_sub(a.0.max(b.0))).sum()
    }

    /// Whether it begins where `other` is over. Windows are coarse: a quarter of the shorter may overlap.
    fn follows(&self, other: &Group) -> bool {
        let shorter = self.duration().min(other.duration());
        self.start() > other.start() && self.start() + shorter / 4 >= other.end()
    }
}

/// The sounds of a scene by label, by their first onset.
pub(crate) fn groups<'a>(sounds: impl Iterator<Item = &'a Arc<Sound>>, start: u64, now: u64) -> Vec<Group> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut kinds: Vec<Vec<&Arc<Sound>>> = Vec::new();
    for sound in sounds {
        let place = *places.entry(same_form(&sound.label)).or_insert_with(|| {
            kinds.push(Vec::new());
            kinds.len() - 1
        });
        kinds[place].push(sound);
    }
    let group = |events: &Vec<&Arc<Sound>>| {
        let heard = heard(events.iter().copied(), now);
        Some(Group {
            sound: (*events.first()?).clone(),
            spans: heard.iter().map(|heard| heard.within(start, now)).collect(),
            peak: heard.iter().map(|heard| heard.peak).fold(f32::MIN, f32::max),
            going_on: heard.iter().any(|heard| heard.going_on),
            heard,
        })
    };
    let mut groups: Vec<Group> = kinds.iter().filter_map(group).collect();
    groups.sort_by(|a, b| a.start().cmp(&b.start()).then_with(|| a.sound.label.cmp(&b.sound.label)));
    groups
}

/// What to say of a scene.
pub(crate) fn plan(scene: &Scene) -> Plan {
    let mut named = groups(scene.sounds.iter(), scene.start, scene.now);
    let all = named.len();
    if all > MOST_NAMED {
        let mut by_peak: Vec<usize> = (0..all).collect();
        by_peak.sort_by(|&a, &b| named[b].peak.total_cmp(&named[a].peak).then(a.cmp(&b)));
        let mut kept = by_peak[..MOST_NAMED].to_vec();
        kept.sort_unstable();
        named = kept.into_iter().map(|place| named[place].clone()).collect();
    }
    let length = scene.now.saturating_sub(scene.start);
    let fills =
        |group: &Group| length >= SHORTEST_WHILE && group.duration() as f64 >= ALL_THE_WHILE * length as f64;
    let (background, rest): (Vec<Group>, Vec<Group>) = named.into_iter().partition(fills);
    // Where nothing stands out, nothing is background.
    let (background, rest) = if rest.is_empty() { (rest, background) } else { (background, rest) };
    Plan { steps: steps(rest), background, unnamed: all.saturating_sub(MOST_NAMED) }
}

fn steps(groups: Vec<Group>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for group in groups {
        match steps.last_mut() {
            Some(step) if !step.groups.iter().all(|before| group.follows(before)) => step.groups.push(group),
            _ => steps.push(Step { groups: vec![group], together: false }),
        }
    }
    for step in &mut steps {
        let pairs = |a: usize, b: usize| {
            let (a, b) = (&step.groups[a], &step.groups[b]);
            2 * a.overlap(b) >= a.duration().min(b.duration()) && a.overlap(b) > 0
        };
        let count = step.groups.len();
        step.together = count > 1 && (1..count).all(|b| (0..b).all(|a| pairs(a, b)));
    }
    steps
}
