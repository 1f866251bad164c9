//! What stands in the queue, and what comes out of it.

use std::time::{Duration, Instant};

use gst::ClockTime;
use listen_captioner::{Cancel, Reply, Scene};

use crate::hearing::Ask;

/// Why the template writes what was asked for after the end of the stream.
pub const ENDED: &str = "the stream has ended, and there was no time left";
/// Why it writes where captions wait.
pub const BEHIND: &str = "more was asked for than could be written in time";

/// A caption that is to be written.
#[derive(Debug)]
pub struct Job {
    /// The same as that of its place in the output.
    pub number: u64,
    /// What it is about.
    pub ask: Ask,
    /// Captions that were asked for and are this one.
    pub merged: u64,
    /// Whether it is left to the template: too many wait.
    pub by_template: bool,
    /// When it was asked for.
    pub asked: Instant,
}

/// A question that is to be answered.
#[derive(Debug)]
pub struct Question {
    /// What `ask` returned.
    pub id: u64,
    /// As a person typed it.
    pub text: String,
    /// What was heard in the time that it is about.
    pub scene: Scene,
}

/// What the worker does next.
#[derive(Debug)]
pub enum Work {
    /// Write a caption.
    Caption(Box<Job>, Limit),
    /// Answer a question.
    Answer(Box<Question>, Limit),
    /// Nothing more.
    Stop,
}

/// How long the worker may take.
#[derive(Debug)]
pub struct Limit {
    /// Until it is given up;
    pub cancel: Cancel,
    /// until then, where the stream has ended.
    pub until: Option<Instant>,
}

impl Limit {
    /// What is left of `timeout`.
    pub fn within(&self, timeout: Duration) -> Duration {
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        self.until.map_or(timeout, |until| timeout.min(left(until)))
    }
}

/// A caption as it is pushed.
#[derive(Debug)]
pub struct Written {
    pub job: Job,
    pub reply: Reply,
}

/// What goes out, in order.
#[derive(Debug)]
pub enum Item {
    /// A caption, and where the next one will stand if that is known.
    Caption(Box<Written>, Option<ClockTime>),
    Gap(ClockTime, ClockTime),
    Event(gst::Event),
}

/// What stands in the output.
#[derive(Debug)]
pub enum Entry {
    Caption(Place),
    Gap(ClockTime, ClockTime),
    Event(gst::Event),
    /// The end of the stream.
    End(gst::Event, End),
}

/// A caption's place.
#[derive(Debug)]
pub struct Place {
    pub number: u64,
    /// What it describes; the end moves on while its sounds do.
    pub start: ClockTime,
    pub end: ClockTime,
    /// Its sounds that go on.
    pub open: Vec<u64>,
    /// What was written, once it was: `Some(None)` says that there is nothing to push.
    pub written: Option<Option<Box<Written>>>,
}

/// What the end of the stream waits for.
#[derive(Debug)]
pub struct End {
    /// But no longer than until then.
    pub deadline: Option<Instant>,
    /// So many questions, counted from the start.
    pub questions: u64,
}

/// What the task does next.
#[derive(Debug)]
pub enum Next {
    Push(Item),
    Stop,
}

/// One caption for both: the events of both, each once.
pub fn merged(first: &Ask, second: Ask) -> Ask {
    let mut scene = second.scene;
    let (sounds, embeddings) = (&first.scene.sounds, &first.scene.embeddings);
    scene.sounds.splice(0..0, sounds.iter().cloned());
    scene.sounds.sort_by_key(|sound| (sound.onset, sound.id));
    let before = scene.embeddings.first().map_or(u64::MAX, |embedding| embedding.start);
    let missing = embeddings.iter().filter(|embedding| embedding.start < before).cloned();
    scene.embeddings.splice(0..0, missing.collect::<Vec<_>>());
    scene.start = scene.start.min(first.scene.start);
    Ask { scene, start: first.start.min(second.start), end: first.end.max(second.end) }
}
