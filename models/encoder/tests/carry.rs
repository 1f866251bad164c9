//! Streams whose graph carries over what it has heard, against the graph run once on the whole.

mod common;

use std::time::Duration;

use common::{changed, chunked, encode, folder, jobs, open, truth, whole, worst};
use listen_encoder::{EncoderModel, EncoderOptions};
use listen_package::Output;
use listen_runtime::{Limits, Model};
use serde_json::json;

/// `tiny-carry` with less context than its time steps see: what is encoded with its contexts differs from the whole.
fn short_of_context() -> tempfile::TempDir {
    changed("tiny-carry", |m, _| {
        m["streaming"]["left_context"] = json!(0);
        m.as_object_mut().unwrap().remove("self_test");
    })
}

#[test]
fn what_was_heard_is_carried_over_and_each_frame_encoded_once() {
    let copy = short_of_context();
    let package = open(copy.path());
    let (_, stream) = truth("tiny-carry", "stream");
    let expected = whole(Output::Tokens, 300);
    for hop in [None, Some(8), Some(64)] {
        let options = EncoderOptions { hop_frames: hop, ..chunked(Output::Tokens) };
        let all = jobs(&package, &options, &stream[..300 * 64], 1_000);
        let mut model = EncoderModel::load(&package, &options).unwrap();
        for batch in [1, 3] {
            let all = jobs(&package, &options, &stream[..300 * 64], 1_000);
            let found: Vec<f32> = encode(&mut model, &all, batch).into_iter().flat_map(|e| e.data).collect();
            assert!(worst(&found, &expected) <= 1e-6, "a hop of {hop:?}");
        }
        // Nobody has encoded what comes before: then it is not the whole, with so little context.
        let second = encode(&mut model, &all[1..2], 1).remove(0).data;
        let start = all[1].start_frame as usize;
        assert!(worst(&second, &expected[start..start + second.len()]) > 1e-3);
    }
}

#[test]
fn what_fills_a_piece_up_to_a_length_that_the_encoder_takes_was_not_heard() {
    let (_, stream) = truth("tiny-carry", "stream");
    for (shortest, longest) in [(64, 128), (128, 128)] {
        let copy = changed("tiny-carry", |m, _| {
            m["window"]["frames"] = json!(128);
            m["window"]["min_frames"] = json!(shortest);
            m["window"]["max_frames"] = json!(longest);
            m["streaming"]["left_context"] = json!(80);
            m.as_object_mut().unwrap().remove("self_test");
        });
        let package = open(copy.path());
        for hop in [None, Some(8)] {
            let options = EncoderOptions { hop_frames: hop, ..chunked(Output::Tokens) };
            let mut model = EncoderModel::load(&package, &options).unwrap();
            for frames in [300, 130] {
                let all = jobs(&package, &options, &stream[..frames * 64], 1_000);
                let found: Vec<f32> = encode(&mut model, &all, 1).into_iter().flat_map(|e| e.data).collect();
                let expected = whole(Output::Tokens, frames);
                assert!(worst(&found, &expected) <= 1e-6, "{shortest}, a hop of {hop:?}, {frames} frames");
            }
        }
    }
}

#[test]
fn a_chunk_that_follows_on_one_that_was_lost_is_encoded_with_its_contexts() {
    let package = open(&folder("tiny-carry"));
    let (_, stream) = truth("tiny-carry", "stream");
    let expected = whole(Output::Tokens, 300);
    let mut model = EncoderModel::load(&package, &chunked(Output::Tokens)).unwrap();
    for lost in 0..9 {
        let all = jobs(&package, &chunked(Output::Tokens), &stream[..300 * 64], 1_000);
        assert_eq!(all.len(), 10);
        for (k, job) in all.iter().enumerate().filter(|(k, _)| *k != lost) {
            let found = encode(&mut model, std::slice::from_ref(job), 1).remove(0).data;
            let part = &expected[k * 32..k * 32 + found.len()];
            assert!(worst(&found, part) <= 1e-6, "{k} without {lost}");
        }
    }
}

