//! Events and scores as JSON, one line each.
//!
//! An event line is a superset of what Intel DL Streamer's `gvametaconvert` writes for audio: `channels`, `rate`,
//! `events[].start_timestamp`, `end_timestamp`, `event_type` and `detection` with `segment`, `confidence`, `label_id`
//! (from 1) and `label`, times in nanoseconds of stream time. Each line holds one event, whose own fields stand beside.
//! The schemas are `models/zeroshot/schema/audio-events.schema.json` and `audio-scores.schema.json`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::detector::LabelScore;
use crate::event::{Change, Span};
use crate::labels::{Label, LabelList};
use crate::time::{Timeline, rfc3339};

/// What lines say about the stream as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Source<'a> {
    /// Samples per second of the audio, where it is known.
    pub rate: Option<u32>,
    /// The package's id, where it is known.
    pub model: Option<&'a str>,
    /// The space of the embeddings.
    pub space: Option<&'a str>,
}

/// The scores of one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window<'a> {
    /// When.
    pub span: Span,
    /// Channel; -1 for a mixture of all.
    pub channel: i32,
    /// Level in dB, where it is known.
    pub level: Option<f32>,
    /// What the scores' indices mean.
    pub labels: &'a LabelList,
    /// Highest score first.
    pub scores: &'a [LabelScore],
}

#[derive(Serialize)]
struct EventLine<'a> {
    channels: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    space: Option<&'a str>,
    events: [EventFields<'a>; 1],
}

#[derive(Serialize)]
struct EventFields<'a> {
    start_timestamp: u64,
    end_timestamp: u64,
    event_type: &'a str,
    detection: Detection<'a>,
    #[serde(rename = "type")]
    kind: &'static str,
    id: u64,
    label: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    names: &'a BTreeMap<String, String>,
    score: f64,
    peak_score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    level_db: Option<f64>,
    channel: i32,
    onset: u64,
    offset: Option<u64>,
    #[serde(flatten)]
    times: Times,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[derive(Serialize)]
struct Detection<'a> {
    segment: Segment,
    confidence: f64,
    label_id: usize,
    label: &'a str,
}

#[derive(Serialize)]
struct Segment {
    start_timestamp: u64,
    end_timestamp: u64,
}

#[derive(Serialize)]
struct Times {
    running_time: Option<u64>,
    stream_time: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    utc: Option<String>,
}

#[derive(Serialize)]
struct ScoreLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    start_timestamp: u64,
    end_timestamp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    space: Option<&'a str>,
    channel: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    level_db: Option<f64>,
    #[serde(flatten)]
    times: Times,
    scores: Vec<ScoreFields<'a>>,
}

#[derive(Serialize)]
struct ScoreFields<'a> {
    label: &'a str,
    label_id: usize,
    score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cosine: Option<f64>,
}

/// One change of an event as a line of JSON, without the newline.
///
/// `start_timestamp` and `end_timestamp` are stream time (where the stream has none: its timestamps); a start's and an
/// update's end is that of the last window. `confidence` is the peak score, cut to two decimals as `gvametaconvert`
/// does. `onset` and `offset` are the stream's timestamps, `running_time`, `stream_time` and `utc` those of the onset.
pub fn event_line(change: &Change, source: &Source, time: &impl Timeline) -> String {
    let event = change.event();
    let segment = segment(event.onset, event.offset.unwrap_or(event.at), time);
    let reason = match change {
        Change::Start(_) | Change::Update(_) => None,
        Change::End(_, reason) => Some(reason.as_str()),
    };
    let Label { text, names, .. } = &*event.label;
    let detection = Detection {
        confidence: confidence(event.peak_score),
        label_id: event.index + 1,
        label: text,
        segment: Segment { ..segment },
    };
    let fields = EventFields {
        start_timestamp: segment.start_timestamp,
        end_timestamp: segment.end_timestamp,
        event_type: text,
        detection,
        kind: change.kind(),
        id: event.id,
        label: text,
        names,
        score: rounded(event.score, 1e4),
        peak_score: rounded(event.peak_score, 1e4),
        level_db: event.level.map(|level| rounded(level, 10.0)),
        channel: event.channel,
        onset: event.onset,
        offset: event.offset,
        times: times(event.onset, time),
        reason,
    };
    let Source { rate, model, space } = *source;
    line(&EventLine { channels: 1, rate, model, space, events: [fields] })
}

/// The scores of one window as a line of JSON, without the newline.
pub fn score_line(window: &Window, source: &Source, time: &impl Timeline) -> String {
    let Source { rate, model, space } = *source;
    let Segment { start_timestamp, end_timestamp } = segment(window.span.start, window.span.end, time);
    let labels = window.labels.as_slice();
    let scores = window.scores.iter().filter_map(|score| {
        Some(ScoreFields {
            label: &labels.get(score.index)?.text,
            label_id: score.index + 1,
            score: rounded(score.score, 1e4),
            cosine: score.cosine.map(|cosine| rounded(cosine, 1e4)),
        })
    });
    line(&ScoreLine {
        kind: "scores",
        start_timestamp,
        end_timestamp,
        rate,
        model,
        space,
        channel: window.channel,
        level_db: window.level.map(|level| rounded(level, 10.0)),
        times: times(window.span.start, time),
        scores: scores.collect(),
    })
}

fn segment(start: u64, end: u64, time: &impl Timeline) -> Segment {
    // Both in the same time: half a segment in stream time would have no length.
    let (start, end) = time.stream_time(start).zip(time.stream_time(end)).unwrap_or((start, end));
    Segment { start_timestamp: start, end_timestamp: end.max(start) }
}

fn times(timestamp: u64, time: &impl Timeline) -> Times {
    Times {
        running_time: time.running_time(timestamp),
        stream_time: time.stream_time(timestamp),
        utc: time.utc(timestamp).map(rfc3339),
    }
}

/// A value to so many decimals; a score or level that is no number would be no JSON number either.
fn rounded(value: f32, unit: f64) -> f64 {
    if value.is_finite() { (f64::from(value) * unit).round() / unit } else { 0.0 }
}

fn confidence(score: f32) -> f64 {
    (rounded(score, 1e4).clamp(0.0, 1.0) * 100.0 + 1e-9).floor() / 100.0
}

fn line(value: &impl Serialize) -> String {
    // Only a map with keys that are no strings, or a value that refuses, could fail: these structures have neither.
    serde_json::to_string(value).unwrap_or_default()
}
