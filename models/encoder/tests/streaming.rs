//! Streams that are encoded in chunks, against the graph run once on the whole.

mod common;

use std::time::Duration;

use common::{changed, chunked, cosine, encode, folder, jobs, open, truth, whole, worst};
use listen_encoder::{ChunkGrid, EncoderModel, EncoderOptions, Heard, Plan, Repooler, WindowJob, WindowMode};
use listen_features::Strengths;
use listen_package::{Edge, Output};
use listen_runtime::Limits;
use serde_json::json;

#[test]
fn steps_of_chunks_are_those_of_the_whole_and_any_cut_gives_the_same_bits() {
    let (_, stream) = truth("tiny-stream", "stream");
    for (name, output) in [
        ("tiny-stream", Output::Tokens),
        ("tiny-stream", Output::Frames),
        ("tiny-carry", Output::Tokens),
        ("tiny-carry", Output::Frames),
    ] {
        let package = open(&folder(name));
        let mut model = EncoderModel::load(&package, &chunked(output)).unwrap();
        // 48 and 80: the end comes with the context of the chunk before, and nothing behind it.
        for frames in [300, 296, 288, 130, 80, 48, 33, 17, 16] {
            let expected = whole(output, frames);
            let mut before: Option<Vec<f32>> = None;
            for cut in [usize::MAX, 7, 64 * 50] {
                let jobs = jobs(&package, &chunked(output), &stream[..frames * 64], cut);
                assert_eq!(jobs.len(), frames.div_ceil(32));
                let found: Vec<f32> = encode(&mut model, &jobs, 1).into_iter().flat_map(|e| e.data).collect();
                assert_eq!(found.len(), expected.len(), "{name}, {output:?}, {frames} frames");
                // The kernels add in another order for another length.
                assert!(worst(&found, &expected) <= 1e-6, "{name}, {output:?}, {frames} frames");
                assert!(before.as_ref().is_none_or(|before| *before == found), "in pieces of {cut}");
                before = Some(found);
            }
        }
    }
}

#[test]
fn strengths_of_the_frames_that_steps_describe_are_those_of_the_whole_stream() {
    let (_, stream) = truth("tiny-stream", "stream");
    let package = open(&folder("tiny-stream"));
    let measured = Strengths::new(package.front_end().unwrap());
    let overlapping = EncoderOptions {
        window_mode: WindowMode::Whole,
        window_frames: Some(96),
        hop_frames: Some(32),
        ..chunked(Output::Frames)
    };
    for options in [chunked(Output::Frames), overlapping] {
        let mut model = EncoderModel::load(&package, &options).unwrap();
        for frames in [300, 130, 33] {
            let values = &stream[..frames * 64];
            let whole = measured.of(values, 0..frames);
            for cut in [usize::MAX, 7] {
                let given = encode(&mut model, &jobs(&package, &options, values, cut), 1);
                for embedding in &given {
                    assert_eq!(embedding.strengths.len(), embedding.frames as usize);
                    // Where the graph itself has less context than 120 ms on either side its frames are compared with less.
                    let first = embedding.start_frame as usize;
                    let part = embedding.strengths.iter().zip(&whole[first..]);
                    let same = part.filter(|(found, expected)| found == expected).count();
                    assert!(
                        same * 2 >= embedding.strengths.len(),
                        "{options:?}, {frames} frames from {first}"
                    );
                }
                assert_eq!(given.iter().map(|e| e.strengths.len()).sum::<usize>(), frames);
            }
        }
    }
    let clips = jobs(&package, &chunked(Output::Clip), &stream, usize::MAX);
    let client = Repooler::open(&package, &chunked(Output::Clip)).unwrap();
    client.submit(clips[0].clone(), Limits::default()).unwrap();
    let heard = client.recv_under_way(Duration::from_secs(60)).unwrap().unwrap();
    assert!(matches!(heard, Heard::Embedding(clip) if clip.strengths.is_empty()));
}

/// The default package for windows of so many frames; what is heard is carried over, or encoded again with each chunk.
fn default_package(window_frames: u64, carries: bool) -> tempfile::TempDir {
    changed("../../packages/default", |m, _| {
        m["window"]["max_frames"] = json!(window_frames);
        if !carries {
            m["streaming"].as_object_mut().unwrap().remove("carry").unwrap();
        }
    })
}

#[test]
fn the_default_packages_encoder_sees_no_further_than_it_promises_and_carries_over_all_that_it_heard() {
    [true, false].into_iter().for_each(default_package_in_chunks);
}

fn default_package_in_chunks(carries: bool) {
    let frames = 1_100_u32;
    let copy = default_package(frames.next_multiple_of(8).into(), carries);
    let package = open(copy.path());
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0
    };
    let bands = package.front_end().unwrap().n_mels;
    // Louder and quieter by turns, so that what is far away is another sound.
    let level = |n: u32| if (n / bands / 150).is_multiple_of(2) { -4.0 } else { -11.0 };
    let stream: Vec<f32> = (0..frames * bands).map(|n| level(n) + 3.0 * noise()).collect();
    let streamed = chunked(Output::Frames);
    let length = frames.next_multiple_of(8);
    let whole = EncoderOptions {
        window_mode: WindowMode::Whole,
        window_frames: Some(length),
        hop_frames: Some(length),
        ..chunked(Output::Frames)
    };
    let steps = |options: &EncoderOptions| -> Vec<f32> {
        let mut model = EncoderModel::load(&package, options).unwrap();
        let all = encode(&mut model, &jobs(&package, options, &stream, 999), 1);
        all.into_iter().flat_map(|e| e.data).collect()
    };
    let (found, expected) = (steps(&streamed), steps(&whole));
    assert_eq!(found.len() as u32, frames.div_ceil(8) * 256);

    assert!(worst(&found, &expected) <= 1e-5, "{}", worst(&found, &expected));
}

