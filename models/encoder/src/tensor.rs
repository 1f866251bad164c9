//! Windows in the order of the encoder's input, and its output to time steps and vectors.

use std::ops::Range;

use listen_package::{ClipPooling, FrameEmbedding, Layout, TokenOrder};

/// The shape of `batch` windows of `frames` frames of `width` values, in the order that the graph wants.
pub(crate) fn shape(layout: Layout, batch: usize, frames: usize, width: usize) -> Vec<usize> {
    match layout {
        Layout::B1FT => vec![batch, 1, width, frames],
        Layout::B1TF => vec![batch, 1, frames, width],
        Layout::BFT => vec![batch, width, frames],
        Layout::BTF => vec![batch, frames, width],
        Layout::BT => vec![batch, frames * width],
    }
}

/// Whether the graph wants time last: then windows are [`turned`].
pub(crate) fn is_turned(layout: Layout) -> bool {
    matches!(layout, Layout::B1FT | Layout::BFT)
}

/// A window `[frames, width]` as `[width, frames]`, each value as `map` makes it.
pub(crate) fn turned(window: &[f32], width: usize, map: impl Fn(f32) -> f32) -> Vec<f32> {
    let frames = window.len() / width.max(1);
    let mut turned = vec![0.0; frames * width];
    // A few frames at a time: read with a stride over all of them, each value would be fetched from afar.
    for block in (0..frames).step_by(16) {
        for band in 0..width {
            for frame in block..(block + 16).min(frames) {
                turned[band * frames + frame] = map(window[frame * width + band]);
            }
        }
    }
    turned
}

/// Some frames of a window of `frames` frames, in the order that the graph wants.
pub(crate) fn some_frames(layout: Layout, window: &[f32], frames: usize, which: Range<usize>) -> Vec<f32> {
    let part = |values: &[f32], each: usize| -> Vec<f32> {
        values[(which.start * each).min(values.len())..(which.end * each).min(values.len())].to_vec()
    };
    match is_turned(layout) {
        true => window.chunks(frames.max(1)).flat_map(|band| part(band, 1)).collect(),
        false => part(window, window.len() / frames.max(1)),
    }
}

/// The encoder's output for one window: `steps * rows` vectors of `dim` values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid<'a> {
    data: &'a [f32],
    order: TokenOrder,
    rows: usize,
    dim: usize,
}

impl<'a> Grid<'a> {
    /// `data` holds whole columns of `rows` vectors of `dim` values in `order`.
    pub(crate) fn new(data: &'a [f32], order: TokenOrder, rows: usize, dim: usize) -> Self {
        Self { data, order, rows, dim }
    }

    /// Time steps in it.
    pub(crate) fn steps(&self) -> usize {
        self.data.len() / (self.rows * self.dim).max(1)
    }

    /// The vector of frequency row `row` at time step `step`.
    pub(crate) fn token(&self, row: usize, step: usize) -> &'a [f32] {
        let index = match self.order {
            TokenOrder::FMajor => row * self.steps() + step,
            TokenOrder::TMajor => step * self.rows + row,
        };
        &self.data[index * self.dim..][..self.dim]
    }

    /// The rows of time step `step` one after the other, `rows * dim` values.
    pub(crate) fn append_step(&self, step: usize, to: &mut Vec<f32>) {
        for row in 0..self.rows {
            to.extend_from_slice(self.token(row, step));
        }
    }

    /// Length of a time step's vector.
    pub(crate) fn frame_dim(&self, how: FrameEmbedding) -> usize {
        match how {
            FrameEmbedding::StackFreq => self.rows * self.dim,
            FrameEmbedding::MeanFreq | FrameEmbedding::Identity => self.dim,
            FrameEmbedding::None => 0,
        }
    }

    /// The vector of time step `step`.
    pub(crate) fn append_frame(&self, how: FrameEmbedding, step: usize, to: &mut Vec<f32>) {
        match how {
            FrameEmbedding::StackFreq | FrameEmbedding::Identity => self.append_step(step, to),
            FrameEmbedding::MeanFreq => to.extend((0..self.dim).map(|d| {
                let sum: f64 = (0..self.rows).map(|row| f64::from(self.token(row, step)[d])).sum();
                (sum / self.rows as f64) as f32
            })),
            FrameEmbedding::None => {}
        }
    }
}

