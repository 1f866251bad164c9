//! What the element says on the bus.

use std::time::Duration;

use gst::prelude::*;
use gst_listen_common::values::value_array;
use listen_captioner::{Progress, Reply};

use crate::LlmCaption;
use crate::imp::CAT;
use crate::queue::{Question, Written};

/// Name of the message of a caption.
pub const CAPTION: &str = "caption";
/// Name of the message of text that is still being written.
pub const DELTA: &str = "caption-delta";
/// Name of the message of an answer.
pub const ANSWER: &str = "listen-answer";
/// Name of the message, and of the details of the warning, that the template writes in the place of a backend.
pub const FALLBACK: &str = "caption-fallback";

fn post(element: &LlmCaption, structure: gst::Structure) {
    // Without a bus nobody reads messages.
    let _ = element.post_message(gst::message::Element::builder(structure).src(element).build());
}

/// More text of a caption or an answer, while it is written.
pub fn delta(element: &LlmCaption, of: &str, id: u64, progress: Progress<'_>) {
    let (text, again) = match progress {
        Progress::Text(text) => (text, false),
        Progress::Again => ("", true),
    };
    let structure = gst::Structure::builder(DELTA)
        .field("of", of)
        .field("id", id)
        .field("text", text)
        .field("again", again)
        .build();
    post(element, structure);
}

/// The answer to a question, or why there is none.
pub fn answer(element: &LlmCaption, question: &Question, reply: &Result<Reply, String>) {
    let s = gst::Structure::builder(ANSWER)
        .field("id", question.id)
        .field("question", &question.text)
        .field("now", gst::ClockTime::from_nseconds(question.scene.now))
        .field("since", gst::ClockTime::from_nseconds(question.scene.start));
    let s = match reply {
        Ok(reply) => s
            .field("text", &reply.text)
            .field("backend", reply.by.as_str())
            .field_if_some("fallback", reply.fallback.as_deref()),
        Err(error) => s.field("error", error),
    };
    post(element, s.build());
}

/// The times of a caption's buffer.
pub struct Times {
    /// Where it stands.
    pub timestamp: gst::ClockTime,
    /// How long.
    pub duration: gst::ClockTime,
    /// Running time of the timestamp.
    pub running_time: Option<gst::ClockTime>,
    /// Stream time of the timestamp.
    pub stream_time: Option<gst::ClockTime>,
}

/// A caption, with the events that it tells of.
pub fn caption(element: &LlmCaption, written: &Written, times: &Times) {
    let Written { job, reply } = written;
    let mut s = gst::Structure::builder(CAPTION)
        .field("id", job.number)
        .field("text", &reply.text)
        .field("backend", reply.by.as_str())
        .field_if_some("fallback", reply.fallback.as_deref())
        .field("start", job.ask.start)
        .field("end", job.ask.end)
        .field("timestamp", times.timestamp)
        .field("duration", times.duration)
        .field_if_some("running-time", times.running_time)
        .field_if_some("stream-time", times.stream_time)
        .field("merged", job.merged)
        .build();
    s.set_value("events", value_array(job.ask.scene.sounds.iter().map(|sound| sound.id)));
    post(element, s);
}

/// The template writes in the place of the backend: as a message for applications and as a warning for people. `pause`
/// is how long the backend is left alone, where it is.
pub fn fallback(element: &LlmCaption, reason: &str, pause: Option<Duration>) {
    let pause = pause.map(|pause| u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX));
    let details =
        || gst::Structure::builder(FALLBACK).field("reason", reason).field_if_some("pause", pause).build();
    // gst-launch-1.0 -q shows no warnings.
    gst::warning!(CAT, obj = element, "The template writes in the place of the backend: {reason}");
    post(element, details());
    gst::element_warning!(
        element,
        gst::ResourceError::Failed,
        ("the template writes in the place of the backend: {}", reason),
        details: details()
    );
}

/// The backend writes again.
pub fn recovered(element: &LlmCaption) {
    gst::element_info!(element, gst::ResourceError::Failed, ("the backend writes the captions again"));
}