#[test]
fn windows_of_any_length_are_pooled_from_the_steps_and_lost_chunks_are_not_joined_over() {
    ["tiny-stream", "tiny-carry"].into_iter().for_each(pooled_windows_of);
}

fn pooled_windows_of(name: &str) {
    let package = open(&folder(name));
    let (_, stream) = truth(name, "stream");
    let options = EncoderOptions { window_frames: Some(160), hop_frames: Some(32), ..chunked(Output::Clip) };
    let heard = |lost: Option<usize>| -> Vec<Heard> {
        // Made anew: what one run of a chunk has left must not be found by another.
        let all = jobs(&package, &options, &stream, 1_000);
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

#[test]
fn chunks_are_as_long_as_the_hop_that_is_asked_for_and_give_the_same_steps() {
    let package = open(&folder("tiny-stream"));
    let (_, stream) = truth("tiny-stream", "stream");
    let expected = whole(Output::Tokens, 300);
    // The encoder takes 128 frames, and 16 on either side are context.
    for (hop, chunk) in
        [(None, 32), (Some(8), 8), (Some(24), 24), (Some(64), 64), (Some(96), 96), (Some(320), 96)]
    {
        let options = EncoderOptions { hop_frames: hop, ..chunked(Output::Tokens) };
        let plan = Plan::new(package.manifest(), &options).unwrap();
        assert_eq!(plan.chunks, Some(ChunkGrid::new(chunk, 16, 16)), "a hop of {hop:?}");
        let mut model = EncoderModel::load(&package, &options).unwrap();
        let all = encode(&mut model, &jobs(&package, &options, &stream[..300 * 64], 1_000), 1);
        assert_eq!(all.len(), 300_usize.div_ceil(chunk as usize));
        let found: Vec<f32> = all.into_iter().flat_map(|e| e.data).collect();
        assert!(worst(&found, &expected) <= 1e-6, "a hop of {hop:?}");
    }
}

#[test]
fn where_the_next_window_takes_over_what_a_dropped_one_had_no_other_is_lost() {
    let package = open(&folder("tiny-stream"));
    let (_, stream) = truth("tiny-stream", "stream");
    // Windows that overlap, and windows with sound between them that is not encoded.
    for (window, hop) in [(160, 32), (64, 96)] {
        let options = EncoderOptions {
            window_frames: Some(window),
            hop_frames: Some(hop),
            // An engine of its own: those of the tests beside it count too.
            intra_op_threads: 2,
            ..chunked(Output::Clip)
        };
        let all = jobs(&package, &options, &stream, 1_000);
        let client = Repooler::open(&package, &options).unwrap();
        let hear = |job: WindowJob| {
            client.submit(job, Limits::default()).unwrap();
            client.recv_under_way(Duration::from_secs(60)).unwrap().unwrap()
        };
        let every: Vec<Heard> = all.iter().cloned().map(hear).collect();
        assert!(every.len() > 3 && every.iter().all(|heard| matches!(heard, Heard::Embedding(_))));
        let after: Vec<Heard> = (0..all.len())
            .filter(|k| ![1, 2].contains(k))
            .map(|k| {
                let mut job = all[k].clone();
                if k == 3 {
                    let mut dropped = all[2].clone();
                    dropped.take_over(all[1].clone());
                    job.take_over(dropped);
                }
                hear(job)
            })
            .collect();
        assert!(after[0] == every[0] && after[1..] == every[3..], "{window}/{hop}");
        // A window and its pooling are one window, of one client.
        let stats = client.stats();
        let heard = (every.len() + after.len()) as u64;
        assert_eq!((stats.windows, stats.runs, stats.clients), (heard, heard, 1));
    }
}

#[test]
fn without_a_promise_chunks_are_a_hop_with_as_much_around_it_and_come_near_the_whole() {
    // Its time steps hear the next one, and a chunk of one step has no sound after it.
    let package = open(&folder("tiny-frames"));
    let (_, samples) = package.tensor_f32("self_test.safetensors", "samples").unwrap();
    let frames = listen_features::log_mel(package.front_end().unwrap(), &samples.repeat(4)).unwrap();
    let asked = |window_mode| EncoderOptions {
        window_mode,
        edge: Some(Edge::Rolling),
        hop_frames: Some(8),
        ..chunked(Output::Clip)
    };
    let auto = Plan::new(package.manifest(), &asked(WindowMode::Auto)).unwrap();
    assert_eq!(auto.chunks, None, "nothing is promised");
    let options = asked(WindowMode::Chunked);
    let plan = Plan::new(package.manifest(), &options).unwrap();
    assert_eq!(plan.chunks, Some(ChunkGrid::new(8, 8, 0)));
    let whole = EncoderOptions { window_mode: WindowMode::Whole, ..options.clone() };
    let expected = jobs(&package, &whole, &frames, usize::MAX);
    let expected = encode(&mut EncoderModel::load(&package, &whole).unwrap(), &expected, 1);
    let client = Repooler::open(&package, &options).unwrap();
    let all = jobs(&package, &options, &frames, usize::MAX);
    assert_eq!(all.len(), expected.len());
    let mut furthest = 1.0_f64;
    for (job, expected) in all.into_iter().zip(&expected) {
        client.submit(job, Limits::default()).unwrap();
        let Heard::Embedding(found) = client.recv_under_way(Duration::from_secs(60)).unwrap().unwrap() else {
            panic!("a window was missed");
        };
        assert_eq!((found.start_frame, found.frames), (expected.start_frame, expected.frames));
        furthest = furthest.min(cosine(&found.data, &expected.data));
    }
    assert!((0.9..1.0 - 1e-6).contains(&furthest), "an approximation: {furthest}");
}
