//! The engine with models that do what the test says, when it says so. Nothing here waits for time to pass: the
//! limits on waiting only turn a hang into a failure.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::*;

mod end;
mod failures;
mod flush;
mod order;
mod shared;
mod sharing;

const WAIT: Duration = Duration::from_secs(120);
const HOUR: Duration = Duration::from_secs(3600);

/// Tells what it was given and then waits to be told how to go on.
struct Puppet {
    worker: usize,
    started: Sender<(usize, Vec<u32>)>,
    go: Receiver<Go>,
}

enum Go {
    /// Gives ten times each window.
    On,
    /// Gives this many results too few.
    Short(usize),
    Fail,
    Panic,
}

/// A window that shows when it is dropped.
struct Window(u32, #[allow(dead_code, reason = "only its count is looked at")] Arc<()>);

impl Model for Puppet {
    type Input = Window;
    type Output = u32;

    fn run(&mut self, batch: &mut Vec<Window>) -> Vec<Result<u32, RuntimeError>> {
        let windows: Vec<u32> = batch.iter().map(|w| w.0).collect();
        self.started.send((self.worker, windows.clone())).unwrap();
        let results = windows.iter().map(|w| Ok(10 * w));
        match self.go.recv().unwrap() {
            Go::On => results.collect(),
            Go::Short(by) => results.skip(by).collect(),
            Go::Fail => windows.iter().map(|w| Err(RuntimeError::Run { reason: w.to_string() })).collect(),
            // Like a panic, without the hook's message in the test's output.
            Go::Panic => std::panic::resume_unwind(Box::new("strings cut")),
        }
    }
}

struct Stage {
    engine: Arc<Engine<Puppet>>,
    started: Receiver<(usize, Vec<u32>)>,
    go: Vec<Sender<Go>>,
    token: Arc<()>,
}

impl Stage {
    fn new(workers: usize, queue: usize) -> Self {
        let (sender, started) = unbounded();
        let (go, strings): (Vec<_>, Vec<_>) = (0..workers).map(|_| unbounded()).unzip();
        let make =
            |worker| Ok(Puppet { worker, started: sender.clone(), go: Receiver::clone(&strings[worker]) });
        let engine = Engine::new(EngineOptions { workers, queue }, make).unwrap();
        Self { engine, started, go, token: Arc::new(()) }
    }

    fn window(&self, number: u32) -> Window {
        Window(number, Arc::clone(&self.token))
    }

    fn windows_alive(&self) -> usize {
        Arc::strong_count(&self.token) - 1
    }

    fn submit(&self, client: &Client<Puppet>, number: u32, limits: Limits) {
        client.submit(self.window(number), limits).unwrap();
    }

    /// The next run that begins: its worker and windows.
    fn next_run(&self) -> (usize, Vec<u32>) {
        self.started.recv_timeout(WAIT).expect("a run begins")
    }

    /// Lets all runs there will ever be go on at once.
    fn let_go(&self) {
        self.go.iter().for_each(|go| (0..10_000).for_each(|_| go.send(Go::On).unwrap()));
    }
}

fn recv(client: &Client<Puppet>) -> Result<u32, RuntimeError> {
    client.recv_timeout(WAIT).expect("a result comes")
}

fn up_to(max_batch: usize, max_wait: Duration) -> Limits {
    Limits { max_batch, max_wait }
}

/// Runs what it is given.
struct Errand;

impl Model for Errand {
    type Input = Box<dyn FnOnce() -> u32 + Send>;
    type Output = u32;

    fn run(&mut self, batch: &mut Vec<Self::Input>) -> Vec<Result<u32, RuntimeError>> {
        batch.drain(..).map(|errand| Ok(errand())).collect()
    }
}

fn errands(workers: usize) -> Arc<Engine<Errand>> {
    Engine::new(EngineOptions { workers, queue: 4 }, |_| Ok(Errand)).unwrap()
}
