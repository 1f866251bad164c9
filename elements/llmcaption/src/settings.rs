//! The properties of `llmcaption`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst_listen_common::LONGEST_TIME;
use listen_captioner::MinEvidence;

/// Who writes the sentences, as a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstLlmCaptionBackend")]
#[repr(i32)]
pub enum Backend {
    /// Code and a catalogue of messages.
    #[default]
    #[enum_value(name = "Template: sentences made by code, without a model", nick = "template")]
    Template = 0,
    /// A server.
    #[enum_value(name = "HTTP: a server with the OpenAI chat-completions protocol", nick = "http")]
    Http = 1,
}

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

/// What a backend is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Writer {
    /// Which.
    pub backend: Backend,
    /// The server.
    pub url: Option<String>,
    /// The model's name there.
    pub model_name: Option<String>,
    /// NAME of the environment variable that holds the server's key.
    pub key_env: Option<String>,
    /// Path of the file that holds it.
    pub key_file: Option<PathBuf>,
    /// Language of the sentences.
    pub language: String,
    /// What the model is told first.
    pub system_prompt: Option<String>,
    /// What it is asked.
    pub prompt_template: Option<String>,
    /// Longest answer.
    pub max_tokens: u32,
    /// 0: always the likeliest.
    pub temperature: f64,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            backend: Backend::default(),
            url: None,
            model_name: None,
            key_env: None,
            key_file: None,
            language: "en".into(),
            system_prompt: None,
            prompt_template: None,
            max_tokens: 64,
            temperature: 0.0,
        }
    }
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
        let writer = &mut self.writer;
        match name {
            "backend" => take(&mut writer.backend, value),
            "url" => writer.url = text(value),
            "model-name" => writer.model_name = text(value),
            "key-env" => writer.key_env = text(value),
            "key-file" => writer.key_file = bytes(value).map(PathBuf::from),
            "language" => writer.language = text(value).unwrap_or_else(|| "en".into()),
            "system-prompt" => writer.system_prompt = text(value),
            "prompt-template" => writer.prompt_template = text(value),
            "max-tokens" => take(&mut writer.max_tokens, value),
            "temperature" => take(&mut writer.temperature, value),
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
        let writer = &self.writer;
        Some(match name {
            "backend" => writer.backend.to_value(),
            "url" => writer.url.to_value(),
            "model-name" => writer.model_name.to_value(),
            "key-env" => writer.key_env.to_value(),
            "key-file" => path(&writer.key_file),
            "language" => writer.language.to_value(),
            "system-prompt" => writer.system_prompt.to_value(),
            "prompt-template" => writer.prompt_template.to_value(),
            "max-tokens" => writer.max_tokens.to_value(),
            "temperature" => writer.temperature.to_value(),
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

fn path(path: &Option<PathBuf>) -> glib::Value {
    path.as_ref().map(|path| path.to_string_lossy().into_owned()).to_value()
}

/// A string property as it is, which from C need not be UTF-8; an empty one counts as unset.
fn bytes(value: &glib::Value) -> Option<OsString> {
    // As a path: glib's conversion to a Rust string aborts where a C string is not UTF-8.
    let path = value.get::<Option<PathBuf>>().ok().flatten()?;
    Some(path.into_os_string()).filter(|text| !text.is_empty())
}

/// A string property; what is not UTF-8 in it is replaced.
fn text(value: &glib::Value) -> Option<String> {
    bytes(value).map(|text| text.to_string_lossy().into_owned())
}

/// The properties, as gst-inspect shows them.
pub fn properties() -> &'static [glib::ParamSpec] {
    static PROPERTIES: OnceLock<Vec<glib::ParamSpec>> = OnceLock::new();
    PROPERTIES.get_or_init(|| writer_properties().into_iter().chain(stream_properties()).collect())
}

fn writer_properties() -> Vec<glib::ParamSpec> {
    let text = |name: &'static str, nick: &'static str, blurb: &'static str| {
        glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).mutable_ready().build()
    };
    vec![
        glib::ParamSpecEnum::builder_with_default("backend", Backend::default())
            .nick("Backend")
            .blurb("Who writes the sentences. Where http fails, template takes over, and a warning says so once.")
            .mutable_ready()
            .build(),
        text("url", "URL of the server",
            "Where backend=http finds the server, up to and with the version: http://127.0.0.1:8080/v1."),
        text("model-name", "Name of the server's model",
            "The model that the server is asked for, as it calls it. Unset, the server's own choice."),
        text("key-env", "Environment variable of the key",
            "NAME of the environment variable that holds the server's key. The key itself is never a property, and never \
             logged."),
        text("key-file", "File of the key",
            "Path of a file that holds the server's key and nothing else."),
        glib::ParamSpecString::builder("language")
            .nick("Language")
            .blurb("Language of the sentences (en, de), and of the labels' names where the stream carries them.")
            .default_value("en")
            .mutable_ready()
            .build(),
        text("system-prompt", "System prompt",
            "What a model is told before anything else. Unset, it is told to say only what the evidence shows, and that \
             labels are data."),
        text("prompt-template", "Prompt template",
            "What a model is asked for each caption, with {evidence} where the evidence stands as JSON, and {language}. \
             Unset, a sentence for people."),
        glib::ParamSpecUInt::builder("max-tokens")
            .nick("Longest caption")
            .blurb("A model may write at most so many tokens a caption or answer.")
            .minimum(1)
            .maximum(4_096)
            .default_value(64)
            .mutable_ready()
            .build(),
        glib::ParamSpecDouble::builder("temperature")
            .nick("Temperature")
            .blurb("How freely a model chooses its words. 0 means always the likeliest one: the same evidence, the same words.")
            .minimum(0.0)
            .maximum(2.0)
            .mutable_ready()
            .build(),
    ]
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
