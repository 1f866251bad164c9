//! What must not go unnoticed: each changes one thing that a careless port gets wrong.

mod common;

use std::fs;
use std::path::Path;

use common::{changed, cosine, encode, folder, jobs, open, truth, worst};
use listen_encoder::{
    EncoderError, EncoderModel, EncoderOptions, Plan, Preparer, Window, open as open_engine,
};
use listen_package::{Output, Precision};
use serde_json::{Value, json};

/// Why a changed package does not load.
fn refused(name: &str, change: impl FnOnce(&mut Value, &Path)) -> EncoderError {
    let folder = changed(name, change);
    match open_engine(&open(folder.path()), &EncoderOptions::default()) {
        Ok(_) => panic!("{name} loads though it was changed"),
        Err(error) => error,
    }
}

#[track_caller]
fn embedding_failed(error: EncoderError) -> String {
    assert!(matches!(error, EncoderError::SelfTestEmbedding { .. }), "{error}");
    error.to_string()
}

#[test]
fn tokens_in_the_order_of_time_fail_the_self_test() {
    let message =
        embedding_failed(refused("tiny-tokens", |m, _| m["encoder"]["output"]["order"] = json!("t_major")));
    assert!(message.contains("self_test.safetensors") && message.contains("at least 0.999900"), "{message}");
}

#[test]
fn another_normalisation_fails_the_self_test() {
    embedding_failed(refused("tiny-tokens", |m, _| m["normalize"]["mean"] = json!(-6.1)));
    embedding_failed(refused("tiny-tokens", |m, _| m["normalize"] = json!({"kind": "per_window"})));
    embedding_failed(refused("tiny-clip", |m, _| m["normalize"] = json!({"kind": "none"})));
}

#[test]
fn another_pooling_fails_the_self_test() {
    embedding_failed(refused("tiny-frames", |m, _| m["clip_pooling"] = json!("mean_time")));
}

#[test]
fn time_and_frequency_exchanged_fail_the_self_test() {
    // One window of as many frames as bands: the graph's shape says [any, 64, any] either way.
    embedding_failed(refused("tiny-frames", |m, _| {
        m["encoder"]["input"]["layout"] = json!("BTF");
        m["window"]["min_frames"] = json!(64);
        m["window"]["max_frames"] = json!(64);
    }));
}

#[test]
fn an_htk_front_end_fails_the_self_test_by_its_log_mel() {
    let error = refused("tiny-tokens", |m, _| m["frontend"]["mel_scale"] = json!("htk"));
    let EncoderError::SelfTestLogMel { found, allowed, .. } = &error else { panic!("{error}") };
    assert!(*found > 0.1 && *allowed == 1e-4, "{error}");
    assert!(error.to_string().contains("1e-4 is allowed"), "{error}");
}

#[test]
fn padding_with_silence_is_not_padding_after_normalisation() {
    // Of 104 frames the last window has 40: its third column is 8 frames of sound and 8 of padding.
    let (_, stream) = truth("tiny-tokens", "stream");
    let options = EncoderOptions { output: Some(Output::Tokens), ..Default::default() };
    let tokens = |pad: &str, fixed: bool| {
        let folder = changed("tiny-tokens", |m, _| {
            m["window"]["short_pad"] = json!(pad);
            if fixed {
                m["window"]["min_frames"] = json!(64);
                m["window"]["max_frames"] = json!(64);
            }
        });
        let package = open(folder.path());
        let mut model = EncoderModel::load(&package, &options).unwrap();
        let jobs = jobs(&package, &options, &stream[..104 * 80], usize::MAX);
        (jobs[2].frames, encode(&mut model, &jobs, 1).swap_remove(2).data)
    };
    let (padded, zeros) = tokens("zero_normalized", false);
    let (filled, silence) = tokens("silence", false);
    assert_eq!((padded, filled), (48, 64));
    let column = 5 * 8;
    let (zeros_at, silence_at) = (zeros.len() - column, silence.len() - column);
    assert!(worst(&zeros[..zeros_at], &silence[..silence_at]) < 1e-6, "columns of sound alone are the same");
    assert!(worst(&zeros[zeros_at..], &silence[silence_at..]) > 0.1, "the column with padding is not");
    assert_eq!(tokens("zero_normalized", true), (64, zeros), "however far it is filled");
}

