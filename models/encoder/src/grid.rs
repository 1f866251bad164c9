//! Where windows and their time steps lie in a stream of frames: arithmetic, no data.

use std::ops::Range;

/// The windows of a stream: window `k` holds the frames `[k * hop, k * hop + window)`.
///
/// It holds no frames, so that whoever keeps them (a ring, a file) can ask which of them to take out and to let go.
/// Frames are counted from the start of the stream, which is its last reset or discontinuity.
///
/// ```
/// use listen_encoder::WindowGrid;
///
/// let grid = WindowGrid::new(100, 40);
/// assert_eq!(grid.whole(99), 0);
/// assert_eq!(grid.whole(180), 3); // [0, 100), [40, 140) and [80, 180)
/// assert_eq!(grid.released_by(2), 80);
/// assert_eq!(grid.last(180), None); // nothing that a window has not covered
/// assert_eq!(grid.last(181), Some((3, 61))); // window 3 begins at frame 120; 61 of its frames exist
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowGrid {
    window: u64,
    hop: u64,
    /// Frames at the start of a window that earlier windows have dealt with.
    lead: u64,
}

impl WindowGrid {
    /// Windows of `window` frames, `hop` frames apart (0 is taken as 1). A hop longer than the window leaves gaps.
    ///
    /// The stream's last window is given when it holds a frame that no earlier window covered.
    pub fn new(window: u32, hop: u32) -> Self {
        let (window, hop) = (u64::from(window.max(1)), u64::from(hop.max(1)));
        Self { window, hop, lead: window.saturating_sub(hop) }
    }

    /// The same windows, but the stream's last one is given when more than `lead` of its frames exist.
    ///
    /// With `output=frames` an earlier window gives only its middle part; what follows is given by the next one, so
    /// the stream's last window is due even where an earlier one covered all its frames ([`StepGrid::lead_frames`]).
    pub fn with_lead(self, lead: u32) -> Self {
        Self { lead: u64::from(lead), ..self }
    }

    /// Frames in a window.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// Frames from one window's start to the next one's.
    pub fn hop(&self) -> u64 {
        self.hop
    }

    /// The first frame of window `k`.
    pub fn start(&self, k: u64) -> u64 {
        k.saturating_mul(self.hop)
    }

    /// The frame after the last of window `k`: it is whole once so many frames have come.
    pub fn end(&self, k: u64) -> u64 {
        self.start(k).saturating_add(self.window)
    }

    /// How many windows are whole once `frames` frames have come.
    pub fn whole(&self, frames: u64) -> u64 {
        if frames < self.window { 0 } else { ((frames - self.window) / self.hop).saturating_add(1) }
    }

    /// How many frames from the stream's start neither window `k` nor a later one needs.
    ///
    /// In a stream with gaps (hop > window) these may be more than have come; the surplus is dropped as it comes.
    pub fn released_by(&self, k: u64) -> u64 {
        self.start(k)
    }

    /// The window that the stream's end cuts short, if it is due: its index, and how many of its frames exist
    /// (1 to `window`). `frames` is the number of frames of the whole stream.
    pub fn last(&self, frames: u64) -> Option<(u64, u64)> {
        let k = self.whole(frames);
        let valid = frames.saturating_sub(self.start(k));
        let due = valid > 0 && (k == 0 || valid > self.lead);
        due.then_some((k, valid))
    }

    /// How many windows a stream of `frames` frames has, the last one counted.
    pub fn count(&self, frames: u64) -> u64 {
        self.whole(frames) + u64::from(self.last(frames).is_some())
    }
}

/// The time steps of a window (columns of tokens, frames of the encoder), and which of them it gives.
///
/// Step `s` of a window that starts at frame `a` stands for the frames `[a + s * n, a + (s + 1) * n)` with `n` the
/// encoder's frames per step. A window has `floor(frames / n)` steps: what does not fill a step is in none. A window
/// of 1001 frames of 10 ms with 16 frames a step has 62 steps, and its last 90 ms are heard by no step of it; where
/// windows overlap the next one hears them, where they do not nothing does.
///
/// Each time step of the stream is given by exactly one window. Where windows overlap that is the one whose middle
/// it is nearest to: of the `S` steps of a window and `m = hop / n` steps of a hop, the steps
/// `[floor((S - m) / 2), floor((S - m) / 2) + m)`; the stream's first window also gives all before, its last one also
/// all after, up to the last step with a frame of real sound in it. Where they do not overlap a window gives all its
/// steps: a hop of one window gives a recording's steps as the papers compute them. The hop of overlapping windows is a multiple of `n` ([`StepGrid::fits`]): otherwise the steps of one window
/// would lie between those of the next. A window that is dropped takes its steps with it: no other window gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepGrid {
    frames_per_step: u32,
    window: u32,
    hop: u32,
}

