//! The engine with models that do what the test says, when it says so. Nothing here waits for time to pass: the
//! limits on waiting only turn a hang into a failure.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, unbounded};

use super::*;

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

#[test]
fn results_come_in_order_though_workers_finish_out_of_order() {
    let stage = Stage::new(2, 8);
    let client = stage.engine.client();
    stage.submit(&client, 1, Limits::default());
    let (first, _) = stage.next_run();
    stage.submit(&client, 2, Limits::default());
    let (second, _) = stage.next_run();
    assert_ne!(first, second);

    stage.go[second].send(Go::On).unwrap();
    stage.submit(&client, 3, Limits::default());
    // The second worker takes the third window only after it has handed in the second.
    assert_eq!(stage.next_run(), (second, vec![3]));
    assert!(client.try_recv().is_none());

    stage.go[first].send(Go::On).unwrap();
    assert_eq!((recv(&client), recv(&client)), (Ok(10), Ok(20)));
    stage.go[second].send(Go::On).unwrap();
    assert_eq!(recv(&client), Ok(30));
}

#[test]
fn a_batch_keeps_the_smallest_max_batch_of_its_windows() {
    let stage = Stage::new(1, 8);
    let (a, b) = (stage.engine.client(), stage.engine.client());
    stage.submit(&a, 0, Limits::default());
    stage.next_run();
    stage.submit(&a, 1, up_to(8, HOUR));
    stage.submit(&b, 2, up_to(3, HOUR));
    stage.submit(&a, 3, up_to(8, HOUR));
    stage.submit(&a, 4, up_to(8, Duration::ZERO));
    stage.let_go();
    assert_eq!(stage.next_run().1, [1, 2, 3]);
    assert_eq!(stage.next_run().1, [4]);
}

#[test]
fn a_batch_runs_at_the_earliest_deadline_of_its_windows() {
    let stage = Stage::new(1, 8);
    let client = stage.engine.client();
    stage.let_go();
    stage.submit(&client, 1, up_to(8, HOUR));
    stage.submit(&client, 2, up_to(8, HOUR));
    stage.submit(&client, 3, up_to(8, Duration::ZERO));
    assert_eq!(stage.next_run().1, [1, 2, 3]);
}

#[test]
fn a_window_past_its_deadline_still_takes_those_along_that_wait_already() {
    let stage = Stage::new(1, 8);
    let client = stage.engine.client();
    stage.submit(&client, 0, Limits::default());
    stage.next_run();
    (1..=3).for_each(|n| stage.submit(&client, n, up_to(8, Duration::ZERO)));
    stage.let_go();
    assert_eq!(stage.next_run().1, [1, 2, 3]);
}

#[test]
fn at_max_batch_1_nothing_waits_for_company() {
    let stage = Stage::new(1, 8);
    let client = stage.engine.client();
    stage.let_go();
    for n in 1..=2 {
        stage.submit(&client, n, up_to(1, HOUR));
        assert_eq!(stage.next_run().1, [n]);
    }
}

#[test]
fn a_window_that_must_be_alone_ends_the_waiting_of_a_batch_and_runs_next() {
    let stage = Stage::new(1, 8);
    let client = stage.engine.client();
    stage.let_go();
    stage.submit(&client, 1, up_to(8, HOUR));
    stage.submit(&client, 2, up_to(1, HOUR));
    assert_eq!(stage.next_run().1, [1]);
    assert_eq!(stage.next_run().1, [2]);
    assert_eq!((recv(&client), recv(&client)), (Ok(10), Ok(20)));
}

#[test]
fn an_idle_worker_takes_what_does_not_fit_into_anothers_batch() {
    let stage = Stage::new(2, 8);
    let (a, b) = (stage.engine.client(), stage.engine.client());
    stage.submit(&b, 0, Limits::default());
    let (busy, _) = stage.next_run();
    // The other worker waits with window 1, cannot take 2 along, and begins with 1. Nothing is let go for that.
    stage.submit(&a, 1, up_to(8, HOUR));
    stage.submit(&a, 2, up_to(1, HOUR));
    assert_eq!(stage.next_run(), (1 - busy, vec![1]));
    // The first one is free again: 2 is its, though the other is still at work.
    stage.go[busy].send(Go::On).unwrap();
    assert_eq!(stage.next_run(), (busy, vec![2]));
    stage.let_go();
    assert_eq!((recv(&a), recv(&a)), (Ok(10), Ok(20)));
}

