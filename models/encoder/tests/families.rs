//! What the tiny packages do not have: heads that pool by themselves, graphs that take samples, classifiers behind an
//! encoder, the other token order, graphs of one size, padding by repetition.
//!
//! The graphs are written by `graphs/make_graphs.py`; what they must give is computed here, in float64.

mod common;

use std::fs;
use std::path::Path;

use common::{changed, cosine, encode, graph, jobs, open, truth, worst};
use listen_encoder::{Embedding, EncoderModel, EncoderOptions, Plan};
use listen_package::Output;
use serde_json::{Value, json};

/// A copy of `tiny-tokens` with one of its graphs replaced.
fn with_graph(made: &str, file: &str, change: impl FnOnce(&mut Value)) -> tempfile::TempDir {
    changed("tiny-tokens", |manifest, folder| {
        fs::copy(graph(made), folder.join(file)).unwrap();
        change(manifest);
    })
}

/// Takes away what compares embeddings with text.
fn without_text(manifest: &mut Value) {
    for key in ["clap", "text", "head", "self_test"] {
        manifest.as_object_mut().unwrap().remove(key);
    }
}

fn heard(folder: &Path, output: Output, stream: &[f32]) -> Vec<Embedding> {
    let (package, options) = (open(folder), EncoderOptions { output: Some(output), ..Default::default() });
    let mut model = EncoderModel::load(&package, &options).unwrap_or_else(|e| panic!("{e}"));
    encode(&mut model, &jobs(&package, &options, stream, usize::MAX), 1)
}

fn stream() -> Vec<f32> {
    truth("tiny-tokens", "stream").1
}

/// Mean and maximum over tokens of 8 values, at length 1: what `head_all.onnx` gives of them.
fn mean_and_max<'a>(tokens: impl Iterator<Item = &'a [f32]> + Clone) -> Vec<f32> {
    let (n, of) = (tokens.clone().count() as f64, |d: usize| tokens.clone().map(move |t| f64::from(t[d])));
    let mean = (0..8).map(|d| of(d).sum::<f64>() / n);
    let max = (0..8).map(|d| of(d).fold(f64::NEG_INFINITY, f64::max));
    let all: Vec<f64> = mean.chain(max).collect();
    let length = all.iter().map(|v| v * v).sum::<f64>().sqrt();
    all.iter().map(|v| (v / length) as f32).collect()
}

#[test]
fn a_head_that_pools_by_itself_takes_all_tokens_of_a_window_or_of_a_time_step() {
    let folder = with_graph("head_all.onnx", "head.onnx", |m| {
        m["head"]["input"] = json!("tokens");
        m["head"]["takes"] = json!("all");
        m["clip_pooling"] = json!("none");
        m.as_object_mut().unwrap().remove("self_test");
    });
    let (_, tokens) = truth("tiny-tokens", "tokens"); // [3, 5 rows * 4 columns, 8]
    for (k, embedding) in heard(folder.path(), Output::Clip, &stream()).iter().enumerate().take(2) {
        let expected = mean_and_max(tokens[k * 160..][..160].chunks(8));
        assert!(
            cosine(&embedding.data, &expected) >= 0.99999 && worst(&embedding.data, &expected) < 1e-5,
            "window {k}"
        );
    }
    for (k, embedding) in heard(folder.path(), Output::Frames, &stream()).iter().enumerate() {
        let first = (embedding.start_frame - embedding.window_start) as usize / 16;
        for (i, found) in embedding.data.chunks(16).enumerate() {
            let window = &tokens[k * 160..][..160];
            let column = (0..5).map(|row| &window[(row * 4 + first + i) * 8..][..8]);
            assert!(worst(found, &mean_and_max(column)) < 1e-5, "window {k}, step {}", first + i);
        }
    }
}

#[test]
fn tokens_in_the_order_of_time_give_the_same_where_the_manifest_says_so() {
    let folder =
        with_graph("time_major.onnx", "encoder.onnx", |m| m["encoder"]["output"]["order"] = json!("t_major"));
    for output in [Output::Clip, Output::Frames, Output::Tokens] {
        let by_frequency = heard(&common::folder("tiny-tokens"), output, &stream());
        assert_eq!(heard(folder.path(), output, &stream()), by_frequency);
    }
}

