//! The properties of `llmcaption`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst_listen_common::LONGEST_TIME;
use listen_captioner::MinEvidence;

use crate::writer::{self, Writer};

/// What asks for a caption, as a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstLlmCaptionTrigger")]
#[repr(i32)]
pub enum Trigger {
    /// Events.
    #[default]
    #[enum_value(name = "Event: when an event ends, or has gone on for interval", nick = "event")]
    Event = 0,
    /// Time.
    #[enum_value(name = "Interval: every interval, if there is something to tell", nick = "interval")]
    Interval = 1,
    /// Whichever comes first.
    #[enum_value(name = "Both: whichever of the two comes first", nick = "both")]
    Both = 2,
}

/// `latency` that means: not in step with the stream.
pub const DESYNCHRONISED: u32 = u32::MAX;

/// What the user set.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How sentences are made; read when the stream starts.
    pub writer: Writer,
    /// What asks for a caption.
    pub trigger: Trigger,
    /// Nanoseconds between captions, and after which an event that goes on is told of.
    pub interval: u64,
    /// Nanoseconds of the past that a caption may know of.
    pub context: u64,
    /// Score that must be reached before anything is said.
    pub min_evidence: f64,
    /// Whether the captions before are told to the model.
    pub earlier_captions: bool,
    timeout: u64,
    /// Milliseconds, or [`DESYNCHRONISED`].
    pub latency: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            writer: Writer::default(),
            trigger: Trigger::default(),
            interval: 5_000_000_000,
            context: 60_000_000_000,
            min_evidence: 0.0,
            earlier_captions: false,
            timeout: 10_000_000_000,
            latency: 0,
        }
    }
}

impl Settings {
    /// How long one caption or answer may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_nanos(self.timeout)
    }

    /// What there must be before anything is said.
    pub fn least(&self) -> MinEvidence {
        MinEvidence { score: self.min_evidence as f32, ..MinEvidence::default() }
    }

    /// How far the output stays behind the input; none where it is not in step.
    pub fn latency(&self) -> Option<gst::ClockTime> {
        let ms = Some(self.latency).filter(|latency| *latency != DESYNCHRONISED)?;
        Some(gst::ClockTime::from_mseconds(ms.into()))
    }

    /// Takes a property. GObject has checked type and range before.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        fn take<'a, T: glib::value::FromValue<'a>>(place: &mut T, value: &'a glib::Value) {
            if let Ok(value) = value.get() {
                *place = value;
            }
        }
        if self.writer.set(name, value) {
            return;
        }
        match name {
            "trigger" => take(&mut self.trigger, value),
            "interval" => take(&mut self.interval, value),
            "context" => take(&mut self.context, value),
            "min-evidence" => take(&mut self.min_evidence, value),
            "earlier-captions" => take(&mut self.earlier_captions, value),
            "timeout" => take(&mut self.timeout, value),
            "latency" => take(&mut self.latency, value),
            _ => {}
        }
    }

    /// Gives a property; `None` for those that are not settings.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        if let Some(value) = self.writer.get(name) {
            return Some(value);
        }
        Some(match name {
            "trigger" => self.trigger.to_value(),
            "interval" => self.interval.to_value(),
            "context" => self.context.to_value(),
            "min-evidence" => self.min_evidence.to_value(),
            "earlier-captions" => self.earlier_captions.to_value(),
            "timeout" => self.timeout.to_value(),
            "latency" => self.latency.to_value(),
            _ => return None,
        })
    }
}

/// A path as a property.
pub(crate) fn path(path: &Option<PathBuf>) -> glib::Value {
    path.as_ref().map(|path| path.to_string_lossy().into_owned()).to_value()
}

/// A string property as it is, which from C need not be UTF-8; an empty one counts as unset.
pub(crate) fn bytes(value: &glib::Value) -> Option<OsString> {
    // As a path: glib's conversion to a Rust string aborts where a C string is not UTF-8.
    let path = value.get::<Option<PathBuf>>().ok().flatten()?;
    Some(path.into_os_string()).filter(|text| !text.is_empty())
}

/// A string property; what is not UTF-8 in it is replaced.
pub(crate) fn text(value: &glib::Value) -> Option<String> {
    bytes(value).map(|text| text.to_string_lossy().into_owned())
}

/// The properties, as gst-inspect shows them.
pub fn properties() -> &'static [glib::ParamSpec] {
    static PROPERTIES: OnceLock<Vec<glib::ParamSpec>> = OnceLock::new();
    PROPERTIES.get_or_init(|| writer::properties().into_iter().chain(stream_properties()).collect())
}

fn stream_properties() -> Vec<glib::ParamSpec> {
    let time = |name: &'static str, nick: &'static str, blurb: &'static str, minimum: u64, default: u64| {
        glib::ParamSpecUInt64::builder(name)
            .nick(nick)
            .blurb(blurb)
            .minimum(minimum)
            .maximum(LONGEST_TIME)
            .default_value(default)
            .mutable_playing()
            .build()
    };
    let default = Settings::default();
    vec![
        glib::ParamSpecEnum::builder_with_default("trigger", Trigger::default())
            .nick("Trigger")
            .blurb("What asks for a caption. Every event is in exactly one.")
            .mutable_playing()
            .build(),
        time("interval", "Interval",
            "So long between captions with trigger=interval; with trigger=event an event that goes on is told of after so \
             long, before it ends. In nanoseconds.",
            1_000_000, default.interval),
        time("context", "Context",
            "How much of the past a caption may know of, in nanoseconds; also the longest stretch that one caption tells of \
             where several had to be merged.",
            0, default.context),
        glib::ParamSpecDouble::builder("min-evidence")
            .nick("Least evidence")
            .blurb("Score that an event must have reached before anything is said of it. Nothing is ever said about silence.")
            .minimum(0.0)
            .maximum(1.0)
            .default_value(default.min_evidence)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("earlier-captions")
            .nick("Tell earlier captions")
            .blurb("Whether a model is told its captions of the past context. Models that read what they wrote repeat themselves.")
            .mutable_playing()
            .build(),
        time("timeout", "Time-out",
            "A caption or an answer that a model has not finished after so long, in nanoseconds, is written by template. At \
             the end of the stream all that is under way has so long together.",
            1_000_000, default.timeout),
        glib::ParamSpecUInt::builder("latency")
            .nick("Latency")
            .blurb(
                "The output stays so many milliseconds behind the input, so that a caption that is ready by then stands where \
                 its sound begins. 4294967295 means desynchronised: captions carry the time at which they are ready, and the \
                 element adds no latency.",
            )
            .default_value(default.latency)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb(
                "Events heard, told, below min-evidence, flushed and untold; captions asked for, merged, given, and written by \
                 template in place of a model; answers; times in nanoseconds from a caption's being asked for to its being ready.",
            )
            .read_only()
            .build(),
    ]
}
