//! `listenbin`: passes audio on as it is, and reports what is heard in it.
//!
//! ```text
//! … ! listenbin labels="applause;glass breaking" ! autoaudiosink
//!
//! … ! listenbin name=listen channel-mode=each labels="siren" ! fakesink   listen.events ! fdsink
//! ```
//!
//! The audio goes from `sink` to `src` bit for bit, whatever its rate, channels, format and metas, and without latency.
//! A copy of it goes through `audioconvert ! audioresample ! melspec ! m2dencode ! clapmatch`, once, or once per channel;
//! all of these share one engine.
//!
//! * **Live** (upstream's answer to the LATENCY query, asked at the first buffer of each segment and after LATENCY events):
//!   the analysis never holds the audio up. Where it is too slow it loses audio, which `stats` counts and a QoS message
//!   tells of.
//! * **Not live**: nothing is lost, the audio waits; so does EOS, until everything has been analysed, unless a sink behind
//!   `events` or `text` keeps the pipeline anyway.
//!
//! What fails at the start (a model that is missing, labels that are wrong) is an error. What fails once results came out
//! is a warning, and the audio goes on; a flush begins the analysis anew.
//!
//! Element messages `audio-event`, `clapmatch` and `labels-changed` are those of `clapmatch`, posted by the bin. The request
//! pads `events` (`application/x-json, format={audio-events,audio-scores}`) and `text` (`text/x-raw`) give the same as
//! lines, of all channels together. A sink behind them takes part in a live pipeline's latency like any other: set
//! `sync=false` there where loudspeakers hang on the audio.
//!
//! # Properties
//!
//! | property | meaning |
//! |---|---|
//! | `channel-mode` | `downmix`, `first`, `each`, or a channel's number from 0; READY and below |
//! | `stats` | read-only: `live branches buffers dropped-buffers dropped-time`, and lists `m2dencode` and `clapmatch` with theirs |
//!
//! Passed on to `clapmatch`: `labels` `labels-file` `prompt` `background` `score` `threshold` `offset-threshold`
//! `smoothing` `min-duration` `hold-time` `top-k` `update-interval` `language` `post-messages` `interval`. Passed on to
//! `m2dencode`: `model` `accept-license` `onnxruntime` `execution-provider` `device` `precision` `window` `hop` `edge`
//! `output` `window-mode` `intra-op-threads` `workers` `max-batch` `max-wait` `inference-latency` `overload` `gate` `watchdog`.

use gst::glib;
use gst::prelude::*;

mod branch;
mod channel;
mod imp;
mod lane;
mod out;
mod outlet;
mod settings;
mod tap;

glib::wrapper! {
    /// The element `listenbin`.
    pub struct ListenBin(ObjectSubclass<imp::ListenBin>) @extends gst::Bin, gst::Element, gst::Object, @implements gst::ChildProxy;
}

/// Registers the element.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "listenbin", gst::Rank::NONE, ListenBin::static_type())
}
