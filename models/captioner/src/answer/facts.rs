//! Counts and times, computed: what a language model is told besides the evidence.

use serde::Serialize;

use super::find::Found;
use super::question::Kind;
use crate::evidence::{Scene, block};
use crate::template::plan::{Group, groups};
use crate::words::{clock, tenths};

/// Most kinds of sound that are told.
const MOST_KINDS: usize = 40;

/// What code computed of a scene. Times in seconds of the stream, and as `h:mm:ss`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Facts {
    /// Where the time that is told begins.
    pub from: f64,
    /// "Now".
    pub now: f64,
    /// "Now" as people read it.
    pub clock: String,
    /// Each kind of sound that was heard; the commonest, where there are many.
    pub sounds: Vec<KindFacts>,
    /// What the question was understood to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<&'static str>,
    /// The sounds that it asks about, in the time that it asks about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<Vec<KindFacts>>,
    /// How many of them in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
    /// The answer by counting alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// Sounds of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KindFacts {
    /// What it is called.
    pub sound: String,
    /// How many there were.
    pub count: usize,
    /// The first one's beginning.
    pub first: MomentFacts,
    /// The last one's beginning.
    pub last: MomentFacts,
    /// How long they were there together, in seconds.
    pub total_seconds: f64,
    /// How long the longest was, in seconds.
    pub longest_seconds: f64,
    /// Whether one is still there.
    pub going_on: bool,
}

/// A moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MomentFacts {
    /// In seconds of the stream.
    pub at: f64,
    /// As people read it.
    pub clock: String,
    /// Seconds before "now".
    pub seconds_ago: f64,
}

impl Facts {
    /// The facts of a scene.
    pub(super) fn of(scene: &Scene, language: &str) -> Facts {
        let kinds = groups(scene.sounds.iter(), scene.start, scene.now);
        Facts {
            from: tenths(scene.start),
            now: tenths(scene.now),
            clock: clock(scene.now),
            sounds: self::kinds(kinds, scene, language),
            asked: None,
            about: None,
            count: None,
            answer: None,
        }
    }

    /// Adds those of a question.
    pub(super) fn about(&mut self, found: &Found, scene: &Scene, language: &str) {
        self.asked = Some(match found.kind {
            Kind::WasThere | Kind::Unknown | Kind::Beyond => "whether it was heard",
            Kind::HowMany => "how many times it was heard",
            Kind::HowLong => "how long it was heard",
            Kind::When => "when it was heard",
            Kind::First => "when it was first heard",
            Kind::Last => "when it was last heard",
            Kind::Nth { .. } => "when it was heard that time",
            Kind::Longest => "which sound was the longest",
            Kind::Shortest => "which sound was the shortest",
            Kind::Loudest => "which sound was the loudest",
            Kind::Quietest => "which sound was the quietest",
            Kind::End => "when it ended",
            Kind::Distance => "how far apart two sounds were",
            Kind::Channel => "on which channel it was heard",
            Kind::Now => "whether it is heard now",
            Kind::What => "what was heard",
            Kind::Labels => "what is listened for",
        });
        self.count = Some(found.groups.iter().map(Group::times).sum());
        self.about = Some(kinds(found.groups.clone(), scene, language));
    }
}

fn kinds(mut groups: Vec<Group>, scene: &Scene, language: &str) -> Vec<KindFacts> {
    if groups.len() > MOST_KINDS {
        groups.sort_by_key(|group| std::cmp::Reverse(group.times()));
        groups.truncate(MOST_KINDS);
        groups.sort_by_key(Group::start);
    }
    let moment = |at: u64| MomentFacts {
        at: tenths(at),
        clock: clock(at),
        seconds_ago: tenths(scene.now.saturating_sub(at)),
    };
    let kind = |group: &Group| KindFacts {
        sound: block::name(&group.sound, language),
        count: group.times(),
        first: moment(group.onset()),
        last: moment(group.last_onset()),
        total_seconds: tenths(group.duration()),
        longest_seconds: tenths(group.longest()),
        going_on: group.going_on,
    };
    groups.iter().map(kind).collect()
}
