//! Streams that are encoded in chunks, against the graph run once on the whole.

mod common;

use std::time::Duration;

use common::{changed, encode, folder, jobs, open, truth, worst};
use listen_encoder::{EncoderModel, EncoderOptions, Heard, Repooler, WindowMode};
use listen_package::Output;
use listen_runtime::Limits;
use serde_json::json;

fn chunked(output: Output) -> EncoderOptions {
    EncoderOptions { output: Some(output), ..Default::default() }
}

/// The time steps of `frames` frames, in one run of the graph.
fn whole(output: Output, frames: usize) -> Vec<f32> {
    let copy = changed("tiny-stream", |m, _| m["window"]["max_frames"] = json!(512));
    let package = open(copy.path());
    let length = frames.next_multiple_of(8) as u32;
    let options = EncoderOptions {
        output: Some(output),
        window_mode: WindowMode::Whole,
        window_frames: Some(length),
        hop_frames: Some(length),
        ..Default::default()
    };
    let (_, stream) = truth("tiny-stream", "stream");
    let jobs = jobs(&package, &options, &stream[..frames * 64], usize::MAX);
    assert_eq!(jobs.len(), 1);
    encode(&mut EncoderModel::load(&package, &options).unwrap(), &jobs, 1).remove(0).data
}

#[test]
fn steps_of_chunks_are_those_of_the_whole_and_any_cut_gives_the_same_bits() {
    let package = open(&folder("tiny-stream"));
    let (_, stream) = truth("tiny-stream", "stream");
    for output in [Output::Tokens, Output::Frames] {
        let mut model = EncoderModel::load(&package, &chunked(output)).unwrap();
        for frames in [300, 296, 288, 130, 33, 17, 16] {
            let expected = whole(output, frames);
            let mut before: Option<Vec<f32>> = None;
            for cut in [usize::MAX, 7, 64 * 50] {
                let jobs = jobs(&package, &chunked(output), &stream[..frames * 64], cut);
                assert_eq!(jobs.len(), frames.div_ceil(32));
                let found: Vec<f32> = encode(&mut model, &jobs, 1).into_iter().flat_map(|e| e.data).collect();
                assert_eq!(found.len(), expected.len(), "{output:?}, {frames} frames");
                // The kernels add in another order for another length.
                assert!(worst(&found, &expected) <= 1e-6, "{output:?}, {frames} frames");
                assert!(before.as_ref().is_none_or(|before| *before == found), "in pieces of {cut}");
                before = Some(found);
            }
        }
    }
}

#[test]
fn windows_of_any_length_are_pooled_from_the_steps_and_lost_chunks_are_not_joined_over() {
    let package = open(&folder("tiny-stream"));
    let (_, stream) = truth("tiny-stream", "stream");
    let options = EncoderOptions { window_frames: Some(160), hop_frames: Some(32), ..chunked(Output::Clip) };
    let all = jobs(&package, &options, &stream, 1_000);
    let heard = |lost: Option<usize>| -> Vec<Heard> {
        let client = Repooler::open(&package, &options).unwrap();
        let kept = all.iter().enumerate().filter(|(k, _)| Some(*k) != lost);
        kept.map(|(_, job)| {
            client.submit(job.clone(), Limits::default()).unwrap();
            client.recv_under_way(Duration::from_secs(60)).unwrap().unwrap()
        })
        .collect()
    };
    let every = heard(None);
    assert!(every.len() == 6 && every.iter().all(|h| matches!(h, Heard::Embedding(e) if e.rows == 1)));
    let after = heard(Some(1));
    assert_eq!(after[0], every[0]);
    assert!(after[1..].iter().all(|heard| *heard == Heard::Missed));
}
