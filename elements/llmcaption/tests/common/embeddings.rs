//! Windows of embeddings with what a clapmatch leaves on them.

use gst_listen_common::result_meta::{EventRecord, EventType, WindowResult};

use super::s;

/// An event of half a second that has ended.
pub fn named(id: u64, label: &str, at: f64) -> EventRecord {
    EventRecord {
        id,
        kind: EventType::End,
        label: label.into(),
        names: Default::default(),
        score: 0.8,
        peak_score: 0.9,
        level: None,
        channel: -1,
        onset: s(at),
        offset: Some(s(at + 0.5)),
        timestamp: s(at),
        running_time: None,
        stream_time: None,
        duration: s(0.5),
        utc: None,
    }
}

/// A window of a second with one value all over, in which an event begins and ends.
pub fn window(id: u64, label: &str, value: f32, at: f64, rows: usize) -> gst::Buffer {
    window_of(named(id, label, at), value, rows)
}

/// The same in which this becomes of an event.
pub fn window_of(record: EventRecord, value: f32, rows: usize) -> gst::Buffer {
    let bytes: Vec<u8> = (0..16 * rows).flat_map(|_| value.to_le_bytes()).collect();
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    let at = record.onset;
    let result = WindowResult {
        timestamp: at,
        running_time: None,
        stream_time: None,
        duration: s(1.0),
        step: s(1.0),
        utc: None,
        channel: -1,
        level: None,
        scores: Vec::new(),
        events: vec![record],
    };
    let inner = buffer.get_mut().unwrap();
    inner.set_pts(at);
    inner.set_duration(s(1.0));
    result.attach(inner).unwrap();
    buffer
}
