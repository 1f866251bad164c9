//! The element: pads and state.
#![allow(
    missing_docs,
    reason = "the getters and setters that the properties make; their blurbs say what they are"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_listen_common::LONGEST_TIME;
use gst_listen_common::caps::{embedding_template, mel_template, waveform_template};
use gst_listen_common::progress::Progress;
use gst_listen_common::refusal::Refusal;

use crate::engine::{self, Open};
use crate::input::Input;
use crate::model::OpenModel;
use crate::queue::Queue;
use crate::settings::{Edge, ExecutionProvider, ONE_HOP, Output, Overload, Precision, Settings, WindowMode};
use crate::stats::Runs;
use crate::task::Watch;

pub(crate) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("m2dencode", gst::DebugColorFlags::empty(), Some("Log-mel frames to embeddings"))
});

/// `m2dencode`.
#[derive(glib::Properties)]
#[properties(wrapper_type = super::M2dEncode)]
pub struct M2dEncode {
    pub(crate) sinkpad: gst::Pad,
    pub(crate) srcpad: gst::Pad,
    #[property(name = "model", type = Option<String>, member = model, get, set, nullable, mutable_ready, nick = "Model package",
        blurb = "Folder of the model package. Unset it is the package that is compiled in.")]
    #[property(name = "accept-license", type = bool, member = accept_license, get, set, mutable_ready,
        nick = "Accept the licence",
        blurb = "Whether the terms of the model package's licence are accepted, where it asks for that.")]
    #[property(name = "onnxruntime", type = Option<String>, member = onnxruntime, get, set, nullable, mutable_ready,
        nick = "ONNX Runtime",
        blurb = "Path of libonnxruntime.so, for the whole process and only before it is first loaded. Unset it is looked for: GST_LISTEN_ONNXRUNTIME, ORT_DYLIB_PATH, where ./run puts it, the system's libraries.")]
    #[property(name = "execution-provider", type = ExecutionProvider, member = execution_provider, get, set,
        mutable_ready, nick = "Execution provider",
        blurb = "Who computes. What is asked for by name and not there is an error that says what to install.",
        builder(ExecutionProvider::default()))]
    #[property(name = "device", type = u32, member = device, get, set, mutable_ready, maximum = 255, nick = "Device",
        blurb = "Number of the execution provider's device.")]
    #[property(name = "precision", type = Precision, member = precision, get, set, mutable_ready, nick = "Precision",
        blurb = "Which of the model package's graphs runs. auto takes, of those near enough to float32, the one that is quickest here: measured once, and kept under XDG_CACHE_HOME.",
        builder(Precision::default()))]
    #[property(name = "window", type = u64, member = window, get, set, mutable_ready, maximum = LONGEST_TIME, nick = "Window",
        blurb = "Length of a window in nanoseconds, rounded to whole frames. 0 leaves it to the model package.")]
    #[property(name = "hop", type = u64, member = hop, get, set, mutable_ready, maximum = LONGEST_TIME, nick = "Hop",
        blurb = "Nanoseconds from one window's start to the next one's, rounded to whole frames, and to whole time steps of the encoder where those are given or kept (80 ms in the default package: 1 s becomes 0.96 s). 0 leaves it to the model package.")]
    #[property(name = "edge", type = Edge, member = edge, get, set, mutable_ready, nick = "Edge",
        blurb = "Whether a window's edge frames see the samples around it.",
        builder(Edge::default()))]
    #[property(name = "output", type = Output, member = output, get, set, mutable_ready, nick = "Output",
        blurb = "What an embedding stands for.",
        builder(Output::default()))]
    #[property(name = "window-mode", type = WindowMode, member = window_mode, get, set, mutable_ready, nick = "Window mode",
        blurb = "Whether each window is encoded whole, or pooled from chunks of the stream that are encoded once. Chunks are exact where the package promises it (auto), and an approximation elsewhere.",
        builder(WindowMode::default()))]
    #[property(name = "intra-op-threads", type = u32, member = intra_op_threads, get, set, mutable_ready, maximum = 1_024,
        default = Settings::default().intra_op_threads, nick = "Threads of a run",
        blurb = "Threads that compute one window together. 0 leaves it to ONNX Runtime, which takes all cores.")]
    #[property(name = "workers", type = u32, member = workers, get, set, mutable_ready, maximum = 1_024, nick = "Workers",
        blurb = "Windows that are encoded at the same time, of all elements that share the engine. 0 means the number of cores divided by intra-op-threads.")]
    #[property(name = "max-batch", type = u32, member = max_batch, get, set, mutable_ready, maximum = 1_024,
        nick = "Largest batch",
        blurb = "Windows, also of other elements, that are encoded together. 0 means 1 on a CPU, where batches do not pay, and 8 on a GPU.")]
    #[property(name = "max-wait", type = u64, member = max_wait, get, set, mutable_ready, maximum = LONGEST_TIME, nick = "Longest wait",
        blurb = "Nanoseconds that a window may wait for others to be encoded with it. It adds to the latency.")]
    #[property(name = "inference-latency", type = u64, member = inference_latency, get,
        set = Self::set_inference_latency, mutable_ready, default = Settings::default().inference_latency, nick = "Latency of inference",
        blurb = "Nanoseconds that a live pipeline allows for encoding a window; slower than that is overload. More than a day is taken as a day; -1, the largest value, means one hop.")]
    #[property(name = "overload", type = Overload, member = overload, get, set = Self::set_overload, mutable_playing,
        nick = "Overload",
        blurb = "What happens when windows come faster than they are encoded. Whole windows are dropped, never frames.",
        builder(Overload::default()))]
    #[property(name = "gate", type = f64, member = gate, get, set = Self::set_gate, mutable_playing,
        minimum = -140.0, maximum = 100.0, default = Settings::default().gate, nick = "Gate",
        blurb = "Windows whose level lies below it are not encoded, in dB relative to a full-scale sine of 1 kHz through the same front end. -140 means that all are.")]
    #[property(name = "watchdog", type = u64, member = watchdog, get, set = Self::set_watchdog, mutable_playing, maximum = LONGEST_TIME,
        nick = "Watchdog",
        blurb = "Nanoseconds in PLAYING without a window after which a warning is posted. 0 means never.")]
    settings: Mutex<Settings>,
    pub(crate) queue: Arc<Queue>,
    model: Mutex<Option<Arc<OpenModel>>>,
    /// The load that is under way or has ended.
    pub(crate) progress: Mutex<Option<Arc<Progress>>>,
    /// Who loads engines: tests put another one here.
    open: Mutex<Option<Open>>,
    /// `Some` from CAPS on. Only the streaming thread keeps it locked, and it may wait meanwhile.
    pub(crate) input: Mutex<Option<Input>>,
    pub(crate) segment: Mutex<Option<gst::FormattedSegment<gst::ClockTime>>>,
    /// Why the last CAPS or SEGMENT did not fit.
    pub(crate) refusal: Refusal,
    /// Whether upstream is to be asked if it is live.
    pub(crate) ask_live: AtomicBool,
    pub(crate) live: AtomicBool,
    ended: AtomicBool,
    watch: Mutex<Watch>,
}

