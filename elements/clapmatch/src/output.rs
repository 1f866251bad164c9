//! The forms that results go out in.

use gst_listen_common::event_times::EventTimes;
use gst_listen_common::{caps, sparse::Sparse};
use listen_zeroshot::{Change, Source, Timeline, Window, event_line, score_line, text_line};

/// What downstream is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Form {
    /// JSON, a line an event change.
    Events,
    /// JSON, a line a window.
    Scores,
    /// A line for people, an event change each.
    Text,
    /// The embedding stream, with a meta on each buffer.
    Embedding,
}

const JSON: &str = "application/x-json";
const EVENTS: &str = "audio-events";
const SCORES: &str = "audio-scores";

impl Form {
    /// What a source pad can give, in the order that a peer without a preference gets it.
    pub fn template() -> gst::Caps {
        let mut all = Form::Events.caps();
        all.merge(Form::Scores.caps());
        all.merge(Form::Text.caps());
        all.merge(caps::embedding_template());
        all
    }

    /// The caps of lines; those of the embedding stream are the input's.
    pub fn caps(self) -> gst::Caps {
        match self {
            Form::Events => gst::Caps::builder(JSON).field("format", EVENTS).build(),
            Form::Scores => gst::Caps::builder(JSON).field("format", SCORES).build(),
            Form::Text => gst::Caps::builder("text/x-raw").field("format", "utf8").build(),
            Form::Embedding => caps::embedding_template(),
        }
    }

    /// The form that a peer with these caps is given: the first that it can take, in its own order. A peer that takes
    /// anything is given event lines. `None`: it takes none of them.
    pub fn choose(peer: &gst::CapsRef, input: &gst::CapsRef) -> Option<Form> {
        if peer.is_any() {
            return Some(Form::Events);
        }
        peer.iter().find_map(|wanted| {
            let fits = |form: &Form| {
                let own = if *form == Form::Embedding { input.to_owned() } else { form.caps() };
                own.iter().any(|have| have.can_intersect(wanted))
            };
            [Form::Events, Form::Scores, Form::Text, Form::Embedding].into_iter().find(fits)
        })
    }
}

/// One line of output and the stretch of time that it describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Start of the stretch, in the stream's timestamps.
    pub start: gst::ClockTime,
    /// Its end.
    pub end: gst::ClockTime,
    /// Running time of the start.
    pub running_time: Option<gst::ClockTime>,
    /// The line, with its newline.
    pub text: String,
}

impl Line {
    /// The line as one that goes out as soon as it can: its time is of a stream that was flushed.
    pub fn without_time(self) -> Line {
        Line { start: gst::ClockTime::ZERO, end: gst::ClockTime::ZERO, running_time: None, ..self }
    }
}

/// What one window, or the end of the stream, brought.
pub struct Report<'a> {
    /// The window and its scores; none where only events end.
    pub window: Option<Window<'a>>,
    /// What happened to events.
    pub changes: &'a [Change],
    /// What lines say of the stream.
    pub source: Source<'a>,
    /// Language of names.
    pub language: &'a str,
    /// What timestamps mean.
    pub times: &'a EventTimes,
}

impl Report<'_> {
    /// The lines of it in a form that is made of lines.
    pub fn lines(&self, form: Form) -> Vec<Line> {
        let times = Times(self.times);
        let changes = |text: &dyn Fn(&Change) -> String| {
            let line = |change: &Change| {
                let event = change.event();
                self.line(event.onset, event.offset.unwrap_or(event.at), text(change))
            };
            self.changes.iter().map(line).collect()
        };
        match form {
            Form::Events => changes(&|change| event_line(change, &self.source, &times)),
            Form::Text => changes(&|change| text_line(change, self.language, &times)),
            Form::Scores => self
                .window
                .iter()
                .map(|window| {
                    let text = score_line(window, &self.source, &times);
                    self.line(window.span.start, window.span.end, text)
                })
                .collect(),
            Form::Embedding => Vec::new(),
        }
    }

    fn line(&self, start: u64, end: u64, mut text: String) -> Line {
        let (start, end) = (gst::ClockTime::from_nseconds(start), gst::ClockTime::from_nseconds(end));
        text.push('\n');
        Line { start, end, running_time: self.times.running_time(start), text }
    }
}

/// The element's times as the ground floor asks for them.
struct Times<'a>(&'a EventTimes);

impl Timeline for Times<'_> {
    fn running_time(&self, timestamp: u64) -> Option<u64> {
        self.0.running_time(gst::ClockTime::from_nseconds(timestamp)).map(gst::ClockTime::nseconds)
    }

    fn stream_time(&self, timestamp: u64) -> Option<u64> {
        self.0.stream_time(gst::ClockTime::from_nseconds(timestamp)).map(gst::ClockTime::nseconds)
    }

    fn utc(&self, timestamp: u64) -> Option<u64> {
        self.0.utc(gst::ClockTime::from_nseconds(timestamp))
    }
}

/// A line as a buffer, placed in the order of the output.
pub fn buffer(line: Line, sparse: &mut Sparse) -> gst::Buffer {
    let (pts, duration) = sparse.place(line.start, line.end);
    let mut buffer = gst::Buffer::from_slice(line.text.into_bytes());
    // It was made here, so nobody else holds it.
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(pts);
        buffer.set_duration(duration);
    }
    buffer
}

/// Listens in on an element from Rust, beside its source pad.
///
/// `listenbin` makes the outputs of its pads this way: one clapmatch, any number of forms.
pub trait Observer: Send + Sync {
    /// Whether it wants the lines of this form.
    fn wants(&self, form: Form) -> bool;
    /// The lines of a window, in order, on the streaming thread and before the window's buffer is pushed. No lock of
    /// the element is held.
    fn lines(&self, form: Form, lines: Vec<Line>);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_chooses_in_its_own_order() {
        gst::init().unwrap();
        let input: gst::Caps =
            "tensor/strided,tensor-id=audio-embedding,type=float32,dims-order=row-major".parse().unwrap();
        for (peer, expected) in [
            ("ANY", Some(Form::Events)),
            ("application/x-json", Some(Form::Events)),
            ("application/x-json,format=audio-scores", Some(Form::Scores)),
            ("application/x-json,format={audio-scores,audio-events}", Some(Form::Events)),
            ("text/x-raw;application/x-json", Some(Form::Text)),
            ("text/x-raw,format={pango-markup,utf8}", Some(Form::Text)),
            ("text/x-raw,format=pango-markup", None),
            ("tensor/strided;application/x-json", Some(Form::Embedding)),
            ("tensor/strided,tensor-id=log-mel;text/x-raw", Some(Form::Text)),
            ("audio/x-raw", None),
            ("EMPTY", None),
        ] {
            let caps: gst::Caps = peer.parse().unwrap();
            assert_eq!(Form::choose(&caps, &input), expected, "{peer}");
        }
    }
}
