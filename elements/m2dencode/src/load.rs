//! The model's life: opened with READY, loaded in the background, let go with NULL.

use std::sync::Arc;

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
        self.set_model(Some(Arc::clone(&model)));
        self.load(model)
    }

    fn load(&self, model: Arc<OpenModel>) -> Result<(), gst::ErrorMessage> {
        let limits = self.settings().limits(model.plan.max_batch);
        let job = self.queue.loading(limits);
        let text = format!("Loading {}", model.package.space());
        let progress = Arc::new(Progress::start(&*self.obj(), "loading", &text));
        *self.lock(&self.progress) = Some(Arc::clone(&progress));

        // The thread keeps neither the element nor its queue's engine alive: to wait for it is nobody's duty.
        let (open, queue, element) = (self.opener(), Arc::downgrade(&self.queue), self.obj().downgrade());
        let load = move || {
            let opened = open(&model.package, &model.options);
            let Some(queue) = queue.upgrade() else { return };
            // Where NULL came first nobody wants to know, and the progress is canceled.
            match opened {
                Ok(engine) => {
                    if queue.loaded(job, Some(engine)) {
                        progress.complete(&format!("Loaded {}", model.package.space()));
                    }
                }
                Err(error) => {
                    if queue.loaded(job, None) {
                        progress.fail(&error.to_string());
                        if let Some(element) = element.upgrade() {
                            element.post_error_message(errors::encoder(&error));
                        }
                    }
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
