//! Order of results, and what goes into a batch.

use super::*;

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
