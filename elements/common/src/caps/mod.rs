//! The caps of what flows between the elements.
//!
//! `tensor/strided` and its fields `tensor-id`, `type`, `dims-order` and `dims` are upstream's own names (GStreamer
//! 1.28 uses them inside of `tensors=`); as a media type of a pad they are ours, and stand here alone, so that they
//! can follow upstream.
//!
//! | field of a mel stream | type | meaning |
//! |---|---|---|
//! | `tensor-id` | string | `log-mel` |
//! | `dims` | array | `<0, N_MELS>`: any number of frames |
//! | `rate` `n-fft` `win-length` `hop-length` `n-mels` | int | Hz, samples, bands |
//! | `window-shape` | string | `hann-periodic` |
//! | `center` `zero-dc` | boolean | |
//! | `pad-mode` `spectrum` `mel-scale` `mel-norm` `triangles` `log` | string | the manifest's words, with `-` for `_` |
//! | `f-min` `f-max` `pre-scale` | int where whole, else string | Hz, Hz, factor on the samples |
//! | `log-floor` | string | the logarithm's constant, shortest decimal that reads back to the same double |
//! | `int16-roundtrip` | boolean | samples are rounded to 16 bits first |
//! | `edge` | string | `rolling`, or `exact` with `window` and `hop` (int, frames) |
//! | `channel` | int | the channel that is heard, -1 = all mixed |
//!
//! | field of a stream of samples (a graph that has its front end inside) | type | meaning |
//! |---|---|---|
//! | `tensor-id` | string | `waveform` |
//! | `dims` | array | `<0, 1>`: any number of samples, in [-1, 1] |
//! | `rate` | int | Hz |
//! | `channel` | int | as above |
//!
//! | field of an embedding stream | type | meaning |
//! |---|---|---|
//! | `tensor-id` | string | `audio-embedding`, or `class-scores` where a package is a tagger and gives its classes' scores |
//! | `dims` | array | `<1, D>` for `output=clip`, `<0, D>` (any number of rows) for `frames` and `tokens` |
//! | `space` | string | package id and 12 hex digits of its manifest's sha256: only equal spaces compare |
//! | `output` | string | `clip`, `frames` or `tokens` |
//! | `step` | int64 | `frames` and `tokens`: nanoseconds that a time step stands for |
//! | `rows-per-step` | int | `tokens`: rows that a time step has, one per row of patches over frequency |
//! | `channel` | int | as above |
//!
//! Values are float32 in little-endian byte order on every machine, row after row without gaps: a stream that was
//! written to a file or sent to another machine reads as it is.
//!
//! Arrays intersect literally and doubles do not intersect with ints: templates leave `dims` out, and no field is a
//! double. `dims` is checked when CAPS arrive.

mod bank;
mod embedding;
mod error;
mod fields;
mod mel;
mod waveform;

pub use embedding::{EmbeddingCaps, EmbeddingKind, embedding_template};
pub use error::CapsError;
pub use mel::{EdgeCaps, MelCaps, MelFormat, mel_template};
pub use waveform::{WaveformCaps, waveform_template};

/// The media type of tensors.
pub const MEDIA_TYPE: &str = "tensor/strided";
/// `tensor-id` of a mel stream.
pub const LOG_MEL: &str = "log-mel";
/// `tensor-id` of a stream of samples.
pub const WAVEFORM: &str = "waveform";
/// `tensor-id` of an embedding stream.
pub const AUDIO_EMBEDDING: &str = "audio-embedding";
/// `tensor-id` of a tagger's scores, one row per window, in the order of the package's classes.
pub const CLASS_SCORES: &str = "class-scores";
/// `channel` of a stream in which all channels are mixed.
pub const MIXED: i32 = -1;

/// Answers a CAPS query with what a pad takes or gives, in the asker's order where it has one.
pub fn answer(query: &mut gst::query::Caps, ours: &gst::Caps) {
    match query.filter() {
        Some(filter) => query.set_result(&filter.intersect_with_mode(ours, gst::CapsIntersectMode::First)),
        None => query.set_result(ours),
    }
}

/// As [`answer`]; but where an asker can give nothing of `ours`, though it stands in `template`, it is told the template.
///
/// Its CAPS come then, and are refused with an error that names both sides. Told that nothing fits, it would end the
/// pipeline with a bare "not-negotiated", in the name of an element that has nothing to do with it.
pub fn answer_or_hear(query: &mut gst::query::Caps, ours: &gst::Caps, template: &gst::Caps) {
    let foreign =
        query.filter().is_some_and(|filter| !filter.can_intersect(ours) && filter.can_intersect(template));
    answer(query, if foreign { template } else { ours });
}

/// The fields that every tensor of ours has.
fn tensor(id: &str) -> gst::structure::Builder {
    gst::Structure::builder(MEDIA_TYPE)
        .field("tensor-id", id)
        .field("type", "float32")
        .field("dims-order", "row-major")
}
