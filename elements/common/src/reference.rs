//! `GstReferenceTimestampMeta` (the time of day of a capture clock) on what becomes of the samples.

use std::collections::VecDeque;

use gst::ClockTime;

/// Observations are kept this far apart: a capture clock drifts by microseconds in a second.
const APART: ClockTime = ClockTime::SECOND;
/// Observations kept of each reference: more seconds than the longest window has.
const KEPT: usize = 32;

/// Carries reference timestamps from input buffers to output buffers with other borders.
///
/// An output buffer's reference timestamp is that of the last input buffer that began at or before it, moved by the
/// difference of their times.
#[derive(Debug, Default)]
pub struct References {
    known: Vec<Reference>,
}

/// A time by another clock.
#[derive(Debug, Clone)]
pub struct Stamp {
    caps: gst::Caps,
    timestamp: ClockTime,
}

impl Stamp {
    /// Adds it to an output buffer that begins `later`.
    pub fn attach(&self, buffer: &mut gst::BufferRef, later: ClockTime, duration: Option<ClockTime>) {
        if let Some(timestamp) = self.timestamp.checked_add(later) {
            gst::ReferenceTimestampMeta::add(buffer, &self.caps, timestamp, duration);
        }
    }
}

#[derive(Debug)]
struct Reference {
    caps: gst::Caps,
    /// Stream time of a buffer, and what its meta said.
    seen: VecDeque<(ClockTime, ClockTime)>,
}

impl References {
    /// Notes the metas of an input buffer whose first step is at `time`.
    pub fn observe(&mut self, buffer: &gst::BufferRef, time: ClockTime) {
        for meta in buffer.iter_meta::<gst::ReferenceTimestampMeta>() {
            let index =
                self.known.iter().position(|r| r.caps.as_ref() == meta.reference()).unwrap_or_else(|| {
                    self.known.push(Reference { caps: meta.reference_owned(), seen: VecDeque::new() });
                    self.known.len() - 1
                });
            let seen = &mut self.known[index].seen;
            if seen.back().is_some_and(|&(last, _)| time < last.saturating_add(APART)) {
                continue;
            }
            if seen.len() == KEPT {
                seen.pop_front();
            }
            seen.push_back((time, meta.timestamp()));
        }
    }

    /// What is known of the time `time`.
    pub fn at(&self, time: ClockTime) -> Vec<Stamp> {
        let stamps = self.known.iter().filter_map(|reference| {
            let before = reference.seen.iter().rev().find(|(seen, _)| *seen <= time);
            let &(seen, stamp) = before.or_else(|| reference.seen.front())?;
            let timestamp = match time.checked_sub(seen) {
                Some(later) => stamp.checked_add(later)?,
                None => stamp.checked_sub(seen.saturating_sub(time))?,
            };
            Some(Stamp { caps: reference.caps.clone(), timestamp })
        });
        stamps.collect()
    }

    /// Adds what is known to an output buffer that begins at `time`.
    pub fn attach(&self, buffer: &mut gst::BufferRef, time: ClockTime, duration: Option<ClockTime>) {
        self.at(time).iter().for_each(|stamp| stamp.attach(buffer, ClockTime::ZERO, duration));
    }

    /// Forgets everything: the stream begins anew.
    pub fn reset(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: ClockTime = ClockTime::SECOND;

    fn stamped(stamp: ClockTime) -> gst::Buffer {
        let mut buffer = gst::Buffer::new();
        let caps = gst::Caps::builder("timestamp/x-ntp").build();
        gst::ReferenceTimestampMeta::add(buffer.make_mut(), &caps, stamp, ClockTime::NONE);
        buffer
    }

    fn carried(references: &References, time: ClockTime) -> Option<ClockTime> {
        let mut buffer = gst::Buffer::new();
        references.attach(buffer.make_mut(), time, None);
        buffer.meta::<gst::ReferenceTimestampMeta>().map(|meta| meta.timestamp())
    }

    #[test]
    fn the_capture_time_moves_with_the_stream() {
        gst::init().unwrap();
        let mut references = References::default();
        assert_eq!(carried(&references, SECOND), None);
        references.observe(&stamped(SECOND * 1_000), SECOND * 5);
        references.observe(&stamped(SECOND * 2_000), SECOND * 10);
        assert_eq!(carried(&references, SECOND * 7), Some(SECOND * 1_002));
        assert_eq!(carried(&references, SECOND * 11), Some(SECOND * 2_001));
        assert_eq!(carried(&references, SECOND * 2), Some(SECOND * 997));
        references.reset();
        assert_eq!(carried(&references, SECOND), None);
    }
}
