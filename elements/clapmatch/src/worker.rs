//! Reads lists of labels and embeds them, on a thread of its own.
//!
//! A request replaces the one that waits; a result waits until it is fetched at a window's boundary. Nobody but the
//! first windows of a stream that is not live ever waits for the text tower.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::prepare::{ListenError, Open, Prepared, Target, prepare};
use crate::settings::Listen;

type Outcome = Result<Prepared, ListenError>;

/// What becomes of a failure: `true` where it was told already, `false` where it waits to be fetched.
type OnFailure = Box<dyn Fn(&ListenError) -> bool + Send + Sync>;

/// The thread that reads labels, from the first request to `stop`.
pub struct Worker {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    on_failure: OnFailure,
}

#[derive(Default)]
struct State {
    target: Option<Target>,
    /// What the thread takes next.
    request: Option<(Target, Listen)>,
    /// Whether the thread has one in hand.
    busy: bool,
    outcome: Option<Outcome>,
    /// Nobody may wait.
    flushing: bool,
    stopping: bool,
}

/// Why nothing was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReady {
    /// It is still being made, or was never asked for.
    Pending,
    /// The pad is flushing.
    Flushing,
}

impl Worker {
    /// A worker that has nothing to do yet.
    pub fn new(on_failure: impl Fn(&ListenError) -> bool + Send + Sync + 'static) -> Worker {
        let (state, changed) = Default::default();
        Worker {
            shared: Arc::new(Shared { state, changed, on_failure: Box::new(on_failure) }),
            thread: Mutex::new(None),
        }
    }

    /// Says which stream is compared from now on, and what is listened for in it. What was made for another is dropped.
    pub fn set_target(&self, target: Target, listen: &Listen) -> Result<(), ListenError> {
        let mut state = self.shared.lock();
        if state.target.as_ref() == Some(&target) {
            return Ok(());
        }
        state.target = Some(target.clone());
        state.outcome = None;
        state.request = Some((target, listen.clone()));
        drop(state);
        self.shared.changed.notify_all();
        self.start()
    }

    /// Says what is listened for from now on; does nothing before there is a stream. Never waits.
    pub fn request(&self, listen: &Listen) {
        let mut state = self.shared.lock();
        if let Some(target) = state.target.clone() {
            state.request = Some((target, listen.clone()));
            drop(state);
            self.shared.changed.notify_all();
        }
    }

    /// What is ready, if anything is.
    pub fn fetch(&self) -> Option<Outcome> {
        self.shared.lock().outcome.take()
    }

    /// Waits until the newest request is done.
    pub fn wait(&self) -> Result<Outcome, NotReady> {
        let mut state = self.shared.lock();
        loop {
            if state.flushing || state.stopping {
                return Err(NotReady::Flushing);
            }
            let done = state.request.is_none() && !state.busy;
            if done {
                return state.outcome.take().ok_or(NotReady::Pending);
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// While flushing nobody waits.
    pub fn set_flushing(&self, flushing: bool) {
        self.shared.lock().flushing = flushing;
        self.shared.changed.notify_all();
    }

    /// Ends the thread, waiting for what it has in hand, and forgets the stream.
    pub fn stop(&self) {
        self.shared.lock().stopping = true;
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It catches its panics; one that got through has been reported by the panic hook.
            let _ = thread.join();
        }
        *self.shared.lock() = State::default();
    }

    fn start(&self) -> Result<(), ListenError> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let shared = self.shared.clone();
            let spawned =
                std::thread::Builder::new().name("clapmatch:labels".into()).spawn(move || shared.run());
            *thread = Some(spawned.map_err(ListenError::Thread)?);
        }
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        // The tower stays loaded between lists.
        let mut open: Option<Open> = None;
        loop {
            let mut state = self.lock();
            let (target, listen) = loop {
                if state.stopping {
                    return;
                }
                if let Some(request) = state.request.take() {
                    break request;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            };
            state.busy = true;
            drop(state);

            let made = std::panic::AssertUnwindSafe(|| prepare(&target, &listen, &mut open));
            let outcome = std::panic::catch_unwind(made).unwrap_or(Err(ListenError::Panic));
            let superseded = self.lock().request.is_some();
            let told = match &outcome {
                Err(error) if !superseded => (self.on_failure)(error),
                _ => false,
            };

            let mut state = self.lock();
            state.busy = false;
            // Another list was asked for meanwhile, or for another stream: this one is of no use.
            let wanted = state.request.is_none() && state.target.as_ref() == Some(&target);
            if wanted && !told {
                state.outcome = Some(outcome);
            }
            drop(state);
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target { space: "no-such-space".into(), dim: 4, scores: false }
    }

    /// As it is while a text tower takes its time.
    fn busy() -> Arc<Worker> {
        let worker = Worker::new(|_| false);
        worker.shared.lock().busy = true;
        Arc::new(worker)
    }

    #[test]
    fn a_flush_wakes_who_waits() {
        let worker = busy();
        let waits = worker.clone();
        let thread = std::thread::spawn(move || waits.wait().map(|_| ()));
        worker.set_flushing(true);
        assert_eq!(thread.join().unwrap(), Err(NotReady::Flushing));
    }

    #[test]
    fn a_request_never_waits_and_the_last_one_counts() {
        let worker = busy();
        worker.shared.lock().target = Some(target());
        for labels in ["a", "b", "c"] {
            worker.request(&Listen { labels: Some(labels.into()), ..Listen::default() });
        }
        let request = worker.shared.lock().request.take();
        assert_eq!(request.unwrap().1.labels.as_deref(), Some("c"));
    }

    #[test]
    fn a_failure_waits_to_be_fetched_unless_it_was_told() {
        for told in [true, false] {
            let worker = Worker::new(move |_| told);
            worker.set_target(target(), &Listen::default()).unwrap();
            match worker.wait() {
                Ok(Err(ListenError::NoPackage { space })) if !told => assert_eq!(space, "no-such-space"),
                Err(NotReady::Pending) if told => {}
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn after_a_stop_it_begins_anew() {
        let worker = Worker::new(|_| false);
        for _ in 0..3 {
            worker.set_target(target(), &Listen::default()).unwrap();
            assert!(matches!(worker.wait(), Ok(Err(_))));
            worker.stop();
            assert!(matches!(worker.wait(), Err(NotReady::Pending)));
        }
    }
}
