//! The element: pads and state.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_listen_common::caps::embedding_template;
use gst_listen_common::labels::Listened;
use gst_listen_common::refusal::Refusal;
use listen_captioner::{Evidence, Label, Limits};

use crate::hearing::Hearing;
use crate::input::{self, Input};
use crate::local::Loader;
use crate::messages;
use crate::open::{self, Open};
use crate::pads::text_caps;
use crate::queue::{Question, Queue};
use crate::settings::{self, Settings};
use crate::task::Output;
use crate::worker::{STOPPED, Worker};
use crate::writer::Backend;

pub(crate) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("llmcaption", gst::DebugColorFlags::empty(), Some("What is heard as sentences"))
});

/// The element.
pub struct LlmCaption {
    pub(crate) sink: gst::Pad,
    pub(crate) src: gst::Pad,
    /// Replaced as a whole, so that nobody holds the lock for longer than a moment.
    settings: Mutex<Arc<Settings>>,
    pub(crate) queue: Arc<Queue>,
    worker: Worker,
    evidence: Arc<Mutex<Evidence>>,
    hearing: Mutex<Hearing>,
    /// `Some` from CAPS on.
    input: Mutex<Option<Input>>,
    output: Mutex<Output>,
    /// Who opens backends: tests put another one here.
    open: Mutex<Option<Open>>,
    /// Loads the decoder of `backend=local`; `Some` while that writes.
    loader: Mutex<Option<Arc<Loader>>>,
    /// Whether upstream is to be asked if it is live.
    pub(crate) ask_live: AtomicBool,
    pub(crate) live: AtomicBool,
    /// Whether a line that cannot be read was told of.
    pub(crate) complained: AtomicBool,
    pub(crate) refusal: Refusal,
    ended: AtomicBool,
    questions: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic has left behind is usable: it is replaced as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[glib::object_subclass]
impl ObjectSubclass for LlmCaption {
    const NAME: &'static str = "GstLlmCaption";
    type Type = super::LlmCaption;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name).expect("the class has it: see pad_templates");
        let sink = gst::Pad::builder_from_template(&template("sink"))
            .chain_function(|pad, parent, buffer| {
                let failed = || Err(gst::FlowError::Error);
                Self::catch_panic_pad_function(parent, failed, |imp| imp.sink_chain(pad, buffer))
            })
            .event_full_function(|pad, parent, event| {
                let failed = || Err(gst::FlowError::Error);
                Self::catch_panic_pad_function(parent, failed, |imp| imp.sink_event(pad, event))
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
        let src = gst::Pad::builder_from_template(&template("src"))
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
        let evidence = Arc::new(Mutex::new(Evidence::new(Limits::default())));
        Self {
            sink,
            src,
            settings: Mutex::default(),
            queue: Arc::default(),
            worker: Worker::default(),
            hearing: Mutex::new(Hearing::new(evidence.clone())),
            evidence,
            input: Mutex::default(),
            output: Mutex::default(),
            open: Mutex::default(),
            loader: Mutex::default(),
            ask_live: AtomicBool::new(true),
            live: AtomicBool::default(),
            complained: AtomicBool::default(),
            refusal: Refusal::default(),
            ended: AtomicBool::default(),
            questions: AtomicU64::default(),
        }
    }
}

impl ObjectImpl for LlmCaption {
    fn properties() -> &'static [glib::ParamSpec] {
        settings::properties()
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            let ask = glib::subclass::Signal::builder("ask")
                .param_types([String::static_type(), u64::static_type()])
                .return_type::<u64>()
                .action()
                .class_handler(|values| {
                    let [element, question, look_back] = values else { return None };
                    let element = element.get::<super::LlmCaption>().ok()?;
                    // As a path: glib's conversion to a Rust string aborts where a C string is not UTF-8.
                    let question =
                        question.get::<Option<std::path::PathBuf>>().ok().flatten().unwrap_or_default();
                    let look_back = look_back.get::<u64>().ok()?;
                    Some(element.imp().ask(&question.to_string_lossy(), look_back).to_value())
                })
                .build();
            vec![ask]
        });
        &SIGNALS
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        let before = settings.latency;
        Arc::make_mut(&mut settings).set(pspec.name(), value);
        let moved = settings.latency != before;
        drop(settings);
        if moved {
            self.apply_policy();
            // Without a bus nobody asks for the latency again.
            let _ = self.obj().post_message(gst::message::Latency::builder().src(&*self.obj()).build());
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match self.settings().get(pspec.name()) {
            Some(value) => value,
            None => self.stats().to_value(),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        for pad in [&self.sink, &self.src] {
            obj.add_pad(pad).expect("a new element has no pads yet");
        }
    }
}

impl GstObjectImpl for LlmCaption {}

impl ElementImpl for LlmCaption {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Sound captions and answers",
                "Converter/Analyzer/Audio/Text",
                "Tells in sentences what is heard, and answers questions about it",
                "gst-listen developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let mut sink = embedding_template();
            sink.merge(gst::Caps::builder(input::JSON).field("format", input::EVENTS).build());
            let always = |name, direction, caps: &gst::Caps| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps)
                    .expect("name and caps are valid")
            };
            vec![
                always("sink", gst::PadDirection::Sink, &sink),
                always("src", gst::PadDirection::Src, &text_caps()),
            ]
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        change: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match change {
            gst::StateChange::NullToReady => gst_listen_common::logging::install(),
            gst::StateChange::ReadyToPaused => {
                self.reset();
                self.start_worker()?;
            }
            gst::StateChange::PausedToReady => {
                // At once, also in mid-request.
                if let Some(loader) = lock(&self.loader).take() {
                    loader.stop();
                }
                let unanswered = self.queue.stop();
                self.refuse(unanswered);
            }
            _ => {}
        }
        let success = self.parent_change_state(change);
        if change == gst::StateChange::PausedToReady
            || (change == gst::StateChange::ReadyToPaused && success.is_err())
        {
            let unanswered = self.queue.stop();
            self.worker.join();
            self.refuse(unanswered);
            self.reset();
        }
        success
    }
}

