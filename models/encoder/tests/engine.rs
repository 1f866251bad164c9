//! The encoder in the engine that streams share.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{changed, encode, folder, graph, jobs, open, truth, worst};
use listen_encoder::{Embedding, EncoderModel, EncoderOptions, WindowJob, open as open_engine};
use listen_package::Output;
use listen_runtime::{Client, Limits, Model};
use serde_json::json;

const WAIT: Duration = Duration::from_secs(60);

fn through(client: &Client<EncoderModel>, jobs: &[WindowJob], limits: Limits) -> Vec<Embedding> {
    std::thread::scope(|scope| {
        scope.spawn(|| jobs.iter().for_each(|job| client.submit(job.clone(), limits).unwrap()));
        let next = |_| client.recv_timeout(WAIT).expect("a result").unwrap_or_else(|e| panic!("{e}"));
        jobs.iter().map(next).collect()
    })
}

/// Windows of three lengths, mixed, as several streams with windows of their own give them.
fn mixed() -> Vec<WindowJob> {
    let package = open(&folder("tiny-tokens"));
    let (_, stream) = truth("tiny-tokens", "stream");
    let of = |window, hop| {
        let options =
            EncoderOptions { window_frames: Some(window), hop_frames: Some(hop), ..Default::default() };
        jobs(&package, &options, &stream, usize::MAX)
    };
    let (mut long, mut short, mut odd) =
        (of(64, 8).into_iter(), of(16, 16).into_iter(), of(48, 5).into_iter());
    let mut mixed = Vec::new();
    loop {
        let before = mixed.len();
        mixed.extend(long.next().into_iter().chain(short.next()).chain(odd.next()));
        if mixed.len() == before {
            return mixed;
        }
    }
}

#[test]
fn an_embedding_does_not_depend_on_what_else_is_in_its_batch() {
    for output in [Output::Clip, Output::Frames] {
        let options = EncoderOptions { output: Some(output), ..Default::default() };
        let mut model = EncoderModel::load(&open(&folder("tiny-tokens")), &options).unwrap();
        let jobs = mixed();
        let alone = encode(&mut model, &jobs, 1);
        assert_eq!(encode(&mut model, &jobs, 1), alone, "bit-identical one by one");
        for batch in [2, 3, 7, jobs.len()] {
            for (k, (a, b)) in encode(&mut model, &jobs, batch).iter().zip(&alone).enumerate() {
                assert!(worst(&a.data, &b.data) <= 1e-6, "{output:?} window {k} in batches of {batch}");
                assert_eq!((a.start_frame, a.frames, a.rows), (b.start_frame, b.frames, b.rows));
            }
        }
    }
}

#[test]
fn a_dynamically_quantised_graph_gives_the_same_bits_in_any_batch_because_it_runs_alone() {
    // Its scale is that of the whole batch, so that a loud neighbour makes a window coarse.
    let tokens = |max_batch: serde_json::Value, batch: usize| {
        let folder = changed("tiny-tokens", |m, folder| {
            std::fs::copy(graph("quantised.onnx"), folder.join("encoder.onnx")).unwrap();
            m["encoder"]["graphs"] = json!({"int8": {"file": "encoder.onnx", "max_batch": max_batch}});
        });
        let package = open(folder.path());
        let options = EncoderOptions { output: Some(Output::Tokens), ..Default::default() };
        let mut model = EncoderModel::load(&package, &options).unwrap_or_else(|e| panic!("{e}"));
        let mut jobs = jobs(&package, &options, &vec![-15.9; 64 * 80], usize::MAX);
        jobs.extend(common::jobs(&package, &options, &truth("tiny-tokens", "stream").1, usize::MAX));
        encode(&mut model, &jobs, batch)
    };
    let alone = tokens(json!(1), 1);
    assert_eq!(tokens(json!(1), alone.len()), alone);
    let together = tokens(json!(null), alone.len());
    let changed = alone.iter().zip(&together).any(|(a, b)| worst(&a.data, &b.data) > 1e-4);
    assert!(changed, "this graph would depend on its batch");
}

#[test]
fn streams_with_the_same_options_share_one_engine_whatever_their_windows() {
    let package = open(&folder("tiny-tokens"));
    let options = EncoderOptions { workers: 2, ..Default::default() };
    let first = open_engine(&package, &options).unwrap();
    let other_window = EncoderOptions { window_frames: Some(32), hop_frames: Some(3), ..options.clone() };
    assert!(Arc::ptr_eq(&first, &open_engine(&package, &other_window).unwrap()));
    let frames = EncoderOptions { output: Some(Output::Frames), ..options.clone() };
    assert!(!Arc::ptr_eq(&first, &open_engine(&package, &frames).unwrap()));
    assert_eq!(first.workers(), 2);

    let (jobs, client) = (mixed(), first.client());
    let mut model = EncoderModel::load(&package, &options).unwrap();
    let alone = encode(&mut model, &jobs, 1);
    assert_eq!(through(&client, &jobs, Limits::default()), alone);
    let batched = through(&client, &jobs, Limits { max_batch: 8, max_wait: Duration::from_millis(5) });
    for (a, b) in batched.iter().zip(&alone) {
        assert!(worst(&a.data, &b.data) <= 1e-6);
    }
}

#[test]
fn a_window_that_the_graph_refuses_fails_by_itself() {
    let package = open(&folder("tiny-tokens"));
    let options = EncoderOptions::default();
    let mut model = EncoderModel::load(&package, &options).unwrap();
    let mut batch = jobs(&package, &options, &truth("tiny-tokens", "stream").1, usize::MAX);
    let alone = encode(&mut model, &batch, 1);
    // A window whose values are not finite after normalisation gives an embedding that is not.
    let huge = vec![f32::MAX; 64 * 80];
    let bad = changed("tiny-tokens", |m, _| m["normalize"]["std"] = json!(1e-3));
    let bad = jobs_without_test(&bad, &huge);
    batch.insert(1, bad);
    let results = model.run(&mut batch);
    assert_eq!(results.len(), 4);
    assert!(batch.is_empty());
    let error = results[1].as_ref().unwrap_err().to_string();
    assert!(error.contains("finite"), "{error}");
    for (k, i) in [(0, 0), (1, 2), (2, 3)] {
        assert_eq!(results[i].as_ref().unwrap().data, alone[k].data);
    }
}

fn jobs_without_test(folder: &tempfile::TempDir, frames: &[f32]) -> WindowJob {
    jobs(&open(folder.path()), &EncoderOptions::default(), frames, usize::MAX).swap_remove(0)
}