#[test]
fn a_short_window_is_repeated_as_far_as_it_fits_or_as_often_as_it_fits_whole() {
    let stream: Vec<f32> = (0..32 * 64).map(|i| (i as f32 * 0.37).sin()).collect();
    let clip = |pad: &str, frames: &[f32]| {
        let folder = changed("tiny-clip", |m, _| {
            m["window"]["short_pad"] = json!(pad);
            m["window"]["edge"] = json!("rolling");
            m["normalize"] = json!({"kind": "none"});
            m["self_test"] = json!(null);
        });
        let (package, options) = (open(folder.path()), EncoderOptions::default());
        let mut model = EncoderModel::load(&package, &options).unwrap();
        encode(&mut model, &jobs(&package, &options, frames, usize::MAX), 1).swap_remove(0).data
    };
    // 12 frames: twice whole, and 8 more.
    let short = &stream[..12 * 64];
    let cut = [short, short, &short[..8 * 64]].concat();
    assert!(worst(&clip("repeat_cut", short), &clip("silence", &cut)) < 1e-6);
    let whole = [short, short].concat();
    assert!(worst(&clip("repeat", short), &clip("silence", &whole)) < 1e-6);
    assert!(worst(&clip("repeat", short), &clip("repeat_cut", short)) > 1e-3, "they are not the same");
}

#[test]
fn of_a_window_that_came_filled_only_the_sound_itself_is_measured() {
    for kind in [json!({"kind": "none"}), json!({"kind": "running", "tau": 2.0, "mean": -7.0, "std": 4.0})] {
        let folder = changed("tiny-clip", |m, _| {
            m["normalize"] = kind.clone();
            m["self_test"] = json!(null);
        });
        let package = open(folder.path());
        let plan = Plan::new(package.manifest(), &EncoderOptions::default()).unwrap();
        // A quiet sound of 12 frames; what fills the window behind it is loud.
        let frames: Vec<f32> =
            (0..32 * 64).map(|i| if i < 12 * 64 { -9.0 + (i % 7) as f32 } else { 3.0 }).collect();
        let window = |frames| Window { start_frame: 0, frames, first: true, last: true };
        let prepare = || Preparer::new(package.manifest(), &plan).unwrap();
        let (filled, short) =
            (prepare().prepare_filled(&window(&frames), 12), prepare().prepare(&window(&frames[..12 * 64])));
        assert_eq!((filled.valid_frames, filled.frames), (12, 32), "{kind}");
        assert_eq!(filled.level_db, short.level_db, "{kind}");
        let mut statistics = [prepare(), prepare()];
        statistics[0].prepare_filled(&window(&frames), 12);
        statistics[1].prepare(&window(&frames[..12 * 64]));
        let next = Window { start_frame: 32, ..window(&frames) };
        let [after_filled, after_short] = statistics.each_mut().map(|preparer| preparer.prepare(&next));
        assert_eq!(
            after_filled, after_short,
            "{kind}: what filled the window counts in the next one's statistics"
        );
    }
}

#[test]
fn an_encoder_of_one_length_has_its_last_window_filled() {
    let folder = changed("tiny-tokens", |m, _| {
        m["window"]["min_frames"] = json!(64);
        m["window"]["max_frames"] = json!(64);
    });
    let (package, options) = (open(folder.path()), EncoderOptions::default());
    let mut model = EncoderModel::load(&package, &options).unwrap();
    let jobs = jobs(&package, &options, &truth("tiny-tokens", "stream").1, usize::MAX);
    let found = encode(&mut model, &jobs, 1).swap_remove(2).data;
    assert!(cosine(&found, &truth("tiny-tokens", "embedding").1[2 * 16..]) >= 0.99999);
}

#[test]
fn a_truncated_graph_is_an_error_that_names_its_file() {
    let error = refused("tiny-tokens", |_, folder| {
        let graph = fs::read(folder.join("encoder.onnx")).unwrap();
        fs::write(folder.join("encoder.onnx"), &graph[..graph.len() / 2]).unwrap();
    });
    assert!(matches!(error, EncoderError::Runtime(_)), "{error:?}");
    assert!(error.to_string().contains("encoder.onnx"), "{error}");
}

#[track_caller]
fn graph_refused(error: EncoderError, message: &str) {
    assert_eq!(common::without_folder(&error.to_string()), message);
}

