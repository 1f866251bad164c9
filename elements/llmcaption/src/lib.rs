//! `llmcaption`: what is heard, as sentences; and answers to questions about it.
//!
//! ```text
//! … ! m2dencode ! clapmatch labels="dog barking;siren" ! llmcaption ! fdsink
//! … ! clapmatch ! llmcaption backend=local ! fdsink
//! … ! clapmatch ! llmcaption backend=http url=http://127.0.0.1:8080/v1 model-name=qwen2.5 ! text/x-raw ! overlay.text_sink
//! ```
//!
//! It takes the embedding stream with the `ListenResult` metas of a clapmatch, or its JSON (`application/x-json,
//! format=audio-events`), and gives `text/x-raw, format=utf8`, one caption a buffer. Who reads text names its format, as
//! overlays, muxers and an `appsink` with `caps=text/x-raw,format=utf8` do, and gets the sentence alone. Where downstream takes
//! anything, as `fdsink` and `filesink` do, or `text/x-raw` of any format, each caption ends with a newline.
//!
//! Who writes is `backend`: `template` is code and needs no model, `http` asks a server, `local` runs the decoder that the
//! model package carries. Where one of those fails or takes longer than `timeout`, the template writes in its place.
//!
//! `local` takes the package of the stream's `space`, which an element of this process has open, or the one that `model` names.
//! It is loaded in the background (Progress messages `loading`) from CAPS on; captions wait for it within their `timeout`. A
//! decoder with a projector hears: it takes the embeddings that its package's manifest says (`output` of m2dencode must be that),
//! so it writes nothing from JSON. Without a projector it is told events in words. A package without a decoder, or one that cannot be
//! loaded, is told of in one warning, and the template writes.
//!
//! # When something is said
//!
//! Every event is in exactly one caption: when it has ended or gone on for `interval` (`trigger=event`), or every
//! `interval` (`trigger=interval`). A caption tells of all events that none has told of. Events below `min-evidence` are not
//! told, and nothing is said about silence. With `trigger=interval` a decoder that hears (`local`) also tells of windows
//! without an event that are 6 dB above the background, as far as their level is known.
//!
//! # Threads and time
//!
//! A thread of its own writes; the streaming thread never waits for it where upstream is live: requests that wait merge into
//! one caption, as long as it tells of no more than `context`, and those that are too many are left to the template. From a
//! file nothing is merged and the file waits. Time is never dropped.
//!
//! Captions go out in order: PTS is the later of the time at which the sound begins and the position already sent. GAPs
//! follow the input's position, `latency` behind it; live, they also overtake captions that are being written.
//!
//! A caption lasts as long as what it tells of did, but not into the next caption that is known, and at least 2 s. Of a sound
//! that goes on, a caption that is early (`latency`) waits for its time, so that it can last as long as the sound is known to:
//! up to `latency`. Live it waits for nothing, and what comes late stands for 2 s.
//!
//! At EOS captions that are under way, and questions that were asked before, have `timeout` to end, and are then left to the
//! template; EOS goes out behind them. A flush and the way to READY give captions up at once. Questions and captions take turns.
//!
//! Desynchronised (`latency=4294967295`), captions carry the time of the clock at which they are ready, and the latency
//! query is answered (live, 0, none) whatever upstream says: no sink waits for captions.
//!
//! # Messages
//!
//! | message | when | fields |
//! |---|---|---|
//! | `caption` | a caption goes out | `id, text, backend, fallback, start, end, timestamp, duration, running-time, stream-time, merged, events` (ids) |
//! | `caption-delta` | a model writes | `of` (`caption` or `answer`), `id, text` (what is new), `again` (what was given of this `id` is void) |
//! | `listen-answer` | a question was dealt with | `id, question, now, since, text, backend, fallback`, or `error` |
//! | `caption-fallback`, and a warning with these details | the template wrote in the place of the model: the first time, and once it is left alone or lost | `reason`, and `pause` (ns) where it is left alone |
//! | Info | it has recovered; the template has no messages in `language` and writes English | |
//!
//! # Questions
//!
//! The action signal `ask(question, look-back-ns) → id` asks about what was heard in the last so many nanoseconds, 0 = all that
//! is kept: an hour, or less where that is more than 16 MiB of events or 64 MiB of embeddings. "Now" is the stream's
//! position. The answer comes as message `listen-answer` with that id; 0 says that none will, because the element is stopped
//! or 16 questions wait. A flush, and a segment that goes back, begin anew.
//!
//! Of what is not listened for no answer says that it was not there: the list comes from a clapmatch upstream (the query
//! `listen-labels`); behind a file of lines, where nobody knows it, that nothing of that name was heard.
//!
//! # Properties
//!
//! | property | type | default | meaning |
//! |---|---|---|---|
//! | `backend` | enum | template | `template`, `http` or `local` |
//! | `model` | string | | folder of the package whose decoder `local` runs; unset, that of the stream's embeddings |
//! | `accept-license` | boolean | false | whether its licence is accepted |
//! | `execution-provider` | enum | cpu | who computes `local`: `auto`, `cpu`, `cuda`, `openvino` |
//! | `device` | uint | 0 | which of its devices |
//! | `intra-op-threads` | uint | 1 | threads of one step |
//! | `url` | string | | where `http` finds the server, up to the version: `http://127.0.0.1:8080/v1` |
//! | `model-name` | string | | the model that it is asked for |
//! | `key-env` | string | | NAME of the environment variable that holds its key |
//! | `key-file` | string | | path of the file that holds it |
//! | `language` | string | en | language of the sentences; a model may write any |
//! | `system-prompt` | string | | what a model is told first |
//! | `prompt-template` | string | | what it is asked |
//! | `max-tokens` | uint | 64 | longest caption or answer of a model; with `local`, unset, the package's |
//! | `temperature` | double | 0 | how freely it chooses words; likewise |
//! | `top-p` | double | 1 | of which likeliest words one is drawn; unset, the package's or the server's |
//! | `repetition-penalty` | double | 1 | how much less likely words are that were said (`local`); unset, the package's |
//! | `trigger` | enum | event | `event`, `interval` or `both` |
//! | `interval` | ns | 5 s | between captions, and after which an event that goes on is told of |
//! | `context` | ns | 60 s | how much past a caption may tell of |
//! | `min-evidence` | double | 0 | peak score below which an event is not told |
//! | `earlier-captions` | boolean | false | whether a model reads its earlier captions |
//! | `timeout` | ns | 10 s | longest time for a caption or an answer |
//! | `latency` | ms | 0 | how far the output stays behind; 4294967295 = desynchronised |
//! | `stats` | structure | | `events told unheeded forgotten untold asked merged given fallback flushed pending answers kept time-p50 time-p99 time-max`; read-only |

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

mod hearing;
mod imp;
mod input;
mod local;
mod messages;
mod open;
mod pads;
mod queue;
mod settings;
mod stats;
mod task;
mod tell;
mod worker;
mod writer;

pub use open::{Open, OpenError, Opened};
pub use settings::{DESYNCHRONISED, Trigger};
pub use writer::{Backend, ExecutionProvider, Writer};

glib::wrapper! {
    /// The element `llmcaption`.
    pub struct LlmCaption(ObjectSubclass<imp::LlmCaption>) @extends gst::Element, gst::Object;
}

impl LlmCaption {
    /// Lets Rust code write in the place of the backends, from the next start on.
    pub fn set_opener(&self, open: Open) {
        self.imp().set_opener(open);
    }
}

/// Registers the element.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    Backend::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    ExecutionProvider::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    Trigger::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(Some(plugin), "llmcaption", gst::Rank::NONE, LlmCaption::static_type())
}