#[test]
fn frames_can_be_the_mean_over_frequency() {
    let folder = changed("tiny-tokens", |m, _| {
        without_text(m);
        m["frame_embedding"] = json!("mean_freq");
    });
    let (_, tokens) = truth("tiny-tokens", "tokens");
    let first = &heard(folder.path(), Output::Frames, &stream())[0];
    assert_eq!((first.rows, first.dim), (3, 8));
    for (step, found) in first.data.chunks(8).enumerate() {
        for (d, value) in found.iter().enumerate() {
            let mean = (0..5).map(|row| tokens[(row * 4 + step) * 8 + d]).sum::<f32>() / 5.0;
            assert!((value - mean).abs() < 1e-5, "step {step}, value {d}");
        }
    }
}

#[test]
fn a_graph_for_one_window_at_a_time_takes_batches_one_by_one() {
    let folder = with_graph("one_at_a_time.onnx", "encoder.onnx", |m| {
        m["window"]["min_frames"] = json!(64);
        m["window"]["max_frames"] = json!(64);
    });
    let (package, options) = (open(folder.path()), EncoderOptions::default());
    let mut model = EncoderModel::load(&package, &options).unwrap();
    let jobs = jobs(&package, &options, &stream(), usize::MAX);
    let batched = encode(&mut model, &jobs, 3);
    assert_eq!(batched.len(), 3);
    for (k, embedding) in batched.iter().enumerate() {
        let (_, expected) = truth("tiny-tokens", "embedding");
        assert!(cosine(&embedding.data, &expected[k * 16..][..16]) >= 0.99999, "window {k}");
    }
}

#[test]
fn a_graph_of_one_length_in_a_manifest_of_several_is_refused() {
    let folder = with_graph("one_at_a_time.onnx", "encoder.onnx", |_| {});
    let error = EncoderModel::load(&open(folder.path()), &EncoderOptions::default()).unwrap_err();
    assert_eq!(
        common::without_folder(&error.to_string()),
        "encoder.onnx: encoder.input.name `lms`: the manifest says float32 [any, 1, 80, any], the graph has float32 [1, 1, 80, 64]"
    );
}

/// `tiny-tokens` with a classifier of three classes behind it, and a list of `classes`.
fn with_tagger(classes: &str) -> tempfile::TempDir {
    changed("tiny-tokens", |m, folder| {
        fs::copy(graph("tagger.onnx"), folder.join("tagger.onnx")).unwrap();
        fs::write(folder.join("classes.txt"), classes).unwrap();
        m["sha256"]["tagger.onnx"] = json!("");
        m["sha256"]["classes.txt"] = json!("");
        m["tagger"] = json!({"file": "tagger.onnx", "input": "clip", "output": "logits", "activation": "softmax",
                             "labels": "classes.txt"});
    })
}

#[test]
fn a_classifier_scores_the_clip_embedding_as_it_is_given() {
    let folder = with_tagger("first\nsecond\nthird\n");
    for output in [Output::Clip, Output::Frames] {
        for embedding in heard(folder.path(), output, &stream()) {
            let scores = embedding.scores.expect("scores");
            assert_eq!(scores.len(), embedding.rows * 3);
            for (row, scores) in embedding.data.chunks(16).zip(scores.chunks(3)) {
                let logits = [&row[..5], &row[5..10], &row[10..]]
                    .map(|part| part.iter().map(|&v| f64::from(v)).sum::<f64>());
                let sum: f64 = logits.iter().map(|l| l.exp()).sum();
                let expected = logits.map(|l| (l.exp() / sum) as f32);
                assert!(worst(scores, &expected) < 1e-6, "{scores:?} {expected:?}");
            }
        }
    }
    assert!(heard(folder.path(), Output::Tokens, &stream())[0].scores.is_none());
}

#[test]
fn a_classifier_of_another_number_of_classes_is_refused() {
    let folder = with_tagger("first\nsecond\n");
    let error = EncoderModel::load(&open(folder.path()), &EncoderOptions::default()).unwrap_err();
    assert_eq!(
        common::without_folder(&error.to_string()),
        "tagger.onnx: tagger.output `logits`: the manifest says float32 [any, 2], the graph has float32 [any, 3]"
    );
}

