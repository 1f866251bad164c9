//! Windows to jobs: level, normalisation, padding. What of it depends on the stream lives here, not in the engine.

use std::sync::Arc;

use listen_features::{Conditioning, Level, Strength, Strengths, silence_value};
use listen_package::{Audio, Frontend, Layout, Manifest, Output, ShortPad};

use crate::carry::{Chain, Link};
use crate::chunk::Chunk;
use crate::chunk_stream::StepPower;
use crate::tensor::{is_turned, turned};
use crate::{EncoderError, Normalizer, Plan, Statistics, Window};

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
    /// How strongly sound begins and ends at each frame that it describes; none but with `output=frames`, and where frames are
    /// samples.
    pub(crate) strengths: Vec<Strength>,
    /// Where its time steps lie and which are given; filled from the plan.
    pub(crate) steps: Option<crate::StepGrid>,
    /// Its frames, normalised, in the order that the graph wants; nothing where the window is encoded in chunks.
    pub(crate) data: Vec<f32>,
    /// What of the stream is to be encoded for it, where that is done in chunks.
    pub(crate) pieces: Option<Pieces>,
    /// Time steps of earlier chunks to be pooled, step by step.
    pub(crate) tokens: Option<Vec<f32>>,
}

impl WindowJob {
    /// Whether it is chunks to be encoded, or time steps to be pooled.
    pub(crate) fn is_part(&self) -> bool {
        self.pieces.is_some() || self.tokens.is_some()
    }

    /// Takes along what it needs of a window before it that is dropped: its chunks, where a later window is pooled from
    /// them too. So no window is lost but the dropped one.
    pub fn take_over(&mut self, dropped: WindowJob) {
        let (Some(own), Some(lost)) = (&mut self.pieces, dropped.pieces) else { return };
        if self.steps.is_none() && own.stream == lost.stream {
            let needed = lost.pieces.into_iter().filter(|piece| piece.end() > self.start_frame);
            own.pieces.splice(..0, needed);
        }
    }
}

/// The chunks of a window that no window before it has taken along, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pieces {
    /// Which stream they are of: counted.
    pub(crate) stream: u64,
    pub(crate) pieces: Vec<Piece>,
}

/// A chunk with its contexts, as the encoder takes it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    /// The chunk's first frame.
    pub(crate) start_frame: u64,
    /// Frames of real sound in the chunk itself.
    pub(crate) valid_frames: u32,
    /// Time steps before the chunk's own, and the chunk's own.
    pub(crate) lead_steps: usize,
    pub(crate) steps: usize,
    /// Frames with contexts and padding.
    pub(crate) frames: u32,
    /// Of them those that are the stream's, up to whole steps: without what fills it up to a length that the encoder takes.
    pub(crate) real: u32,
    /// Normalised, in the order that the graph wants.
    pub(crate) data: Vec<f32>,
    /// How loud each of the chunk's own time steps is.
    pub(crate) powers: Vec<StepPower>,
    /// As [`WindowJob::strengths`], of the chunk's own frames.
    pub(crate) strengths: Vec<Strength>,
    /// Whether the stream ends with these frames.
    pub(crate) ends: bool,
    /// Its place in the stream; `None` where the graph carries nothing over.
    pub(crate) chain: Option<Chain>,
}

