//! Giving a request up from another thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Says that nobody waits for a request any more. Clones are one token.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    given_up: AtomicBool,
    told: Notify,
}

impl Cancel {
    /// A token that is not cancelled.
    pub fn new() -> Cancel {
        Cancel::default()
    }

    /// Gives the request up, from any thread and any number of times. A backend on the network returns at once, one that
    /// computes at its next step.
    pub fn cancel(&self) {
        self.inner.given_up.store(true, Ordering::SeqCst);
        self.inner.told.notify_waiters();
    }

    /// Whether it was given up.
    pub fn is_cancelled(&self) -> bool {
        self.inner.given_up.load(Ordering::SeqCst)
    }

    /// Returns when it is given up.
    pub(crate) async fn cancelled(&self) {
        // Listening before looking, or a call between the two would not be heard.
        let told = self.inner.told.notified();
        tokio::pin!(told);
        told.as_mut().enable();
        if !self.is_cancelled() {
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_cancelled_with_its_token() {
        let (token, other) = (Cancel::new(), Cancel::new());
        let clone = token.clone();
        clone.cancel();
        assert!(token.is_cancelled());
        assert!(!other.is_cancelled());
    }

    #[test]
    fn who_waits_is_told_before_and_after() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let token = Cancel::new();
        let waiting = token.clone();
        let thread = std::thread::spawn(move || waiting.cancel());
        runtime.block_on(token.cancelled());
        runtime.block_on(token.cancelled());
        thread.join().unwrap();
    }
}
