//! The runtime that all clients of the process share: it begins with the first of them and ends with the last.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use super::HttpError;

static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

/// A runtime with one thread for everybody's requests.
#[derive(Debug)]
pub(super) struct Shared {
    runtime: Option<Runtime>,
}

impl Shared {
    /// The runtime of this process.
    pub(super) fn get() -> Result<Arc<Shared>, HttpError> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("listen-http")
            // Names are looked up by the system, which blocks a thread.
            .max_blocking_threads(4)
            .thread_keep_alive(Duration::from_secs(1))
            .enable_all()
            .build()
            .map_err(|error| HttpError::Runtime { reason: error.to_string() })?;
        let started = Arc::new(Shared { runtime: Some(runtime) });
        *shared = Arc::downgrade(&started);
        Ok(started)
    }

    pub(super) fn handle(&self) -> Option<&Handle> {
        self.runtime.as_ref().map(Runtime::handle)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        if Handle::try_current().is_ok() {
            // Waiting is not allowed within another runtime.
            runtime.shutdown_background();
        } else {
            // Its thread ends at once; only a name that the system still looks up may take longer.
            runtime.shutdown_timeout(Duration::from_millis(500));
        }
    }
}
