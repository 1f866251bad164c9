//! Positions of a stream as times: an anchor and a count.
//!
//! Times are computed from a count of steps (samples or frames) and never summed, so they do not drift. The anchor
//! follows a live clock slowly; jumps and holes are told apart from jitter, and the caller is told what to do.

use gst::ClockTime;

/// Differences up to this are rounding (Matroska stamps whole milliseconds): times then stay exactly as counted.
pub const DEAD_ZONE: ClockTime = ClockTime::from_mseconds(1);
/// A difference of this much that lasts [`JUMP_WAIT`] of stream is a jump.
pub const JUMP: ClockTime = ClockTime::from_mseconds(40);
/// How long a difference must last to be a jump; one that is larger than this is a jump at once.
pub const JUMP_WAIT: ClockTime = ClockTime::SECOND;
/// A hole up to this long is filled with silence, a longer one starts anew.
pub const LONGEST_FILL: ClockTime = ClockTime::SECOND;
/// The anchor moves by at most one part in this many of the stream that passes: 1000 ppm, more than any clock's error.
const SLEW: u64 = 1_000;

/// What to do before the steps of a buffer are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    /// They follow on what was there.
    Follows,
    /// Something is missing: take so many steps of silence first.
    Fill(u64),
    /// They do not belong to what was there: end that, and begin a new stream with them, marked DISCONT.
    Restart,
}

/// A time, at most the last that there is.
fn clock_time(ns: u128) -> ClockTime {
    let ns = u64::try_from(ns).unwrap_or(u64::MAX);
    ClockTime::from_nseconds(ns.min(ClockTime::MAX.nseconds()))
}

/// The times of a stream's steps.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// Steps a second, as a fraction.
    rate: (u64, u64),
    /// Time of step 0; it may lie before zero while the clock is followed.
    anchor: Option<i128>,
    /// Steps taken since the anchor.
    steps: u64,
    /// The step at which a difference of [`JUMP`] or more was first seen.
    jump_since: Option<u64>,
    /// Steps of silence since the last real ones.
    filled: u64,
}

impl Timeline {
    /// Steps of `step` samples at `rate` samples a second (both at least 1).
    pub fn new(rate: u32, step: u32) -> Self {
        let rate = (u64::from(rate.max(1)), u64::from(step.max(1)));
        Self { rate, anchor: None, steps: 0, jump_since: None, filled: 0 }
    }

    /// Takes a buffer of `steps` steps stamped `pts` (interpolated where it has none), `discont` as flagged.
    ///
    /// The caller first does what the answer says. With [`Continuity::Fill`] the silence is already counted here, with
    /// [`Continuity::Restart`] step 0 is the buffer's first one. `start` is where a stream without any PTS begins.
    pub fn take(
        &mut self,
        pts: Option<ClockTime>,
        steps: u64,
        discont: bool,
        start: ClockTime,
    ) -> Continuity {
        let continuity = self.place(pts, discont, start);
        if let Continuity::Fill(missing) = continuity {
            self.steps += missing;
        }
        if let (Continuity::Follows, Some(pts)) = (continuity, pts) {
            self.slew(pts, steps);
        }
        self.steps += steps;
        self.filled = 0;
        continuity
    }

    /// Takes a GAP event: nothing comes between `pts` and `pts + duration`. Before the first buffer it means nothing.
    pub fn gap(&mut self, pts: ClockTime, duration: Option<ClockTime>) -> Continuity {
        let Some(expected) = self.next_ns() else { return Continuity::Follows };
        let missing = self.steps_in(pts.saturating_add(duration.unwrap_or(ClockTime::ZERO)), expected);
        match missing {
            ..=0 => Continuity::Follows,
            missing if self.filled + missing.unsigned_abs() <= self.longest_fill() => {
                self.filled += missing.unsigned_abs();
                self.steps += missing.unsigned_abs();
                Continuity::Fill(missing.unsigned_abs())
            }
            _ => {
                self.reset();
                Continuity::Restart
            }
        }
    }

    /// Forgets the anchor: the next buffer begins a new stream.
    pub fn reset(&mut self) {
        (self.anchor, self.steps, self.jump_since, self.filled) = (None, 0, None, 0);
    }

    /// Steps taken since the stream began.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The time of a step, counted from the stream's begin. `None` before the first buffer.
    pub fn time(&self, step: u64) -> Option<ClockTime> {
        let ns = self.anchor? + i128::from(self.ns(step));
        Some(clock_time(u128::try_from(ns).unwrap_or(0)))
    }

    /// The time from step 0 to `steps`, rounded down.
    pub fn duration(&self, steps: u64) -> ClockTime {
        clock_time(self.ns(steps).into())
    }

