//! `melspec`: samples to log-mel frames.
//!
//! It takes mono `audio/x-raw` and gives `tensor/strided, tensor-id=log-mel`: one output buffer of whole frames per
//! input buffer, or one buffer per window with `edge=exact`. Frames do not depend on how the samples were cut.
//!
//! The front end is the peer's: `m2dencode` asks for its package's. Only where nobody downstream asks, or to say
//! beforehand what is expected, its own properties count; what they say and the peer contradicts is an error that
//! names both front ends. Where the package's graph has its front end inside, the peer asks for `tensor-id=waveform`: then
//! the samples themselves go on, as float32. Where it asks for exact windows with `fill` (`repeat`, `repeat-cut`), the last one, if it
//! is shorter, is filled by its own samples before it becomes frames; its duration and its offsets (in frames) stay those of the sound.
//!
//! ```text
//! gst-launch-1.0 filesrc location=street.flac ! decodebin ! audioconvert ! audioresample \
//!   ! melspec preset=m2d ! filesink location=street.f32
//! python3 -c "import numpy; print(numpy.fromfile('street.f32', 'f4').reshape(-1, 80).shape)"
//! ```
//!
//! | property | meaning |
//! |---|---|
//! | `preset` | the front end of a family of models: `auto`, `m2d`, `m2d-32k`, `byol-a`, `laion-clap`, `yamnet`, `custom` |
//! | `n-fft` `win-length` `hop-length` | lengths in samples; 0 = the preset's |
//! | `n-mels` | bands; 0 = the preset's |
//! | `f-min` `f-max` | edges of the bands in Hz; -1 = the preset's |
//! | `center` | whether frame t is centred on sample t × hop (reflected at the ends) or begins there |
//! | `spectrum` `mel-scale` `mel-norm` `triangles` `zero-dc` | what is summed in which bands |
//! | `log` `log-floor` | the logarithm and its constant |
//! | `edge` | `rolling`: frames of the continuous stream; `exact`: whole windows, each a recording of its own |
//! | `window` `hop` | length and distance of exact windows, in nanoseconds |
//! | `channel` | number of the channel that is heard, carried in the caps; -1 = all mixed |
//! | `bad-samples` | read-only: samples that were not finite and taken as 0 |
//!
//! Time: a buffer's PTS is that of its first frame's position (its centre, where frames are centred). A live clock's
//! drift is followed; a hole of up to one second, flagged by DISCONT or told by a GAP event, is filled with silence;
//! a longer one, a step back, or a jump of 40 ms that lasts one second ends the frames before it and begins a new
//! stream, marked DISCONT. Segments that run backwards are not analysed: GAP events only.
use gst::glib;
use gst::prelude::*;

mod format;
mod imp;
mod negotiate;
mod queries;
mod settings;
mod stream;

pub use settings::{Edge, Log, MelNorm, MelScale, Preset, Spectrum, Switch, Triangles};

glib::wrapper! {
    /// The element.
    pub struct MelSpec(ObjectSubclass<imp::MelSpec>) @extends gst::Element, gst::Object;
}

/// Registers the element and its enumerations.
///
/// # Errors
/// What GStreamer says.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    settings::mark_as_plugin_api();
    gst::Element::register(Some(plugin), "melspec", gst::Rank::NONE, MelSpec::static_type())
}
