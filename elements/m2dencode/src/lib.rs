//! `m2dencode`: log-mel frames to embeddings.
//!
//! It takes the frames of `melspec`, cuts them into windows and gives an embedding of each:
//! `tensor/strided, tensor-id=audio-embedding` (`class-scores` where the package is a tagger). The encoder is a model
//! package: nothing here knows a model's name. Its sink pad asks for the package's front end, by which `melspec`
//! configures itself.
//!
//! ```text
//! gst-launch-1.0 filesrc location=street.flac ! decodebin ! audioconvert ! audioresample \
//!   ! melspec ! m2dencode model=clap2025.pkg ! filesink location=street.f32
//! ```
//!
//! | property | meaning |
//! |---|---|
//! | `model` | folder of the model package; unset: the one that is compiled in |
//! | `accept-license` | whether its terms are accepted, where it asks for that |
//! | `onnxruntime` | path of libonnxruntime.so; unset: it is looked for |
//! | `execution-provider` `device` | who computes, and on which of its devices |
//! | `precision` | which of the package's graphs runs; `auto`: the quickest, see below |
//! | `window` `hop` | length and distance of windows in nanoseconds; 0 = the package's |
//! | `edge` | whether a window's edge frames see the samples around it |
//! | `output` | one vector per window (`clip`), per time step (`frames`), or the encoder's `tokens` |
//! | `window-mode` | whether each window is encoded whole, or pooled from chunks of the stream: see below |
//! | `intra-op-threads` `workers` | threads of a run, and runs at the same time |
//! | `max-batch` `max-wait` | windows that are encoded together, and nanoseconds that they wait for each other |
//! | `inference-latency` | nanoseconds that a live pipeline allows for encoding; -1 (the largest value) = one hop |
//! | `overload` | what happens when windows come faster than they are encoded |
//! | `gate` | windows below this level in dB are not encoded; -140 = all are |
//! | `watchdog` | nanoseconds without a window after which a warning is posted; 0 = never |
//! | `stats` | read-only: see below |
//!
//! # How it runs
//! The streaming thread cuts frames into windows and puts them into a ring; a task on the source pad hands them to the
//! engine, which all elements of the process with the same package and options share, and pushes what comes back.
//! CAPS, SEGMENT and a first GAP go out at once, so that sinks preroll; a window that does not come out is a GAP.
//! In a live stream as many windows may wait as one buffer makes whole, and one more.
//!
//! The ring holds whole windows, not frames. Windows overlap, and overload drops one of them, of any age, by itself: a
//! ring of frames could not give up one window and keep what its neighbours share with it, and an overwriting one would
//! tear the window that is being read. It costs memory for the overlap: a window that waits has its frames to itself
//! (110 kB of the default package's, and at most as many wait as above).
//!
//! Each buffer carries `GstListenWindowMeta` (level and time of its window) and, with `output=frames` of a package that takes
//! log-mel, `GstListenStrengthMeta`: how strongly sound begins and ends at each mel frame that the buffer describes
//! (`listen_features::Strengths`), which `clapmatch` places onsets and offsets by. Where a window, or a chunk with its contexts,
//! has less than 120 ms on one side of a frame, what begins there counts by as much less.
//!
//! Graphs load in the background from READY on (`progress` messages named `loading`). Frames that come meanwhile wait,
//! or in a live stream their windows are lost and counted.
//!
//! `precision=auto` takes, of the package's graphs whose cosine to the float32 graph is at least 0.995 in the manifest, the
//! one that is quickest on this machine with these `intra-op-threads`. A package with one such graph has nothing to
//! measure. Otherwise each is loaded and timed when the package is first opened on a machine, which takes some seconds;
//! it is remembered in `$XDG_CACHE_HOME/gst-listen/quickest` (one small text file; delete it to measure anew, on a quiet
//! machine). `stats` says in `precision` which one runs. Embeddings that are to be compared to the bit from machine to
//! machine need a precision by name.
//!
//! A live stream's latency is window + `max-wait` + `inference-latency`, constant while playing; in chunks the window is
//! counted up to the end of its last chunk's context. `stats` has, under one
//! lock, `in` = `out` + `dropped` + `gated` + `flushed` + `lost-loading` + `pending`; `inference-mean`, `-p50`, `-p95`
//! and `-max` of the engine in ns (where windows are pooled from chunks that is the encoding of the chunks, and the pooling is
//! in the mean alone); its `queue-depth` and `elements`; `real-time-factor` (a window's inference over the
//! hop); the last window's `level` in dB; `latency-p50`, `-p99` and `-max` in ns, from a window's last frame to its
//! embedding; `execution-provider`, `precision`, `live`.
//!
//! # Whole or in chunks
//! Where windows overlap, encoding each of them whole encodes each second of sound several times. In chunks each frame
//! is encoded once, with context on either side; the time steps are kept, and a window is pooled from those in it: a
//! hop of 1 s over a window of 10 s costs 1 s of encoding and its contexts. Where the package's graph carries over what it has
//! heard (`streaming.carry`; the default package's does) and the CPU runs it, it costs 1 s of encoding and nothing else. A stream is
//! then encoded by one worker at a time, each chunk with what the one before it left; several streams share the workers as ever. A
//! chunk that follows on one that was dropped or gated has its contexts encoded with it, with the same result but for rounding.
//!
//! `window-mode=auto` does that where the package promises (`streaming` in its manifest) that its time steps see no
//! further than the contexts: nothing is lost then, but for the order of additions (1e-5). It is whole otherwise, and
//! with `edge=exact`. With `output=clip` windows may then have any length in whole time steps. Chunks are as long as the
//! `hop` that is asked for: without `streaming.carry` a long one is quicker, since the contexts are encoded less often.
//!
//! `window-mode=chunked` does it with any encoder that gives time steps and has a head or a pooling, M2D-CLAP's too: a
//! chunk is as long as the hop, with half as much sound before it and half as much after it (more where the encoder takes
//! nothing so short). **That is an approximation**: a time step has heard two hops of sound and not its whole window, so
//! that what is far apart in a window was never compared; results come half a hop later. A longer hop loses less and
//! saves less. Measure it against `whole` for your sounds before you rely on a threshold.
//!
//! Where overload drops a window, the next one takes its chunks along as far as it needs them: no other window is lost.
//! A window whose chunks were lost all the same is not joined over the hole: it counts as dropped.
//!
//! A stream's last window is padded as the package says. A hole of up to one second (DISCONT, GAP) is filled with
//! silence; after a longer one, a step back or a buffer marked RESYNC a new stream begins, and what was there is ended.
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

mod controls;
#[doc(hidden)]
pub mod engine;
mod imp;
mod input;
mod load;
mod model;
mod pads;
mod queue;
mod settings;
mod state;
mod stats;
mod task;

pub use settings::{Edge, ExecutionProvider, Output, Overload, Precision, WindowMode};

glib::wrapper! {
    /// The element.
    pub struct M2dEncode(ObjectSubclass<imp::M2dEncode>) @extends gst::Element, gst::Object;
}

impl M2dEncode {
    /// Puts something else in the place of the process's engines: a seam for tests, which need no ONNX Runtime then.
    #[doc(hidden)]
    pub fn set_opener(&self, open: engine::Open) {
        self.imp().set_opener(open);
    }
}

/// Registers the element and its enumerations.
///
/// # Errors
/// What GStreamer says.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    settings::mark_as_plugin_api();
    gst::Element::register(Some(plugin), "m2dencode", gst::Rank::NONE, M2dEncode::static_type())
}
