//! One engine for one key in the process.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Engine, Model};
use crate::error::RuntimeError;

/// An engine, while anybody holds it. Locked while it is made.
type Entry = Arc<Mutex<Option<Weak<dyn Any + Send + Sync>>>>;

static ENTRIES: Mutex<Option<HashMap<(TypeId, String), Entry>>> = Mutex::new(None);

/// The process's engine for `key` and this model: the one that somebody holds, or else what `make` gives.
///
/// The key must say all that `make` depends on (package, provider, device, precision, threads, workers). Callers with
/// the same key wait for the one that makes; those with other keys do not. `make` may ask for engines of other keys,
/// never of its own.
///
/// # Errors
/// Those of `make`. They are not remembered: whoever waited tries it again.
pub fn shared<M: Model>(
    key: &str,
    make: impl FnOnce() -> Result<Arc<Engine<M>>, RuntimeError>,
) -> Result<Arc<Engine<M>>, RuntimeError> {
    let entry = {
        let mut entries = ENTRIES.lock().unwrap_or_else(PoisonError::into_inner);
        let entries = entries.get_or_insert_default();
        // Entries of engines that have ended and that nobody is at work on.
        entries.retain(|_, entry| Arc::strong_count(entry) > 1 || is_alive(entry));
        Arc::clone(entries.entry((TypeId::of::<M>(), key.to_owned())).or_default())
    };
    let mut engine = entry.lock().unwrap_or_else(PoisonError::into_inner);
    let alive = engine.as_ref().and_then(Weak::upgrade).and_then(|any| any.downcast::<Engine<M>>().ok());
    if let Some(alive) = alive {
        return Ok(alive);
    }
    let made = make()?;
    let weak: Weak<Engine<M>> = Arc::downgrade(&made);
    *engine = Some(weak);
    Ok(made)
}

fn is_alive(entry: &Entry) -> bool {
    let engine = entry.lock().unwrap_or_else(PoisonError::into_inner);
    engine.as_ref().is_some_and(|weak| weak.strong_count() > 0)
}
