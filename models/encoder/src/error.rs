//! Why there is no encoder.

use listen_features::FrontEndError;
use listen_package::{Output, PackageError, Precision};
use listen_runtime::RuntimeError;

/// An encoder that cannot be had; each names what was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncoderError {
    /// A window that the encoder does not take.
    #[error(
        "a window of {found} frames: the encoder takes {min} to {max} frames in multiples of {multiple_of}, \
         or its own {default}"
    )]
    Window {
        /// Asked for.
        found: u32,
        /// Shortest.
        min: u32,
        /// Longest.
        max: u32,
        /// Granularity.
        multiple_of: u32,
        /// The package's default.
        default: u32,
    },
    /// A hop of 0 frames.
    #[error("a hop of 0 frames: windows are at least 1 frame apart")]
    Hop,
    /// A hop longer than caps can tell of.
    #[error("a hop of {found} frames: windows are at most {max} frames apart")]
    LongHop {
        /// Asked for, in frames.
        found: u32,
        /// Longest.
        max: u32,
    },
    /// A stream that cannot be encoded in chunks.
    #[error("the package's streams cannot be encoded in chunks (window-mode=chunked): {reason}")]
    Chunks {
        /// Why not.
        reason: &'static str,
    },
    /// An output that the package cannot give.
    #[error("the package cannot give output={}: {reason}", output_name(*output))]
    Output {
        /// Asked for.
        output: Output,
        /// Why not.
        reason: &'static str,
    },
    /// A graph that the package does not hold.
    #[error("the package has no graph in {}; it has {}", precision_name(*asked), precision_names(available))]
    Precision {
        /// Asked for; `None`: any.
        asked: Option<Precision>,
        /// What there is.
        available: Vec<Precision>,
    },
    /// Embeddings and texts in spaces of different dimension.
    #[error("the manifest's clap.dim is {text}, but the encoder's embeddings have {encoder} values")]
    TextSpace {
        /// The manifest's.
        text: usize,
        /// What the encoder and its head give.
        encoder: usize,
    },
    /// A graph that is not what the manifest says.
    #[error("{file}: {what}: the manifest says {expected}, the graph has {found}")]
    Graph {
        /// The graph's file.
        file: String,
        /// What disagrees: a key of the manifest, perhaps with the name that it gives.
        what: String,
        /// The manifest's.
        expected: String,
        /// The graph's.
        found: String,
    },
    /// The front end does not give the package's log-mel.
    #[error(
        "self-test {file}: the log-mel differs from the package's by up to {found:e} (frame {frame}, band {band}), \
         {allowed:e} is allowed"
    )]
    SelfTestLogMel {
        /// The test's file.
        file: String,
        /// Largest absolute difference found.
        found: f64,
        /// Largest one allowed.
        allowed: f64,
        /// Where it is largest: frame.
        frame: usize,
        /// Where it is largest: band.
        band: usize,
    },
    /// The self-test's sound, encoded part by part with what is carried over, does not give the time steps of the whole.
    #[error(
        "self-test {file}: with what the graph carries over, the cosine of time step {step} to that of the whole is \
         {found:.6}, at least {allowed:.6} is expected: `streaming.carry` or `streaming.right_context` does not fit the graph"
    )]
    SelfTestCarry {
        /// The test's file.
        file: String,
        /// The time step that differs most.
        step: usize,
        /// Its cosine.
        found: f64,
        /// Smallest one allowed.
        allowed: f64,
    },
    /// The encoder does not give the package's embedding.
    #[error(
        "self-test {file}: the embedding's cosine to the package's is {found:.6}, at least {allowed:.6} is \
         expected in {}",
        precision_name(Some(*precision))
    )]
    SelfTestEmbedding {
        /// The test's file.
        file: String,
        /// Cosine found.
        found: f64,
        /// Smallest one allowed.
        allowed: f64,
        /// Of which graph.
        precision: Precision,
    },
    /// A front end that cannot be built.
    #[error(transparent)]
    FrontEnd(#[from] FrontEndError),
    /// A file of the package that cannot be had.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A graph that cannot be loaded or run.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// The name of a precision, as in the manifest.
pub(crate) fn precision_name(precision: Option<Precision>) -> &'static str {
    match precision {
        Some(Precision::Fp32) => "fp32",
        Some(Precision::Fp16) => "fp16",
        Some(Precision::Bf16) => "bf16",
        Some(Precision::Int8) => "int8",
        None => "any precision",
    }
}

/// The name of an output, as in the manifest.
pub(crate) fn output_name(output: Output) -> &'static str {
    match output {
        Output::Clip => "clip",
        Output::Frames => "frames",
        Output::Tokens => "tokens",
    }
}

fn precision_names(available: &[Precision]) -> String {
    let names: Vec<_> = available.iter().map(|&p| precision_name(Some(p))).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
