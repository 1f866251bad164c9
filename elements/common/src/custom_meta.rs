//! Registering custom metas.

use std::sync::Once;

/// A custom meta, registered when it is first used.
///
/// Another plugin of the process may have done it already: a second registration would abort. It has no tags: audioconvert and
/// audioresample drop metas that have tags they do not know.
pub(crate) struct Registration {
    name: &'static str,
    once: Once,
}

impl Registration {
    pub(crate) const fn of(name: &'static str) -> Self {
        Self { name, once: Once::new() }
    }

    pub(crate) fn ensure(&self) {
        self.once.call_once(|| {
            if !gst::meta::CustomMeta::is_registered(self.name) {
                gst::meta::CustomMeta::register(self.name, &[]);
            }
        });
    }
}
