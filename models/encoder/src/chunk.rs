//! Where the chunks of a stream lie, and cutting them out with their contexts.

use std::ops::Range;

/// The chunks of a stream: chunk `k` is the frames `[k * chunk, (k + 1) * chunk)`, encoded with contexts around it.
///
/// Frames are counted from the start of the stream. Beyond its start and its end there is no context.
///
/// ```
/// use listen_encoder::ChunkGrid;
///
/// let grid = ChunkGrid::new(96, 128, 128);
/// assert_eq!(grid.piece(0), 0..224);
/// assert_eq!(grid.piece(2), 64..416);
/// assert_eq!(grid.ready(224), 1); // chunk 0 has its context
/// assert_eq!(grid.latency(496, 96), 624 + 80); // windows that end within a chunk wait for its end
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkGrid {
    chunk: u64,
    left: u64,
    right: u64,
}

impl ChunkGrid {
    /// Chunks of `chunk` frames (0 is taken as 1) with `left` frames before and `right` frames after them.
    pub fn new(chunk: u32, left: u32, right: u32) -> Self {
        Self { chunk: u64::from(chunk.max(1)), left: left.into(), right: right.into() }
    }

    /// Frames in a chunk.
    pub fn chunk(&self) -> u64 {
        self.chunk
    }

    /// Frames before and after it that are encoded with it.
    pub fn contexts(&self) -> (u64, u64) {
        (self.left, self.right)
    }

    /// The frames that are encoded for chunk `k` of a stream that has not ended.
    pub fn piece(&self, k: u64) -> Range<u64> {
        let start = k.saturating_mul(self.chunk);
        let end = start.saturating_add(self.chunk).saturating_add(self.right);
        start.saturating_sub(self.left)..end
    }

    /// How many chunks can be encoded once `frames` frames have come.
    pub fn ready(&self, frames: u64) -> u64 {
        frames.saturating_sub(self.right) / self.chunk
    }

    /// Frames from the first one of a window to the last one that must have come before it can be pooled: the most over
    /// all windows `hop` frames apart. Where windows do not end with a chunk they wait for its end.
    pub fn latency(&self, window: u64, hop: u64) -> u64 {
        let apart = gcd(hop.max(1), self.chunk);
        let wait = match window % apart {
            0 => self.chunk - apart,
            over => self.chunk - over,
        };
        window.saturating_add(wait).saturating_add(self.right)
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A chunk as it was cut from the stream: raw frames, not yet normalised or padded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Chunk<'a> {
    /// Its first frame, without the context before it.
    pub start_frame: u64,
    /// Frames in it, without contexts; fewer than a chunk where the stream ended.
    pub valid_frames: u32,
    /// Frames of context before it.
    pub lead_frames: u32,
    /// Whether the stream ends with `frames`.
    pub ends: bool,
    /// The context before it, it, and the context after it: `[frames, width]`.
    pub frames: &'a [f32],
}

/// Cuts a stream of frames into chunks with their contexts.
///
/// However the stream is cut into pieces, in the middle of a frame too, the chunks are the same to the bit. It never
/// holds more than a chunk with its contexts.
#[derive(Debug)]
pub(crate) struct ChunkCutter {
    grid: ChunkGrid,
    width: usize,
    /// Frames from `from` on; the last one may be a part.
    kept: Vec<f32>,
    from: u64,
    /// The chunk that comes next.
    next: u64,
}

impl ChunkCutter {
    pub(crate) fn new(grid: ChunkGrid, width: usize) -> Self {
        Self { grid, width: width.max(1), kept: Vec::new(), from: 0, next: 0 }
    }

    /// Whole frames that have come since the stream began.
    pub(crate) fn frames(&self) -> u64 {
        self.from + (self.kept.len() / self.width) as u64
    }

    /// Takes what the next chunk needs from the front of `values`; lends the chunk once it has its context.
    ///
    /// Call it again until it gives `None`: then `values` is used up.
    pub(crate) fn take(&mut self, values: &mut &[f32]) -> Option<Chunk<'_>> {
        let piece = self.grid.piece(self.next);
        self.release(piece.start);
        let whole = (piece.end - piece.start) as usize * self.width;
        let (taken, rest) = values.split_at(values.len().min(whole - self.kept.len()));
        self.kept.extend_from_slice(taken);
        *values = rest;
        (self.kept.len() == whole).then(|| self.lend(piece.end, false))
    }

