//! The properties that say who writes, and how.

use std::path::PathBuf;

use gst::glib;
use gst::prelude::*;
use listen_captioner::{LocalOptions, Options, Provider};

use crate::settings::{bytes, path, text};

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
    /// A decoder.
    #[enum_value(name = "Local: the decoder that the model package carries", nick = "local")]
    Local = 2,
}

/// Who computes a package's decoder, as a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstLlmCaptionExecutionProvider")]
#[repr(i32)]
pub enum ExecutionProvider {
    /// The best that there is.
    #[enum_value(name = "The best that this machine has", nick = "auto")]
    Auto = 0,
    /// ONNX Runtime itself.
    #[default]
    #[enum_value(name = "ONNX Runtime's own kernels", nick = "cpu")]
    Cpu = 1,
    /// An NVIDIA GPU.
    #[enum_value(name = "NVIDIA GPU", nick = "cuda")]
    Cuda = 2,
    /// Intel's.
    #[enum_value(name = "Intel and other CPUs with bfloat16, Intel GPUs", nick = "openvino")]
    Openvino = 3,
}

/// What a backend is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Writer {
    /// Which.
    pub backend: Backend,
    /// Folder of the package whose decoder writes; the stream's own where unset.
    pub model: Option<PathBuf>,
    /// Whether the terms of its licence are accepted.
    pub accept_license: bool,
    /// Who computes it.
    pub execution_provider: ExecutionProvider,
    /// Which of the provider's devices.
    pub device: u32,
    /// Threads of one run.
    pub intra_op_threads: u32,
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
    /// Longest answer; unset, the package's, else [`MAX_TOKENS`](Self::MAX_TOKENS).
    pub max_tokens: Option<u32>,
    /// 0: always the likeliest; unset, the package's, else 0.
    pub temperature: Option<f64>,
    /// Of which likeliest tokens one is drawn; unset, the package's or the server's.
    pub top_p: Option<f64>,
    /// How much less likely tokens are that were said; unset, the package's.
    pub repetition_penalty: Option<f64>,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            backend: Backend::default(),
            model: None,
            accept_license: false,
            execution_provider: ExecutionProvider::default(),
            device: 0,
            intra_op_threads: 1,
            url: None,
            model_name: None,
            key_env: None,
            key_file: None,
            language: "en".into(),
            system_prompt: None,
            prompt_template: None,
            max_tokens: None,
            temperature: None,
            top_p: None,
            repetition_penalty: None,
        }
    }
}

impl Writer {
    /// Longest answer in tokens where nobody says.
    pub const MAX_TOKENS: u32 = 64;

    /// What the backends are told; what is unset is the package's, or the server's.
    pub fn options(&self) -> Options {
        Options {
            language: self.language.clone(),
            system_prompt: self.system_prompt.clone(),
            prompt_template: self.prompt_template.clone(),
            max_tokens: self.max_tokens,
            temperature: self.temperature.map(|value| value as f32),
            top_p: self.top_p.map(|value| value as f32),
            repetition_penalty: self.repetition_penalty.map(|value| value as f32),
            seed: None,
        }
    }

    /// Where a package's decoder computes.
    pub fn local_options(&self) -> LocalOptions {
        let provider = match self.execution_provider {
            ExecutionProvider::Auto => Provider::Auto,
            ExecutionProvider::Cpu => Provider::Cpu,
            ExecutionProvider::Cuda => Provider::Cuda,
            ExecutionProvider::Openvino => Provider::OpenVino,
        };
        LocalOptions { provider, device: self.device, threads: self.intra_op_threads }
    }

