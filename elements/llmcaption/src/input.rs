//! What comes in: embeddings with metas, or lines of JSON.

use std::sync::Arc;

use gst::ClockTime;
use gst_listen_common::caps::EmbeddingCaps;
use gst_listen_common::result_meta::{EventRecord, WindowResult};
use gst_listen_common::window_meta::WindowMeta;
use listen_captioner::{Embedding, Sound};

/// What flows into the element, from CAPS on.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Embeddings, with results where a clapmatch stands upstream.
    Embedding(EmbeddingCaps),
    /// A line an event change.
    Json,
}

/// What the media type of lines is called.
pub const JSON: &str = "application/x-json";
/// Which lines they are.
pub const EVENTS: &str = "audio-events";

/// A buffer of embeddings that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a buffer of {found} bytes came, expected rows of {dim} float32")]
pub struct NotRows {
    found: usize,
    dim: u32,
}

/// The embeddings of a buffer; `stream_time` turns the stream's timestamps into it.
pub fn embedding(
    caps: &EmbeddingCaps,
    buffer: &gst::BufferRef,
    pts: ClockTime,
    stream_time: impl Fn(ClockTime) -> u64,
) -> Result<Embedding, NotRows> {
    let wrong = || NotRows { found: buffer.size(), dim: caps.dim };
    let map = buffer.map_readable().map_err(|_| wrong())?;
    let row = 4 * caps.dim as usize;
    if row == 0 || map.len() % row != 0 {
        return Err(wrong());
    }
    let value = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let values: Arc<[f32]> = map.chunks_exact(4).map(value).collect();
    let level = WindowMeta::of(buffer).map(|meta| meta.level as f32);
    Ok(Embedding {
        start: stream_time(pts),
        end: stream_time(pts.saturating_add(buffer.duration().unwrap_or_default())),
        channel: caps.channel,
        level,
        rows: map.len() / row,
        values,
    })
}

/// The events of a result, in order; `stream_time` turns the stream's timestamps into it.
pub fn sounds(result: &WindowResult, stream_time: impl Fn(ClockTime) -> u64) -> Vec<Sound> {
    result.events.iter().map(|record| sound(record, &stream_time)).collect()
}

fn sound(record: &EventRecord, stream_time: impl Fn(ClockTime) -> u64) -> Sound {
    Sound {
        id: record.id,
        label: record.label.clone(),
        names: record.names.clone(),
        score: record.score as f32,
        peak: record.peak_score as f32,
        level: record.level.map(|level| level as f32),
        channel: record.channel,
        onset: stream_time(record.onset),
        offset: record.offset.map(&stream_time),
        at: stream_time(record.timestamp.saturating_add(record.duration)),
        utc: record.utc.and_then(time_of_day),
    }
}

/// Nanoseconds since 1970 as RFC 3339, to the second.
fn time_of_day(utc: u64) -> Option<String> {
    let seconds = i64::try_from(utc / 1_000_000_000).ok()?;
    let time = gst::glib::DateTime::from_unix_utc(seconds).ok()?;
    Some(time.format("%Y-%m-%dT%H:%M:%SZ").ok()?.into())
}