/// A package whose graph takes samples: a step is 160 of them.
fn takes_samples(audio: Value) -> tempfile::TempDir {
    with_graph("samples.onnx", "encoder.onnx", |m| {
        without_text(m);
        m["audio"] = audio;
        m["frontend"] = json!({"kind": "in_graph"});
        m["normalize"] = json!({"kind": "none"});
        m["window"] = json!({"frames": 1600, "min_frames": 160, "multiple_of": 160, "max_frames": 16000,
            "default_hop_frames": 800, "short_pad": "repeat", "edge": "exact", "default_output": "clip"});
        m["encoder"]["input"] = json!({"name": "wave", "layout": "BT"});
        m["encoder"]["output"] =
            json!({"name": "frames", "kind": "frames", "dim": 2, "freq_rows": 1, "frames_per_column": 160});
        m["frame_embedding"] = json!("identity");
    })
}

fn audio(pre_scale: f64, int16_roundtrip: bool) -> Value {
    json!({"sample_rate": 16000, "channels": 1, "pre_scale": pre_scale, "int16_roundtrip": int16_roundtrip})
}

#[test]
fn a_graph_that_takes_samples_is_given_them_scaled_and_its_frames_are_samples() {
    let folder = takes_samples(audio(32_768.0, false));
    let ramp: Vec<f32> = (0..3200).map(|n| n as f32 / 32_768.0).collect();
    let heard = heard(folder.path(), Output::Frames, &ramp);
    let mut next = 0;
    for embedding in &heard {
        assert_eq!(embedding.start_frame, next);
        for row in embedding.data.chunks(2) {
            let mean = next as f32 + 79.5; // of the 160 samples from there on
            assert_eq!(row, [mean, mean]);
            next += 160;
        }
    }
    assert_eq!(next, 3200, "the graph's one step more is not given");
}

#[test]
fn samples_can_be_rounded_to_16_bits() {
    let folder = takes_samples(audio(1.0, true));
    let value_of = |sample: f32| {
        let heard = heard(folder.path(), Output::Frames, &[sample; 1600]);
        let values: Vec<f32> = heard.iter().flat_map(|embedding| embedding.data.clone()).collect();
        assert!(values.iter().all(|v| *v == values[0]) && values.len() == 2 * 10, "{values:?}");
        values[0]
    };
    assert_eq!(value_of(0.4 / 32_767.0), 0.0);
    assert_eq!(value_of(0.6 / 32_767.0), 1.0 / 32_767.0);
    assert_eq!(value_of(3.0), 1.0);
}

#[test]
fn the_level_of_samples_is_that_below_a_full_scale_sine() {
    let folder = takes_samples(audio(32_768.0, false));
    let sine: Vec<f32> =
        (0..1600).map(|n| (f64::from(n) * 0.1 * std::f64::consts::PI).sin() as f32 * 0.1).collect();
    let level = heard(folder.path(), Output::Clip, &sine)[0].level_db;
    assert!((level + 20.0).abs() < 0.01, "{level}");
}

#[test]
fn repetition_gives_what_there_is_as_often_as_it_fits_and_then_silence() {
    let folder = takes_samples(audio(1.0, false));
    let (package, options) =
        (open(folder.path()), EncoderOptions { output: Some(Output::Frames), ..Default::default() });
    let plan = Plan::new(package.manifest(), &options).unwrap();
    assert_eq!((plan.width, plan.samples_per_frame, plan.window_frames), (1, 1, 1600));
    // 640 samples fit twice into 1600; 320 of digital silence follow. Only the real steps are given.
    let job = jobs(&package, &options, &vec![0.5; 640], usize::MAX).swap_remove(0);
    assert_eq!((job.valid_frames, job.frames), (640, 1600));
    let mut model = EncoderModel::load(&package, &options).unwrap();
    assert_eq!(encode(&mut model, &[job], 1)[0].data, vec![0.5; 2 * 4]);
    // Over all 11 steps of the graph (1600 samples and one more), 8 of them of sound.
    let clip = heard(folder.path(), Output::Clip, &vec![0.5; 640]);
    assert_eq!(clip[0].data, vec![(0.5 * 8.0 / 11.0) as f32; 2]);
    assert_eq!((clip[0].frames, clip[0].last), (640, true));
}
