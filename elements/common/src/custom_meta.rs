//! Registering custom metas.

use std::sync::{Mutex, PoisonError};

/// Registers a custom meta, if nobody in this process has: another plugin may carry this crate too.
///
/// Without tags: audioconvert and audioresample drop metas that have tags they do not know.
pub(crate) fn register(name: &str) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if !gst::meta::CustomMeta::is_registered(name) {
        gst::meta::CustomMeta::register(name, &[]);
    }
}
