//! The package, and what it makes of the settings.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use gst::ClockTime;
use gst_listen_common::caps::{EdgeCaps, EmbeddingCaps, EmbeddingKind, MelFormat, WaveformCaps};
use listen_encoder::{EncoderError, EncoderOptions, Plan};
use listen_features::Fill;
use listen_package::{ClipPooling, Edge, Manifest, Output, Package, Precision, ShortPad};

use crate::settings::{ONE_HOP, Settings};

/// An open package and the plan for one element. Its graphs are loaded apart.
#[derive(Debug)]
pub(crate) struct OpenModel {
    pub package: Arc<Package>,
    pub plan: Plan,
    pub options: EncoderOptions,
    /// What the sink pad takes; `None` where the graph takes samples.
    pub format: Option<MelFormat>,
    kind: EmbeddingKind,
    dim: u32,
    /// The graph that runs, where the user left it to us, once that is known.
    chosen: OnceLock<Precision>,
}

impl OpenModel {
    /// Opens the package that the settings name, or the one that is compiled in.
    ///
    /// # Errors
    /// What is wrong with the package, or with what the settings ask of it.
    pub fn open(settings: &Settings) -> Result<Self, EncoderError> {
        let package = match &settings.model {
            Some(folder) => Package::open(Path::new(folder), settings.accept_license)?,
            None => Package::default_package()?,
        };
        let manifest = package.manifest();
        let options = settings.options(manifest);
        let plan = Plan::new(manifest, &options)?;
        let edge = match plan.edge {
            Edge::Rolling => EdgeCaps::Rolling,
            Edge::Exact => EdgeCaps::Exact {
                window: plan.window_frames,
                hop: plan.hop_frames,
                // The stream's last time steps are in the middle of no window.
                tail: plan.steps.is_some_and(|steps| steps.overlaps()),
                fill: match manifest.window.short_pad {
                    ShortPad::Repeat => Some(Fill::Repeat),
                    ShortPad::RepeatCut => Some(Fill::RepeatCut),
                    ShortPad::ZeroNormalized | ShortPad::Silence => None,
                },
            },
        };
        let format = package.front_end().map(|front_end| MelFormat {
            front_end: front_end.clone(),
            pre_scale: manifest.audio.pre_scale,
            int16_roundtrip: manifest.audio.int16_roundtrip,
            edge,
        });
        let (kind, dim) = match package.classes() {
            Some(classes) if scores_flow(manifest, &plan) => (EmbeddingKind::ClassScores, classes.len()),
            _ => (EmbeddingKind::Embedding, plan.dim),
        };
        let dim = u32::try_from(dim).unwrap_or(u32::MAX);
        Ok(Self { kind, dim, format, plan, options, package, chosen: OnceLock::new() })
    }

    /// Whether each buffer is a window.
    pub fn comes_in_windows(&self) -> bool {
        self.plan.edge == Edge::Exact && self.format.is_some()
    }

    /// Whether a length of windows means nothing: a stream in chunks, of which the time steps are given.
    pub fn ignores_window(&self) -> bool {
        self.plan.chunks.is_some() && !self.plan.repools()
    }

    /// The hop that was taken where it is another than the one asked for by half a frame or more.
    pub fn rounded_hop(&self, settings: &Settings) -> Option<ClockTime> {
        let (asked, taken) = (settings.hop, self.time(u64::from(self.plan.hop_frames)));
        let half_a_frame = self.time(1).nseconds() / 2;
        (asked != 0 && asked.abs_diff(taken.nseconds()) > half_a_frame).then_some(taken)
    }

    /// Whether what flows are class scores.
    pub fn gives_scores(&self) -> bool {
        self.kind == EmbeddingKind::ClassScores
    }

    /// Values in a row of what flows.
    pub fn dim(&self) -> usize {
        self.dim as usize
    }

    /// What the sink pad asks for.
    pub fn sink_caps(&self) -> gst::Caps {
        match &self.format {
            Some(format) => gst::Caps::from(format.to_structure()),
            None => {
                let rate = self.plan.sample_rate;
                let mut caps = gst::Caps::from(WaveformCaps::structure(rate));
                let audio = gst::Caps::builder("audio/x-raw")
                    .field("format", "F32LE")
                    .field("layout", "interleaved")
                    .field("channels", 1)
                    .field("rate", i32::try_from(rate).unwrap_or(i32::MAX));
                caps.merge(audio.build());
                caps
            }
        }
    }

