//! The properties of `clapmatch`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

use gst::glib;
use gst::prelude::*;
use listen_zeroshot::{MAX_SPAN, ScoreKind, Smoothing};

/// What a score is, as a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstClapMatchScore")]
#[repr(i32)]
pub enum Score {
    /// In [0, 1], and means the same for every label.
    #[default]
    #[enum_value(name = "Calibrated: in 0..1, means the same for every label", nick = "calibrated")]
    Calibrated = 0,
    /// The cosine as it is.
    #[enum_value(name = "Cosine of sound and label as it is, in -1..1", nick = "cosine")]
    Cosine = 1,
    /// Of all labels together 1.
    #[enum_value(name = "Softmax of the scaled cosines, for picking one of several labels", nick = "softmax")]
    Softmax = 2,
}

impl From<Score> for ScoreKind {
    fn from(score: Score) -> Self {
        match score {
            Score::Calibrated => ScoreKind::Calibrated,
            Score::Cosine => ScoreKind::Cosine,
            Score::Softmax => ScoreKind::Softmax,
        }
    }
}

/// A pause that belongs to a sound: on scenes of known times event-F1 rises by a half with it (MODEL_CARD.md of the default
/// package).
const HOLD_TIME: u64 = 500_000_000;

/// A threshold that is not set: the package's own holds.
/// A time that the package says.
const UNSET_TIME: u64 = u64::MAX;
const UNSET: f64 = -1.0;

/// What the user set.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What the text worker needs.
    pub listen: Listen,
    /// Language of the names in lines for people.
    pub language: String,
    threshold: f64,
    offset_threshold: f64,
    smoothing: u64,
    min_duration: u64,
    hold_time: u64,
    top_k: u32,
    update_interval: u64,
    /// Whether windows are told of in messages.
    pub post_messages: bool,
    interval: u64,
}

/// What is listened for, as the user wrote it. Reading it can take long.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listen {
    /// Folder of a package.
    pub model: Option<PathBuf>,
    /// Whether the user agrees to its licence.
    pub accept_license: bool,
    /// Labels with `;` between.
    pub labels: Option<String>,
    /// A JSON file with labels.
    pub labels_file: Option<PathBuf>,
    /// Prompt templates with `;` between.
    pub prompt: Option<String>,
    /// Background labels with `;` between.
    pub background: Option<String>,
    /// What a score is.
    pub score: Score,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            language: "en".into(),
            threshold: UNSET,
            offset_threshold: UNSET,
            smoothing: UNSET_TIME,
            min_duration: 0,
            hold_time: HOLD_TIME,
            top_k: 0,
            update_interval: 0,
            post_messages: false,
            interval: 0,
        }
    }
}

impl Settings {
    /// How scores become events.
    pub fn rules(&self) -> listen_zeroshot::Settings {
        let threshold = |value: f64| (value != UNSET).then_some(value as f32);
        listen_zeroshot::Settings {
            threshold: threshold(self.threshold),
            offset_threshold: threshold(self.offset_threshold),
            min_duration: self.min_duration,
            hold_time: self.hold_time,
            smoothing: match self.smoothing {
                UNSET_TIME => None,
                0 => Some(Smoothing::None),
                tau => Some(Smoothing::Ema { tau }),
            },
            update_interval: (self.update_interval > 0).then_some(self.update_interval),
            top_k: (self.top_k > 0).then_some(self.top_k as usize),
        }
    }

    /// At least so long between the windows of two score messages.
    pub fn interval(&self) -> gst::ClockTime {
        gst::ClockTime::from_nseconds(self.interval)
    }

    /// Takes a property; whether what is listened for has changed.
    ///
    /// GObject has checked type and range before.
    pub fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        fn take<'a, T: glib::value::FromValue<'a>>(place: &mut T, value: &'a glib::Value) {
            if let Ok(value) = value.get() {
                *place = value;
            }
        }
        let before = self.listen.clone();
        let listen = &mut self.listen;
        match name {
            "model" => listen.model = bytes(value).map(PathBuf::from),
            "accept-license" => take(&mut listen.accept_license, value),
            "labels" => listen.labels = text(value),
            "labels-file" => listen.labels_file = bytes(value).map(PathBuf::from),
            "prompt" => listen.prompt = text(value),
            "background" => listen.background = text(value),
            "score" => take(&mut listen.score, value),
            "language" => self.language = text(value).unwrap_or_else(|| "en".into()),
            "threshold" => take(&mut self.threshold, value),
            "offset-threshold" => take(&mut self.offset_threshold, value),
            "smoothing" => take(&mut self.smoothing, value),
            "min-duration" => take(&mut self.min_duration, value),
            "hold-time" => take(&mut self.hold_time, value),
            "top-k" => take(&mut self.top_k, value),
            "update-interval" => take(&mut self.update_interval, value),
            "post-messages" => take(&mut self.post_messages, value),
            "interval" => take(&mut self.interval, value),
            _ => {}
        }
        self.listen != before
    }

    /// Gives a property; `None` for those that are not settings.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        let Listen { model, accept_license, labels, labels_file, prompt, background, score } = &self.listen;
        Some(match name {
            "model" => path(model),
            "accept-license" => accept_license.to_value(),
            "labels" => labels.to_value(),
            "labels-file" => path(labels_file),
            "prompt" => prompt.to_value(),
            "background" => background.to_value(),
            "score" => score.to_value(),
            "language" => self.language.to_value(),
            "threshold" => self.threshold.to_value(),
            "offset-threshold" => self.offset_threshold.to_value(),
            "smoothing" => self.smoothing.to_value(),
            "min-duration" => self.min_duration.to_value(),
            "hold-time" => self.hold_time.to_value(),
            "top-k" => self.top_k.to_value(),
            "update-interval" => self.update_interval.to_value(),
            "post-messages" => self.post_messages.to_value(),
            "interval" => self.interval.to_value(),
            _ => return None,
        })
    }
}

