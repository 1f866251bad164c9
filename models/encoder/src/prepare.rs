//! Windows to jobs: level, normalisation, padding. What of it depends on the stream lives here, not in the engine.

use listen_features::{Conditioning, Level, silence_value};
use listen_package::{Audio, Frontend, Manifest, ShortPad};

use crate::{EncoderError, Normalizer, Plan, Statistics, Window, WindowCutter, WindowGrid};

/// A window as the encoder takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowJob {
    /// Its first frame, counted from the start of the stream.
    pub start_frame: u64,
    /// Frames of real sound in it; the rest is padding.
    pub valid_frames: u32,
    /// Frames in it, with the padding.
    pub frames: u32,
    /// Whether no window came before it.
    pub first: bool,
    /// Whether the stream ended in it.
    pub last: bool,
    /// Level of its real sound, in dB relative to a full-scale sine of 1 kHz: for a gate.
    pub level_db: f32,
    /// Where its time steps lie and which are given; filled from the plan.
    pub(crate) steps: Option<crate::StepGrid>,
    /// `[frames, width]`, normalised.
    pub(crate) data: Vec<f32>,
}

/// Makes jobs of the windows of one stream, in order.
///
/// A window that the stream's end cut short is padded as the manifest says:
///
/// * `zero_normalized`: zeros after normalisation, only up to the next length that the encoder takes (whole time steps,
///   a multiple of `multiple_of`, at least `min_frames`, at most the window), as models.md 2.1 does. The embedding of
///   two seconds at the end of a recording is then that of a recording of two seconds, not of two seconds among eight
///   of the mean level. An encoder of one length only (`min_frames` = window) gets its window filled.
/// * `repeat`: what there is `floor(window / valid)` times, then digital silence, up to the window (models.md 1.2).
/// * `silence`: the front end's value for digital silence, up to the window.
///
/// `per_window` statistics are those of the real frames, before padding.
///
/// A value that is not finite is taken as digital silence, and counted.
#[derive(Debug, Clone)]
pub struct Preparer {
    width: usize,
    window: u32,
    shortest: u32,
    /// The encoder's length is a multiple of both: of the frames of a time step, and of what the manifest says.
    multiples: [u32; 2],
    short_pad: ShortPad,
    steps: Option<crate::StepGrid>,
    silence: f32,
    meter: Meter,
    normalizer: Normalizer,
    bad_values: u64,
    /// The window's frames where they differ from what was given.
    mended: Vec<f32>,
}

#[derive(Debug, Clone)]
enum Meter {
    Mel(Level),
    /// Frames are samples: mean square relative to a full-scale sine; and what is done to them before the graph.
    Samples(Conditioning),
}

impl Preparer {
    /// For one stream of windows as `plan` has them.
    ///
    /// # Errors
    /// A front end that cannot be built.
    pub fn new(manifest: &Manifest, plan: &Plan) -> Result<Self, EncoderError> {
        let (silence, meter) = match &manifest.frontend {
            Frontend::Logmel(front_end) => (silence_value(front_end), Meter::Mel(Level::new(front_end)?)),
            Frontend::InGraph => (0.0, Meter::Samples(conditioning(&manifest.audio))),
        };
        Ok(Self {
            width: plan.width,
            window: plan.window_frames,
            shortest: manifest.window.min_frames,
            multiples: [manifest.encoder.output.frames_per_column.max(1), manifest.window.multiple_of.max(1)],
            short_pad: manifest.window.short_pad,
            steps: plan.steps,
            silence,
            meter,
            normalizer: Normalizer::new(&manifest.normalize, plan.frame_seconds()),
            bad_values: 0,
            mended: Vec::new(),
        })
    }

    /// Makes a job of the stream's next window. A dropped window need not be prepared, a gated one is.
    pub fn prepare(&mut self, window: &Window<'_>) -> WindowJob {
        let mended = std::mem::take(&mut self.mended);
        let mended = self.mend(window.frames, mended);
        let frames = if mended.is_empty() { window.frames } else { &mended };
        let job = self.job(window, frames);
        self.mended = mended;
        job
    }

    /// A new stream begins: running statistics start anew.
    pub fn reset(&mut self) {
        self.normalizer.reset();
    }

    /// How many values were not finite since this was made; overlapping windows count theirs each.
    pub fn bad_values(&self) -> u64 {
        self.bad_values
    }

