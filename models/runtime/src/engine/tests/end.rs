//! Ends: whoever lets go last, from whatever thread.

use std::thread;

use super::*;

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