    fn ns(&self, steps: u64) -> u64 {
        let ns = u128::from(steps) * u128::from(self.rate.1) * 1_000_000_000 / u128::from(self.rate.0);
        u64::try_from(ns).unwrap_or(u64::MAX)
    }

    fn next_ns(&self) -> Option<i128> {
        Some(self.anchor? + i128::from(self.ns(self.steps)))
    }

    /// Whole steps from `from` to `to`, rounded to the nearest.
    fn steps_in(&self, to: ClockTime, from: i128) -> i64 {
        let ns = i128::from(to.nseconds()) - from;
        let unit = i128::from(self.rate.1) * 1_000_000_000;
        let steps = (ns * i128::from(self.rate.0) + unit / 2).div_euclid(unit);
        i64::try_from(steps).unwrap_or(if steps < 0 { i64::MIN } else { i64::MAX })
    }

    fn longest_fill(&self) -> u64 {
        self.rate.0.div_ceil(self.rate.1) * LONGEST_FILL.nseconds() / 1_000_000_000
    }

    /// Where the next buffer belongs; sets the anchor where it begins a stream.
    fn place(&mut self, pts: Option<ClockTime>, discont: bool, start: ClockTime) -> Continuity {
        let Some(expected) = self.next_ns() else {
            self.begin(pts.unwrap_or(start));
            return Continuity::Follows;
        };
        let Some(pts) = pts else { return Continuity::Follows };
        let difference = i128::from(pts.nseconds()) - expected;
        let size = clock_time(difference.unsigned_abs());
        let late = difference > 0;

        if discont && late && size > DEAD_ZONE && size <= LONGEST_FILL {
            let missing = self.steps_in(pts, expected).unsigned_abs();
            if self.filled + missing <= self.longest_fill() {
                self.jump_since = None;
                return Continuity::Fill(missing);
            }
        } else if size < JUMP {
            self.jump_since = None;
            return Continuity::Follows;
        } else if !discont && size <= JUMP_WAIT {
            let since = *self.jump_since.get_or_insert(self.steps);
            if self.ns(self.steps - since) < JUMP_WAIT.nseconds() {
                return Continuity::Follows;
            }
        }
        self.begin(pts);
        Continuity::Restart
    }

    fn begin(&mut self, pts: ClockTime) {
        self.reset();
        self.anchor = Some(pts.nseconds().into());
    }

