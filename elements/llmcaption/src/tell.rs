//! What is said on the bus about a backend: once, until it has recovered.

use listen_captioner::{Notice, Reply};

use crate::imp::CAT;
use crate::local::NO_STREAM;
use crate::{LlmCaption, messages};

/// What was told.
#[derive(Debug, Default)]
pub struct Told {
    /// That the template has stepped in.
    fallback: bool,
    /// That, of the run of failures that goes on.
    this: bool,
}

impl Told {
    /// Tells what a reply says about its backend, unless that was told.
    ///
    /// The first time that the template steps in is told, with the reason. A server that fails now and then is not told
    /// of again, but one that is left alone after that is.
    pub fn tell(&mut self, element: &LlmCaption, reply: &Reply) {
        let reason = reply.fallback.as_deref();
        if let Some(reason) = reason {
            gst::info!(CAT, obj = element, "By the template: {reason}");
        }
        let pause = match (&reply.notice, reason) {
            (Some(Notice::Closed), _) => {
                *self = Told::default();
                return messages::recovered(element);
            }
            (Some(Notice::Open { pause, .. }), _) if !self.this => Some(*pause),
            (Some(Notice::Lost { .. }), _) => None,
            (_, Some(reason)) if !self.fallback && reason != NO_STREAM => None,
            (_, None) => {
                self.this = false;
                return;
            }
            _ => return,
        };
        *self = Told { fallback: true, this: true };
        messages::fallback(element, reason.unwrap_or_default(), pause);
    }
}
