//! Progress messages that always end.

use std::sync::Mutex;

use gst::prelude::*;

/// A job that takes long: START was posted, and exactly one of COMPLETE, CANCELED and ERROR follows.
///
/// Whoever ends it first decides; dropped without an end it is canceled. It does not keep its element alive.
#[derive(Debug)]
pub struct Progress {
    element: gst::glib::WeakRef<gst::Element>,
    code: &'static str,
    open: Mutex<bool>,
}

impl Progress {
    /// Posts START: `code` is what programs look at, `text` what people read.
    pub fn start(element: &impl IsA<gst::Element>, code: &'static str, text: &str) -> Self {
        let progress = Self { element: element.upcast_ref().downgrade(), code, open: Mutex::new(true) };
        progress.post(gst::ProgressType::Start, text);
        progress
    }

    /// It is done.
    pub fn complete(&self, text: &str) -> bool {
        self.end(gst::ProgressType::Complete, text)
    }

    /// It is not wanted any more.
    pub fn cancel(&self, text: &str) -> bool {
        self.end(gst::ProgressType::Canceled, text)
    }

    /// It failed.
    pub fn fail(&self, text: &str) -> bool {
        self.end(gst::ProgressType::Error, text)
    }

    /// Posts the end, if nobody has: whether this was it.
    fn end(&self, kind: gst::ProgressType, text: &str) -> bool {
        let was_open =
            std::mem::take(&mut *self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        if was_open {
            self.post(kind, text);
        }
        was_open
    }

    fn post(&self, kind: gst::ProgressType, text: &str) {
        let Some(element) = self.element.upgrade() else { return };
        let message = gst::message::Progress::builder(kind, self.code, text).src(&element).build();
        // Without a bus nobody listens.
        let _ = element.post_message(message);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.cancel("not finished");
    }
}
