//! What the user asks of an encoder.

use listen_package::{Edge, Output, Precision};
use listen_runtime::Provider;

/// How the windows of a stream are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WindowMode {
    /// In chunks where the package promises that they give the same (`streaming`), otherwise whole.
    ///
    /// Whole too where `edge=exact` is asked for: an exact window is a recording of its own.
    #[default]
    Auto,
    /// Each window by itself.
    Whole,
    /// Each frame once, in chunks with context on either side; a window is pooled from the time steps of its chunks.
    ///
    /// Where the package promises nothing, a chunk is as long as the hop, with half as much sound before it and half as
    /// much after it (more where the encoder takes nothing so short, never more than its window). What that loses: a time
    /// step hears two hops of sound at most instead of all of its window, and a window's steps were not encoded
    /// together; and statistics of `per_window` are those of a chunk with its contexts.
    Chunked,
}

/// What the user asks of an encoder; `None` leaves it to the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderOptions {
    /// What runs the graph.
    pub provider: Provider,
    /// Which device of the provider.
    pub device: u32,
    /// Which of the package's graphs; `None`: float32 if there is one, else the most exact.
    pub precision: Option<Precision>,
    /// Threads inside one run; 0: the runtime's choice.
    pub intra_op_threads: u32,
    /// Sessions that run at the same time; 0: cores ÷ `intra_op_threads`.
    pub workers: usize,
    /// Frames in a window.
    pub window_frames: Option<u32>,
    /// Frames from one window's start to the next one's; rounded to whole time steps where those are given or kept.
    pub hop_frames: Option<u32>,
    /// Whether a window's edge frames see the samples around it. The encoder only hands it on: frames come made.
    pub edge: Option<Edge>,
    /// What an embedding stands for.
    pub output: Option<Output>,
    /// How windows are encoded.
    pub window_mode: WindowMode,
}

impl Default for EncoderOptions {
    /// The package's defaults, on whatever provider there is, one session of one thread.
    fn default() -> Self {
        Self {
            provider: Provider::Auto,
            device: 0,
            precision: None,
            intra_op_threads: 1,
            workers: 1,
            window_frames: None,
            hop_frames: None,
            edge: None,
            output: None,
            window_mode: WindowMode::Auto,
        }
    }
}
