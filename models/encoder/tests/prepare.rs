//! Levels, padding and what is not a number, before any graph is loaded.

mod common;

use common::{changed, folder, jobs, open, truth};
use listen_encoder::{EncoderOptions, Plan, WindowStream};
use listen_features::{FrontEnd, log_mel};
use serde_json::json;

/// A sine of 1 kHz of this amplitude as frames of `tiny-tokens`.
fn sine(amplitude: f32) -> Vec<f32> {
    let samples: Vec<f32> =
        (0..16_000).map(|n| amplitude * (f64::from(n) * 0.125 * std::f64::consts::PI).sin() as f32).collect();
    log_mel(&FrontEnd::m2d_16k(), &samples).unwrap()
}

#[test]
fn a_window_knows_its_level_in_db_below_a_full_scale_sine() {
    let package = open(&folder("tiny-tokens"));
    for (amplitude, db) in [(1.0, 0.0), (0.1, -20.0), (0.001, -60.0)] {
        let level = jobs(&package, &EncoderOptions::default(), &sine(amplitude), usize::MAX)[1].level_db;
        assert!((level - db).abs() < 0.5, "{amplitude}: {level} dB");
    }
}

#[test]
fn the_level_of_a_short_window_is_that_of_its_sound_not_of_its_padding() {
    let package = open(&folder("tiny-frames"));
    let (_, stream) = truth("tiny-frames", "stream");
    let short = &stream[..20 * 64];
    let alone = jobs(&package, &EncoderOptions::default(), short, usize::MAX).swap_remove(0);
    let twice = [short, short].concat();
    let double = jobs(&package, &EncoderOptions::default(), &twice, usize::MAX).swap_remove(0);
    assert_eq!((alone.valid_frames, alone.frames, double.valid_frames), (20, 64, 40));
    assert!((alone.level_db - double.level_db).abs() < 1e-4);
}

#[test]
fn a_stream_shorter_than_a_window_is_its_first_and_last() {
    let package = open(&folder("tiny-tokens"));
    for (frames, padded) in [(1, 16), (16, 16), (17, 32), (63, 64)] {
        let jobs = jobs(&package, &EncoderOptions::default(), &vec![-7.1; frames * 80], usize::MAX);
        let [job] = &jobs[..] else { panic!("{} windows", jobs.len()) };
        assert_eq!(
            (job.first, job.last, job.valid_frames as usize, job.frames),
            (true, true, frames, padded)
        );
    }
}

#[test]
fn values_that_are_not_finite_count_as_silence_and_are_counted() {
    let package = open(&folder("tiny-tokens"));
    let plan = Plan::new(package.manifest(), &EncoderOptions::default()).unwrap();
    let mut made = Vec::new();
    let silence = (2f64.powi(-23)).ln() as f32;
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, silence] {
        let mut stream = WindowStream::new(package.manifest(), &plan).unwrap();
        let mut frames = sine(0.5);
        frames.truncate(64 * 80);
        frames[1234] = bad;
        stream.push(&frames, |job| made.push(job));
        assert_eq!(stream.bad_values(), u64::from(!bad.is_finite()));
    }
    assert!(made.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn running_statistics_start_anew_with_each_stream() {
    let folder = changed("tiny-tokens", |m, _| {
        m["normalize"] = json!({"kind": "running", "tau": 1.0, "mean": -7.1, "std": 4.2});
    });
    let package = open(folder.path());
    let plan = Plan::new(package.manifest(), &EncoderOptions::default()).unwrap();
    let mut stream = WindowStream::new(package.manifest(), &plan).unwrap();
    let (_, frames) = truth("tiny-tokens", "stream");
    let mut hear = || {
        let mut jobs = Vec::new();
        stream.push(&frames, |job| jobs.push(job));
        jobs.extend(stream.finish());
        jobs
    };
    let first = hear();
    assert_eq!(hear(), first);
    let mut cut = Vec::new();
    for piece in frames.chunks(7) {
        stream.push(piece, |job| cut.push(job));
    }
    cut.extend(stream.finish());
    assert_eq!(cut, first);
}