impl M2dEncode {
    /// A lock that a panic has left usable: what it guards is replaced as a whole.
    pub(crate) fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> MutexGuard<'a, T> {
        mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn settings(&self) -> Settings {
        self.lock(&self.settings).clone()
    }

    pub(crate) fn model(&self) -> Option<Arc<OpenModel>> {
        self.lock(&self.model).clone()
    }

    pub(crate) fn set_model(&self, model: Option<Arc<OpenModel>>) {
        *self.lock(&self.model) = model;
    }

    pub(crate) fn opener(&self) -> Open {
        self.lock(&self.open).clone().unwrap_or_else(|| Arc::new(engine::open))
    }

    /// Puts something else in the place of the process's engines.
    pub(crate) fn set_opener(&self, open: Open) {
        *self.lock(&self.open) = Some(open);
    }

    pub(crate) fn watch(&self) -> MutexGuard<'_, Watch> {
        self.lock(&self.watch)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(crate) fn set_ended(&self, ended: bool) {
        self.ended.store(ended, Ordering::Release);
    }

    fn set_inference_latency(&self, inference_latency: u64) {
        self.lock(&self.settings).inference_latency = match inference_latency {
            ONE_HOP => ONE_HOP,
            ns => ns.min(LONGEST_TIME),
        };
    }

    fn set_overload(&self, overload: Overload) {
        self.lock(&self.settings).overload = overload;
        self.apply_policy();
    }

    fn set_gate(&self, gate: f64) {
        self.lock(&self.settings).gate = gate;
        self.queue.set_gate(gate);
    }

    fn set_watchdog(&self, watchdog: u64) {
        self.lock(&self.settings).watchdog = watchdog;
        self.queue.wake();
    }

    /// Tells the queue what to do when it is full.
    pub(crate) fn apply_policy(&self) {
        self.queue.set_policy(self.settings().policy(self.live.load(Ordering::Acquire)));
    }

    fn stats(&self) -> gst::Structure {
        let (counts, pending, engine) = self.queue.counts();
        let model = self.model();
        let runs = Runs {
            provider: model.as_ref().map(|model| model.options.provider).unwrap_or_default(),
            precision: model.as_ref().map_or("none", |model| model.precision()),
            live: self.live.load(Ordering::Acquire),
        };
        let hop = model.map(|model| model.time(model.plan.hop_frames.into()));
        counts.to_structure(pending, engine.map(|engine| engine.stats()).as_ref(), hop, runs)
    }

    fn activate(&self, active: bool) -> Result<(), gst::LoggableError> {
        if active {
            self.queue.flush(false);
            return self.start_task();
        }
        self.queue.flush(true);
        self.srcpad.stop_task().map_err(|error| gst::loggable_error!(CAT, "The task did not stop: {error}"))
    }