#[test]
fn chunks_of_one_stream_that_several_workers_take_are_those_of_the_whole() {
    let package = open(&folder("tiny-carry"));
    let (_, stream) = truth("tiny-carry", "stream");
    let expected = whole(Output::Tokens, 300);
    let options = EncoderOptions { workers: 4, intra_op_threads: 1, ..chunked(Output::Tokens) };
    let engine = listen_encoder::open(&package, &options).unwrap();
    for _ in 0..50 {
        let client = engine.client();
        let all = jobs(&package, &options, &stream[..300 * 64], 1_000);
        let count = all.len();
        all.into_iter().for_each(|job| client.submit(job, Limits::default()).unwrap());
        let found: Vec<f32> = (0..count)
            .flat_map(|_| client.recv_timeout(Duration::from_secs(60)).unwrap().unwrap().data)
            .collect();
        assert!(worst(&found, &expected) <= 1e-6);
    }
}

#[test]
fn a_graph_that_does_not_carry_over_what_its_manifest_says_is_refused() {
    let carry = json!({"tail": "tail", "states": [{"input": "before_0", "output": "after_0"}]});
    let cases = [
        ("tiny-stream", carry, "the manifest says tail, the graph has none"),
        (
            "tiny-carry",
            json!({"tail": "tail", "states": [{"input": "before_7", "output": "after_0"}]}),
            "the manifest says before_7, the graph has tail, before_0, before_1",
        ),
        (
            "tiny-carry",
            json!({"tail": "tail", "states": [{"input": "before_0", "output": "after_7"}]}),
            "the manifest says after_7, the graph has tokens, after_0, after_1",
        ),
    ];
    for (name, carry, expected) in cases {
        let copy = changed(name, |m, _| m["streaming"]["carry"] = carry);
        let error = EncoderModel::load(&open(copy.path()), &chunked(Output::Tokens)).unwrap_err().to_string();
        assert!(error.contains("carried over") && error.contains(expected), "{error}");
    }

    // It hears two steps ahead, not one: its own self-test finds that, and a run does where there is no test.
    let ahead = |tested: bool| {
        changed("tiny-carry", |m, _| {
            m["streaming"]["right_context"] = json!(8);
            if !tested {
                m.as_object_mut().unwrap().remove("self_test");
            }
        })
    };
    let copy = ahead(true);
    EncoderModel::load(&open(copy.path()), &chunked(Output::Tokens)).unwrap_err();
    let copy = ahead(false);
    let package = open(copy.path());
    let (_, stream) = truth("tiny-carry", "stream");
    let all = jobs(&package, &chunked(Output::Tokens), &stream[..300 * 64], 1_000);
    let mut model = EncoderModel::load(&package, &chunked(Output::Tokens)).unwrap();
    let error = model.run(&mut all[..1].to_vec()).remove(0).unwrap_err().to_string();
    assert!(
        error.contains("expected an output of [1, 4, 8] for 40 first frames of a stream, found [1, 3, 8]"),
        "{error}"
    );
    // A run that failed leaves nothing: the next chunk is encoded with its contexts, and fails by itself.
    assert!(model.run(&mut all[1..2].to_vec()).remove(0).is_err());
}

#[test]
fn a_package_whose_states_are_wired_the_wrong_way_round_fails_its_self_test() {
    let copy = changed("tiny-carry", |m, _| {
        let states =
            json!([{"input": "before_0", "output": "after_1"}, {"input": "before_1", "output": "after_0"}]);
        m["streaming"]["carry"]["states"] = states;
    });
    let error = EncoderModel::load(&open(copy.path()), &chunked(Output::Tokens)).unwrap_err().to_string();
    assert!(error.contains("with what the graph carries over, the cosine of time step"), "{error}");
}
