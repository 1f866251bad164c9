//! `clapmatch`: embeddings of sound to labels, scores and events.
//!
//! ```text
//! … ! melspec ! m2dencode ! clapmatch labels="dog barking;siren;glass breaking" ! fdsink
//! ```
//!
//! It embeds the labels with the text tower of the package that the sound's embeddings come from, scores every
//! window by them, and makes events of the scores. Silence and unrelated sound have low scores with every label, so that
//! a list does not always fire.
//!
//! # What it gives
//!
//! By the caps that downstream takes, in downstream's order; behind a `tee` or a `capsfilter` the caps decide.
//!
//! | caps | buffers |
//! |---|---|
//! | `application/x-json, format=audio-events` | one JSON line per event change; also where downstream takes anything |
//! | `application/x-json, format=audio-scores` | one JSON line per window |
//! | `text/x-raw, format=utf8` | one line for people per event change |
//! | the embedding stream itself | each with a `GstCustomMeta` named `ListenResult`: scores and event changes. With several time steps in a buffer it tells the best score of each label over them. Changes that belong to no buffer (at EOS, in a long gap) go as a serialized custom event of that name |
//!
//! Lines go out in order: PTS is the later of the time described and the position already sent; GAPs stand where nothing is
//! heard. Smoothing and durations make scores and starts slower, but hold no output back: the element adds no latency.
//!
//! # Events
//!
//! Element message `audio-event`, always posted, before the output that it belongs to: `id, type=start|update|end, label,
//! score, peak-score, level, channel, onset, offset, timestamp, running-time, stream-time, duration, utc`. The times from
//! `timestamp` on describe the stretch from the onset to the offset (or to the end of the last window); `utc` (nanoseconds
//! since 1970) is there where the audio had a `GstReferenceTimestampMeta` in UTC, and `names` (a list of structures of
//! `language` and `text`) where `labels-file` has them. What is not known is left out.
//!
//! Thresholds say whether there is an event; where the stream has time steps at most 120 ms apart, its onset and offset stand
//! where the score before smoothing rises and falls most steeply (`listen_zeroshot::Tracker`). Buffers of `m2dencode` with
//! `output=frames` also carry how strongly the sound itself begins and ends at every mel frame (`GstListenStrengthMeta`):
//! onset and offset are then moved to the strongest such moment within half a second, or, where the package has networks for it
//! (`clap.placing`, as the default one) and scores come at the steps that these know, to the moment that they choose, up to 3 s before the
//! first score at half the onset threshold (`listen_zeroshot::Edges`, `Placing`).
//!
//! An event that started always ends: at its offset, when its label is removed, with other embeddings, with its segment,
//! at EOS, at a flush (downstream is told with the next output), in a gap of more than a second, and with PAUSED→READY
//! (message only; the bus of a pipeline may be flushed before anybody reads it: use a sync handler).
//!
//! `labels-changed` (`labels`) is posted when a list of labels takes effect, the first one too; `clapmatch` (`timestamp,
//! running-time, stream-time, duration, step, utc, channel, level, scores`) with each window's scores where
//! `post-messages` is set.
//!
//! Downstream may ask what is listened for: the custom query `listen-labels` is answered with `labels`, structures of `label`
//! and, where `labels-file` has them, `names`.
//!
//! # Labels
//!
//! Setting a property never waits: a thread reads and embeds the list, and it takes effect as a whole between two windows.
//! A bad list is an error at the start; later it is a warning, and the old list stays. Without any labels the package's own
//! are listened for. At the start the first window waits for the labels; where upstream is live it does not, and windows
//! before the labels are ready pass unscored (`stats` counts them).
//!
//! # Properties
//!
//! All can be changed in any state.
//!
//! | property | type | default | meaning |
//! |---|---|---|---|
//! | `model` | string | | package folder, where no element of the process has the stream's package open |
//! | `accept-license` | boolean | false | agree to that package's licence |
//! | `labels` | string | | sounds to listen for, `;` between, `\;` for a semicolon |
//! | `labels-file` | string | | the same as JSON, with names, prompts, thresholds, durations, groups; both lists add up |
//! | `prompt` | string | the package's | sentences with `{}`, `;` between |
//! | `background` | string | the package's | sounds that labels are told apart from, `;` between |
//! | `score` | enum | calibrated | `calibrated`, `cosine`, or `softmax` over the labels and `background` alone (two at least; thresholds 0.5 and 0.35) |
//! | `threshold` | double | -1: the package's | score from which on an event begins |
//! | `offset-threshold` | double | -1: in proportion | score below which it ends |
//! | `smoothing` | ns | the package's | time constant of an exponential mean over scores; 0: none |
//! | `min-duration` | ns | 0 | shortest event reported |
//! | `hold-time` | ns | 500 ms | longest pause within an event |
//! | `top-k` | uint | 0: all | labels of a window that may begin an event |
//! | `update-interval` | ns | 0: never | how often an event that goes on is told of |
//! | `language` | string | en | language of names in lines for people |
//! | `post-messages` | boolean | false | message `clapmatch` per window |
//! | `interval` | ns | 0 | least time between two of them |
//! | `stats` | structure | | `windows silent unscored started updated ended active labels label-time`; read-only |

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

mod imp;
mod output;
mod pads;
mod prepare;
mod record;
mod settings;
mod stream;
mod worker;

pub use output::{Form, Line, Observer, buffer};
pub use settings::Score;

glib::wrapper! {
    /// The element `clapmatch`.
    pub struct ClapMatch(ObjectSubclass<imp::ClapMatch>) @extends gst::Element, gst::Object;
}

impl ClapMatch {
    /// Lets Rust code listen in beside the source pad; `None` ends it.
    pub fn set_observer(&self, observer: Option<std::sync::Arc<dyn Observer>>) {
        self.imp().set_observer(observer);
    }
}

/// Registers the element.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    Score::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(Some(plugin), "clapmatch", gst::Rank::NONE, ClapMatch::static_type())
}