    /// What the source pad gives for a stream of `channel`.
    pub fn src_caps(&self, channel: i32) -> gst::Caps {
        let step = self.plan.steps.map(|steps| self.time(u64::from(steps.frames_per_step())).nseconds());
        let rows_per_step = u32::try_from(self.plan.rows_per_step).unwrap_or(u32::MAX);
        let space = self.package.space().into();
        EmbeddingCaps {
            kind: self.kind,
            dim: self.dim,
            space,
            output: self.plan.output,
            step,
            rows_per_step,
            channel,
        }
        .to_caps()
    }

    /// What the source pad gives before it is known which channel is heard.
    pub fn src_caps_of_any_channel(&self) -> gst::Caps {
        let mut caps = self.src_caps(gst_listen_common::caps::MIXED);
        caps.make_mut().iter_mut().for_each(|structure| structure.remove_field("channel"));
        caps
    }

    /// Says which graph runs, where the user left it to us: the quickest on this machine. It may take some seconds, the
    /// first time. The options to open an engine with.
    ///
    /// # Errors
    /// None that opening would not have.
    pub fn choose(&self) -> Result<EncoderOptions, EncoderError> {
        let precision = match self.options.precision {
            Some(asked) => asked,
            None => listen_encoder::quickest(&self.package, &self.options)?,
        };
        let precision = *self.chosen.get_or_init(|| precision);
        Ok(EncoderOptions { precision: Some(precision), ..self.options.clone() })
    }

    /// Windows in a batch that the graph which runs can take.
    pub fn max_batch(&self) -> Option<u32> {
        let precision = self.chosen.get().unwrap_or(&self.plan.precision);
        self.package.manifest().encoder.graphs.get(precision).and_then(|graph| graph.max_batch)
    }

    /// The precision that runs, in words; `auto` until it is known.
    pub fn precision(&self) -> &'static str {
        let one = self.package.manifest().encoder.graphs.len() == 1;
        let known = self.options.precision.is_some() || one;
        let Some(precision) = self.chosen.get().copied().or(known.then_some(self.plan.precision)) else {
            return "auto";
        };
        match precision {
            Precision::Fp32 => "fp32",
            Precision::Fp16 => "fp16",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
        }
    }

    /// The time that so many frames take, rounded down.
    pub fn time(&self, frames: u64) -> ClockTime {
        let samples = u128::from(frames) * u128::from(self.plan.samples_per_frame);
        clock_time(samples * 1_000_000_000 / u128::from(self.plan.sample_rate.max(1)))
    }

    /// From a window's first frame to when its embedding is promised, where the stream is live.
    ///
    /// With `edge=exact` the window has passed when it arrives: melspec counts it then.
    pub fn latency(&self, settings: &Settings) -> ClockTime {
        let window = match self.plan.edge {
            Edge::Rolling => self.time(self.plan.latency_frames()),
            Edge::Exact => ClockTime::ZERO,
        };
        let inference = match settings.inference_latency {
            ONE_HOP => self.time(u64::from(self.plan.hop_frames)),
            ns => clock_time(ns.into()),
        };
        window.saturating_add(clock_time(settings.max_wait.into())).saturating_add(inference)
    }

    /// Exact windows that upstream can make whole at once where it is `held` behind, its wait for a window's last frame
    /// counted: 1 at least.
    pub fn windows_held(&self, held: ClockTime) -> usize {
        let window = self.time(u64::from(self.plan.window_frames.saturating_sub(1)));
        let hop = self.time(u64::from(self.plan.hop_frames)).nseconds().max(1);
        let windows = held.saturating_sub(window).nseconds().div_ceil(hop);
        usize::try_from(windows).unwrap_or(usize::MAX).max(1)
    }

    /// Frames at the start of a window that are not described by what it gives, where it is not the first.
    pub fn lead(&self) -> u64 {
        self.plan.steps.filter(|steps| steps.overlaps()).map_or(0, |steps| steps.lead_frames().into())
    }
}

/// A time, at most the last that there is.
pub(crate) fn clock_time(ns: u128) -> ClockTime {
    let ns = u64::try_from(ns).unwrap_or(u64::MAX);
    ClockTime::from_nseconds(ns.min(ClockTime::MAX.nseconds()))
}

/// Whether a package gives the scores of its classes: where nothing can be compared with text, and as far as the
/// encoder scores what is asked for ([`listen_encoder::Embedding::scores`]).
fn scores_flow(manifest: &Manifest, plan: &Plan) -> bool {
    let per_step = match &manifest.head {
        Some(head) => head.frames,
        None => manifest.clip_pooling == ClipPooling::MeanTime,
    };
    let scored = match plan.output {
        Output::Clip => true,
        Output::Frames => per_step,
        Output::Tokens => false,
    };
    manifest.tagger.is_some() && manifest.clap.is_none() && scored
}
