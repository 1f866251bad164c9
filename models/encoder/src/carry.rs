//! What the run of a chunk leaves to the next one's, where the graph carries over what it has heard.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use listen_runtime::{Provider, Value};

/// Whether a graph that carries over does so where this provider runs it.
///
/// Others than the CPU's may take an input's default for a constant and give wrong numbers without a word (OpenVINO's does, seen
/// with ONNX Runtime 1.24): there chunks are encoded with their contexts.
pub fn carries_over(provider: Provider) -> bool {
    provider == Provider::Cpu
}

/// A chunk's place in its stream: what the chunk before it leaves, and where it leaves something itself.
///
/// A chunk does not wait for one that nobody has begun to encode (it was dropped, it is silent and gated, or its job was
/// handed over later): it is encoded with its contexts then. So time steps are the same to the bit where each job is handed
/// over when the one before it is done, and otherwise within what kernels round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain {
    pub(crate) before: Option<Arc<Link>>,
    pub(crate) own: Arc<Link>,
}

/// Two jobs with the same sound are equal, whatever came before them.
impl PartialEq for Chain {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Where one chunk leaves something and the next one looks for it.
#[derive(Debug, Default)]
pub(crate) struct Link {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Waiting,
    Running,
    Done(Option<Arc<Carried>>),
}

/// What was heard so far.
#[derive(Debug)]
pub(crate) struct Carried {
    /// The frame after the last one that went through the graph, from the start of the stream.
    pub(crate) heard: u64,
    /// What the next run takes; `None` where the stream ended in this one.
    pub(crate) states: Option<Vec<Value>>,
    /// Number of the first time step in `steps`, from the start of the stream.
    pub(crate) first_step: u64,
    /// Time steps that a later chunk gives, step by step.
    pub(crate) steps: Vec<f32>,
}

/// While it lives its chunk is being encoded; one that has left nothing by then leaves nothing.
pub(crate) struct Running<'a>(&'a Link);

impl Link {
    pub(crate) fn begin(&self) -> Running<'_> {
        *self.lock() = State::Running;
        Running(self)
    }

    /// What the chunk leaves. Waits while it is being encoded.
    pub(crate) fn wait(&self) -> Option<Arc<Carried>> {
        let running = |state: &mut State| matches!(state, State::Running);
        let state = self.changed.wait_while(self.lock(), running).unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Done(carried) => carried.clone(),
            State::Waiting | State::Running => None,
        }
    }

    fn done(&self, carried: Option<Carried>) {
        *self.lock() = State::Done(carried.map(Arc::new));
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running<'_> {
    pub(crate) fn leave(self, carried: Carried) {
        self.0.done(Some(carried));
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if matches!(*self.0.lock(), State::Running) {
            self.0.done(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn carried(heard: u64) -> Carried {
        Carried { heard, states: None, first_step: 0, steps: Vec::new() }
    }

    #[test]
    fn what_a_chunk_leaves_is_found_and_what_never_began_is_not_waited_for() {
        let link = Link::default();
        assert!(link.wait().is_none());
        link.begin().leave(carried(8));
        assert_eq!(link.wait().map(|carried| carried.heard), Some(8));
        // It may be asked for again.
        assert!(link.wait().is_some());
        drop(link.begin());
        assert!(link.wait().is_none(), "its run failed");
    }

    #[test]
    fn one_that_is_being_encoded_is_waited_for() {
        for succeeds in [true, false] {
            let link = Arc::new(Link::default());
            let running = link.begin();
            let other = Arc::clone(&link);
            let waiting = std::thread::spawn(move || other.wait().map(|carried| carried.heard));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!waiting.is_finished());
            match succeeds {
                true => running.leave(carried(16)),
                false => drop(running),
            }
            assert_eq!(waiting.join().unwrap(), succeeds.then_some(16));
        }
    }
}
