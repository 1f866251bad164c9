//! Windows as if each were a recording of its own (`edge=exact`).

use std::collections::VecDeque;

use crate::{
    FrontEnd, FrontEndError,
    analysis::Analysis,
    samples::{Samples, reflected},
};

/// Cuts a stream of samples into overlapping windows and gives the frames of each, reflected at its own edges.
///
/// Window `k` is the recording `x[a..a + n]` with `a = k * hop_frames * hop_length` and
/// `n = `[`exact_samples`](FrontEnd::exact_samples)`(window_frames)`; its frames are those of
/// [`log_mel`](crate::log_mel) of that recording, bit for bit. Frames away from the edges are the same in every window
/// and are made once; only those that the reflection reaches (four of a second's hundred with M2D) are made per window.
pub struct ExactWindows {
    plan: Plan,
    analysis: Analysis,
    samples: Samples,
    /// The newest inner frames: frame `f` of the stream in row `f % window_frames`.
    inner: Rows,
    /// The first frames of each open window: frame `t` of window `k` in row `(k % open) * head_frames + t`.
    heads: Rows,
    /// `[win_length]`: the samples of one edge frame.
    edge: Box<[f64]>,
    /// `[window_frames * n_mels]`: the window that is lent.
    window: Box<[f32]>,
    next: Next,
    /// What fills the stream's last window, and the samples from where the next one begins.
    fill: Option<(Fill, VecDeque<f32>)>,
}

/// How the samples of a recording that is shorter than a window fill one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fill {
    /// As often as they fit whole, then digital silence, as LAION-CLAP has it (models.md 1.2).
    Repeat,
    /// Again and again, the last time as far as they fit, as MS-CLAP has it.
    RepeatCut,
}

impl Fill {
    /// `samples`, of which there is at least one, and what follows them in a window of `len`.
    fn window(self, samples: &VecDeque<f32>, len: usize) -> Vec<f32> {
        let repeated = match self {
            Fill::Repeat => len / samples.len() * samples.len(),
            Fill::RepeatCut => len,
        };
        let silence = std::iter::repeat_n(0.0, len - repeated);
        samples.iter().copied().cycle().take(repeated).chain(silence).collect()
    }
}

/// Where frames and windows begin and end; all in samples but for the names with `frames`.
struct Plan {
    front_end: FrontEnd,
    window_frames: usize,
    hop_frames: usize,
    hop: i64,
    left: i64,
    right: i64,
    /// Length of a window.
    window: i64,
    /// Distance between windows.
    window_hop: i64,
    /// Frames at a window's beginning that the reflection there reaches.
    head_frames: usize,
    /// Samples of a window from which they can be made.
    head: i64,
    /// Windows whose first frames must be kept at a time.
    open: usize,
    /// Whether the stream's end has a window of its own though the last one held it.
    tail: bool,
}

/// What comes next in the stream: an inner frame, a window's first frames, a window.
#[derive(Default)]
struct Next {
    inner: i64,
    head: i64,
    window: i64,
}

/// Frames in rows of `n_mels`.
struct Rows {
    values: Box<[f32]>,
    len: usize,
}

impl Rows {
    fn new(rows: usize, len: usize) -> Self {
        Self { values: vec![0.0; rows * len].into(), len }
    }

    fn row(&mut self, row: usize) -> &mut [f32] {
        &mut self.values[row * self.len..][..self.len]
    }

    fn rows(&self, first: usize, rows: usize) -> &[f32] {
        &self.values[first * self.len..][..rows * self.len]
    }
}

impl ExactWindows {
    /// Longest window and hop, in frames: eleven minutes at 10 ms a frame.
    const MAX_FRAMES: usize = 65_536;

    /// Plans windows of `window_frames` frames every `hop_frames` frames and takes all memory that they need.
    ///
    /// # Errors
    /// Those of [`FrontEnd::validate`]; [`FrontEndError::Frames`] for a window or hop of 0 or far too many frames;
    /// [`FrontEndError::TooShort`] for a window that has not more samples than its reflection takes.
    pub fn new(front_end: &FrontEnd, window_frames: usize, hop_frames: usize) -> Result<Self, FrontEndError> {
        let analysis = Analysis::new(front_end)?;
        let max = Self::MAX_FRAMES;
        for (name, found) in [("window", window_frames), ("hop", hop_frames)] {
            if !(1..=max).contains(&found) {
                return Err(FrontEndError::Frames { name, max, found });
            }
        }
        let (expected, found) = (front_end.shortest(), front_end.exact_samples(window_frames as u64));
        if found < expected {
            return Err(FrontEndError::TooShort { expected, found });
        }
        let plan = Plan::new(front_end, window_frames, hop_frames);
        let (win, bands) = (front_end.win_length as usize, front_end.n_mels as usize);
        Ok(Self {
            samples: Samples::new(win.max(plan.head as usize)),
            inner: Rows::new(window_frames, bands),
            heads: Rows::new(plan.open * plan.head_frames, bands),
            edge: vec![0.0; win].into(),
            window: vec![0.0; window_frames * bands].into(),
            next: Next::default(),
            fill: None,
            plan,
            analysis,
        })
    }