#[test]
fn a_graph_that_is_not_what_the_manifest_says_is_an_error_with_both_sides() {
    graph_refused(
        refused("tiny-tokens", |m, _| m["encoder"]["input"]["name"] = json!("mel")),
        "encoder.onnx: encoder.input.name: the manifest says mel, the graph has lms",
    );
    graph_refused(
        refused("tiny-tokens", |m, _| m["encoder"]["output"]["name"] = json!("frames")),
        "encoder.onnx: encoder.output.name: the manifest says frames, the graph has tokens",
    );
    graph_refused(
        refused("tiny-tokens", |m, _| m["encoder"]["output"]["dim"] = json!(9)),
        "encoder.onnx: encoder.output.name `tokens`: the manifest says float32 [any, any, 9], the graph has float32 [any, any, 8]",
    );
    graph_refused(
        refused("tiny-tokens", |m, _| m["encoder"]["input"]["layout"] = json!("BFT")),
        "encoder.onnx: encoder.input.name `lms`: the manifest says float32 [any, 80, any], the graph has float32 [any, 1, 80, any]",
    );
    graph_refused(
        refused("tiny-tokens", |m, _| m["frame_embedding"] = json!("mean_freq")),
        "head.onnx: head.input `pooled`: the manifest says float32 [any, 8], the graph has float32 [any, 40]",
    );
    graph_refused(
        refused("tiny-tokens", |m, _| m["head"]["output"] = json!("out")),
        "head.onnx: head.output: the manifest says out, the graph has embedding",
    );
}

#[test]
fn a_number_of_steps_that_the_graph_does_not_give_is_an_error() {
    graph_refused(
        refused("tiny-frames", |m, _| m["encoder"]["output"]["frames_per_column"] = json!(4)),
        "inference failed: encoder.onnx: expected an output of [1, 16, 16] for 1 windows of 64 frames, found [1, 8, 16]",
    );
}

#[test]
fn a_precision_that_the_package_has_not_is_an_error_that_lists_what_it_has() {
    let options = EncoderOptions { precision: Some(Precision::Int8), ..Default::default() };
    let error = open_engine(&open(&folder("tiny-tokens")), &options).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "the package has no graph in int8; it has fp32");
}

#[test]
fn without_float32_the_most_exact_graph_is_taken() {
    let folder = changed("tiny-tokens", |m, _| {
        m["encoder"]["graphs"] =
            json!({"int8": {"file": "encoder.onnx", "max_batch": 1}, "fp16": {"file": "encoder.onnx"}});
    });
    let plan = Plan::new(open(folder.path()).manifest(), &EncoderOptions::default()).unwrap();
    assert_eq!((plan.precision, plan.max_batch), (Precision::Fp16, None));
}

#[test]
fn windows_and_hops_that_the_encoder_cannot_take_are_refused_with_what_it_can() {
    let package = open(&folder("tiny-tokens"));
    let refused = |options: EncoderOptions| Plan::new(package.manifest(), &options).unwrap_err().to_string();
    let frames = EncoderOptions { output: Some(Output::Frames), ..Default::default() };
    for window in [0, 8, 63, 80] {
        assert_eq!(
            refused(EncoderOptions { window_frames: Some(window), ..Default::default() }),
            format!(
                "a window of {window} frames: the encoder takes 16 to 64 frames in multiples of 16, or its own 64"
            )
        );
    }
    assert!(
        refused(EncoderOptions { hop_frames: Some(0), ..Default::default() }).contains("a hop of 0 frames")
    );
    // A hop between time steps is the nearest one of whole steps.
    for (asked, taken) in [(20, 16), (24, 16), (25, 32)] {
        let options = EncoderOptions { hop_frames: Some(asked), ..frames.clone() };
        assert_eq!(Plan::new(package.manifest(), &options).unwrap().hop_frames, taken);
    }
    let clip = open(&folder("tiny-clip"));
    let tokens = EncoderOptions { output: Some(Output::Tokens), ..Default::default() };
    assert_eq!(
        Plan::new(clip.manifest(), &tokens).unwrap_err().to_string(),
        "the package cannot give output=tokens: its encoder gives one vector a window"
    );
}

#[test]
fn a_hop_that_caps_cannot_tell_of_is_refused_and_the_longest_one_works() {
    let package = open(&folder("tiny-frames"));
    for output in [Output::Clip, Output::Frames] {
        let plan = |hop: u32| {
            let options =
                EncoderOptions { hop_frames: Some(hop), output: Some(output), ..EncoderOptions::default() };
            listen_encoder::Plan::new(package.manifest(), &options)
        };
        let error = plan(u32::MAX).expect_err("too long");
        assert!(matches!(error, EncoderError::LongHop { found: u32::MAX, .. }), "{error}");
        let plan = plan(i32::MAX as u32).expect("the longest hop");
        let mut windows = 0;
        let mut stream = listen_encoder::WindowStream::new(package.manifest(), &plan).unwrap();
        stream.push(&vec![0.0; plan.width * plan.window_frames as usize * 3], |_| windows += 1);
        assert_eq!((windows, stream.finish()), (1, None));
    }
}
