//! Several clients of one engine.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use super::*;

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
