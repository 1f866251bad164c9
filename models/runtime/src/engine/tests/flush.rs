//! Cancellation: of what waits, of what runs, of who waits.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;

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
fn a_receiver_of_what_is_under_way_does_not_miss_a_flush_that_came_before() {
    let stage = Stage::new(1, 8);
    let client = stage.engine.client();
    assert_eq!(client.recv_under_way(Duration::MAX), None);
    stage.submit(&client, 1, Limits::default());
    assert_eq!(client.flush(), 1);
    assert_eq!(client.recv_under_way(Duration::MAX), None);
    stage.let_go();
    stage.submit(&client, 2, Limits::default());
    assert_eq!(client.recv_under_way(Duration::MAX), Some(Ok(20)));
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
