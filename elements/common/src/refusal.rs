//! What is refused comes again: GStreamer keeps CAPS and SEGMENT and sends them with each buffer until they are taken.

use std::sync::{Mutex, PoisonError};

use gst::glib::prelude::*;
use gst::prelude::*;

/// Why an element refused what came last: posted once, until something was taken.
#[derive(Debug, Default)]
pub struct Refusal(Mutex<Option<gst::ErrorMessage>>);

impl Refusal {
    /// Posts why, unless that was posted last.
    pub fn post(&self, element: &impl IsA<gst::Element>, why: gst::ErrorMessage) {
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(why.clone());
        if before.as_ref() != Some(&why) {
            element.upcast_ref().post_error_message(why);
        }
    }

    /// Something was taken, or the stream is over: what is refused from now on is told of again.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_posted_once_until_something_was_taken() {
        gst::init().unwrap();
        let pipeline = gst::Pipeline::new();
        let bus = pipeline.bus().unwrap();
        let posted = || std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Error])).count();
        let why = |text: &str| gst::error_msg!(gst::StreamError::Format, ("{text}"));
        let refusal = Refusal::default();
        for _ in 0..3 {
            refusal.post(&pipeline, why("tokens"));
        }
        assert_eq!(posted(), 1);
        refusal.post(&pipeline, why("bytes"));
        assert_eq!(posted(), 1);
        refusal.forget();
        refusal.post(&pipeline, why("bytes"));
        assert_eq!(posted(), 1);
    }
}