    /// The stream has ended: lends the chunks that are left, one a call; then `None`, and a new stream begins.
    pub(crate) fn finish(&mut self) -> Option<Chunk<'_>> {
        let (total, piece) = (self.frames(), self.grid.piece(self.next));
        if self.next * self.grid.chunk >= total {
            self.reset();
            return None;
        }
        self.release(piece.start);
        Some(self.lend(piece.end.min(total), piece.end >= total))
    }

    pub(crate) fn reset(&mut self) {
        self.kept.clear();
        (self.from, self.next) = (0, 0);
    }

    fn release(&mut self, before: u64) {
        self.kept.drain(..(before - self.from) as usize * self.width);
        self.from = before;
    }

    fn lend(&mut self, end: u64, ends: bool) -> Chunk<'_> {
        let start_frame = self.next * self.grid.chunk;
        self.next += 1;
        Chunk {
            start_frame,
            valid_frames: (end - start_frame).min(self.grid.chunk) as u32,
            lead_frames: (start_frame - self.from) as u32,
            ends,
            frames: &self.kept[..(end - self.from) as usize * self.width],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Cut = (u64, u32, u32, Vec<f32>);

    fn cut(grid: ChunkGrid, width: usize, values: &[f32], pieces: usize) -> Vec<Cut> {
        let owned = |c: Chunk<'_>| (c.start_frame, c.valid_frames, c.lead_frames, c.frames.to_vec());
        let mut cutter = ChunkCutter::new(grid, width);
        let mut out = Vec::new();
        for mut piece in values.chunks(pieces) {
            while let Some(chunk) = cutter.take(&mut piece) {
                out.push(owned(chunk));
            }
            assert!(piece.is_empty());
        }
        assert_eq!(out.len() as u64, grid.ready((values.len() / width) as u64));
        while let Some(chunk) = cutter.finish() {
            out.push(owned(chunk));
        }
        assert_eq!((cutter.frames(), cutter.next), (0, 0), "a new stream begins");
        out
    }

    #[test]
    fn chunks_are_the_grid_applied_to_the_stream_with_the_contexts_that_there_are() {
        let width = 3;
        for (chunk, left, right) in [(1, 0, 0), (4, 0, 0), (4, 2, 0), (4, 0, 9), (4, 9, 2), (4, 16, 16)] {
            let grid = ChunkGrid::new(chunk, left, right);
            for frames in 0..40_u64 {
                let values: Vec<f32> = (0..frames * width as u64).map(|i| i as f32).collect();
                let cuts = cut(grid, width, &values, usize::MAX);
                assert_eq!(cuts.len() as u64, frames.div_ceil(chunk.into()), "{grid:?}, {frames} frames");
                for (k, (start, valid, lead, data)) in cuts.iter().enumerate() {
                    let piece = grid.piece(k as u64);
                    let end = piece.end.min(frames);
                    assert_eq!(*start, k as u64 * u64::from(chunk));
                    assert_eq!(u64::from(*valid), (frames - start).min(chunk.into()));
                    assert_eq!(u64::from(*lead), start - piece.start);
                    assert_eq!(data[..], values[piece.start as usize * width..end as usize * width]);
                }
            }
        }
    }

    #[test]
    fn any_cut_of_the_stream_gives_the_same_chunks() {
        let values: Vec<f32> = (0..5 * 137 + 3).map(|i| (i as f32 * 0.37).sin()).collect();
        for grid in [ChunkGrid::new(8, 16, 16), ChunkGrid::new(8, 0, 3), ChunkGrid::new(50, 7, 90)] {
            let whole = cut(grid, 5, &values, usize::MAX);
            for pieces in [1, 2, 7, 39, 40, 41, 200] {
                assert_eq!(cut(grid, 5, &values, pieces), whole, "{grid:?} in {pieces}");
            }
        }
    }

    #[test]
    fn no_window_waits_longer_than_the_latency_and_one_waits_as_long() {
        for (chunk, right) in [(96, 128), (8, 0), (24, 8)] {
            let grid = ChunkGrid::new(chunk, 0, right);
            for (window, hop) in [(96, 96), (288, 96), (496, 96), (496, 48), (8, 8), (200, 40), (24, 56)] {
                let needed = |k: u64| {
                    let end = k * hop + window;
                    end.next_multiple_of(chunk.into()) + u64::from(right) - k * hop
                };
                let most = (0..200).map(needed).max();
                assert_eq!(most, Some(grid.latency(window, hop)), "{chunk} {right} {window}/{hop}");
            }
        }
    }
}