impl Piece {
    /// The frame after the chunk's last.
    pub(crate) fn end(&self) -> u64 {
        self.start_frame + u64::from(self.valid_frames)
    }
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
/// * `repeat_cut`: what there is again and again, the last time as far as it fits.
///   Where whole windows come (`edge=exact`), both are done to the samples before ([`Preparer::prepare_filled`]).
/// * `silence`: the front end's value for digital silence, up to the window.
///
/// `per_window` statistics are those of the real frames, before padding; of a window that came filled, those of all.
///
/// A value that is not finite is taken as digital silence, and counted.
#[derive(Debug, Clone)]
pub struct Preparer {
    width: usize,
    window: u32,
    shortest: u32,
    /// Longest that the encoder takes.
    longest: u32,
    /// The encoder's length is a multiple of both: of the frames of a time step, and of what the manifest says.
    multiples: [u32; 2],
    short_pad: ShortPad,
    steps: Option<crate::StepGrid>,
    silence: f32,
    meter: Meter,
    /// `None` where nobody asks when sound begins.
    strengths: Option<Strengths>,
    carries: bool,
    /// Where the chunk before the next one leaves something.
    before: Option<Arc<Link>>,
    normalizer: Normalizer,
    bad_values: u64,
    layout: Layout,
    /// The window's frames where they differ from what was given.
    mended: Vec<f32>,
    /// The normalised frames on their way into the graph's order.
    normalized: Vec<f32>,
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
            longest: manifest.window.max_frames,
            multiples: [manifest.encoder.output.frames_per_column.max(1), manifest.window.multiple_of.max(1)],
            short_pad: manifest.window.short_pad,
            steps: plan.steps,
            silence,
            meter,
            strengths: match &manifest.frontend {
                Frontend::Logmel(front_end) => {
                    (plan.output == Output::Frames).then(|| Strengths::new(front_end))
                }
                Frontend::InGraph => None,
            },
            carries: plan.carries,
            before: None,
            normalizer: Normalizer::new(&manifest.normalize, plan.frame_seconds()),
            bad_values: 0,
            layout: manifest.encoder.input.layout,
            mended: Vec::new(),
            normalized: Vec::new(),
        })
    }

    /// Makes a job of the stream's next window. A dropped window need not be prepared, a gated one is.
    pub fn prepare(&mut self, window: &Window<'_>) -> WindowJob {
        self.prepare_filled(window, u32::MAX)
    }

    /// As [`prepare`](Self::prepare), of a window that was filled before it became frames: the first `valid_frames` at most are
    /// real sound. Statistics `per_window` are then those of all frames, as of any recording that is repeated first; `running` ones go
    /// on with the real ones alone.
    pub fn prepare_filled(&mut self, window: &Window<'_>, valid_frames: u32) -> WindowJob {
        let mended = std::mem::take(&mut self.mended);
        let mended = self.mend(window.frames, mended);
        let frames = if mended.is_empty() { window.frames } else { &mended };
        let job = self.job(window, frames, valid_frames);
        self.mended = mended;
        job
    }

    /// Makes what the encoder takes of the stream's next chunk.
    ///
    /// Contexts that the stream does not have are left out. Only a length that the encoder does not take is filled,
    /// behind the last frame: the nearest that it takes, however `short_pad` has it for windows.
    pub(crate) fn piece(&mut self, chunk: &Chunk<'_>) -> Piece {
        let mended = std::mem::take(&mut self.mended);
        let mended = self.mend(chunk.frames, mended);
        let frames = if mended.is_empty() { chunk.frames } else { &mended };
        let (width, per_step) = (self.width.max(1), self.multiples[0]);
        let start = chunk.start_frame - u64::from(chunk.lead_frames);
        let statistics = self.normalizer.statistics(start, frames, width);
        let unit = lcm(per_step, self.multiples[1]);
        let real = (frames.len() / width) as u32;
        let padded = real.max(self.shortest).next_multiple_of(unit).min(self.longest.max(real));
        let data = self.laid_out(frames, padded, &statistics);
        let (lead, valid) = (chunk.lead_frames as usize, chunk.valid_frames as usize);
        let own = &frames[lead * width..][..valid * width];
        let power =
            |step: &[f32]| (10_f64.powf(f64::from(self.meter.db(step)) / 10.0), (step.len() / width) as u32);
        let piece = Piece {
            start_frame: chunk.start_frame,
            valid_frames: chunk.valid_frames,
            lead_steps: (chunk.lead_frames / per_step) as usize,
            steps: chunk.valid_frames.div_ceil(per_step) as usize,
            frames: padded,
            real: real.next_multiple_of(unit).min(padded),
            powers: own.chunks(per_step as usize * width).map(power).collect(),
            strengths: self.strengths_of(frames, lead..lead + valid),
            ends: chunk.ends,
            chain: self.carries.then(|| self.chain()),
            data,
        };
        self.mended = mended;
        piece
    }

    /// A new stream begins: running statistics start anew.
    pub fn reset(&mut self) {
        self.normalizer.reset();
        self.before = None;
    }

    /// How many values were not finite since this was made; overlapping windows count theirs each.
    pub fn bad_values(&self) -> u64 {
        self.bad_values
    }

    fn job(&mut self, window: &Window<'_>, frames: &[f32], valid_frames: u32) -> WindowJob {
        let there = (frames.len() / self.width.max(1)) as u32;
        let valid_frames = valid_frames.min(there);
        // What follows the sound in a filled window is not its own.
        let real = &frames[..valid_frames as usize * self.width];
        let level_db = self.meter.db(real);
        let counted = if self.normalizer.is_running() { real } else { frames };
        let statistics = self.normalizer.statistics(window.start_frame, counted, self.width);
        let padded = self.padded(there);
        let data = self.laid_out(frames, padded, &statistics);
        let described = self.steps.map_or(0..0, |grid| {
            let given = grid.given(valid_frames, grid.steps(padded), window.first, window.last);
            let frames = grid.frames_of(&given, valid_frames);
            frames.start as usize..frames.end as usize
        });
        WindowJob {
            start_frame: window.start_frame,
            valid_frames,
            frames: padded,
            first: window.first,
            last: window.last,
            level_db,
            strengths: self.strengths_of(real, described),
            steps: self.steps,
            data,
            pieces: None,
            tokens: None,
        }
    }

    /// The place of the stream's next chunk.
    fn chain(&mut self) -> Chain {
        let own = Arc::<Link>::default();
        Chain { before: self.before.replace(Arc::clone(&own)), own }
    }

    fn strengths_of(&self, frames: &[f32], which: std::ops::Range<usize>) -> Vec<Strength> {
        self.strengths.map_or_else(Vec::new, |strengths| strengths.of(frames, which))
    }

    /// Frames normalised, padded to `padded`, and in the order that the graph wants: whoever runs it has nothing left to do.
    fn laid_out(&mut self, frames: &[f32], padded: u32, statistics: &Statistics) -> Vec<f32> {
        let len = padded as usize * self.width;
        let normalized = |v: f32| statistics.apply(self.meter.scaled(v));
        if is_turned(self.layout) && frames.len() == len {
            // The most frequent case, in one pass: a window waits for this.
            return turned(frames, self.width, normalized);
        }
        let mut values = std::mem::take(&mut self.normalized);
        values.clear();
        values.reserve_exact(len);
        values.extend(frames.iter().map(|&v| normalized(v)));
        self.pad(&mut values, len, statistics);
        if !is_turned(self.layout) {
            return values;
        }
        let data = turned(&values, self.width, |v| v);
        self.normalized = values;
        data
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
            ShortPad::RepeatCut => {
                while real > 0 && data.len() < len {
                    data.extend_from_within(..real.min(len - data.len()));
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

/// The least number that is a multiple of both; at least 1.
pub(crate) fn lcm(a: u32, b: u32) -> u32 {
    let (mut x, mut y) = (a, b);
    while y != 0 {
        (x, y) = (y, x % y);
    }
    (a / x.max(1)).saturating_mul(b).max(1)
}