/// One vector of `dim` values from the vectors of all time steps `[steps, dim]`; in float64, rounded once.
pub(crate) fn append_pooled(how: ClipPooling, frames: &[f32], dim: usize, to: &mut Vec<f32>) {
    let steps = frames.len() / dim.max(1);
    let column = |d: usize| frames.iter().skip(d).step_by(dim);
    let mean = |d: usize| column(d).map(|&v| f64::from(v)).sum::<f64>() / steps as f64;
    match how {
        ClipPooling::MeanTime => to.extend((0..dim).map(|d| mean(d) as f32)),
        ClipPooling::MeanPlusMaxTime => to.extend((0..dim).map(|d| {
            let max = column(d).copied().fold(f32::NEG_INFINITY, f32::max);
            (mean(d) + f64::from(max)) as f32
        })),
        ClipPooling::None => to.extend_from_slice(frames),
    }
}

/// Brings a vector to length 1, in float64; one of zeros stays as it is.
pub(crate) fn unit_length(vector: &mut [f32]) {
    let length = vector.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_frames_of_a_window_are_the_same_in_each_order() {
        let window: Vec<f32> = (0..10).map(|v| v as f32).collect(); // five frames of two bands
        assert_eq!(some_frames(Layout::BTF, &window, 5, 3..5), [6.0, 7.0, 8.0, 9.0]);
        assert_eq!(some_frames(Layout::B1FT, &turned(&window, 2, |v| v), 5, 1..3), [2.0, 4.0, 3.0, 5.0]);
        assert_eq!(some_frames(Layout::B1TF, &window, 5, 0..5), window);
        assert!(some_frames(Layout::BFT, &window, 5, 5..9).is_empty());
    }

    /// A window of 3 frames of 2 values; the value is 10 * frame + band.
    const WINDOW: [f32; 6] = [0.0, 1.0, 10.0, 11.0, 20.0, 21.0];

    fn laid_out(layout: Layout) -> (Vec<usize>, Vec<f32>) {
        let data = if is_turned(layout) { turned(&WINDOW, 2, |v| v) } else { WINDOW.to_vec() };
        (shape(layout, 1, 3, 2), data)
    }

    #[test]
    fn layouts_put_time_or_frequency_last() {
        let by_band = vec![0.0, 10.0, 20.0, 1.0, 11.0, 21.0];
        assert_eq!(laid_out(Layout::B1FT), (vec![1, 1, 2, 3], by_band.clone()));
        assert_eq!(laid_out(Layout::BFT), (vec![1, 2, 3], by_band));
        assert_eq!(laid_out(Layout::B1TF), (vec![1, 1, 3, 2], WINDOW.to_vec()));
        assert_eq!(laid_out(Layout::BTF), (vec![1, 3, 2], WINDOW.to_vec()));
        assert_eq!(laid_out(Layout::BT), (vec![1, 6], WINDOW.to_vec()));
    }

    #[test]
    fn a_long_window_is_turned_whole() {
        let window: Vec<f32> = (0..37 * 5).map(|i| i as f32).collect();
        for (i, value) in turned(&window, 5, |v| v).into_iter().enumerate() {
            assert_eq!(value, window[i % 37 * 5 + i / 37]);
        }
    }

    /// Tokens of one value, 10 * row + step, of 2 rows and 3 steps.
    const F_MAJOR: [f32; 6] = [0.0, 1.0, 2.0, 10.0, 11.0, 12.0];
    const T_MAJOR: [f32; 6] = [0.0, 10.0, 1.0, 11.0, 2.0, 12.0];

    #[test]
    fn a_step_is_the_same_column_in_either_order() {
        for (data, order) in [(&F_MAJOR, TokenOrder::FMajor), (&T_MAJOR, TokenOrder::TMajor)] {
            let grid = Grid::new(data, order, 2, 1);
            let (mut stacked, mut mean) = (Vec::new(), Vec::new());
            for step in 0..grid.steps() {
                grid.append_frame(FrameEmbedding::StackFreq, step, &mut stacked);
                grid.append_frame(FrameEmbedding::MeanFreq, step, &mut mean);
            }
            assert_eq!(stacked, T_MAJOR);
            assert_eq!(mean, [5.0, 6.0, 7.0]);
        }
    }

    #[test]
    fn pooling_is_over_time_for_each_value() {
        let frames = [1.0, -5.0, 3.0, -1.0, 2.0, -3.0];
        let pooled = |how| {
            let mut out = Vec::new();
            append_pooled(how, &frames, 2, &mut out);
            out
        };
        assert_eq!(pooled(ClipPooling::MeanTime), [2.0, -3.0]);
        assert_eq!(pooled(ClipPooling::MeanPlusMaxTime), [5.0, -4.0]);
    }

    #[test]
    fn unit_length_leaves_zeros() {
        let (mut vector, mut zeros) = ([3.0, 4.0], [0.0; 3]);
        unit_length(&mut vector);
        unit_length(&mut zeros);
        assert_eq!((vector, zeros), ([0.6, 0.8], [0.0; 3]));
    }
}