impl StepGrid {
    /// Steps of `frames_per_step` frames in windows of `window` frames, `hop` frames apart (0 is taken as 1).
    pub fn new(frames_per_step: u32, window: u32, hop: u32) -> Self {
        Self { frames_per_step: frames_per_step.max(1), window: window.max(1), hop: hop.max(1) }
    }

    /// Frames that a step stands for.
    pub fn frames_per_step(&self) -> u32 {
        self.frames_per_step
    }

    /// Steps in a window of `frames` frames.
    pub fn steps(&self, frames: u32) -> u32 {
        frames / self.frames_per_step
    }

    /// Whether steps of one window lie where steps of the next do.
    pub fn overlaps(&self) -> bool {
        self.hop < self.steps(self.window) * self.frames_per_step
    }

    /// Whether every step of the stream is given exactly once.
    pub fn fits(&self) -> bool {
        !self.overlaps() || self.hop.is_multiple_of(self.frames_per_step)
    }

    /// The hop of whole time steps that is nearest to this one: never 0, and of two the shorter one.
    pub fn nearest_hop(&self) -> u32 {
        let below = (self.hop / self.frames_per_step * self.frames_per_step).max(self.frames_per_step);
        let nearer = |above: &u32| self.hop.abs_diff(*above) < self.hop.abs_diff(below);
        below.checked_add(self.frames_per_step).filter(nearer).unwrap_or(below)
    }

    /// Frames at the start of a window whose steps earlier windows give: for [`WindowGrid::with_lead`].
    pub fn lead_frames(&self) -> u32 {
        if self.overlaps() {
            self.lead_steps() * self.frames_per_step
        } else {
            self.window.saturating_sub(self.hop)
        }
    }

    /// The steps that a window gives.
    ///
    /// `valid_frames` of its frames are real sound, and the graph gave `steps` steps; `first` and `last` as in
    /// [`Window`](crate::Window). Empty where earlier windows gave all that is real.
    pub fn given(&self, valid_frames: u32, steps: u32, first: bool, last: bool) -> Range<usize> {
        let real = valid_frames.div_ceil(self.frames_per_step).min(steps);
        let begin = if first || !self.overlaps() { 0 } else { self.lead_steps() };
        let end =
            if last || !self.overlaps() { real } else { real.min(self.lead_steps() + self.hop_steps()) };
        begin.min(end) as usize..end as usize
    }

    /// The frames of a window that some of its steps describe, `valid_frames` of them real sound.
    pub(crate) fn frames_of(&self, steps: &Range<usize>, valid_frames: u32) -> Range<u32> {
        let n = self.frames_per_step;
        let (begin, end) = (steps.start as u32 * n, (steps.end as u32 * n).min(valid_frames));
        begin..end.max(begin)
    }

    fn hop_steps(&self) -> u32 {
        self.hop / self.frames_per_step
    }

