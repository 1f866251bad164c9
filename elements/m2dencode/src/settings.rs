//! What the user sets.

use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use listen_encoder::EncoderOptions;
use listen_package::Manifest;
use listen_runtime::{Limits, Provider};

/// An enumeration whose values stand for themselves; its first is the default.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident, $gtype:literal, { $first:ident = $nick0:literal: $text0:literal, $($variant:ident = $nick:literal: $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
        #[enum_type(name = $gtype)]
        #[allow(missing_docs, reason = "each value's text stands beside it, for gst-inspect")]
        pub enum $name {
            #[default]
            #[enum_value(name = $text0, nick = $nick0)]
            $first,
            $(#[enum_value(name = $text, nick = $nick)] $variant),*
        }
    };
}

choice!(
    /// Who computes.
    ExecutionProvider, "GstM2dEncodeExecutionProvider", {
        Auto = "auto": "The best that this machine has",
        Cpu = "cpu": "ONNX Runtime's own kernels",
        Cuda = "cuda": "NVIDIA GPU",
        Tensorrt = "tensorrt": "NVIDIA GPU, by engines built for the graph and cached under XDG_CACHE_HOME",
        Openvino = "openvino": "Intel and other CPUs with bfloat16, Intel GPUs",
    }
);
choice!(
    /// Which of the package's graphs.
    Precision, "GstM2dEncodePrecision", {
        Auto = "auto": "The graph that is quickest on this machine",
        Fp32 = "fp32": "float32",
        Fp16 = "fp16": "float16",
        Bf16 = "bf16": "bfloat16",
        Int8 = "int8": "8-bit integers",
    }
);
choice!(
    /// The frames at a window's edges.
    Edge, "GstM2dEncodeEdge", {
        Auto = "auto": "As the package has it",
        Rolling = "rolling": "Windows are cut from the continuous stream of frames",
        Exact = "exact": "Each window is a recording of its own, reflected at its edges",
    }
);
choice!(
    /// What an embedding stands for.
    Output, "GstM2dEncodeOutput", {
        Auto = "auto": "As the package has it",
        Clip = "clip": "One vector per window",
        Frames = "frames": "One vector per time step",
        Tokens = "tokens": "The encoder's tokens, time step by time step",
    }
);
choice!(
    /// How windows are encoded.
    WindowMode, "GstM2dEncodeWindowMode", {
        Auto = "auto": "In chunks where the package promises that this gives the same, otherwise whole",
        Whole = "whole": "Each window by itself",
        Chunked = "chunked": "Each frame once, in chunks; windows are pooled from what is kept of them",
    }
);
choice!(
    /// What happens when windows come faster than they are encoded.
    Overload, "GstM2dEncodeOverload", {
        Auto = "auto": "Drop the oldest where the stream is live, block where it is not",
        Block = "block": "Block upstream",
        DropOldest = "drop-oldest": "Drop the oldest window that waits",
        DropNewest = "drop-newest": "Drop the window that has just come",
    }
);

/// Makes the enumerations known to documentation tools.
pub(crate) fn mark_as_plugin_api() {
    let types = [
        ExecutionProvider::static_type(),
        Precision::static_type(),
        Edge::static_type(),
        Output::static_type(),
        WindowMode::static_type(),
        Overload::static_type(),
    ];
    for enumeration in types {
        enumeration.mark_as_plugin_api(gst::PluginAPIFlags::empty());
    }
}

/// `gate` at which nothing is gated: no level is below it.
pub(crate) const GATE_OFF: f64 = -140.0;
/// `inference-latency` that stands for one hop.
pub(crate) const ONE_HOP: u64 = u64::MAX;
/// Windows in a batch on a GPU where the user does not say.
const GPU_BATCH: u32 = 8;

