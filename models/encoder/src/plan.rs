//! What a package makes of what the user asks for: window, hop, output, precision.

use listen_package::{Clap, ClipPooling, Edge, EncoderKind, Frontend, Graph, Manifest, Output, Precision};

use crate::recipe::Recipe;
use crate::{ChunkGrid, EncoderError, EncoderOptions, StepGrid, WindowGrid, WindowMode};

/// Everything that stands before a graph is loaded; two plans of one package and the same options are the same.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// Frames in a window (samples where the front end is in the graph). Where a stream is encoded in chunks: with
    /// `output=clip` any number of whole time steps, otherwise a chunk, whose own steps are given.
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
    /// Frames that a time step stands for; 0 where the encoder gives one vector a window.
    pub frames_per_step: u32,
    /// The chunks that a stream is encoded in; `None`: each window is encoded whole.
    pub chunks: Option<ChunkGrid>,
    /// Whether the graph carries over from one chunk to the next, so that the contexts are not encoded again: where ONNX Runtime's
    /// CPU provider runs it. A stream then hands over one job at a time, for the same bits each time and to keep no worker waiting.
    pub carries: bool,
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
        let output = options.output.unwrap_or(manifest.window.default_output);
        let (dim, rows_per_step) = given(manifest, output)?;
        let chunked = chunked(manifest, options, output)?;
        let chunks = chunked.as_ref().map(|chunked| chunked.chunks);
        let (window_frames, hop_frames, steps) = match chunked {
            Some(Chunked { window, hop, steps, .. }) => (window, hop, steps),
            None => {
                let window = window(manifest, options.window_frames)?;
                let (hop, steps) = hop(manifest, options.hop_frames, window, output)?;
                (window, hop, steps)
            }
        };
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
            edge: match chunks {
                // Chunks are cut from the continuous stream of frames.
                Some(_) => Edge::Rolling,
                None => options.edge.unwrap_or(manifest.window.edge),
            },
            output,
            precision,
            width,
            sample_rate: manifest.audio.sample_rate,
            samples_per_frame,
            dim,
            rows_per_step,
            steps,
            frames_per_step: manifest.encoder.output.frames_per_column,
            chunks,
            carries: chunks.is_some() && manifest.carry().is_some(),
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

    /// Whether windows are pooled from the time steps of chunks: then [`Repooler`](crate::Repooler) encodes them.
    pub fn repools(&self) -> bool {
        self.chunks.is_some() && self.output == Output::Clip
    }

    /// Frames from a window's first one to the last one that is needed for what is given of it.
    pub fn latency_frames(&self) -> u64 {
        let (window, hop) = (u64::from(self.window_frames), u64::from(self.hop_frames));
        self.chunks.map_or(window, |chunks| chunks.latency(window, hop))
    }

    /// Seconds from one frame to the next.
    pub fn frame_seconds(&self) -> f64 {
        f64::from(self.samples_per_frame) / f64::from(self.sample_rate.max(1))
    }
}

/// How a stream is encoded in chunks.
struct Chunked {
    chunks: ChunkGrid,
    window: u32,
    hop: u32,
    steps: Option<StepGrid>,
}

/// Most values of time steps that are kept for a window (half a GiB as float32).
const MOST_KEPT: u64 = 1 << 27;

/// Chunks, and the windows that are pooled from them; `None`: windows are encoded whole.
///
/// Chunks are as long as the hop that the user asks for, so that results come as often: a longer one has the contexts
/// encoded less often. Without one they are as the package has them.
fn chunked(
    manifest: &Manifest,
    options: &EncoderOptions,
    output: Output,
) -> Result<Option<Chunked>, EncoderError> {
    let promised = manifest.streaming.as_ref().filter(|_| options.edge != Some(Edge::Exact));
    match options.window_mode {
        WindowMode::Whole => return Ok(None),
        WindowMode::Auto if promised.is_none() => return Ok(None),
        WindowMode::Auto | WindowMode::Chunked => {}
    }
    let encoder = &manifest.encoder.output;
    let refused = |reason| Err(EncoderError::Chunks { reason });
    if !matches!(encoder.kind, EncoderKind::Tokens | EncoderKind::Frames) {
        return refused("its encoder gives one vector a window");
    }
    if manifest.frontend == Frontend::InGraph {
        return refused("its graph takes samples");
    }
    if options.edge == Some(Edge::Exact) {
        return refused("edge=exact makes each window a recording of its own");
    }
    let step = encoder.frames_per_column.max(1);
    let unit = crate::prepare::lcm(step, manifest.window.multiple_of.max(1));
    let hop = match options.hop_frames {
        Some(0) => return Err(EncoderError::Hop),
        Some(hop) if hop > LONGEST_HOP => return Err(EncoderError::LongHop { found: hop, max: LONGEST_HOP }),
        Some(hop) => StepGrid::new(step, hop, hop).nearest_hop(),
        None => down(manifest.window.default_hop_frames, step),
    };
    let (chunk, left, right) = match &manifest.streaming {
        Some(promise) => {
            let (left, right) = (promise.left_context, promise.right_context);
            let longest = manifest.window.max_frames.saturating_sub(left.saturating_add(right));
            let asked = options.hop_frames.map_or(promise.chunk_frames, |_| hop);
            (down(asked.min(longest), unit), left, right)
        }
        None => {
            let all = down(manifest.window.frames, unit);
            let chunk = down(hop, unit).min(all);
            // As much context as there is chunk: twice the hop's sound is encoded, where whole windows encode window ÷ hop
            // times of it.
            let shortest = manifest.window.min_frames.saturating_sub(chunk).next_multiple_of(unit);
            let context = chunk.max(shortest).min(all - chunk);
            let right = context / 2 / unit * unit;
            (chunk, context - right, right)
        }
    };
    let chunks = ChunkGrid::new(chunk, left, right);
    if output != Output::Clip {
        let steps = Some(StepGrid::new(step, chunk, chunk));
        return Ok(Some(Chunked { chunks, window: chunk, hop: chunk, steps }));
    }
    let asked = options.window_frames.unwrap_or(manifest.window.frames);
    let values = u64::from(encoder.dim) * u64::from(encoder.freq_rows.max(1));
    let most = u32::try_from(MOST_KEPT / values.max(1) * u64::from(step)).unwrap_or(u32::MAX);
    if !(step..=most).contains(&asked) {
        let (min, max, default) = (step, most, manifest.window.frames);
        return Err(EncoderError::Window { found: asked, min, max, multiple_of: step, default });
    }
    Ok(Some(Chunked { chunks, window: down(asked, step), hop, steps: None }))
}

/// The multiple of `unit` at or below `frames`, and at least one.
fn down(frames: u32, unit: u32) -> u32 {
    (frames / unit * unit).max(unit)
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
    let hop = match (steps.fits(), asked) {
        (true, _) => hop,
        (false, None) => down(hop, steps.frames_per_step()),
        (false, Some(_)) => steps.nearest_hop(),
    };
    Ok((hop, Some(StepGrid::new(steps.frames_per_step(), window, hop))))
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
