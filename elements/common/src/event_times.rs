//! What a described time means elsewhere: running time, stream time, and the time of day.

/// Nanoseconds from the epoch of NTP (1900) to that of Unix (1970).
const NTP_TO_UNIX: u64 = 2_208_988_800 * 1_000_000_000;

/// Turns timestamps of a stream into running time, stream time and UTC.
///
/// Everything follows from the segment and from the last `GstReferenceTimestampMeta` seen, so no clock is read and a
/// replay gives the same times. UTC is known where the meta's reference is `timestamp/x-unix` or `timestamp/x-ntp`;
/// others (PTP counts leap seconds that only a table knows) are not guessed at.
#[derive(Debug, Clone, Default)]
pub struct EventTimes {
    /// `Some` between SEGMENT and flush.
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    /// A timestamp of the stream and the nanoseconds since 1970-01-01 UTC that it stands for.
    reference: Option<(gst::ClockTime, u64)>,
}

impl EventTimes {
    /// Times mean what `segment` says from now on.
    pub fn set_segment(&mut self, segment: &gst::FormattedSegment<gst::ClockTime>) {
        self.segment = Some(segment.clone());
        self.reference = None;
    }

    /// The segment, once there is one.
    pub fn segment(&self) -> Option<&gst::FormattedSegment<gst::ClockTime>> {
        self.segment.as_ref()
    }

    /// Takes the reference timestamp of `buffer`, if it carries one that UTC follows from.
    pub fn observe(&mut self, buffer: &gst::BufferRef) {
        let Some(pts) = buffer.pts() else { return };
        let utc = buffer.iter_meta::<gst::ReferenceTimestampMeta>().find_map(|meta| {
            let timestamp = meta.timestamp().nseconds();
            match meta.reference().structure(0)?.name().as_str() {
                "timestamp/x-unix" => Some(timestamp),
                "timestamp/x-ntp" => timestamp.checked_sub(NTP_TO_UNIX),
                _ => None,
            }
        });
        if let Some(utc) = utc {
            self.reference = Some((pts, utc));
        }
    }

    /// Running time of a timestamp; `None` before the first segment and before running time begins.
    pub fn running_time(&self, timestamp: gst::ClockTime) -> Option<gst::ClockTime> {
        self.segment.as_ref()?.to_running_time_full(timestamp)?.positive()
    }

    /// Stream time of a timestamp; `None` before the first segment and before stream time begins.
    pub fn stream_time(&self, timestamp: gst::ClockTime) -> Option<gst::ClockTime> {
        self.segment.as_ref()?.to_stream_time_full(timestamp)?.positive()
    }

    /// Nanoseconds since 1970-01-01 UTC, where a reference timestamp was seen.
    pub fn utc(&self, timestamp: gst::ClockTime) -> Option<u64> {
        let (pts, utc) = self.reference?;
        match timestamp.checked_sub(pts) {
            Some(later) => utc.checked_add(later.nseconds()),
            None => utc.checked_sub(pts.nseconds() - timestamp.nseconds()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(s: u64) -> gst::ClockTime {
        gst::ClockTime::from_seconds(s)
    }

    fn with_reference(caps: &str, pts: gst::ClockTime, timestamp: u64) -> gst::Buffer {
        let mut buffer = gst::Buffer::new();
        let buffer_ref = buffer.make_mut();
        buffer_ref.set_pts(pts);
        let caps = gst::Caps::new_empty_simple(caps);
        gst::ReferenceTimestampMeta::add(
            buffer_ref,
            &caps,
            gst::ClockTime::from_nseconds(timestamp),
            gst::ClockTime::NONE,
        );
        buffer
    }

    #[test]
    fn times_follow_the_segment() {
        gst::init().unwrap();
        let mut times = EventTimes::default();
        assert_eq!(times.running_time(seconds(1)), None);
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_start(seconds(10));
        segment.set_base(seconds(3));
        segment.set_time(seconds(100));
        times.set_segment(&segment);
        assert_eq!(times.running_time(seconds(12)), Some(seconds(5)));
        assert_eq!(times.stream_time(seconds(12)), Some(seconds(102)));
        assert_eq!(times.running_time(seconds(5)), None);
    }

    #[test]
    fn the_time_of_day_comes_from_unix_and_ntp_references_alone() {
        gst::init().unwrap();
        let unix = 1_700_000_000_000_000_000;
        for (caps, timestamp, expected) in [
            ("timestamp/x-unix", unix, Some(unix + 2_000_000_000)),
            ("timestamp/x-ntp", unix + NTP_TO_UNIX, Some(unix + 2_000_000_000)),
            ("timestamp/x-ntp", 1, None),
            ("timestamp/x-ptp", unix, None),
        ] {
            let mut times = EventTimes::default();
            times.observe(&with_reference(caps, seconds(5), timestamp));
            assert_eq!(times.utc(seconds(7)), expected, "{caps}");
        }
    }

    #[test]
    fn a_time_before_the_reference_is_known_too() {
        gst::init().unwrap();
        let mut times = EventTimes::default();
        times.observe(&with_reference("timestamp/x-unix", seconds(5), 60_000_000_000));
        assert_eq!(times.utc(seconds(4)), Some(59_000_000_000));
    }
}