    /// Moves the anchor towards the clock that stamps the buffers, until the difference is inside the dead zone.
    fn slew(&mut self, pts: ClockTime, steps: u64) {
        let Some(expected) = self.next_ns() else { return };
        let difference = i128::from(pts.nseconds()) - expected;
        let dead_zone = i128::from(DEAD_ZONE.nseconds());
        // What waits to be told from a jump is not followed.
        if difference.abs() <= dead_zone || self.jump_since.is_some() {
            return;
        }
        let beyond = difference.abs() - dead_zone;
        let step = beyond.min(i128::from(self.ns(steps) / SLEW)) * difference.signum();
        self.anchor = self.anchor.map(|anchor| anchor + step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Continuity::{Fill, Follows, Restart};

    const MS: ClockTime = ClockTime::MSECOND;

    fn at(ms: u64) -> Option<ClockTime> {
        Some(MS * ms)
    }

    /// A timeline at 16 kHz that has taken one second from `start` milliseconds on.
    fn second(start: u64) -> Timeline {
        let mut timeline = Timeline::new(16_000, 1);
        assert_eq!(timeline.take(at(start), 16_000, true, ClockTime::ZERO), Follows);
        timeline
    }

    #[test]
    fn an_hour_at_44100_in_odd_pieces_does_not_drift() {
        let mut timeline = Timeline::new(44_100, 1);
        for n in 0..360_000_u64 {
            let pts = ClockTime::from_nseconds(n * 441 * 1_000_000_000 / 44_100);
            assert_eq!(timeline.take(Some(pts), 441, false, ClockTime::ZERO), Follows);
        }
        assert_eq!(timeline.time(timeline.steps()), Some(ClockTime::from_seconds(3_600)));
    }

    #[test]
    fn stamps_rounded_to_milliseconds_leave_times_exact() {
        let mut timeline = Timeline::new(48_000, 1);
        for n in 0..10_000_u64 {
            let pts = MS * (n * 1_024 * 1_000 / 48_000);
            assert_eq!(timeline.take(Some(pts), 1_024, false, ClockTime::ZERO), Follows);
        }
        assert_eq!(timeline.time(48_000 * 100), Some(ClockTime::from_seconds(100)));
    }

    #[test]
    fn a_clock_that_drifts_50_ppm_is_followed_for_a_day_without_a_restart() {
        for ppm in [-50_i64, 50] {
            let mut timeline = Timeline::new(16_000, 1);
            let buffers = 86_400 * 50;
            let mut previous = ClockTime::ZERO;
            for n in 0..buffers {
                // 320 samples take 20 ms by their own clock, and a little more or less by the pipeline's.
                let pts = ClockTime::from_nseconds((n * (20_000_000 + 20 * ppm)).unsigned_abs());
                assert_eq!(timeline.take(Some(pts), 320, false, ClockTime::ZERO), Follows);
                let time = timeline.time(timeline.steps() - 320).expect("a stream");
                assert!(time.absdiff(pts) <= DEAD_ZONE + ClockTime::USECOND, "{time} for {pts}");
                assert!(time >= previous);
                previous = time;
            }
        }
    }

    #[test]
    fn steps_of_frames_are_hops() {
        let mut timeline = Timeline::new(16_000, 160);
        timeline.take(at(500), 7, false, ClockTime::ZERO);
        assert_eq!(timeline.time(3), at(530));
        assert_eq!(timeline.duration(1_001), MS * 10_010);
    }

    #[test]
    fn a_buffer_without_time_follows_the_one_before() {
        let mut timeline = second(250);
        assert_eq!(timeline.take(None, 16_000, false, ClockTime::ZERO), Follows);
        assert_eq!(timeline.time(timeline.steps()), at(2_250));
    }

    #[test]
    fn a_stream_without_any_times_begins_where_its_segment_does() {
        let mut timeline = Timeline::new(16_000, 1);
        assert_eq!(timeline.take(None, 100, true, MS * 70), Follows);
        assert_eq!(timeline.time(0), at(70));
    }

    #[test]
    fn jitter_moves_nothing_and_a_jump_that_lasts_restarts() {
        let mut timeline = second(0);
        let mut late =
            |n: u64, by: u64| timeline.take(at(1_000 + n * 100 + by), 1_600, false, ClockTime::ZERO);
        assert_eq!(late(0, 60), Follows);
        assert_eq!(late(1, 0), Follows);
        let answers: Vec<_> = (2..13).map(|n| late(n, 60)).collect();
        assert_eq!(answers[..10], [Follows; 10]);
        assert_eq!(answers[10], Restart);
        assert_eq!(timeline.time(0), at(1_000 + 1_200 + 60));
    }

    #[test]
    fn a_large_jump_restarts_at_once_in_both_directions() {
        let mut timeline = second(5_000);
        assert_eq!(timeline.take(at(8_000), 160, false, ClockTime::ZERO), Restart);
        assert_eq!(timeline.take(at(100), 160, false, ClockTime::ZERO), Restart);
        assert_eq!((timeline.steps(), timeline.time(160)), (160, at(110)));
    }

    #[test]
    fn a_flagged_hole_is_filled_when_short_and_restarts_when_long() {
        let mut timeline = second(0);
        assert_eq!(timeline.take(at(1_500), 160, true, ClockTime::ZERO), Fill(8_000));
        assert_eq!(timeline.time(timeline.steps()), at(1_510));
        assert_eq!(timeline.take(at(2_511), 160, true, ClockTime::ZERO), Restart);
        assert_eq!(timeline.take(at(2_400), 160, true, ClockTime::ZERO), Restart);
    }

    #[test]
    fn times_end_with_the_last_that_there_is() {
        let mut timeline = Timeline::new(16_000, 160);
        let last = ClockTime::MAX;
        assert_eq!(timeline.take(Some(last - MS), 100, true, ClockTime::ZERO), Follows);
        assert_eq!((timeline.time(0), timeline.time(1)), (Some(last - MS), Some(last)));
        assert_eq!(timeline.duration(u64::MAX), last);
        assert_eq!(timeline.gap(last, Some(last)), Follows);
        assert_eq!(timeline.take(at(0), 100, false, ClockTime::ZERO), Restart);
        assert_eq!(timeline.take(Some(last), 100, false, ClockTime::ZERO), Restart);
    }

    #[test]
    fn gaps_are_filled_until_they_are_long_together() {
        let mut timeline = second(0);
        assert_eq!(timeline.gap(MS * 1_000, at(600)), Fill(9_600));
        assert_eq!(timeline.gap(MS * 1_600, at(300)), Fill(4_800));
        assert_eq!(timeline.gap(MS * 1_900, at(300)), Restart);
        assert_eq!(timeline.gap(MS * 2_200, at(300)), Follows);
        assert_eq!(timeline.time(0), None);
    }

    #[test]
    fn a_gap_that_lies_behind_means_nothing() {
        let mut timeline = second(0);
        assert_eq!(timeline.gap(MS * 200, at(300)), Follows);
        assert_eq!(timeline.gap(MS * 1_000, None), Follows);
        assert_eq!(timeline.steps(), 16_000);
    }
}
