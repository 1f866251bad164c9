//! The continuous stream of frames (`edge=rolling`).

use crate::{FrontEnd, FrontEndError, analysis::Analysis, samples::Samples};

/// Log-mel frames of a continuous stream of samples.
///
/// All memory is taken in [`new`](Self::new). Samples are float32, full scale ±1, at the front end's rate; one that is
/// not finite is taken as 0 and [counted](Self::bad_samples).
pub struct LogMel {
    front_end: FrontEnd,
    analysis: Analysis,
    samples: Samples,
    frame: Box<[f32]>,
    /// Frames given so far.
    given: u64,
    /// Whether the reflection before the first sample has been made.
    primed: bool,
}

impl LogMel {
    /// Makes the stream's window, transform, filterbank and memory.
    ///
    /// # Errors
    /// Those of [`FrontEnd::validate`].
    pub fn new(front_end: &FrontEnd) -> Result<Self, FrontEndError> {
        let analysis = Analysis::new(front_end)?;
        // The reflection before a stream's first sample stands beside its first `left + 1` samples: two windows hold both.
        let mut stream = Self {
            samples: Samples::new(2 * front_end.win_length as usize),
            frame: vec![0.0; front_end.n_mels as usize].into(),
            front_end: front_end.clone(),
            analysis,
            given: 0,
            primed: false,
        };
        stream.reset();
        Ok(stream)
    }

    /// The front end whose frames these are.
    pub fn front_end(&self) -> &FrontEnd {
        &self.front_end
    }

    /// Takes samples and lends each frame `[n_mels]` that they complete.
    pub fn push(&mut self, mut samples: &[f32], mut frame: impl FnMut(&[f32])) {
        while !samples.is_empty() {
            samples = self.samples.take(samples);
            let ready = self.front_end.frames_ready(self.samples.end() as u64);
            if !self.primed && ready > 0 {
                self.samples.reflect_left(self.front_end.left());
                self.primed = true;
            }
            self.give(ready, &mut frame);
        }
    }

    /// Ends the stream: lends the frames whose windows reach beyond its last sample, which is where the sound is
    /// reflected. Then the next sample begins a new stream.
    ///
    /// All frames of the stream are then those of [`log_mel`], bit for bit. A stream too short for the reflection,
    /// which [`log_mel`] refuses, is reflected at both ends in turn for as long as it takes.
    pub fn finish(&mut self, mut frame: impl FnMut(&[f32])) {
        let samples = self.samples.end() as u64;
        if self.front_end.center && samples > 0 {
            if !self.primed {
                self.samples.reflect_left(self.front_end.left());
            }
            self.samples.reflect_right(self.front_end.right());
        }
        self.give(self.front_end.frames_in(samples), &mut frame);
        self.reset();
    }

    /// Forgets the stream; the next sample begins a new one. Bad samples stay counted.
    pub fn reset(&mut self) {
        self.samples.restart(self.front_end.left());
        self.given = 0;
        self.primed = false;
    }

    /// Frames that a [`push`](Self::push) of so many samples would lend now.
    pub fn frames_after(&self, samples: usize) -> usize {
        (self.front_end.frames_ready(self.samples.end() as u64 + samples as u64) - self.given) as usize
    }

    /// Frames that [`finish`](Self::finish) would lend now.
    pub fn frames_at_finish(&self) -> usize {
        (self.front_end.frames_in(self.samples.end() as u64) - self.given) as usize
    }

    /// Samples from a frame's position `t * hop_length` on that must have been pushed before the frame is lent: half a
    /// window when centred (one sample more for the first frame, which is counted here), else a window.
    pub fn delay_samples(&self) -> usize {
        self.front_end.lookahead()
    }

    /// Samples since [`new`](Self::new) that were not finite.
    pub fn bad_samples(&self) -> u64 {
        self.samples.bad()
    }

    /// Lends the frames up to `until`.
    fn give(&mut self, until: u64, frame: &mut impl FnMut(&[f32])) {
        let (hop, left) = (i64::from(self.front_end.hop_length), self.front_end.left() as i64);
        let win = self.front_end.win_length as usize;
        while self.given < until {
            let samples = self.samples.get(self.given as i64 * hop - left, win);
            self.analysis.frame(samples, &mut self.frame);
            self.given += 1;
            frame(&self.frame);
        }
    }
}

/// The log-mel of a whole recording: `[frames * n_mels]`, frame by frame, [`FrontEnd::frames_in`] frames.
///
/// # Errors
/// Those of [`FrontEnd::validate`], and [`FrontEndError::TooShort`] where a centred recording has not more samples than
/// the reflection at its edges takes (half a window).
pub fn log_mel(front_end: &FrontEnd, samples: &[f32]) -> Result<Vec<f32>, FrontEndError> {
    let mut stream = LogMel::new(front_end)?;
    let (expected, found) = (front_end.shortest(), samples.len() as u64);
    if found < expected {
        return Err(FrontEndError::TooShort { expected, found });
    }
    let mut frames = Vec::with_capacity(front_end.frames_in(found) as usize * front_end.n_mels as usize);
    stream.push(samples, |frame| frames.extend_from_slice(frame));
    stream.finish(|frame| frames.extend_from_slice(frame));
    Ok(frames)
}