    /// Takes a property; `false` for those that are not the writer's. GObject has checked type and range before.
    pub(crate) fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        fn take<'a, T: glib::value::FromValue<'a>>(place: &mut T, value: &'a glib::Value) {
            if let Ok(value) = value.get() {
                *place = value;
            }
        }
        match name {
            "backend" => take(&mut self.backend, value),
            "model" => self.model = bytes(value).map(PathBuf::from),
            "accept-license" => take(&mut self.accept_license, value),
            "execution-provider" => take(&mut self.execution_provider, value),
            "device" => take(&mut self.device, value),
            "intra-op-threads" => take(&mut self.intra_op_threads, value),
            "url" => self.url = text(value),
            "model-name" => self.model_name = text(value),
            "key-env" => self.key_env = text(value),
            "key-file" => self.key_file = bytes(value).map(PathBuf::from),
            "language" => self.language = text(value).unwrap_or_else(|| "en".into()),
            "system-prompt" => self.system_prompt = text(value),
            "prompt-template" => self.prompt_template = text(value),
            "max-tokens" => self.max_tokens = value.get().ok(),
            "temperature" => self.temperature = value.get().ok(),
            "top-p" => self.top_p = value.get().ok(),
            "repetition-penalty" => self.repetition_penalty = value.get().ok(),
            _ => return false,
        }
        true
    }

    /// Gives a property; `None` for those that are not the writer's.
    pub(crate) fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "backend" => self.backend.to_value(),
            "model" => path(&self.model),
            "accept-license" => self.accept_license.to_value(),
            "execution-provider" => self.execution_provider.to_value(),
            "device" => self.device.to_value(),
            "intra-op-threads" => self.intra_op_threads.to_value(),
            "url" => self.url.to_value(),
            "model-name" => self.model_name.to_value(),
            "key-env" => self.key_env.to_value(),
            "key-file" => path(&self.key_file),
            "language" => self.language.to_value(),
            "system-prompt" => self.system_prompt.to_value(),
            "prompt-template" => self.prompt_template.to_value(),
            "max-tokens" => self.max_tokens.unwrap_or(Self::MAX_TOKENS).to_value(),
            "temperature" => self.temperature.unwrap_or(0.0).to_value(),
            "top-p" => self.top_p.unwrap_or(1.0).to_value(),
            "repetition-penalty" => self.repetition_penalty.unwrap_or(1.0).to_value(),
            _ => return None,
        })
    }
}

/// The properties, as gst-inspect shows them.
pub(crate) fn properties() -> Vec<glib::ParamSpec> {
    let text = |name: &'static str, nick: &'static str, blurb: &'static str| {
        glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).mutable_ready().build()
    };
    let number = |name: &'static str, nick: &'static str, blurb: &'static str, (least, most, default)| {
        let spec = glib::ParamSpecDouble::builder(name).nick(nick).blurb(blurb);
        spec.minimum(least).maximum(most).default_value(default).mutable_ready().build()
    };
    vec![
        glib::ParamSpecEnum::builder_with_default("backend", Backend::default())
            .nick("Backend")
            .blurb("Who writes the sentences. Where http or local fails, template takes over, and a warning says so once.")
            .mutable_ready()
            .build(),
        text("model", "Model package",
            "Folder of the model package whose decoder writes with backend=local. Unset, the package that the stream's \
             embeddings come from, which another element of this process has open."),
        glib::ParamSpecBoolean::builder("accept-license")
            .nick("Accept the licence")
            .blurb("Whether the terms of the licence of the package named by model are accepted, where it asks for that.")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("execution-provider", ExecutionProvider::default())
            .nick("Execution provider")
            .blurb("Who computes with backend=local.")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("device")
            .nick("Device")
            .blurb("Which of the execution provider's devices computes with backend=local.")
            .maximum(255)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("intra-op-threads")
            .nick("Threads of one run")
            .blurb("Threads that compute one step of backend=local; 0 leaves it to the execution provider.")
            .maximum(1024)
            .default_value(1)
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
            .blurb(
                "Language of the sentences, and of the labels' names where the stream carries them. The template has en and \
                 de; http and local may write any, and where the template steps in, it writes the nearest or English.",
            )
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
            .blurb("A model may write at most so many tokens a caption or answer. With backend=local, unset, as the package says.")
            .minimum(1)
            .maximum(4_096)
            .default_value(Writer::MAX_TOKENS)
            .mutable_ready()
            .build(),
        number("temperature", "Temperature",
            "How freely a model chooses its words. 0 means always the likeliest one: the same evidence, the same words. \
             With backend=local, unset, as the package says.",
            (0.0, 2.0, 0.0)),
        number("top-p", "Top p",
            "A word is drawn from the likeliest that together have this probability. Unset, as the package or the server says.",
            (f64::from(f32::MIN_POSITIVE), 1.0, 1.0)),
        number("repetition-penalty", "Repetition penalty",
            "Above 1, words that were said are less likely with backend=local. Unset, as the package says.",
            (f64::from(f32::MIN_POSITIVE), 10.0, 1.0)),
    ]
}
