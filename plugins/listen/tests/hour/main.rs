//! An hour of sound through the whole chain, faster than real time, while the server that writes the captions fails one
//! time in five: every event is in one caption, no message is lost, memory stays flat, no thread is left behind.
//!
//! The hour is `./run soak` (figures in BENCHMARKS.md); minutes of it run with the other tests.

mod run;
#[path = "../../../../elements/llmcaption/tests/common/server.rs"]
#[allow(dead_code, reason = "the faults that the hour needs are not all")]
mod server;
mod sound;

use std::collections::{BTreeMap, BTreeSet};

use run::{Told, soak};

/// From so many requests on their shares mean something.
const MANY: u64 = 40;
/// Resident memory may grow by so much beside what is kept on purpose (the evidence of the past hour).
const SPARE: f64 = 16e6;

#[test]
fn minutes_with_a_failing_server_lose_nothing() {
    assert_whole(&soak(5, false));
}

#[test]
fn minutes_of_a_live_stream_that_outruns_the_server_lose_nothing() {
    let told = soak(5, true);
    assert!(told.merged > 0, "nothing waited: this tests too little");
    assert_whole(&told);
}

#[test]
#[ignore = "minutes: ./run soak"]
fn an_hour_with_a_failing_server_loses_nothing() {
    assert_whole(&soak(60, false));
}

#[test]
#[ignore = "minutes: ./run soak"]
fn an_hour_of_a_live_stream_that_outruns_the_server_loses_nothing() {
    assert_whole(&soak(60, true));
}

fn assert_whole(told: &Told) {
    println!("{told}");
    assert_eq!(told.errors, Vec::<String>::new());

    // Every event that began has ended, and is in one caption.
    let times = |ids: &[u64]| {
        let mut times = BTreeMap::new();
        ids.iter().for_each(|id| *times.entry(*id).or_insert(0u32) += 1);
        times
    };
    let (began, ended, captioned) = (times(&told.began), times(&told.ended), times(&told.captions.concat()));
    assert!(began.len() as u64 >= 3 * told.minutes, "{} events in {} min", began.len(), told.minutes);
    assert!(began.values().all(|times| *times == 1), "an event began twice");
    assert_eq!(began, ended);
    assert_eq!(began, captioned, "each event once");

    // Every caption is one buffer and one message, in order; every question has its answer.
    let numbers: Vec<u64> = (1..=told.captions.len() as u64).collect();
    assert_eq!(told.numbers, numbers);
    assert_eq!(told.texts.len(), told.captions.len());
    assert!(told.texts.iter().all(|(_, text)| !text.trim().is_empty()));
    assert!(told.texts.windows(2).all(|pair| pair[0].0 <= pair[1].0), "captions out of order");
    let unique: BTreeSet<u64> = told.answered.iter().copied().collect();
    assert_eq!(told.answered.len(), unique.len(), "a question was answered twice");
    assert_eq!(unique, told.asked.iter().copied().collect());
    assert!(told.asked.len() as u64 >= told.minutes / 2, "{} questions", told.asked.len());

    // The server failed as it should have, and wrote the most all the same. Of few requests none may have failed for good: each is
    // tried again.
    assert_eq!(told.by_server + told.fallback, told.captions.len() as u64);
    assert!(told.by_server > 0, "{told}");
    let requests: u64 = told.requests.values().sum();
    if requests >= MANY {
        assert!(told.fallback > 0 && told.by_server > told.fallback, "{told}");
        let faults = requests - told.requests["words"];
        let share = faults as f64 / requests as f64;
        assert!((0.1..0.35).contains(&share), "{faults} faults in {requests} requests");
    }

    let grown = told.resident.1 - told.resident.0 - (told.kept.1 as f64 - told.kept.0 as f64);
    assert!(grown < SPARE, "memory grew by {:.1} MB beside what is kept: {told}", grown / 1e6);
    assert_eq!(told.threads_left, Vec::<String>::new());
}