#[test]
fn a_window_in_the_queue_is_dropped_by_a_flush_at_once() {
    let stage = Stage::new(1, 8);
    let (a, b) = (stage.engine.client(), stage.engine.client());
    stage.submit(&b, 0, Limits::default());
    stage.next_run();
    stage.submit(&a, 1, Limits::default());
    stage.submit(&a, 2, Limits::default());
    assert_eq!((a.in_flight(), stage.windows_alive()), (2, 3));
    assert_eq!(a.flush(), 2);
    assert_eq!((a.in_flight(), stage.windows_alive()), (0, 1));

    stage.submit(&a, 3, Limits::default());
    stage.let_go();
    assert_eq!(stage.next_run().1, [3]);
    assert_eq!(recv(&a), Ok(30));
    assert_eq!(recv(&b), Ok(0));
}

#[test]
fn the_result_of_a_window_flushed_while_it_ran_is_ignored() {
    let stage = Stage::new(1, 8);
    let client = stage.engine.client();
    stage.submit(&client, 1, Limits::default());
    stage.next_run();
    assert_eq!(client.flush(), 1);
    stage.submit(&client, 2, Limits::default());
    stage.let_go();
    assert_eq!(recv(&client), Ok(20));
    assert_eq!(client.in_flight(), 0);
}

#[test]
fn a_flush_counts_results_that_nobody_took() {
    let stage = Stage::new(1, 8);
    let (a, b) = (stage.engine.client(), stage.engine.client());
    stage.let_go();
    stage.submit(&a, 1, Limits::default());
    stage.submit(&b, 2, Limits::default());
    assert_eq!(recv(&b), Ok(20));
    assert_eq!((a.flush(), a.flush()), (1, 0));
    assert!(a.try_recv().is_none());
}

#[test]
fn a_submit_that_waits_for_its_own_results_is_cancelled_by_a_flush() {
    let stage = Stage::new(1, 64);
    cancelled_while_submitting(&stage);
}

#[test]
fn a_submit_that_waits_for_room_in_the_queue_is_cancelled_by_a_flush() {
    let stage = Stage::new(1, 1);
    let other = stage.engine.client();
    stage.submit(&other, 0, Limits::default());
    stage.next_run();
    stage.submit(&other, 1, Limits::default());
    assert!(matches!(other.try_submit(stage.window(2), Limits::default()), Err(TrySubmitError::Full(_))));
    cancelled_while_submitting(&stage);
}

