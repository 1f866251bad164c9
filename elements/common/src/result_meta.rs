//! What was heard, as it travels on buffers (`GstCustomMeta`), in messages and in events.
//!
//! One shape serves all three: a [`WindowResult`] is a structure named [`RESULT`], an [`EventRecord`] one named
//! [`EVENT`]. Lists are `GValueArray`s as in the messages of `level`, because plain PyGObject reads those. Labels are
//! values, never names of fields or structures, and no text of a user becomes a GQuark.

use std::collections::BTreeMap;

use gst::glib;

use crate::custom_meta::Registration;
use crate::values::{name, names_of, structures, value_array};

/// Name of the meta, of its structure, and of the custom event that carries results which belong to no buffer.
pub const RESULT: &str = "ListenResult";
/// Name of an event's structure and element message.
pub const EVENT: &str = "audio-event";
/// Name of the structure of one label's score.
pub const SCORE: &str = "score";

/// What happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    /// It began.
    Start,
    /// It goes on.
    Update,
    /// It ended.
    End,
}

impl EventType {
    /// `start`, `update` or `end`.
    pub fn as_str(self) -> &'static str {
        match self {
            EventType::Start => "start",
            EventType::Update => "update",
            EventType::End => "end",
        }
    }

    fn parse(name: &str) -> Option<EventType> {
        [EventType::Start, EventType::Update, EventType::End].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A change of one event, as it stands in message `audio-event` and in the meta.
///
/// `timestamp`, `running_time`, `stream_time`, `utc` and `duration` describe the stretch from the onset to the offset, or
/// to the end of the last window where there is no offset yet. All but `running_time`, `stream_time` and `utc` are times
/// of the buffers (PTS).
#[derive(Debug, Clone, PartialEq)]
pub struct EventRecord {
    /// The same from start to end, and no other event's in this process.
    pub id: u64,
    /// What happened.
    pub kind: EventType,
    /// The label.
    pub label: String,
    /// What people call it, by language, where the list of labels says it.
    pub names: BTreeMap<String, String>,
    /// Score of the last window.
    pub score: f64,
    /// Highest score so far.
    pub peak_score: f64,
    /// Loudest window so far, in dB relative to a full-scale sine, where levels are known.
    pub level: Option<f64>,
    /// Channel that it was heard in; -1 for a mixture of all.
    pub channel: i32,
    /// Where it begins.
    pub onset: gst::ClockTime,
    /// Where it ended, once it did.
    pub offset: Option<gst::ClockTime>,
    /// The onset again: start of the stretch described.
    pub timestamp: gst::ClockTime,
    /// Running time of `timestamp`.
    pub running_time: Option<gst::ClockTime>,
    /// Stream time of `timestamp`.
    pub stream_time: Option<gst::ClockTime>,
    /// How long it lasted, to the end of the last window or to its offset.
    pub duration: gst::ClockTime,
    /// `timestamp` in nanoseconds since 1970-01-01 UTC, where a reference timestamp was on the audio.
    pub utc: Option<u64>,
}

impl EventRecord {
    /// The structure of message `audio-event`; a time that is not known is left out.
    pub fn to_structure(&self) -> gst::Structure {
        let mut s = gst::Structure::builder(EVENT)
            .field("id", self.id)
            .field("type", self.kind.as_str())
            .field("label", &self.label)
            .field("score", self.score)
            .field("peak-score", self.peak_score)
            .field_if_some("level", self.level)
            .field("channel", self.channel)
            .field("onset", self.onset)
            .field_if_some("offset", self.offset)
            .field("timestamp", self.timestamp)
            .field_if_some("running-time", self.running_time)
            .field_if_some("stream-time", self.stream_time)
            .field("duration", self.duration)
            .field_if_some("utc", self.utc)
            .build();
        if !self.names.is_empty() {
            s.set_value("names", value_array(self.names.iter().map(name)));
        }
        s
    }

    /// Reads it back; `None` where a field is missing or of another type.
    pub fn from_structure(s: &gst::StructureRef) -> Option<EventRecord> {
        if !s.has_name(EVENT) {
            return None;
        }
        Some(EventRecord {
            id: s.get("id").ok()?,
            kind: EventType::parse(s.get("type").ok()?)?,
            label: s.get("label").ok()?,
            names: names_of(s)?,
            score: s.get("score").ok()?,
            peak_score: s.get("peak-score").ok()?,
            level: s.get_optional("level").ok()?,
            channel: s.get("channel").ok()?,
            onset: time(s, "onset")?,
            offset: time(s, "offset"),
            timestamp: time(s, "timestamp")?,
            running_time: time(s, "running-time"),
            stream_time: time(s, "stream-time"),
            duration: time(s, "duration")?,
            utc: s.get_optional("utc").ok()?,
        })
    }
}

/// One label's score in one window.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelScore {
    /// The label.
    pub label: String,
    /// Its name for people.
    pub name: String,
    /// Its place in the list of labels, from 0.
    pub index: u32,
    /// Its score.
    pub score: f64,
    /// The window's cosine with it, where there is one: a tagger's class has none.
    pub cosine: Option<f64>,
}