/// The properties' values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub model: Option<String>,
    pub accept_license: bool,
    pub onnxruntime: Option<String>,
    pub execution_provider: ExecutionProvider,
    pub device: u32,
    pub precision: Precision,
    pub window: u64,
    pub hop: u64,
    pub edge: Edge,
    pub output: Output,
    pub window_mode: WindowMode,
    pub intra_op_threads: u32,
    pub workers: u32,
    pub max_batch: u32,
    pub max_wait: u64,
    pub inference_latency: u64,
    pub overload: Overload,
    pub gate: f64,
    pub watchdog: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: None,
            accept_license: false,
            onnxruntime: None,
            execution_provider: ExecutionProvider::Auto,
            device: 0,
            precision: Precision::Auto,
            window: 0,
            hop: 0,
            edge: Edge::Auto,
            output: Output::Auto,
            window_mode: WindowMode::Auto,
            intra_op_threads: 1,
            workers: 0,
            max_batch: 0,
            max_wait: 0,
            inference_latency: ONE_HOP,
            overload: Overload::Auto,
            gate: GATE_OFF,
            watchdog: 0,
        }
    }
}

impl Settings {
    /// What is asked of the encoder; times become frames, rounded to the nearest.
    pub fn options(&self, manifest: &Manifest) -> EncoderOptions {
        let samples = manifest.front_end().map_or(1, |front_end| front_end.hop_length.max(1));
        let frames = |ns: u64| {
            let frame = 1_000_000_000 * u128::from(samples);
            let frames = (u128::from(ns) * u128::from(manifest.audio.sample_rate) + frame / 2) / frame;
            (ns > 0).then(|| u32::try_from(frames).unwrap_or(u32::MAX))
        };
        EncoderOptions {
            window_mode: match self.window_mode {
                WindowMode::Auto => listen_encoder::WindowMode::Auto,
                WindowMode::Whole => listen_encoder::WindowMode::Whole,
                WindowMode::Chunked => listen_encoder::WindowMode::Chunked,
            },
            provider: match self.execution_provider {
                ExecutionProvider::Auto => Provider::Auto,
                ExecutionProvider::Cpu => Provider::Cpu,
                ExecutionProvider::Cuda => Provider::Cuda,
                ExecutionProvider::Tensorrt => Provider::TensorRt,
                ExecutionProvider::Openvino => Provider::OpenVino,
            },
            device: self.device,
            precision: match self.precision {
                Precision::Auto => None,
                Precision::Fp32 => Some(listen_package::Precision::Fp32),
                Precision::Fp16 => Some(listen_package::Precision::Fp16),
                Precision::Bf16 => Some(listen_package::Precision::Bf16),
                Precision::Int8 => Some(listen_package::Precision::Int8),
            },
            intra_op_threads: self.intra_op_threads,
            workers: self.workers as usize,
            window_frames: frames(self.window),
            hop_frames: frames(self.hop),
            edge: match self.edge {
                Edge::Auto => None,
                Edge::Rolling => Some(listen_package::Edge::Rolling),
                Edge::Exact => Some(listen_package::Edge::Exact),
            },
            output: match self.output {
                Output::Auto => None,
                Output::Clip => Some(listen_package::Output::Clip),
                Output::Frames => Some(listen_package::Output::Frames),
                Output::Tokens => Some(listen_package::Output::Tokens),
            },
        }
    }

    /// What a window allows its batch; `largest` is what the graph can take.
    pub fn limits(&self, largest: Option<u32>) -> Limits {
        let on_gpu = matches!(self.execution_provider, ExecutionProvider::Cuda | ExecutionProvider::Tensorrt);
        let asked = match self.max_batch {
            0 if on_gpu => GPU_BATCH,
            0 => 1,
            asked => asked,
        };
        let max_batch = largest.map_or(asked, |largest| asked.min(largest)).max(1);
        Limits { max_batch: max_batch as usize, max_wait: Duration::from_nanos(self.max_wait) }
    }

    /// What to do when windows come faster than they are encoded.
    pub fn policy(&self, live: bool) -> Policy {
        match self.overload {
            Overload::Auto if live => Policy::DropOldest,
            Overload::Auto | Overload::Block => Policy::Block,
            Overload::DropOldest => Policy::DropOldest,
            Overload::DropNewest => Policy::DropNewest,
        }
    }
}

/// What happens to a window that finds no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// It waits.
    Block,
    /// The one that has waited longest makes room for it.
    DropOldest,
    /// It is dropped.
    DropNewest,
}
