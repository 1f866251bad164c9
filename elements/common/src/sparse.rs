//! The order of a sparse output: text, JSON, captions.

use gst::ClockTime;

/// Places outputs that describe overlapping or past times so that they go out in order.
///
/// An output's PTS is the later of the time that it describes and the position already sent, GAPs included; what it
/// truly describes stands inside it. A GAP moves the position to its end, a buffer only to its PTS: two lines may
/// describe the same stretch of time.
#[derive(Debug, Clone, Default)]
pub struct Sparse {
    /// Nothing goes out before it. `None` until the first output of a segment.
    position: Option<ClockTime>,
    /// Nothing goes out behind it: what begins at a segment's stop or later, sinks throw away unseen.
    last: Option<ClockTime>,
}

impl Sparse {
    /// Begins anew, after a flush.
    pub fn reset(&mut self) {
        self.position = None;
    }

    /// Begins anew with a segment that ends at `stop`.
    pub fn begin(&mut self, stop: Option<ClockTime>) {
        *self = Sparse { position: None, last: stop.map(|stop| stop.saturating_sub(ClockTime::NSECOND)) };
    }

    fn within(&self, time: ClockTime) -> ClockTime {
        self.last.map_or(time, |last| last.min(time))
    }

    /// The position already sent.
    pub fn position(&self) -> Option<ClockTime> {
        self.position
    }

    /// PTS and duration of an output that describes `start..end`.
    pub fn place(&mut self, start: ClockTime, end: ClockTime) -> (ClockTime, ClockTime) {
        let pts = self.within(self.position.map_or(start, |position| position.max(start)));
        self.position = Some(pts);
        (pts, end.saturating_sub(pts))
    }

    /// Timestamp and duration of the GAP that moves the position to `end`, if it is not there already.
    ///
    /// It begins at the position already sent, or at `start` where nothing was.
    pub fn gap(&mut self, start: ClockTime, end: ClockTime) -> Option<(ClockTime, ClockTime)> {
        let end = self.within(end);
        let from = self.position.unwrap_or(start.min(end));
        if end <= from && self.position.is_some() {
            return None;
        }
        self.position = Some(end);
        Some((from, end.saturating_sub(from)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> ClockTime {
        ClockTime::from_seconds(seconds)
    }

    #[test]
    fn an_output_never_goes_before_the_one_before() {
        let mut sparse = Sparse::default();
        assert_eq!(sparse.place(s(3), s(5)), (s(3), s(2)));
        assert_eq!(sparse.place(s(1), s(4)), (s(3), s(1)));
        assert_eq!(sparse.place(s(1), s(2)), (s(3), s(0)));
        assert_eq!(sparse.place(s(4), s(6)), (s(4), s(2)));
    }

    #[test]
    fn a_gap_counts_as_sent() {
        let mut sparse = Sparse::default();
        assert_eq!(sparse.gap(s(0), s(4)), Some((s(0), s(4))));
        assert_eq!(sparse.gap(s(2), s(4)), None);
        assert_eq!(sparse.gap(s(3), s(5)), Some((s(4), s(1))));
        assert_eq!(sparse.place(s(2), s(6)), (s(5), s(1)));
    }

    #[test]
    fn nothing_goes_out_where_the_segment_has_stopped() {
        let mut sparse = Sparse::default();
        sparse.begin(Some(s(4)));
        let last = s(4) - ClockTime::NSECOND;
        assert_eq!(sparse.place(s(3), s(5)), (s(3), s(2)));
        assert_eq!(sparse.gap(s(3), s(6)), Some((s(3), last - s(3))));
        assert_eq!(sparse.place(s(5), s(5)), (last, s(5) - last));
        sparse.begin(None);
        assert_eq!(sparse.place(s(5), s(5)), (s(5), s(0)));
    }

    #[test]
    fn the_first_gap_of_no_length_goes_out() {
        let mut sparse = Sparse::default();
        assert_eq!(sparse.gap(s(2), s(2)), Some((s(2), s(0))));
        assert_eq!(sparse.gap(s(2), s(2)), None);
    }
}
