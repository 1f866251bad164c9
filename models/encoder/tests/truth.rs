//! The tiny packages against NumPy in float64: `models/package/fixtures/tiny_truth.py`, written apart from the graphs.
//!
//! Embeddings: cosine at least 0.99999. Tokens and frames: within 1e-4 of values of up to about 5.

mod common;

use common::{cosine, encode, folder, jobs, open, truth, worst};
use listen_encoder::{Embedding, EncoderModel, EncoderOptions};
use listen_package::Output;

/// What a package makes of the stream beside it.
fn heard(package: &str, output: Output, chunk: usize, batch: usize) -> Vec<Embedding> {
    let package_name = package;
    let package = open(&folder(package));
    let options = EncoderOptions { output: Some(output), ..Default::default() };
    let mut model = EncoderModel::load(&package, &options).unwrap_or_else(|e| panic!("{e}"));
    let jobs = jobs(&package, &options, &truth(package_name, "stream").1, chunk);
    encode(&mut model, &jobs, batch)
}

/// Row `k` of a tensor of the truth.
fn row(package: &str, tensor: &str, k: usize) -> Vec<f32> {
    let (shape, values) = truth(package, tensor);
    let len = values.len() / shape[0];
    values[k * len..][..len].to_vec()
}

#[test]
fn clip_embeddings_of_whole_windows_agree() {
    for package in ["tiny-tokens", "tiny-frames", "tiny-clip", "tiny-tagger", "tiny-wave"] {
        let heard = heard(package, Output::Clip, usize::MAX, 1);
        assert_eq!(heard.len(), 3);
        for (k, embedding) in heard.iter().enumerate().take(2) {
            let expected = row(package, "embedding", k);
            let found = cosine(&embedding.data, &expected);
            assert!(found >= 0.99999, "{package} window {k}: {found}");
            assert!(worst(&embedding.data, &expected) < 1e-4, "{package} window {k}");
            assert_eq!((embedding.rows, embedding.dim), (1, expected.len()));
        }
    }
}

#[test]
fn windows_that_the_end_cuts_short_agree_where_they_are_filled() {
    for package in ["tiny-frames", "tiny-tagger", "tiny-wave"] {
        let heard = heard(package, Output::Clip, usize::MAX, 1);
        let found = cosine(&heard[2].data, &row(package, "embedding", 2));
        assert!(found >= 0.99999, "{package}: {found}");
        assert!(heard[2].last && heard[2].frames == heard[2].valid_frames, "{:?}", heard[2]);
    }
}

#[test]
fn clips_that_are_compared_with_text_have_length_1_and_others_are_as_they_are() {
    for (package, unit) in
        [("tiny-tokens", true), ("tiny-frames", true), ("tiny-clip", true), ("tiny-tagger", false)]
    {
        let heard = heard(package, Output::Clip, usize::MAX, 1);
        let length = heard[0].data.iter().map(|v| v * v).sum::<f32>().sqrt();
        assert_eq!((length - 1.0).abs() < 1e-6, unit, "{package}: {length}");
    }
}

#[test]
fn class_scores_agree() {
    for (k, embedding) in heard("tiny-tagger", Output::Clip, usize::MAX, 1).iter().enumerate() {
        let scores = embedding.scores.as_ref().expect("scores");
        assert!(worst(scores, &row("tiny-tagger", "scores", k)) < 1e-5, "window {k}: {scores:?}");
    }
}

/// Of windows of 64 frames (4 steps of 16, or 8 of 8) half a window apart, in a stream of 112 frames.
#[test]
fn frames_are_those_of_the_middle_of_each_window() {
    for (package, tensor, per_step) in [("tiny-tokens", "frames_head", 16), ("tiny-frames", "frames", 8)] {
        let heard = heard(package, Output::Frames, usize::MAX, 1);
        let steps = 64 / per_step;
        let (mut next, mut given) = (0, Vec::new());
        for (k, embedding) in heard.iter().enumerate() {
            assert_eq!(embedding.start_frame, next, "{package} window {k}");
            next += u64::from(embedding.frames);
            given.push(embedding.rows);
            let all = row(package, tensor, k);
            let first = (embedding.start_frame - embedding.window_start) as usize / per_step;
            for (i, found) in embedding.data.chunks(embedding.dim).enumerate() {
                let expected = &all[(first + i) * embedding.dim..][..embedding.dim];
                let found = cosine(found, expected);
                assert!(found >= 0.99999, "{package} window {k} row {i}: {found}");
            }
        }
        assert_eq!(next, 112, "{package}: every frame is in a row");
        let half = steps / 2;
        assert_eq!(given, [half + half / 2, half, steps * 3 / 4 - half / 2], "{package}");
    }
}

#[test]
fn tokens_are_given_step_by_step_within_1e_4() {
    for (k, embedding) in heard("tiny-tokens", Output::Tokens, usize::MAX, 1).iter().enumerate() {
        let all = row("tiny-tokens", "tokens", k); // frequency-major: [5, 4, 8]
        let first = (embedding.start_frame - embedding.window_start) as usize / 16;
        assert_eq!((embedding.dim, embedding.rows % 5, embedding.rows_per_step), (8, 0, 5));
        for (i, token) in embedding.data.chunks(8).enumerate() {
            let (step, row) = (first + i / 5, i % 5);
            assert!(
                worst(token, &all[(row * 4 + step) * 8..][..8]) < 1e-4,
                "window {k}, step {step}, row {row}"
            );
        }
    }
}

#[test]
fn a_window_that_the_end_cut_short_is_a_recording_of_its_own() {
    // models.md 2.1: 48 frames are 3 whole columns, encoded as they are, not among one more of the mean level.
    let package = open(&folder("tiny-tokens"));
    let short = EncoderOptions { window_frames: Some(48), ..Default::default() };
    let mut model = EncoderModel::load(&package, &short).unwrap();
    let (_, stream) = truth("tiny-tokens", "stream");
    let alone = encode(&mut model, &jobs(&package, &short, &stream[64 * 80..], usize::MAX), 1);
    let heard = heard("tiny-tokens", Output::Clip, usize::MAX, 1);
    assert_eq!(heard[2].data, alone[0].data);
    assert_eq!((heard[2].start_frame, heard[2].frames), (64, 48));
    assert!(cosine(&heard[2].data, &row("tiny-tokens", "embedding", 2)) < 0.99999, "filled would be another");
}

#[test]
fn any_cut_of_the_frames_gives_the_same_bits() {
    for package in ["tiny-tokens", "tiny-frames", "tiny-clip", "tiny-tagger"] {
        for output in [Output::Clip, Output::Frames] {
            if output == Output::Frames && matches!(package, "tiny-clip" | "tiny-tagger") {
                continue;
            }
            let whole = heard(package, output, usize::MAX, 1);
            for chunk in [1, 79, 80, 1_000] {
                assert_eq!(heard(package, output, chunk, 1), whole, "{package} in chunks of {chunk}");
            }
        }
    }
}
