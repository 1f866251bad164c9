//! Events out of lines of `application/x-json, format=audio-events`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Sound;

/// A line that is not what `clapmatch` writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// Longer than any line of one event.
    #[error("a line of at most {MAX_LINE} bytes was expected, found {0}")]
    TooLong(usize),
    /// Not JSON, or without what an event must have.
    #[error("a line of audio-events was expected: {0}")]
    Form(String),
}

/// Longest line: a label, its names and what belongs to them.
pub const MAX_LINE: usize = 8 << 20;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    id: u64,
    label: String,
    #[serde(default)]
    names: BTreeMap<String, String>,
    score: f32,
    peak_score: f32,
    #[serde(default)]
    level_db: Option<f32>,
    channel: i32,
    start_timestamp: u64,
    end_timestamp: u64,
    #[serde(default)]
    utc: Option<String>,
}

impl Sound {
    /// The events of one line: `clapmatch` writes one, lines of other writers of the form may hold several. None for a
    /// line of JSON without events (`format=audio-scores`). Times are the line's `start_timestamp` and `end_timestamp`: stream time.
    ///
    /// # Errors
    /// The line is no JSON object, or an event lacks something.
    pub fn from_json_line(line: &str) -> Result<Vec<Sound>, LineError> {
        if line.len() > MAX_LINE {
            return Err(LineError::TooLong(line.len()));
        }
        let line: Line = serde_json::from_str(line).map_err(|error| LineError::Form(error.to_string()))?;
        Ok(line.events.into_iter().map(sound).collect())
    }
}

fn sound(event: Event) -> Sound {
    let end = event.end_timestamp.max(event.start_timestamp);
    Sound {
        id: event.id,
        label: event.label,
        names: event.names,
        score: event.score,
        peak: event.peak_score,
        level: event.level_db,
        channel: event.channel,
        onset: event.start_timestamp,
        offset: (event.kind == "end").then_some(end),
        at: end,
        utc: event.utc,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As README.md prints it.
    const END: &str = r#"{"channels":1,"rate":16000,"model":"listen-default","space":"s","events":[{"type":"end","id":1,
        "event_type":"applause","label":"applause","names":{"de":"Beifall"},"channel":-1,"reason":"quiet",
        "start_timestamp":11040000000,"end_timestamp":13920000000,"onset":5,"offset":6,
        "running_time":7,"stream_time":11040000000,"score":0.1809,"peak_score":0.8616,"level_db":-17.0,
        "utc":"2026-01-02T03:04:05Z",
        "detection":{"segment":{"start_timestamp":11040000000,"end_timestamp":13920000000},"confidence":0.86,"label_id":1,"label":"applause"}}]}"#;

    #[test]
    fn an_end_has_an_offset_in_stream_time() {
        let sounds = Sound::from_json_line(END).unwrap();
        assert_eq!(
            sounds,
            [Sound {
                id: 1,
                label: "applause".into(),
                names: BTreeMap::from([("de".into(), "Beifall".into())]),
                score: 0.1809,
                peak: 0.8616,
                level: Some(-17.0),
                channel: -1,
                onset: 11_040_000_000,
                offset: Some(13_920_000_000),
                at: 13_920_000_000,
                utc: Some("2026-01-02T03:04:05Z".into()),
            }]
        );
        let start = Sound::from_json_line(&END.replace("\"end\"", "\"start\"")).unwrap();
        assert_eq!(start[0].offset, None);
        assert_eq!(start[0].end(), 13_920_000_000);
    }

    #[test]
    fn a_line_of_scores_holds_no_event_and_one_that_is_none_is_an_error() {
        assert_eq!(Sound::from_json_line(r#"{"type":"scores","scores":[]}"#), Ok(Vec::new()));
        for line in ["", "[1]", "{\"events\":[{}]}", "{\"events\":[{\"type\":\"end\",\"id\":-1}]}"] {
            assert!(matches!(Sound::from_json_line(line), Err(LineError::Form(_))), "{line}");
        }
    }
}
