//! One engine for one key.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;

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
