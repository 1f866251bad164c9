//! What a package makes of what the user asks for: window, hop, output, precision.

use listen_package::{Clap, ClipPooling, Edge, EncoderKind, Frontend, Graph, Manifest, Output, Precision};

use crate::recipe::Recipe;
use crate::{EncoderError, EncoderOptions, StepGrid, WindowGrid};

/// Everything that stands before a graph is loaded; two plans of one package and the same options are the same.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// Frames in a window (samples where the front end is in the graph).
    pub window_frames: u32,
    /// Frames from one window's start to the next one's.
    pub hop_frames: u32,
    /// Whether a window's edge frames see the samples around it.
    pub edge: Edge,
    /// What an embedding stands for.
    pub output: Output,
    /// The graph that runs.
    pub precision: Precision,
    /// Values in a frame: mel bands, or 1 where frames are samples.
    pub width: usize,
    /// Samples per second.
    pub sample_rate: u32,
    /// Samples from one frame to the next.
    pub samples_per_frame: u32,
    /// Length of one vector of an embedding.
    pub dim: usize,
    /// Vectors per time step: the token grid's frequency rows with `output=tokens`, otherwise 1.
    pub rows_per_step: usize,
    /// The time steps that a window gives; `None` with `output=clip`.
    pub steps: Option<StepGrid>,
    /// Whether the vectors can be compared with the package's text embeddings; they then have length 1.
    pub in_text_space: bool,
    /// Largest batch that gives the right numbers; `None`: any.
    pub max_batch: Option<u32>,
}

impl Plan {
    /// Checks the options against the manifest and fills in what they leave out.
    ///
    /// # Errors
    /// A window or hop that the encoder cannot take, a precision that the package has not, an output that it cannot give.
    pub fn new(manifest: &Manifest, options: &EncoderOptions) -> Result<Self, EncoderError> {
        let window_frames = window(manifest, options.window_frames)?;
        let output = options.output.unwrap_or(manifest.window.default_output);
        let (dim, rows_per_step) = given(manifest, output)?;
        let (hop_frames, steps) = hop(manifest, options.hop_frames, window_frames, output)?;
        let (precision, graph) = graph(manifest, options.precision)?;
        let (width, samples_per_frame) = match &manifest.frontend {
            Frontend::Logmel(front_end) => (front_end.n_mels as usize, front_end.hop_length),
            Frontend::InGraph => (1, 1),
        };
        let in_text_space = Recipe::new(manifest).in_text_space(output);
        match &manifest.clap {
            Some(Clap { dim: text, .. }) if in_text_space && *text as usize != dim => {
                return Err(EncoderError::TextSpace { text: *text as usize, encoder: dim });
            }
            _ => {}
        }
        Ok(Self {
            window_frames,
            hop_frames,
            edge: options.edge.unwrap_or(manifest.window.edge),
            output,
            precision,
            width,
            sample_rate: manifest.audio.sample_rate,
            samples_per_frame,
            dim,
            rows_per_step,
            steps,
            in_text_space,
            max_batch: graph.max_batch,
        })
    }

    /// Where the windows lie, and when the stream's last one is due.
    pub fn grid(&self) -> WindowGrid {
        let grid = WindowGrid::new(self.window_frames, self.hop_frames);
        match &self.steps {
            Some(steps) => grid.with_lead(steps.lead_frames()),
            None => grid,
        }
    }

    /// Seconds from one frame to the next.
    pub fn frame_seconds(&self) -> f64 {
        f64::from(self.samples_per_frame) / f64::from(self.sample_rate.max(1))
    }
}

/// A window that the encoder takes: of the package's own lengths, or a multiple between its limits.
///
/// The default and the longest window are legal though they be no multiple: the papers' windows of 1001 frames are cut
/// into 62 columns of 16 frames.
fn window(manifest: &Manifest, asked: Option<u32>) -> Result<u32, EncoderError> {
    let limits = &manifest.window;
    let frames = asked.unwrap_or(limits.frames);
    let own = frames == limits.frames || frames == limits.max_frames;
    let between = (limits.min_frames..=limits.max_frames).contains(&frames);
    if frames == 0 || !(own || (between && frames.is_multiple_of(limits.multiple_of.max(1)))) {
        return Err(EncoderError::Window {
            found: frames,
            min: limits.min_frames,
            max: limits.max_frames,
            multiple_of: limits.multiple_of,
            default: limits.frames,
        });
    }
    Ok(frames)
}

/// Frames from one window's start to the next one's at most: caps carry it as an int.
const LONGEST_HOP: u32 = i32::MAX as u32;

fn hop(
    manifest: &Manifest,
    asked: Option<u32>,
    window: u32,
    output: Output,
) -> Result<(u32, Option<StepGrid>), EncoderError> {
    let hop = asked.unwrap_or(manifest.window.default_hop_frames);
    if hop == 0 {
        return Err(EncoderError::Hop);
    }
    if hop > LONGEST_HOP {
        return Err(EncoderError::LongHop { found: hop, max: LONGEST_HOP });
    }
    if output == Output::Clip {
        return Ok((hop, None));
    }
    let steps = StepGrid::new(manifest.encoder.output.frames_per_column, window, hop);
    let (below, above) = steps.nearest_hops();
    match (steps.fits(), asked) {
        (true, _) => Ok((hop, Some(steps))),
        (false, None) => Ok((below, Some(StepGrid::new(steps.frames_per_step(), window, below)))),
        (false, Some(_)) => {
            Err(EncoderError::HopBetweenSteps { hop, frames_per_step: steps.frames_per_step(), below, above })
        }
    }
}

/// Length of a vector and vectors per time step.
fn given(manifest: &Manifest, output: Output) -> Result<(usize, usize), EncoderError> {
    let encoder = &manifest.encoder.output;
    let (dim, rows) = (encoder.dim as usize, encoder.freq_rows as usize);
    let refused = |reason| Err(EncoderError::Output { output, reason });
    let in_time = matches!(encoder.kind, EncoderKind::Tokens | EncoderKind::Frames);
    match (output, &manifest.head) {
        (Output::Frames | Output::Tokens, _) if !in_time => refused("its encoder gives one vector a window"),
        (Output::Frames | Output::Tokens, _) if encoder.frames_per_column == 0 => {
            refused("its manifest says that a time step stands for 0 frames")
        }
        (Output::Tokens, _) => Ok((dim, rows)),
        (Output::Frames, Some(head)) if head.frames => Ok((head.dim as usize, 1)),
        (Output::Frames, _) => match manifest.frame_dim() {
            Some(dim) => Ok((dim as usize, 1)),
            None => refused("its manifest says frame_embedding: none"),
        },
        (Output::Clip, None) if in_time && manifest.clip_pooling == ClipPooling::None => {
            refused("its manifest has neither clip_pooling nor a head")
        }
        (Output::Clip, _) => Ok((manifest.clip_dim() as usize, 1)),
    }
}

fn graph(manifest: &Manifest, asked: Option<Precision>) -> Result<(Precision, &Graph), EncoderError> {
    let graphs = &manifest.encoder.graphs;
    // In the map's order: fp32 where there is one, then fp16, bf16, int8.
    let chosen = asked.or_else(|| graphs.keys().next().copied());
    chosen
        .and_then(|p| graphs.get(&p).map(|graph| (p, graph)))
        .ok_or_else(|| EncoderError::Precision { asked, available: graphs.keys().copied().collect() })
}