fn path(path: &Option<PathBuf>) -> glib::Value {
    path.as_ref().map(|path| path.to_string_lossy().into_owned()).to_value()
}

/// A string property as it is, which from C need not be UTF-8; an empty one counts as unset.
fn bytes(value: &glib::Value) -> Option<OsString> {
    // As a path: glib's conversion to a Rust string aborts where a C string is not UTF-8.
    let path = value.get::<Option<PathBuf>>().ok().flatten()?;
    Some(path.into_os_string()).filter(|text| !text.is_empty())
}

/// A string property; what is not UTF-8 in it is replaced, so that the label that it was in is not found.
fn text(value: &glib::Value) -> Option<String> {
    bytes(value).map(|text| text.to_string_lossy().into_owned())
}

/// The properties, as gst-inspect shows them.
pub fn properties() -> &'static [glib::ParamSpec] {
    static PROPERTIES: OnceLock<Vec<glib::ParamSpec>> = OnceLock::new();
    PROPERTIES.get_or_init(|| {
        let text = |name: &'static str, nick: &'static str, blurb: &'static str| {
            glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).mutable_playing().build()
        };
        let time = |name: &'static str, nick: &'static str, blurb: &'static str, maximum: u64| {
            glib::ParamSpecUInt64::builder(name).nick(nick).blurb(blurb).maximum(maximum).mutable_playing().build()
        };
        let threshold = |name: &'static str, nick: &'static str, blurb: &'static str| {
            glib::ParamSpecDouble::builder(name)
                .nick(nick)
                .blurb(blurb)
                .minimum(UNSET)
                .maximum(1.0)
                .default_value(UNSET)
                .mutable_playing()
                .build()
        };
        vec![
            text("model", "Model package",
                "Folder of the model package that the embeddings come from; needed only where no element of this \
                 process has that package open, as for embeddings from a file."),
            glib::ParamSpecBoolean::builder("accept-license")
                .nick("Accept the licence")
                .blurb("Whether the terms of the licence of the package named by model are accepted, where it asks for that.")
                .mutable_playing()
                .build(),
            text("labels", "Labels",
                "Sounds to listen for, with ; between them. \\; is a semicolon in a label (gst-launch takes one backslash away). They add to those of \
                 labels-file. Of a package with classes (a tagger, a probe) a label that names one is that class. Without any, the \
                 package's own classes or labels are listened for, where it has some."),
            text("labels-file", "File of labels",
                "JSON file of sounds to listen for, each with names by language, prompts, thresholds, durations and group."),
            text("prompt", "Prompt templates",
                "Sentences that a label is put into at {} before it is embedded, with ; between them; their mean \
                 counts. Unset they are the package's."),
            text("background", "Background labels",
                "Sounds that the labels are told apart from, with ; between them; they add to the package's (with score=softmax \
                 they stand alone) and are never reported."),
            threshold("threshold", "Onset threshold",
                "Score from which on an event begins, 0 to 1 but for cosines. -1 means the package's, with score=softmax 0.5. A label's own in \
                 labels-file comes first."),
            threshold("offset-threshold", "Offset threshold",
                "Score below which an event ends, not above threshold. -1 means as far below threshold as the package has it."),
            glib::ParamSpecUInt64::builder("smoothing")
                .nick("Smoothing")
                .blurb(
                    "Time constant of an exponential mean over the scores of a label, in nanoseconds, at most a minute. 0 means \
                     none, the largest value (18446744073709551615) the package's. It makes scores slower, not later: outputs \
                     are not held back.",
                )
                .default_value(UNSET_TIME)
                .mutable_playing()
                .build(),
            time("min-duration", "Shortest event",
                "Events that are shorter than this, in nanoseconds, are not reported. A start is told of once it is certain.",
                MAX_SPAN),
            glib::ParamSpecUInt64::builder("hold-time")
                .nick("Hold time")
                .blurb(
                    "A pause of up to this, in nanoseconds, does not end an event. The offset lies near the start of the pause that \
                     does.",
                )
                .maximum(MAX_SPAN)
                .default_value(HOLD_TIME)
                .mutable_playing()
                .build(),
            glib::ParamSpecUInt::builder("top-k")
                .nick("Best labels")
                .blurb("Only this many labels with the highest scores of a window may begin an event, and are told of. 0 means all.")
                .maximum(1_000)
                .mutable_playing()
                .build(),
            glib::ParamSpecEnum::builder_with_default("score", Score::default())
                .nick("Kind of score")
                .blurb("What a score is. Thresholds are in the same unit.")
                .mutable_playing()
                .build(),
            glib::ParamSpecString::builder("language")
                .nick("Language")
                .blurb("Language of the labels' names in lines for people, as in labels-file (en, de, pt-BR).")
                .default_value("en")
                .mutable_playing()
                .build(),
            time("update-interval", "Update interval",
                "An event that goes on is told of again after so long, in nanoseconds. 0 means that only its start and end are told of.", MAX_SPAN),
            glib::ParamSpecBoolean::builder("post-messages")
                .nick("Post scores")
                .blurb("Post an element message clapmatch with the scores of each window. Messages audio-event are always posted.")
                .mutable_playing()
                .build(),
            time("interval", "Interval of score messages",
                "At least so long between the windows of two messages clapmatch, in nanoseconds. 0 means every window.", MAX_SPAN),
            glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                .nick("Statistics")
                .blurb(
                    "Windows scored, silent, passed unscored while the labels were being read; events started, updated, ended \
                     and active; labels; time that reading the labels took, in nanoseconds.",
                )
                .read_only()
                .build(),
        ]
    })
}