/// What was heard in one window: the scores, and what they changed.
///
/// `timestamp` and `duration` say which stretch of the stream it describes, wherever the meta ended up: elements that
/// cut buffers anew copy metas to neighbours.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowResult {
    /// Start of the window.
    pub timestamp: gst::ClockTime,
    /// Running time of the start.
    pub running_time: Option<gst::ClockTime>,
    /// Stream time of the start.
    pub stream_time: Option<gst::ClockTime>,
    /// Length of the window.
    pub duration: gst::ClockTime,
    /// What of the window is new: distance from the start of the one before.
    pub step: gst::ClockTime,
    /// The start in nanoseconds since 1970-01-01 UTC, where a reference timestamp was on the audio.
    pub utc: Option<u64>,
    /// Channel; -1 for a mixture of all.
    pub channel: i32,
    /// Level of the window in dB relative to a full-scale sine, where it is known.
    pub level: Option<f64>,
    /// Scores, the highest first; none where the result only ends events.
    pub scores: Vec<LabelScore>,
    /// What changed, in order.
    pub events: Vec<EventRecord>,
}

impl WindowResult {
    /// The structure of the meta ([`RESULT`]); message `clapmatch` has the same fields but `events`.
    pub fn to_structure(&self) -> gst::Structure {
        let mut s = self.scores_structure(RESULT);
        s.set_value("events", value_array(self.events.iter().map(EventRecord::to_structure)));
        s
    }

    /// The scores alone, as structure `name`.
    pub fn scores_structure(&self, name: &str) -> gst::Structure {
        let scores = self.scores.iter().map(|score| {
            gst::Structure::builder(SCORE)
                .field("label", &score.label)
                .field("name", &score.name)
                .field("index", score.index)
                .field("score", score.score)
                .field_if_some("cosine", score.cosine)
                .build()
        });
        let mut s = gst::Structure::builder(name)
            .field("timestamp", self.timestamp)
            .field_if_some("running-time", self.running_time)
            .field_if_some("stream-time", self.stream_time)
            .field("duration", self.duration)
            .field("step", self.step)
            .field_if_some("utc", self.utc)
            .field("channel", self.channel)
            .field_if_some("level", self.level)
            .build();
        s.set_value("scores", value_array(scores));
        s
    }

    /// Reads it back; `None` where a field is missing or of another type.
    pub fn from_structure(s: &gst::StructureRef) -> Option<WindowResult> {
        let scores = structures(s, "scores")?
            .iter()
            .map(|score| {
                Some(LabelScore {
                    label: score.get("label").ok()?,
                    name: score.get("name").ok()?,
                    index: score.get("index").ok()?,
                    score: score.get("score").ok()?,
                    cosine: score.get_optional("cosine").ok()?,
                })
            })
            .collect::<Option<Vec<_>>>()?;
        let events = structures(s, "events")?
            .iter()
            .map(|event| EventRecord::from_structure(event))
            .collect::<Option<Vec<_>>>()?;
        Some(WindowResult {
            timestamp: time(s, "timestamp")?,
            running_time: time(s, "running-time"),
            stream_time: time(s, "stream-time"),
            duration: time(s, "duration")?,
            step: time(s, "step")?,
            utc: s.get_optional("utc").ok()?,
            channel: s.get("channel").ok()?,
            level: s.get_optional("level").ok()?,
            scores,
            events,
        })
    }

    /// Puts it on a buffer.
    pub fn attach(&self, buffer: &mut gst::BufferRef) -> Result<(), glib::BoolError> {
        register();
        let mut meta = gst::meta::CustomMeta::add(buffer, RESULT)?;
        let s = meta.mut_structure();
        for (field, value) in self.to_structure().iter() {
            s.set_value(field, value.clone());
        }
        Ok(())
    }