/// Submits, while no run goes on, until a flush cancels that; and all that was accepted was flushed.
fn cancelled_while_submitting(stage: &Stage) {
    let client = stage.engine.client();
    let (accepted, flushed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let end = thread::scope(|scope| {
        let submitting = scope.spawn(|| {
            loop {
                match client.submit(stage.window(9), Limits::default()) {
                    Ok(()) => accepted.fetch_add(1, Ordering::Relaxed),
                    Err(error) => break error,
                };
            }
        });
        while !submitting.is_finished() {
            flushed.fetch_add(client.flush(), Ordering::Relaxed);
            thread::yield_now();
        }
        submitting.join().unwrap()
    });
    assert_eq!(end, SubmitError::Cancelled);
    flushed.fetch_add(client.flush(), Ordering::Relaxed);
    assert_eq!(accepted.into_inner(), flushed.into_inner());
    stage.let_go();
}

#[test]
fn a_submit_that_waits_goes_on_when_a_result_is_taken() {
    let stage = Stage::new(1, 64);
    let client = stage.engine.client();
    stage.let_go();
    thread::scope(|scope| {
        scope.spawn(|| (0..100).for_each(|n| stage.submit(&client, n, Limits::default())));
        (0..100).for_each(|n| assert_eq!(recv(&client), Ok(10 * n)));
    });
}

#[test]
fn a_receiver_that_waits_is_woken_by_a_flush() {
    let stage = Stage::new(1, 8);
    let client = stage.engine.client();
    thread::scope(|scope| {
        let receiving = scope.spawn(|| client.recv_timeout(Duration::MAX));
        while !receiving.is_finished() {
            client.flush();
            thread::yield_now();
        }
        assert_eq!(receiving.join().unwrap(), None);
    });
}

#[test]
fn a_receiver_gives_up_when_its_time_is_over() {
    let stage = Stage::new(1, 8);
    let client = stage.engine.client();
    stage.submit(&client, 1, Limits::default());
    assert_eq!(client.recv_timeout(Duration::ZERO), None);
    assert_eq!(client.recv_timeout(Duration::from_millis(1)), None);
    stage.let_go();
    assert_eq!(recv(&client), Ok(10));
}

#[test]
fn a_client_that_takes_no_results_stops_itself_and_nobody_else() {
    let stage = Stage::new(1, 64);
    let (lazy, busy) = (stage.engine.client(), stage.engine.client());
    stage.let_go();
    let mut taken = 0;
    while lazy.try_submit(stage.window(taken), Limits::default()).is_ok() {
        taken += 1;
    }
    assert_eq!(taken as usize, lazy.capacity(Limits::default()));
    for n in 0..100 {
        stage.submit(&busy, n, Limits::default());
        assert_eq!(recv(&busy), Ok(10 * n));
    }
    assert!(lazy.try_submit(stage.window(0), Limits::default()).is_err());
    (0..taken).for_each(|n| assert_eq!(recv(&lazy), Ok(10 * n)));
}

#[test]
fn a_window_waits_for_at_most_a_capacity_of_each_other_client() {
    let stage = Stage::new(1, 64);
    let (flood, late) = (stage.engine.client(), stage.engine.client());
    let capacity = flood.capacity(Limits::default()) as u32;
    (0..capacity).for_each(|n| stage.submit(&flood, n, Limits::default()));
    assert!(flood.try_submit(stage.window(99), Limits::default()).is_err());
    stage.submit(&late, 100, Limits::default());
    stage.let_go();
    let order: Vec<u32> = (0..=capacity).map(|_| stage.next_run().1[0]).collect();
    assert_eq!(order.last(), Some(&100));
}

#[test]
fn a_panic_in_the_model_is_the_error_of_its_batch_and_of_no_other() {
    let stage = Stage::new(1, 8);
    let (a, b) = (stage.engine.client(), stage.engine.client());
    stage.submit(&a, 1, up_to(2, HOUR));
    stage.submit(&b, 2, up_to(2, HOUR));
    stage.go[0].send(Go::Panic).unwrap();
    let panic = RuntimeError::Panic { message: "strings cut".into() };
    assert_eq!((recv(&a), recv(&b)), (Err(panic.clone()), Err(panic)));

    stage.submit(&a, 3, Limits::default());
    stage.let_go();
    assert_eq!(recv(&a), Ok(30));
}

#[test]
fn an_error_of_the_model_reaches_the_client_of_its_window() {
    let stage = Stage::new(1, 8);
    let client = stage.engine.client();
    stage.submit(&client, 7, Limits::default());
    stage.go[0].send(Go::Fail).unwrap();
    assert_eq!(recv(&client), Err(RuntimeError::Run { reason: "7".into() }));
}

#[test]
fn a_model_that_gives_too_few_results_is_an_error_with_both_numbers() {
    let stage = Stage::new(1, 8);
    let client = stage.engine.client();
    stage.submit(&client, 1, up_to(2, HOUR));
    stage.submit(&client, 2, up_to(2, HOUR));
    stage.go[0].send(Go::Short(1)).unwrap();
    let error = Err(RuntimeError::Results { expected: 2, found: 1 });
    assert_eq!((recv(&client), recv(&client)), (error.clone(), error));
}

#[test]
fn sixteen_clients_get_their_own_results_in_order() {
    let stage = Stage::new(3, 8);
    stage.let_go();
    thread::scope(|scope| {
        for base in (0..16).map(|c| 1_000 * c) {
            let client = stage.engine.client();
            let stage = &stage;
            scope.spawn(move || {
                thread::scope(|scope| {
                    scope.spawn(|| {
                        (0..100).for_each(|n| {
                            stage.submit(&client, base + n, up_to(4, Duration::from_micros(100)));
                        });
                    });
                    (0..100).for_each(|n| assert_eq!(recv(&client), Ok(10 * (base + n))));
                });
            });
        }
    });
    let stats = stage.engine.stats();
    assert_eq!((stats.windows, stats.queue_depth, stats.clients), (1_600, 0, 0));
    assert!(stats.runs <= 1_600 && stats.runs >= 400);
}

#[test]
fn two_clients_go_on_while_a_third_stops() {
    let stage = Stage::new(2, 4);
    stage.let_go();
    thread::scope(|scope| {
        for _ in 0..2 {
            let client = stage.engine.client();
            let stage = &stage;
            scope.spawn(move || {
                for n in 0..300 {
                    stage.submit(&client, n, Limits::default());
                    assert_eq!(recv(&client), Ok(10 * n));
                }
            });
        }
        for _ in 0..30 {
            let client = stage.engine.client();
            (0..3).for_each(|n| stage.submit(&client, n, Limits::default()));
            drop(client);
        }
    });
    assert_eq!(stage.engine.stats().clients, 0);
}

#[test]
fn what_was_accepted_was_received_or_flushed_whatever_the_timing() {
    let stage = Stage::new(2, 3);
    stage.let_go();
    thread::scope(|scope| {
        for seed in 1..=4u32 {
            let stage = &stage;
            scope.spawn(move || {
                let client = stage.engine.client();
                let (accepted, done) = (AtomicUsize::new(0), AtomicBool::new(false));
                let (mut received, mut flushed) = (0, 0);
                thread::scope(|scope| {
                    scope.spawn(|| {
                        for n in 0..500 {
                            if client.submit(stage.window(n), up_to(2, Duration::ZERO)).is_ok() {
                                accepted.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        done.store(true, Ordering::Release);
                    });
                    let mut random = seed;
                    let mut last = None;
                    while !done.load(Ordering::Acquire) {
                        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        if random >> 28 == 0 {
                            flushed += client.flush();
                        } else if let Some(result) = client.recv_timeout(Duration::from_micros(50)) {
                            assert!(last < Some(result.clone().unwrap()), "in order");
                            last = Some(result.unwrap());
                            received += 1;
                        }
                    }
                });
                flushed += client.flush();
                assert_eq!(accepted.into_inner(), received + flushed);
            });
        }
    });
    let Stage { engine, token, .. } = stage;
    drop(engine);
    assert_eq!(Arc::strong_count(&token), 1, "no window is left");
}

#[test]
fn an_engine_outlives_its_holder_while_it_has_a_client() {
    let stage = Stage::new(2, 4);
    let client = stage.engine.client();
    stage.let_go();
    let Stage { engine, token, .. } = stage;
    drop(engine);
    client.submit(Window(4, token), Limits::default()).unwrap();
    assert_eq!(recv(&client), Ok(40));
}

#[test]
fn dropping_client_and_engine_waits_only_for_the_run_that_has_begun() {
    let stage = Stage::new(1, 8);
    let (a, b) = (stage.engine.client(), stage.engine.client());
    stage.submit(&a, 1, Limits::default());
    stage.next_run();
    stage.submit(&a, 2, Limits::default());
    stage.submit(&b, 3, up_to(8, HOUR));
    let Stage { engine, started, go, token } = stage;
    drop(b);
    drop(a);
    assert_eq!(Arc::strong_count(&token), 2, "only the window being run is left");
    let ending = thread::spawn(move || drop(engine));
    go[0].send(Go::On).unwrap();
    ending.join().unwrap();
    assert!(started.try_recv().is_err(), "the others were not run");
}

#[test]
fn an_engine_ends_though_a_batch_still_waits_for_company() {
    let stage = Stage::new(2, 8);
    let client = stage.engine.client();
    stage.submit(&client, 1, up_to(8, HOUR));
    drop(client);
    drop(stage);
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

#[test]
fn an_engine_may_be_dropped_by_its_own_worker() {
    let engine = errands(3);
    let client = engine.client();
    let (alone, is_alone) = unbounded::<()>();
    let (ended, has_ended) = unbounded();
    let (begun, has_begun) = unbounded();
    let errand = move || {
        begun.send(()).unwrap();
        is_alone.recv().unwrap();
        drop(engine);
        ended.send(()).unwrap();
        0
    };
    client.submit(Box::new(errand), Limits::default()).unwrap();
    has_begun.recv_timeout(WAIT).expect("the errand is run");
    drop(client);
    alone.send(()).unwrap();
    has_ended.recv_timeout(WAIT).expect("the worker goes on after it has dropped its engine");
}

#[test]
fn a_client_may_be_dropped_by_a_worker_with_its_own_result_pending() {
    let engine = errands(1);
    let client = Arc::new(engine.client());
    let own = Arc::clone(&client);
    let (ended, has_ended) = unbounded();
    let (begun, has_begun) = unbounded();
    let (last, is_last) = unbounded::<()>();
    let errand = move || {
        begun.send(()).unwrap();
        is_last.recv().unwrap();
        drop(own);
        ended.send(()).unwrap();
        0
    };
    client.submit(Box::new(errand), Limits::default()).unwrap();
    has_begun.recv_timeout(WAIT).expect("the errand is run");
    drop((engine, client));
    last.send(()).unwrap();
    has_ended.recv_timeout(WAIT).expect("no deadlock");
}

#[test]
fn a_model_that_cannot_be_made_is_an_error_and_leaves_no_thread() {
    let made = Arc::new(());
    struct Counted(#[allow(dead_code, reason = "only its count is looked at")] Arc<()>);
    impl Model for Counted {
        type Input = ();
        type Output = ();
        fn run(&mut self, batch: &mut Vec<()>) -> Vec<Result<(), RuntimeError>> {
            batch.iter().map(|_| Ok(())).collect()
        }
    }
    let make = |n| match n {
        2 => Err(RuntimeError::Run { reason: "no third".into() }),
        _ => Ok(Counted(Arc::clone(&made))),
    };
    let error = Engine::new(EngineOptions { workers: 4, queue: 1 }, make).map(|_| ());
    assert_eq!(error, Err(RuntimeError::Run { reason: "no third".into() }));
    assert_eq!(Arc::strong_count(&made), 1);
}

#[test]
fn statistics_add_up() {
    let stage = Stage::new(1, 8);
    let (a, _b) = (stage.engine.client(), stage.engine.client());
    stage.submit(&a, 1, Limits::default());
    stage.next_run();
    (2..=3).for_each(|n| {
        assert!(a.try_submit(stage.window(n), up_to(2, HOUR)).is_ok());
    });
    let stats = stage.engine.stats();
    assert_eq!((stats.runs, stats.windows, stats.queue_depth, stats.clients), (0, 0, 2, 2));
    stage.let_go();
    (1..=3).for_each(|n| assert_eq!(recv(&a), Ok(10 * n)));
    let stats = stage.engine.stats();
    assert_eq!((stats.runs, stats.windows, stats.queue_depth, stats.clients), (2, 3, 0, 2));
    assert!(stats.p50_ns <= stats.p95_ns && stats.p95_ns <= stats.max_ns && stats.mean_ns <= stats.max_ns);
}

#[test]
fn eight_threads_that_ask_for_one_key_get_one_engine_and_a_new_one_when_all_have_gone() {
    let made = AtomicUsize::new(0);
    let barrier = Barrier::new(8);
    let ask = || {
        shared("eight threads", || {
            made.fetch_add(1, Ordering::Relaxed);
            Ok(errands(1))
        })
        .unwrap()
    };
    let engines: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    ask()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    assert_eq!(made.load(Ordering::Relaxed), 1);
    assert!(engines.iter().all(|e| Arc::ptr_eq(e, &engines[0])));
    drop(engines);
    drop(ask());
    assert_eq!(made.load(Ordering::Relaxed), 2);
}

#[test]
fn another_key_or_another_model_is_another_engine() {
    let a = shared("another", || Ok(errands(1))).unwrap();
    let b = shared("yet another", || Ok(errands(1))).unwrap();
    assert!(!Arc::ptr_eq(&a, &b));
    let (sender, strings) = unbounded();
    let (started, _) = unbounded();
    let make = |worker| Ok(Puppet { worker, started: started.clone(), go: Receiver::clone(&strings) });
    let c = shared("another", || Engine::new(EngineOptions { workers: 2, queue: 1 }, make)).unwrap();
    assert_eq!((a.workers(), c.workers()), (1, 2));
    drop(sender);
}

#[test]
fn a_failed_load_is_tried_again_by_the_next_who_asks() {
    let fail = || Err::<Arc<Engine<Errand>>, _>(RuntimeError::Run { reason: "not yet".into() });
    assert!(shared("fails first", fail).is_err());
    assert!(shared("fails first", || Ok(errands(1))).is_ok());
}

#[test]
fn while_an_engine_is_made_another_key_can_be_asked_for() {
    let outer = shared("outer", || {
        let inner = shared("inner", || Ok(errands(1)))?;
        assert_eq!(inner.workers(), 1);
        Ok(errands(2))
    });
    assert_eq!(outer.unwrap().workers(), 2);
}