    fn job(&mut self, window: &Window<'_>, frames: &[f32]) -> WindowJob {
        let level_db = self.meter.db(frames);
        let statistics = self.normalizer.statistics(window.start_frame, frames, self.width);
        let valid_frames = (frames.len() / self.width.max(1)) as u32;
        let padded = self.padded(valid_frames);
        let mut data = Vec::with_capacity(padded as usize * self.width);
        data.extend(frames.iter().map(|&v| statistics.apply(self.meter.scaled(v))));
        self.pad(&mut data, padded as usize * self.width, &statistics);
        WindowJob {
            start_frame: window.start_frame,
            valid_frames,
            frames: padded,
            first: window.first,
            last: window.last,
            level_db,
            steps: self.steps,
            data,
        }
    }

    /// Frames of a window of `valid` real frames once it is padded.
    fn padded(&self, valid: u32) -> u32 {
        if valid >= self.window || self.short_pad != ShortPad::ZeroNormalized {
            return valid.max(self.window);
        }
        let whole_steps = valid.max(self.shortest).max(1).next_multiple_of(self.multiples[0]);
        whole_steps.next_multiple_of(self.multiples[1]).min(self.window)
    }

    fn pad(&self, data: &mut Vec<f32>, len: usize, statistics: &Statistics) {
        let real = data.len();
        let silence = statistics.apply(self.silence);
        let rest = match self.short_pad {
            ShortPad::ZeroNormalized => 0.0,
            ShortPad::Silence => silence,
            ShortPad::Repeat => {
                while real > 0 && data.len() + real <= len {
                    data.extend_from_within(..real);
                }
                silence
            }
        };
        data.resize(len, rest);
    }

    /// The frames with what is not finite replaced, in `mended`; that stays empty where all are.
    fn mend(&mut self, frames: &[f32], mut mended: Vec<f32>) -> Vec<f32> {
        mended.clear();
        if !frames.iter().all(|v| v.is_finite()) {
            mended.extend(frames.iter().map(|&v| if v.is_finite() { v } else { self.silence }));
            self.bad_values += frames.iter().filter(|v| !v.is_finite()).count() as u64;
        }
        mended
    }
}

impl Meter {
    fn db(&self, frames: &[f32]) -> f32 {
        match self {
            Meter::Mel(level) => level.db(frames),
            Meter::Samples(_) => {
                let power = frames.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
                let db = 10.0 * (2.0 * power / frames.len().max(1) as f64).log10();
                (db as f32).max(Level::FLOOR)
            }
        }
    }

    fn scaled(&self, value: f32) -> f32 {
        match self {
            Meter::Mel(_) => value,
            Meter::Samples(conditioning) => conditioning.apply(value),
        }
    }
}

/// What a package wants done to samples. Where the front end is outside the graph, whoever makes the frames does it.
pub(crate) fn conditioning(audio: &Audio) -> Conditioning {
    Conditioning { pre_scale: audio.pre_scale, int16_roundtrip: audio.int16_roundtrip }
}

/// One stream from frames to jobs: a cutter and what prepares its windows.
#[derive(Debug)]
pub struct WindowStream {
    cutter: WindowCutter,
    preparer: Preparer,
}

impl WindowStream {
    /// For one stream of windows as `plan` has them.
    ///
    /// # Errors
    /// A front end that cannot be built.
    pub fn new(manifest: &Manifest, plan: &Plan) -> Result<Self, EncoderError> {
        let preparer = Preparer::new(manifest, plan)?;
        Ok(Self { cutter: WindowCutter::new(plan.grid(), plan.width), preparer })
    }

    /// The windows that it cuts.
    pub fn grid(&self) -> WindowGrid {
        self.cutter.grid()
    }

    /// Takes frames in any cut; calls `job` with each window that they make whole.
    pub fn push(&mut self, mut values: &[f32], mut job: impl FnMut(WindowJob)) {
        while let Some(window) = self.cutter.take(&mut values) {
            job(self.preparer.prepare(&window));
        }
    }

    /// How many windows the next `frames` frames make whole.
    pub fn windows_after(&self, frames: u64) -> u64 {
        self.cutter.windows_after(frames)
    }

    /// The stream has ended: the window that its end cut short, if that one is due.
    pub fn finish(&mut self) -> Option<WindowJob> {
        let job = self.cutter.finish().map(|window| self.preparer.prepare(&window));
        self.preparer.reset();
        job
    }

    /// Forgets all frames: the next one is frame 0 of a new stream.
    pub fn reset(&mut self) {
        self.cutter.reset();
        self.preparer.reset();
    }

    /// How many values were not finite.
    pub fn bad_values(&self) -> u64 {
        self.preparer.bad_values()
    }
}
