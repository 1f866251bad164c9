//! The model's life: opened with READY, loaded in the background, let go with NULL.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_listen_common::progress::Progress;
use gst_listen_common::{errors, logging};

use crate::imp::{CAT, M2dEncode};
use crate::model::OpenModel;

impl M2dEncode {
    /// Opens the package, and begins to load its graphs.
    pub(crate) fn open(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings();
        if let Some(library) = &settings.onnxruntime {
            listen_runtime::set_library_path(Some(library.into()));
        }
        let model = Arc::new(OpenModel::open(&settings).map_err(|error| errors::encoder(&error))?);
        gst::info!(CAT, imp = self, "Opened {}: {:?}", model.package.space(), model.plan);
        logging::install();
        if settings.window != 0 && model.ignores_window() {
            let text = "window has no use where time steps come from a stream that is encoded in chunks: what they hear \
                        around them is the package's, how long a chunk is says hop. window-mode=whole or output=clip have windows";
            gst::element_imp_warning!(self, gst::LibraryError::Settings, ("{text}"));
        }
        if let Some(taken) = model.rounded_hop(&settings) {
            gst::warning!(
                CAT,
                imp = self,
                "hop={} lies between what the package has: {taken} is taken",
                settings.hop
            );
        }
        self.set_model(Some(Arc::clone(&model)));
        self.load(model)
    }

    fn load(&self, model: Arc<OpenModel>) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings();
        let job = self.queue.loading(model.plan.carries);
        let text = format!("Loading {}", model.package.space());
        let progress = Arc::new(Progress::start(&*self.obj(), "loading", &text));
        *self.lock(&self.progress) = Some(Arc::clone(&progress));

        // The thread keeps neither the element nor its queue's engine alive: to wait for it is nobody's duty.
        let (open, queue, element) = (self.opener(), Arc::downgrade(&self.queue), self.obj().downgrade());
        let load = move || {
            let turn = turn(&format!("{} {:?}", model.package.space(), model.options));
            let opened = {
                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                if !queue.upgrade().is_some_and(|queue| queue.wants(job)) {
                    return;
                }
                model.choose().and_then(|options| open(&model.package, &options))
            };
            let Some(queue) = queue.upgrade() else { return };
            // Where NULL came first nobody wants to know, and the progress is canceled.
            match opened {
                Ok(engine) => {
                    if queue.loaded(job, Some((engine, settings.limits(model.max_batch())))) {
                        progress.complete(&format!("Loaded {}", model.package.space()));
                    }
                }
                Err(error) => {
                    // Told before the streaming thread wakes: upstream's "data stream error" must not come first.
                    if queue.wants(job) {
                        progress.fail(&error.to_string());
                        if let Some(element) = element.upgrade() {
                            element.post_error_message(errors::encoder(&error));
                        }
                    }
                    queue.loaded(job, None);
                }
            }
        };
        let thread = std::thread::Builder::new().name("listen-load".into()).spawn(load);
        thread.map(drop).map_err(|error| {
            gst::error_msg!(
                gst::ResourceError::NoSpaceLeft,
                ("the loading thread could not be started: {error}")
            )
        })
    }

    /// Lets everything go. A load that is under way goes on by itself, and what it loads is dropped.
    pub(crate) fn close(&self) {
        if let Some(progress) = self.lock(&self.progress).take() {
            progress.cancel("Stopped");
        }
        self.queue.unload();
        self.set_model(None);
    }
}

/// Jobs for the same engine take turns: one that nobody wants any more when its turn comes need not begin.
fn turn(key: &str) -> Arc<Mutex<()>> {
    static TURNS: Mutex<Option<HashMap<String, Weak<Mutex<()>>>>> = Mutex::new(None);
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    let turns = turns.get_or_insert_default();
    turns.retain(|_, turn| turn.strong_count() > 0);
    turns.get(key).and_then(Weak::upgrade).unwrap_or_else(|| {
        let turn = Arc::default();
        turns.insert(key.into(), Arc::downgrade(&turn));
        turn
    })
}