    /// The same windows; but the stream's last one, where it is shorter than the others, is filled by its own samples up to
    /// a whole one before it becomes frames.
    pub fn with_fill(mut self, fill: Option<Fill>) -> Self {
        // Samples come in pieces of a window's reach at most.
        let most = self.plan.window as usize + self.samples.most();
        self.fill = fill.map(|fill| (fill, VecDeque::with_capacity(most)));
        self
    }

    /// The same windows; but where they overlap and the stream ends with one, what the next one would have shared with it
    /// is lent too, as a short window: for who takes only the middle of each window.
    pub fn with_tail(mut self, tail: bool) -> Self {
        self.plan.tail = tail;
        self
    }

    /// The front end whose frames these are.
    pub fn front_end(&self) -> &FrontEnd {
        &self.plan.front_end
    }

    /// Takes samples and lends each window `[window_frames * n_mels]` that they complete.
    pub fn push(&mut self, mut samples: &[f32], mut window: impl FnMut(&[f32])) {
        while !samples.is_empty() {
            let rest = self.samples.take(samples);
            self.keep(&samples[..samples.len() - rest.len()]);
            samples = rest;
            self.advance(&mut window);
            self.let_go();
        }
    }

    /// Ends the stream. Sound that no window has held yet (with a [tail](Self::with_tail): whatever the next one would
    /// hold) is lent as a window of fewer frames,
    /// `[frames_in(its samples) * n_mels]`, from where the next window would have begun to the end, with its own
    /// reflection there; where it is [filled](Self::with_fill) as a whole one. Then the next sample begins a new stream.
    pub fn finish(&mut self, mut window: impl FnMut(&[f32])) {
        let frames = self.frames_at_finish();
        if frames > 0
            && let Some((fill, kept)) = &self.fill
        {
            let filled = fill.window(kept, self.plan.window as usize);
            self.reset();
            self.push(&filled, window);
        } else if frames > 0 {
            let (start, len) = (self.next.window * self.plan.window_hop, self.rest());
            if len < self.plan.head {
                self.make_heads(self.next.window, len);
            }
            self.assemble(start, len, frames);
            window(&self.window[..frames * self.inner.len]);
        }
        self.reset();
    }

    /// Forgets the stream; the next sample begins a new one. Bad samples stay counted.
    pub fn reset(&mut self) {
        self.samples.restart(0);
        self.next = Next::default();
        if let Some((_, kept)) = &mut self.fill {
            kept.clear();
        }
    }

    /// Keeps samples as the front end takes them, where they may have to fill a window.
    fn keep(&mut self, samples: &[f32]) {
        if let Some((_, kept)) = &mut self.fill {
            kept.extend(samples.iter().map(|&x| if x.is_finite() { x } else { 0.0 }));
        }
    }

    /// Lets samples go that lie before the next window.
    fn let_go(&mut self) {
        let rest = self.rest().max(0) as usize;
        if let Some((_, kept)) = &mut self.fill {
            kept.drain(..kept.len().saturating_sub(rest));
        }
    }

    /// Windows that a [`push`](Self::push) of so many samples would lend now.
    pub fn windows_after(&self, samples: usize) -> usize {
        let Plan { window, window_hop, .. } = self.plan;
        let beyond = self.samples.end() + samples as i64 - window;
        if beyond < 0 { 0 } else { (beyond / window_hop + 1 - self.next.window) as usize }
    }

    /// Frames of the sound in the window that [`finish`](Self::finish) would lend now, without what
    /// [fills](Self::with_fill) it; 0: it would lend none.
    pub fn frames_at_finish(&self) -> usize {
        let Plan { window, window_hop, .. } = self.plan;
        let held = match self.next.window {
            0 => 0,
            windows => (windows - 1) * window_hop + window,
        };
        let tail = self.plan.tail && self.next.window > 0;
        if (self.samples.end() <= held && !tail) || self.rest() <= 0 {
            return 0;
        }
        self.plan.front_end.frames_in(self.rest() as u64) as usize
    }

