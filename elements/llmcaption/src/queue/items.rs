//! What stands in the queue, and what comes out of it.

use std::time::Instant;

use gst::ClockTime;
use listen_captioner::{Cancel, Reply, Scene};

use crate::hearing::Ask;

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
    /// Write a caption, unless it is given up, by this time.
    Caption(Box<Job>, Cancel, Option<Instant>),
    /// Answer a question.
    Answer(Box<Question>, Cancel),
    /// Nothing more.
    Stop,
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
    Caption(Box<Written>),
    Gap(ClockTime, ClockTime),
    Event(gst::Event),
}

/// What stands in the output.
#[derive(Debug)]
pub enum Entry {
    /// A caption's number; what was written, once it was: `None` says that there is nothing to push.
    Caption(u64, Option<Option<Box<Written>>>),
    Gap(ClockTime, ClockTime),
    Event(gst::Event),
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