impl LlmCaption {
    /// Puts something else in the place of the backends.
    pub(super) fn set_opener(&self, open: Open) {
        *lock(&self.open) = Some(open);
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        lock(&self.settings).clone()
    }

    /// The lock is never held across a push, a post or a wait.
    pub(crate) fn hearing(&self) -> MutexGuard<'_, Hearing> {
        lock(&self.hearing)
    }

    pub(crate) fn output(&self) -> MutexGuard<'_, Output> {
        lock(&self.output)
    }

    pub(crate) fn input(&self) -> Option<Input> {
        lock(&self.input).clone()
    }

    pub(crate) fn set_input(&self, input: Input) {
        let loader = lock(&self.loader).clone();
        if let Some(loader) = loader {
            loader.begin(&self.obj(), &input);
        }
        *lock(&self.input) = Some(input);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(crate) fn set_ended(&self, ended: bool) {
        self.ended.store(ended, Ordering::Release);
    }

    pub(crate) fn said(&self, said: listen_captioner::Said) {
        lock(&self.evidence).say(said);
    }

    /// Tells the queue who waits for whom.
    pub(crate) fn apply_policy(&self) {
        let live = self.live.load(Ordering::Acquire);
        self.queue.set_policy(live, self.settings().latency().is_none());
    }

    /// What was heard is forgotten: the stream's time begins anew.
    pub(crate) fn forget(&self) {
        let mut hearing = self.hearing();
        hearing.forget();
        hearing.times = Default::default();
        drop(hearing);
        *self.output() = Output::default();
        self.ask_live.store(true, Ordering::Release);
        self.set_ended(false);
    }

    fn reset(&self) {
        self.forget();
        *lock(&self.input) = None;
        self.live.store(false, Ordering::Release);
        self.complained.store(false, Ordering::Release);
        self.refusal.forget();
        self.apply_policy();
    }

    fn start_worker(&self) -> Result<(), gst::StateChangeError> {
        let settings = self.settings();
        let loader = Arc::new(Loader::new(&settings.writer));
        *lock(&self.loader) = (settings.writer.backend == Backend::Local).then(|| loader.clone());
        let own: Open = Arc::new(move |writer| open::open(writer, &loader));
        let open = lock(&self.open).clone().unwrap_or(own);
        *self.hearing() = Hearing::new(self.evidence.clone());
        // Here, so that a bad setting fails the change of state.
        let opened = open(&settings.writer).map_err(|error| {
            self.post_error_message(error.message());
            gst::StateChangeError
        })?;
        if let Some(note) = &opened.note {
            gst::info!(CAT, imp = self, "{note}");
            gst::element_imp_info!(self, gst::ResourceError::Settings, ("{note}"));
        }
        let started = self.worker.start(&self.obj(), self.queue.clone(), opened);
        started.map_err(|error| {
            let text = format!("no thread for the captions: {error}");
            gst::element_imp_error!(self, gst::ResourceError::NoSpaceLeft, ("{text}"));
            gst::StateChangeError
        })
    }

    fn activate(&self, active: bool) -> Result<(), gst::LoggableError> {
        if active {
            self.queue.flush(false);
            return self.start_task();
        }
        self.queue.flush(true);
        self.src.stop_task().map_err(|error| gst::loggable_error!(CAT, "The task did not stop: {error}"))
    }

    /// The action signal `ask`: the number of the message `listen-answer` that will come; 0 where none will.
    fn ask(&self, question: &str, look_back: u64) -> u64 {
        // Who makes the events knows what was not listened for; behind a file nobody does.
        let listened = gst_listen_common::labels::ask(&self.sink);
        let scene = {
            let mut evidence = lock(&self.evidence);
            if let Some(listened) = listened {
                evidence
                    .listen_for(listened.into_iter().map(|Listened { label, names }| Label { label, names }));
            }
            let look_back = if look_back == 0 { u64::MAX } else { look_back };
            let mut scene = evidence.recent(look_back);
            let settings = self.settings();
            if settings.earlier_captions {
                scene.said = evidence.said(scene.start, scene.now);
            }
            scene.with(&settings.least())
        };
        // Only numbers are counted here: no order between threads is needed.
        let id = self.questions.fetch_add(1, Ordering::Relaxed) + 1;
        let text: String = question.chars().take(MAX_QUESTION).collect();
        if self.queue.question(Question { id, text, scene }) { id } else { 0 }
    }

    /// Questions that nobody answers any more.
    fn refuse(&self, questions: Vec<Question>) {
        for question in questions {
            messages::answer(&self.obj(), &question, &Err(STOPPED.into()));
        }
    }

    fn stats(&self) -> gst::Structure {
        let (counts, pending) = self.queue.counts();
        let (events, untold) = self.hearing().counts();
        let kept = lock(&self.evidence).counts().bytes;
        counts.to_structure(pending, events, untold, kept as u64)
    }
}

/// Characters of a question that are read.
const MAX_QUESTION: usize = 2_000;