    /// Reads it from a buffer; `None` where there is none.
    pub fn from_buffer(buffer: &gst::BufferRef) -> Option<WindowResult> {
        register();
        let meta = gst::meta::CustomMeta::from_buffer(buffer, RESULT).ok()?;
        WindowResult::from_structure(meta.structure())
    }

    /// A serialized custom event that carries it where there is no buffer to put it on: at EOS, flush and long gaps.
    pub fn to_event(&self) -> gst::Event {
        gst::event::CustomDownstream::new(self.to_structure())
    }

    /// Reads it from a custom event; `None` where that is another.
    pub fn from_event(event: &gst::EventRef) -> Option<WindowResult> {
        let s = event.structure().filter(|s| s.has_name(RESULT))?;
        WindowResult::from_structure(s)
    }
}

/// Registers the meta, once.
pub fn register() {
    static REGISTRATION: Registration = Registration::of(RESULT);
    REGISTRATION.ensure();
}

fn time(s: &gst::StructureRef, field: &str) -> Option<gst::ClockTime> {
    s.get_optional::<gst::ClockTime>(field).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(label: &str) -> WindowResult {
        let s = gst::ClockTime::from_seconds;
        WindowResult {
            timestamp: s(4),
            running_time: Some(s(2)),
            stream_time: None,
            duration: s(2),
            step: s(1),
            utc: Some(1_700_000_000_000_000_000),
            channel: -1,
            level: Some(-31.5),
            scores: vec![LabelScore {
                label: label.into(),
                name: "Hund".into(),
                index: 7,
                score: 0.75,
                cosine: Some(0.5),
            }],
            events: vec![EventRecord {
                id: 12,
                kind: EventType::End,
                label: label.into(),
                names: BTreeMap::from([("de".into(), "Hund".into()), (label.into(), label.into())]),
                score: 0.25,
                peak_score: 0.75,
                level: None,
                channel: 3,
                onset: s(1),
                offset: Some(s(5)),
                timestamp: s(1),
                running_time: Some(s(3)),
                stream_time: None,
                duration: s(4),
                utc: None,
            }],
        }
    }

    #[test]
    fn a_result_survives_a_buffer_an_event_and_a_copy() {
        gst::init().unwrap();
        for label in ["dog", "a;b\\\"c\"", "", "tür\n🐕", "x,y=(int)3;"] {
            let result = result(label);
            let mut buffer = gst::Buffer::new();
            assert_eq!(WindowResult::from_buffer(&buffer), None);
            result.attach(buffer.make_mut()).unwrap();
            assert_eq!(WindowResult::from_buffer(&buffer.copy()), Some(result.clone()));
            assert_eq!(WindowResult::from_event(&result.to_event()), Some(result));
        }
    }

    #[test]
    fn an_event_has_the_fields_of_the_design_in_their_order() {
        gst::init().unwrap();
        let mut event = result("dog").events.remove(0);
        let with_names = event.to_structure();
        assert_eq!(with_names.fields().last().map(|field| field.as_str()), Some("names"));
        event.names.clear();
        let structure = event.to_structure();
        let fields: Vec<&str> = structure.fields().map(|field| field.as_str()).collect();
        let expected = "id type label score peak-score channel onset offset timestamp running-time duration";
        assert_eq!(fields.join(" "), expected);
        assert_eq!(structure.name(), "audio-event");
    }

    #[test]
    fn a_structure_of_another_shape_is_no_result() {
        gst::init().unwrap();
        let mut wrong = result("dog").to_structure();
        wrong.set("channel", "left");
        assert_eq!(WindowResult::from_structure(&wrong), None);
        let mut wrong = result("dog").events[0].to_structure();
        wrong.set("names", "dog");
        assert_eq!(EventRecord::from_structure(&wrong), None);
        assert_eq!(WindowResult::from_structure(&gst::Structure::new_empty(RESULT)), None);
    }

    #[test]
    fn no_label_becomes_a_quark() {
        gst::init().unwrap();
        let label = "a label that nothing else would ever be called 8c1f";
        let mut buffer = gst::Buffer::new();
        result(label).attach(buffer.make_mut()).unwrap();
        assert!(glib::Quark::try_from_str(label).is_none());
    }
}