    fn lead_steps(&self) -> u32 {
        (self.steps(self.window) - self.hop_steps().min(self.steps(self.window))) / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [(u32, u32); 9] =
        [(1, 1), (5, 1), (5, 2), (5, 5), (5, 8), (100, 40), (608, 304), (1001, 100), (96, 48)];

    #[test]
    fn a_window_is_whole_with_its_last_frame_and_not_before() {
        for (window, hop) in SIZES {
            let grid = WindowGrid::new(window, hop);
            for k in 0..20 {
                assert_eq!(grid.whole(grid.end(k)), k + 1, "{window}/{hop}");
                assert_eq!(grid.whole(grid.end(k) - 1), k, "{window}/{hop}");
            }
        }
    }

    #[test]
    fn every_frame_outside_the_gaps_is_in_a_window() {
        for (window, hop) in SIZES {
            let grid = WindowGrid::new(window, hop);
            for frames in 0..3 * u64::from(window + hop) {
                let mut covered = vec![false; frames as usize];
                for k in 0..grid.count(frames) {
                    let (start, end) = (grid.start(k), grid.end(k).min(frames));
                    covered[start as usize..end as usize].fill(true);
                }
                let gap = |frame: u64| frame % u64::from(hop) >= u64::from(window);
                let missed = (0..frames).find(|&f| !covered[f as usize] && !gap(f));
                assert_eq!(missed, None, "{window}/{hop} with {frames} frames");
            }
        }
    }

    #[test]
    fn the_last_window_is_given_only_for_frames_that_no_other_covers() {
        let grid = WindowGrid::new(100, 40);
        assert_eq!(grid.last(0), None);
        assert_eq!(grid.last(1), Some((0, 1)));
        assert_eq!(grid.last(99), Some((0, 99)));
        assert_eq!(grid.last(100), None);
        assert_eq!(grid.last(101), Some((1, 61)));
        assert_eq!(grid.last(139), Some((1, 99)));
        assert_eq!(grid.last(140), None);
    }

    #[test]
    fn frames_in_a_gap_make_no_window() {
        let grid = WindowGrid::new(10, 25);
        assert_eq!(grid.last(25), None);
        assert_eq!(grid.last(26), Some((1, 1)));
        assert_eq!(grid.released_by(1), 25);
    }

    #[test]
    fn every_step_of_a_stream_is_given_exactly_once_and_in_order() {
        for (per_step, window, hop) in [
            (1, 10, 3),
            (16, 608, 304),
            (16, 1001, 96),
            (16, 1001, 16),
            (2, 1001, 100),
            (8, 96, 48),
            (8, 96, 96),
        ] {
            let steps = StepGrid::new(per_step, window, hop);
            assert!(steps.fits());
            let grid = WindowGrid::new(window, hop).with_lead(steps.lead_frames());
            for frames in [1, 7, window - 1, window, window + 1, window + hop, 3 * window + 5] {
                let mut next = 0;
                for k in 0..grid.count(frames.into()) {
                    let last = k == grid.whole(frames.into());
                    let valid = (u64::from(frames).min(grid.end(k)) - grid.start(k)) as u32;
                    let padded = if last { valid.next_multiple_of(per_step) } else { window };
                    for step in steps.given(valid, steps.steps(padded), k == 0, last) {
                        let start = grid.start(k) + step as u64 * u64::from(per_step);
                        assert_eq!(start, next, "{per_step} {window}/{hop}, {frames} frames, window {k}");
                        next = start + u64::from(per_step);
                    }
                }
                assert!(
                    next >= frames.into() || !steps.overlaps(),
                    "{per_step} {window}/{hop}: {next} of {frames}"
                );
            }
        }
    }

    #[test]
    fn a_window_gives_the_steps_of_its_middle() {
        let steps = StepGrid::new(16, 608, 160); // 38 steps, 10 of them new
        assert_eq!(steps.given(608, 38, false, false), 14..24);
        assert_eq!(steps.given(608, 38, true, false), 0..24);
        assert_eq!(steps.given(500, 38, false, true), 14..32); // 31 whole steps and one with 4 real frames
        assert_eq!(steps.given(608, 38, true, true), 0..38);
    }

    #[test]
    fn windows_that_do_not_overlap_give_all_their_steps() {
        let steps = StepGrid::new(16, 1001, 1001);
        assert_eq!(steps.given(1001, 62, false, false), 0..62); // the last 9 frames are in no step
        assert_eq!(StepGrid::new(16, 1001, 1000).given(1001, 62, false, false), 0..62);
        assert!(StepGrid::new(16, 1001, 1000).fits());
    }

    #[test]
    fn steps_that_stand_on_padding_alone_are_not_given() {
        let steps = StepGrid::new(16, 608, 608);
        assert_eq!(steps.given(1, 38, false, true), 0..1);
        assert_eq!(steps.given(16, 38, false, true), 0..1);
        assert_eq!(steps.given(17, 38, false, true), 0..2);
    }

    #[test]
    fn a_hop_between_steps_does_not_fit_and_the_nearest_one_does() {
        let nearest = |hop| StepGrid::new(16, 1001, hop).nearest_hop();
        assert!(!StepGrid::new(16, 1001, 100).fits());
        assert_eq!([96, 100, 104, 105, 3].map(nearest), [96, 96, 96, 112, 16]);
        assert_eq!(nearest(u32::MAX), u32::MAX - 15);
    }
}