    /// Forgets the stream.
    fn reset(&self) {
        *self.lock(&self.input) = None;
        *self.lock(&self.segment) = None;
        self.refusal.forget();
        self.live.store(false, Ordering::Release);
        self.ask_live.store(true, Ordering::Release);
        self.set_ended(false);
        self.apply_policy();
        self.queue.set_gate(self.settings().gate);
    }
}

#[glib::object_subclass]
impl ObjectSubclass for M2dEncode {
    const NAME: &'static str = "GstM2dEncode";
    type Type = super::M2dEncode;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let templ = |name| class.pad_template(name).expect("class_init adds the pad templates");
        let sinkpad = gst::Pad::builder_from_template(&templ("sink"))
            .chain_function(|pad, parent, buffer| {
                let failed = || Err(gst::FlowError::Error);
                Self::catch_panic_pad_function(parent, failed, |imp| imp.sink_chain(pad, buffer))
            })
            .event_full_function(|pad, parent, event| {
                let failed = || Err(gst::FlowError::Error);
                Self::catch_panic_pad_function(parent, failed, |imp| imp.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_query(pad, query))
            })
            .activatemode_function(|pad, parent, _mode, active| {
                let failed = || Err(gst::loggable_error!(CAT, "Panicked on {}", pad.name()));
                Self::catch_panic_pad_function(parent, failed, |imp| {
                    if !active {
                        // Whoever waits in the chain function gives up.
                        imp.queue.flush(true);
                    }
                    Ok(())
                })
            })
            .build();
        let srcpad = gst::Pad::builder_from_template(&templ("src"))
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_query(pad, query))
            })
            .activatemode_function(|pad, parent, _mode, active| {
                let failed = || Err(gst::loggable_error!(CAT, "Panicked on {}", pad.name()));
                Self::catch_panic_pad_function(parent, failed, |imp| imp.activate(active))
            })
            .flags(gst::PadFlags::FIXED_CAPS)
            .build();
        Self {
            sinkpad,
            srcpad,
            settings: Mutex::default(),
            queue: Arc::default(),
            model: Mutex::default(),
            progress: Mutex::default(),
            open: Mutex::default(),
            input: Mutex::default(),
            segment: Mutex::default(),
            refusal: Refusal::default(),
            ask_live: AtomicBool::new(true),
            live: AtomicBool::default(),
            ended: AtomicBool::default(),
            watch: Mutex::default(),
        }
    }
}

impl ObjectImpl for M2dEncode {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let stats = glib::ParamSpecBoxed::builder::<gst::Structure>("stats").nick("Statistics").blurb(
                "Windows counted (in = out + dropped + gated + flushed + lost-loading + pending), inference and \
                 latency in nanoseconds, what runs.",
            );
            // The derive knows no structures.
            M2dEncode::derived_properties().iter().cloned().chain([stats.read_only().build()]).collect()
        });
        &PROPERTIES
    }

    fn set_property(&self, id: usize, value: &glib::Value, spec: &glib::ParamSpec) {
        self.derived_set_property(id, value, spec);
    }

    fn property(&self, id: usize, spec: &glib::ParamSpec) -> glib::Value {
        if spec.name() == "stats" { self.stats().to_value() } else { self.derived_property(id, spec) }
    }

    fn constructed(&self) {
        self.parent_constructed();
        let element = self.obj();
        for pad in [&self.sinkpad, &self.srcpad] {
            element.add_pad(pad).expect("a new element has no pad of that name");
        }
    }
}

impl GstObjectImpl for M2dEncode {}

impl ElementImpl for M2dEncode {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Audio encoder",
                "Converter/Analyzer/Audio",
                "Turns log-mel frames into embeddings, by any model that comes as a package",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let samples = gst::Caps::builder("audio/x-raw")
                .field("format", "F32LE")
                .field("layout", "interleaved")
                .field("channels", 1)
                .field("rate", gst::IntRange::new(1, i32::MAX))
                .build();
            let mut sink = mel_template();
            sink.merge(waveform_template());
            sink.merge(samples);
            let always = gst::PadPresence::Always;
            let template = |name, direction, caps: &gst::Caps| {
                gst::PadTemplate::new(name, direction, always, caps)
                    .expect("a name without % and caps are valid")
            };
            vec![
                template("sink", gst::PadDirection::Sink, &sink),
                template("src", gst::PadDirection::Src, &embedding_template()),
            ]
        });
        TEMPLATES.as_ref()
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::NullToReady => self.open().map_err(|error| {
                self.post_error_message(error);
                gst::StateChangeError
            })?,
            gst::StateChange::ReadyToPaused => {
                self.queue.restart();
                self.reset();
            }
            gst::StateChange::PausedToPlaying => {
                *self.watch() = Watch { playing: true, ..Watch::default() };
                self.queue.wake();
            }
            gst::StateChange::PlayingToPaused => self.watch().playing = false,
            _ => {}
        }
        let success = self.parent_change_state(transition);
        match transition {
            gst::StateChange::PausedToReady => self.reset(),
            gst::StateChange::ReadyToNull => self.close(),
            gst::StateChange::NullToReady if success.is_err() => self.close(),
            _ => {}
        }
        success
    }
}
