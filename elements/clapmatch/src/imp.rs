//! `clapmatch` as GStreamer sees it: properties, pads, states.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_listen_common::caps;
use gst_listen_common::refusal::Refusal;
use listen_zeroshot::EndReason;

use crate::output::{Form, Observer};
use crate::settings::{self, Settings};
use crate::stream::{Stream, Todo, Wishes};
use crate::worker::Worker;

pub(crate) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "clapmatch",
        gst::DebugColorFlags::empty(),
        Some("Embeddings to labels and events"),
    )
});

/// The element.
pub struct ClapMatch {
    pub(crate) sink: gst::Pad,
    pub(crate) src: gst::Pad,
    /// Replaced as a whole, so that the streaming thread holds the lock for a moment only.
    settings: Mutex<Arc<Settings>>,
    stream: Mutex<Stream>,
    /// Whether the stream has labels: a bad list is then a warning.
    pub(crate) listening: AtomicBool,
    worker: OnceLock<Worker>,
    pub(crate) observer: Mutex<Option<Arc<dyn Observer>>>,
    pub(crate) refusal: Refusal,
}

#[glib::object_subclass]
impl ObjectSubclass for ClapMatch {
    const NAME: &'static str = "GstClapMatch";
    type Type = super::ClapMatch;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name).expect("the class has it: see pad_templates");
        let sink = gst::Pad::builder_from_template(&template("sink"))
            .chain_function(|pad, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |this| this.sink_chain(pad, buffer),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |this| this.sink_event(pad, event))
            })
            .build();
        let src = gst::Pad::builder_from_template(&template("src"))
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |this| this.src_query(pad, query))
            })
            .build();
        Self {
            sink,
            src,
            settings: Mutex::default(),
            stream: Mutex::default(),
            listening: AtomicBool::new(false),
            worker: OnceLock::new(),
            observer: Mutex::default(),
            refusal: Refusal::default(),
        }
    }
}

impl ObjectImpl for ClapMatch {
    fn properties() -> &'static [glib::ParamSpec] {
        settings::properties()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let other_labels = Arc::make_mut(&mut settings).set(pspec.name(), value);
        let now = settings.clone();
        drop(settings);
        if other_labels {
            gst::debug!(CAT, imp = self, "{} changed: the labels are read anew", pspec.name());
            self.worker().request(&now.listen);
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match self.settings().get(pspec.name()) {
            Some(value) => value,
            None => self.stream().stats().to_value(),
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

impl GstObjectImpl for ClapMatch {}

impl ElementImpl for ClapMatch {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Sound labels and events",
                "Filter/Analyzer/Audio/Metadata",
                "Compares embeddings of sound with labels typed as words, and reports events with onset and offset",
                "gst-listen developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let always = |name, direction, caps: &gst::Caps| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps)
                    .expect("name and caps are valid")
            };
            vec![
                always("sink", gst::PadDirection::Sink, &caps::embedding_template()),
                always("src", gst::PadDirection::Src, &Form::template()),
            ]
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        change: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if change == gst::StateChange::NullToReady {
            gst_listen_common::logging::install();
        }
        if change == gst::StateChange::PausedToReady {
            // Whoever waits for the labels on the streaming thread must let it go.
            self.worker().set_flushing(true);
        }
        let success = self.parent_change_state(change)?;
        if change == gst::StateChange::PausedToReady {
            // The pads are inactive: no window comes in between.
            let mut todo = Todo::default();
            self.with_wishes(|wishes| self.stream().end(EndReason::Stop, None, wishes, &mut todo));
            self.worker().stop();
            self.listening.store(false, Ordering::SeqCst);
            *self.stream() = Stream::default();
            self.refusal.forget();
            self.announce(&mut todo);
        }
        Ok(success)
    }
}

impl ClapMatch {
    /// Lets Rust code listen in.
    pub(super) fn set_observer(&self, observer: Option<Arc<dyn Observer>>) {
        *self.observer.lock().unwrap_or_else(PoisonError::into_inner) = observer;
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The run's state. The lock is never held across a push, a post or a wait.
    pub(crate) fn stream(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn worker(&self) -> &Worker {
        self.worker.get_or_init(|| {
            let element = self.obj().downgrade();
            Worker::new(move |error| {
                let Some(element) = element.upgrade() else { return false };
                let running = element.imp().listening.load(Ordering::SeqCst);
                if running {
                    let text = format!("the labels stay as they were: {error}");
                    gst::element_warning!(element, gst::LibraryError::Settings, ("{}", text));
                }
                running
            })
        })
    }

    pub(crate) fn with_wishes<R>(&self, run: impl FnOnce(Wishes) -> R) -> R {
        let settings = self.settings();
        let observer = self.observer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        run(Wishes { settings: &settings, observer: observer.as_deref() })
    }
}
