//! Frames to windows.

use crate::grid::WindowGrid;

/// A window as it was cut from the stream: raw frames, not yet normalised or padded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window<'a> {
    /// Its first frame, counted from the start of the stream.
    pub start_frame: u64,
    /// Its frames, `[frames, width]` row-major: all of them, or in the stream's last window those that exist.
    pub frames: &'a [f32],
    /// Whether no window came before it.
    pub first: bool,
    /// Whether the stream ended in it.
    pub last: bool,
}

/// Cuts a stream of frames into windows of equal length.
///
/// However the stream is cut into pieces, in the middle of a frame too, the windows are the same to the bit. It holds
/// one window and never takes more memory than that.
///
/// ```
/// use listen_encoder::{WindowCutter, WindowGrid};
///
/// let mut cutter = WindowCutter::new(WindowGrid::new(3, 2), 1);
/// let mut values: &[f32] = &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
/// let mut starts = Vec::new();
/// while let Some(window) = cutter.take(&mut values) {
///     starts.push(window.start_frame);
/// }
/// assert_eq!(starts, [0, 2]);
/// assert_eq!(cutter.finish().map(|window| window.frames.to_vec()), Some(vec![4.0, 5.0]));
/// ```
#[derive(Debug)]
pub struct WindowCutter {
    grid: WindowGrid,
    width: usize,
    /// The window that is being filled.
    piece: Box<[f32]>,
    /// Values in it.
    filled: usize,
    /// Values of the gap before it that are still to come (hop > window).
    skip: u64,
    /// Its index.
    index: u64,
}

impl WindowCutter {
    /// A cutter of frames of `width` values (mel bands; 1 where the frames are samples).
    pub fn new(grid: WindowGrid, width: usize) -> Self {
        let piece = vec![0.0; grid.window() as usize * width].into();
        Self { grid, width, piece, filled: 0, skip: 0, index: 0 }
    }

    /// The windows that it cuts.
    pub fn grid(&self) -> WindowGrid {
        self.grid
    }