    /// Samples from a window's first that must have been pushed before the window is lent: its own.
    pub fn delay_samples(&self) -> usize {
        self.plan.window as usize
    }

    /// Samples since [`new`](Self::new) that were not finite.
    pub fn bad_samples(&self) -> u64 {
        self.samples.bad()
    }

    /// Samples from where the next window begins.
    fn rest(&self) -> i64 {
        self.samples.end() - self.next.window * self.plan.window_hop
    }

    /// Makes whatever the samples so far suffice for, in the stream's order.
    fn advance(&mut self, window: &mut impl FnMut(&[f32])) {
        let end = self.samples.end();
        loop {
            let Plan { hop, left, right, window_hop, .. } = self.plan;
            let inner = self.next.inner * hop + right;
            let head = self.next.head * window_hop + self.plan.head;
            let whole = self.next.window * window_hop + self.plan.window;
            if inner.min(head).min(whole) > end {
                return;
            }
            if inner <= head.min(whole) {
                let frame = self.next.inner;
                if frame * hop >= left && self.plan.holds(frame) {
                    let row = self.inner.row(frame as usize % self.plan.window_frames);
                    self.analysis.frame(self.samples.get(frame * hop - left, (left + right) as usize), row);
                }
                self.next.inner += 1;
            } else if head <= whole {
                self.make_heads(self.next.head, self.plan.window);
                self.next.head += 1;
            } else {
                self.assemble(whole - self.plan.window, self.plan.window, self.plan.window_frames);
                self.next.window += 1;
                window(&self.window);
            }
        }
    }

    /// Makes the first frames of window `k`, which is `len` samples long.
    fn make_heads(&mut self, k: i64, len: i64) {
        let first = self.plan.head_row(k);
        for t in 0..self.plan.head_frames {
            self.lay_edge(k * self.plan.window_hop, len, t);
            self.analysis.frame(&self.edge, self.heads.row(first + t));
        }
    }

    /// Puts the window of `len` samples from `start` together: its first frames, the inner ones, the last ones.
    fn assemble(&mut self, start: i64, len: i64, frames: usize) {
        let Plan { hop, right, window_frames, window_hop, .. } = self.plan;
        let bands = self.inner.len;
        let head = self.plan.head_frames.min(frames);
        let inner_end = if len < right { 0 } else { ((len - right) / hop + 1) as usize }.clamp(head, frames);

        let heads = self.heads.rows(self.plan.head_row(start / window_hop), head);
        self.window[..head * bands].copy_from_slice(heads);

        let first = (start / hop) as usize + head;
        let (row, rows) = (first % window_frames, inner_end - head);
        let before_wrap = rows.min(window_frames - row);
        let (new, old) = self.window[head * bands..inner_end * bands].split_at_mut(before_wrap * bands);
        new.copy_from_slice(self.inner.rows(row, before_wrap));
        old.copy_from_slice(self.inner.rows(0, rows - before_wrap));

        for t in inner_end..frames {
            self.lay_edge(start, len, t);
            self.analysis.frame(&self.edge, &mut self.window[t * bands..][..bands]);
        }
    }

    /// Lays out the samples under frame `t` of the recording of `len` samples from `start`, reflected at its edges.
    fn lay_edge(&mut self, start: i64, len: i64, t: usize) {
        let first = t as i64 * self.plan.hop - self.plan.left;
        for (i, value) in (first..).zip(&mut self.edge) {
            *value = self.samples.get(start + reflected(i, len), 1)[0];
        }
    }
}

impl Plan {
    fn new(front_end: &FrontEnd, window_frames: usize, hop_frames: usize) -> Self {
        let (left, right) = (front_end.left() as i64, front_end.right() as i64);
        let hop = i64::from(front_end.hop_length);
        let window = front_end.exact_samples(window_frames as u64) as i64;
        let head_frames = ((left + hop - 1) / hop).min(window_frames as i64);
        Self {
            window_frames,
            hop_frames,
            hop,
            left,
            right,
            window,
            window_hop: hop_frames as i64 * hop,
            head_frames: head_frames as usize,
            head: ((head_frames - 1) * hop + right).max(left + 1).min(window),
            open: (window_frames - 1) / hop_frames + 2,
            front_end: front_end.clone(),
            tail: false,
        }
    }

    /// Whether any window holds the frame; not so between windows that stand apart.
    fn holds(&self, frame: i64) -> bool {
        (frame % self.hop_frames as i64) < self.window_frames as i64
    }

    /// Row of the first of window `k`'s first frames.
    fn head_row(&self, k: i64) -> usize {
        k as usize % self.open * self.head_frames
    }
}