    /// Takes what fits from the front of `values`; lends the window once it is whole.
    ///
    /// Call it again until it gives `None`: then `values` is used up.
    pub fn take<'a>(&'a mut self, values: &mut &[f32]) -> Option<Window<'a>> {
        if self.filled == self.piece.len() {
            self.advance();
        }
        let skipped = self.skip.min(values.len() as u64);
        self.skip -= skipped;
        let after_gap = &values[skipped as usize..];
        let (taken, rest) = after_gap.split_at(after_gap.len().min(self.piece.len() - self.filled));
        self.piece[self.filled..][..taken.len()].copy_from_slice(taken);
        self.filled += taken.len();
        *values = rest;
        (self.filled == self.piece.len()).then(|| self.window(self.filled, false))
    }

    /// How many windows the next `frames` frames make whole.
    pub fn windows_after(&self, frames: u64) -> u64 {
        let width = self.width.max(1) as u64;
        let start = self.grid.start(self.index).saturating_sub(self.skip.div_ceil(width));
        let so_far = start.saturating_add(self.filled as u64 / width);
        self.grid.whole(so_far.saturating_add(frames)) - self.grid.whole(so_far)
    }

    /// The stream has ended: lends the window that its end cut short, if that one is due ([`WindowGrid::last`]).
    ///
    /// A part of a frame at the very end is dropped. The next `take` begins a new stream.
    pub fn finish(&mut self) -> Option<Window<'_>> {
        if self.filled == self.piece.len() {
            self.advance();
        }
        let frames = self.grid.start(self.index) + (self.filled / self.width.max(1)) as u64;
        let due = self.skip == 0 && self.grid.last(frames).is_some();
        let (filled, index) = (self.filled / self.width.max(1) * self.width, self.index);
        self.reset();
        due.then(|| Window { last: true, ..self.window_at(index, filled) })
    }

    /// Forgets all frames: the next one is frame 0 of a new stream.
    pub fn reset(&mut self) {
        (self.filled, self.skip, self.index) = (0, 0, 0);
    }

    fn window(&self, filled: usize, last: bool) -> Window<'_> {
        Window { last, ..self.window_at(self.index, filled) }
    }

    fn window_at(&self, index: u64, filled: usize) -> Window<'_> {
        let start_frame = self.grid.start(index);
        Window { start_frame, frames: &self.piece[..filled], first: index == 0, last: false }
    }

    /// Turns to the next window and keeps what it shares with this one.
    fn advance(&mut self) {
        let hop = self.grid.hop().saturating_mul(self.width as u64);
        let kept = (self.filled as u64).saturating_sub(hop);
        self.skip = hop - (self.filled as u64 - kept);
        self.piece.copy_within(self.filled - kept as usize.., 0);
        self.filled = kept as usize;
        self.index += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Cut = (u64, Vec<f32>, bool, bool);

    fn cut(grid: WindowGrid, width: usize, values: &[f32], chunk: usize) -> Vec<Cut> {
        let mut cutter = WindowCutter::new(grid, width);
        let mut out = Vec::new();
        for mut piece in values.chunks(chunk) {
            while let Some(w) = cutter.take(&mut piece) {
                out.push((w.start_frame, w.frames.to_vec(), w.first, w.last));
            }
            assert!(piece.is_empty());
        }
        out.extend(cutter.finish().map(|w| (w.start_frame, w.frames.to_vec(), w.first, w.last)));
        out
    }

    fn ramp(n: usize) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * 0.37).sin()).collect()
    }

    #[test]
    fn windows_are_the_grid_applied_to_the_stream() {
        let width = 3;
        for (window, hop) in [(1, 1), (4, 1), (4, 2), (4, 3), (4, 4), (4, 5), (4, 11)] {
            let grid = WindowGrid::new(window, hop);
            for frames in 0..40_u64 {
                let values = ramp(frames as usize * width);
                let cuts = cut(grid, width, &values, usize::MAX);
                assert_eq!(cuts.len() as u64, grid.count(frames), "{window}/{hop}, {frames} frames");
                for (k, (start, data, first, last)) in cuts.iter().enumerate() {
                    let end = grid.end(k as u64).min(frames);
                    assert_eq!(*start, grid.start(k as u64));
                    assert_eq!(data[..], values[*start as usize * width..end as usize * width]);
                    assert_eq!((*first, *last), (k == 0, k as u64 == grid.whole(frames)));
                }
            }
        }
    }

    #[test]
    fn chunking_is_invisible_even_inside_a_frame() {
        for (window, hop, lead) in [(20, 7, 13), (20, 7, 6), (20, 20, 0), (20, 33, 0), (20, 1, 19)] {
            let grid = WindowGrid::new(window, hop).with_lead(lead);
            let values = ramp(5 * 137);
            let whole = cut(grid, 5, &values, usize::MAX);
            for chunk in [1, 2, 3, 5, 7, 34, 99, 100, 101, 684] {
                assert_eq!(cut(grid, 5, &values, chunk), whole, "{window}/{hop} in chunks of {chunk}");
            }
        }
    }

    #[test]
    fn the_windows_that_frames_will_make_whole_are_known_before() {
        for (window, hop) in [(4, 1), (4, 3), (4, 4), (4, 11)] {
            let mut cutter = WindowCutter::new(WindowGrid::new(window, hop), 2);
            for frames in [1, 3, 9, 2, 30, 1, 0, 5, 4] {
                let expected = cutter.windows_after(frames);
                let values = ramp(frames as usize * 2);
                let mut values = &values[..];
                let mut found = 0;
                while cutter.take(&mut values).is_some() {
                    found += 1;
                }
                assert_eq!(found, expected, "{window}/{hop}, {frames} frames");
            }
            assert!(cutter.windows_after(u64::MAX) > 0);
        }
    }

    #[test]
    fn a_stream_without_a_frame_has_no_window() {
        assert_eq!(cut(WindowGrid::new(4, 2), 3, &[], 1), []);
        assert_eq!(cut(WindowGrid::new(4, 2), 3, &[1.0, 2.0], 1), []);
    }

    #[test]
    fn after_the_end_or_a_reset_a_new_stream_begins() {
        let grid = WindowGrid::new(4, 3);
        let mut cutter = WindowCutter::new(grid, 1);
        let values = ramp(9);
        for end in [true, false, true] {
            let mut rest = &values[..];
            let window = cutter.take(&mut rest).expect("a whole window");
            assert_eq!((window.start_frame, window.frames, window.first), (0, &values[..4], true));
            while cutter.take(&mut rest).is_some() {}
            if end {
                assert_eq!(cutter.finish().map(|w| (w.start_frame, w.frames)), Some((6, &values[6..])));
                assert_eq!(cutter.finish(), None);
            } else {
                cutter.reset();
            }
        }
    }
}
