//! Streams that are encoded in chunks, with ONNX Runtime and `tiny-stream`: against the graph run once on the whole
//! stream, and with windows that are gated or flushed. Nothing is timed.

mod common;

use std::thread;

use common::chunks::*;
use common::*;
use gst::prelude::*;
use gst_check::Harness;
use gst_listen_m2dencode::{Edge, M2dEncode, Output, WindowMode};
use listen_encoder::{EncoderModel, EncoderOptions, Plan, WindowStream};
use listen_package::Package;
use listen_runtime::{GraphSource, Model, Provider, Session, SessionOptions, TensorRef};

/// The time steps of the first `total` frames, in one run of the graph: 8 frames and 8 values each.
fn whole_tokens(total: u64) -> Vec<f32> {
    let copy = changed("tiny-stream", |manifest| manifest["window"]["max_frames"] = 1_024.into());
    let package = Package::open(copy.path(), true).unwrap();
    let length = total.next_multiple_of(8) as u32;
    let options = EncoderOptions {
        provider: Provider::Cpu,
        output: Some(listen_package::Output::Tokens),
        window_mode: listen_encoder::WindowMode::Whole,
        window_frames: Some(length),
        hop_frames: Some(length),
        ..Default::default()
    };
    let plan = Plan::new(package.manifest(), &options).unwrap();
    let mut stream = WindowStream::new(package.manifest(), &plan).unwrap();
    let mut jobs = Vec::new();
    stream.push(&row(&frames(0, total)), |job| jobs.push(job));
    jobs.extend(stream.finish());
    assert_eq!(jobs.len(), 1);
    EncoderModel::load(&package, &options).unwrap().run(&mut jobs).remove(0).unwrap().data
}

/// The head's embedding of time steps, as ONNX Runtime gives it, at length 1.
fn pooled(tokens: &[f32]) -> Vec<f32> {
    let head = folder("tiny-stream").join("head.onnx");
    let mut head = Session::load(&GraphSource::Path(&head), &SessionOptions::default()).unwrap();
    let shape = [1, tokens.len() / 8, 8];
    let out = head.run(&[("tokens", TensorRef::f32(&shape, tokens).unwrap())], &["embedding"]).unwrap();
    let values = out.into_iter().next().unwrap().into_f32().unwrap();
    let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
    values.iter().map(|v| v / length).collect()
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(p, q)| (p - q).abs()).fold(0.0, f32::max)
}

#[test]
fn time_steps_of_a_stream_are_those_of_the_whole_and_any_cut_gives_the_same_bits() {
    // With less context than its time steps see, only what is carried over gives those of the whole.
    let short = changed("tiny-carry", |manifest| {
        manifest["streaming"]["left_context"] = 0.into();
        manifest.as_object_mut().unwrap().remove("self_test");
    });
    let (stream, carry) = (folder("tiny-stream"), short.path().to_owned());
    for (package, total) in
        [(&stream, 300), (&stream, 288), (&stream, 33), (&carry, 300), (&carry, 290), (&carry, 33)]
    {
        let expected = whole_tokens(total);
        let mut before: Option<Vec<f32>> = None;
        for cut in [1, 50, 1_000] {
            let (mut h, _) = stream_of(package, |element| {
                element.set_output(Output::Tokens);
                // Each takes what the one before it left, however many could run at once.
                element.set_workers(3);
            });
            let out = heard(&mut h, total, cut);
            assert_eq!(out.len() as u64, total.div_ceil(CHUNK));
            let found: Vec<f32> = out.iter().flat_map(row).collect();
            assert!(worst(&found, &expected) <= 1e-5, "{package:?}, {total} frames");
            assert!(before.as_ref().is_none_or(|before| *before == found), "{package:?} in buffers of {cut}");
            before = Some(found);
            for (k, buffer) in out.iter().enumerate() {
                assert_eq!(buffer.pts(), Some(time(k as u64 * CHUNK)));
            }
        }
    }
}

#[test]
fn time_steps_bring_along_when_something_begins_and_clips_do_not() {
    use gst_listen_common::strength_meta::StrengthMeta;
    let of = |output: Output, cut: u64| -> Vec<Option<StrengthMeta>> {
        let (mut h, _) = stream(|element| element.set_output(output));
        heard(&mut h, 100, cut).iter().map(|buffer| StrengthMeta::of(buffer)).collect()
    };
    let metas = of(Output::Frames, 1_000);
    assert_eq!(of(Output::Frames, 1), metas);
    let mut expected = 0;
    for meta in metas.into_iter().map(|meta| meta.expect("strengths")) {
        assert_eq!((meta.start, meta.duration), (time(expected), time(meta.strengths.len() as u64)));
        expected += meta.strengths.len() as u64;
        assert!(meta.strengths.iter().any(|strength| strength.onset + strength.offset > 0.0));
    }
    assert_eq!(expected, 100);
    assert!(of(Output::Clip, 1_000).iter().all(Option::is_none));
}

#[test]
fn clips_of_a_stream_are_pooled_from_the_steps_of_the_whole_and_any_cut_gives_the_same_bits() {
    let total = 333;
    let tokens = whole_tokens(total);
    let mut before: Option<Vec<Vec<f32>>> = None;
    for cut in [1, 50, 1_000] {
        // An engine of its own: who shares it is counted.
        let (mut h, _) = stream(|element| element.set_intra_op_threads(2));
        let out = heard(&mut h, total, cut);
        // Six whole windows, and one that the end cuts short.
        assert_eq!(out.len(), 7);
        let found: Vec<_> = out.iter().map(row).collect();
        for (k, values) in found.iter().enumerate() {
            let start = k * CHUNK as usize / 8;
            let end = (start + LONG as usize / 8).min(tokens.len() / 8);
            assert!(worst(values, &pooled(&tokens[start * 8..end * 8])) <= 1e-5, "window {k}");
            assert_eq!(out[k].pts(), Some(time(k as u64 * CHUNK)));
            let length = LONG.min(total - k as u64 * CHUNK);
            assert_eq!(out[k].duration(), Some(time(length)));
        }
        assert!(before.as_ref().is_none_or(|before| *before == found), "in buffers of {cut}");
        before = Some(found);
        assert_eq!(counts(&h.element().unwrap()), [7, 7, 0, 0, 0, 0, 0]);
        let stats = h.element().unwrap().property::<gst::Structure>("stats");
        assert_eq!(stats.get("elements"), Ok(1_u64), "{stats}");
    }
}

#[test]
fn a_hop_between_the_encoders_time_steps_is_rounded_to_them() {
    // Frames of 10 ms, steps of 80 ms: to the nearest, of two to the shorter one.
    for (asked, taken) in [(320, 320), (300, 320), (290, 320), (280, 240), (270, 240), (90, 80), (10, 80)] {
        for output in [Output::Tokens, Output::Clip] {
            let (mut h, _) = stream(|element| {
                element.set_hop(asked * 1_000_000);
                element.set_output(output);
            });
            let out = heard(&mut h, 400, 1_000);
            let hop = out[1].pts().zip(out[0].pts()).map(|(second, first)| (second - first).mseconds());
            assert_eq!(hop, Some(taken), "{asked} ms, {output:?}");
        }
    }
}

#[test]
fn a_length_of_windows_that_is_of_no_use_is_a_warning() {
    let asked = time(64).nseconds();
    let cases = [
        (Output::Tokens, WindowMode::Auto, asked, true),
        (Output::Tokens, WindowMode::Auto, 0, false),
        (Output::Tokens, WindowMode::Whole, asked, false),
        (Output::Clip, WindowMode::Auto, asked, false),
    ];
    for (output, mode, window, warned) in cases {
        let element = element(None);
        element.set_model(folder("tiny-stream").to_str());
        element.set_output(output);
        element.set_window_mode(mode);
        element.set_window(window);
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        element.set_state(gst::State::Ready).unwrap();
        let warning = bus.pop_filtered(&[gst::MessageType::Warning]);
        assert_eq!(warning.is_some(), warned, "{output:?} {mode:?} {window}: {warning:?}");
        element.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn whole_is_whole_and_what_cannot_be_chunked_says_why() {
    let (mut h, _) = stream(|element| {
        element.set_window_mode(WindowMode::Whole);
        element.set_window(time(64).nseconds());
    });
    let whole = heard(&mut h, 300, 77);
    let (mut h, _) = stream(|element| element.set_window(time(64).nseconds()));
    let chunked = heard(&mut h, 300, 77);
    assert_eq!(whole.len(), chunked.len());
    // A whole window does not hear what lies around it.
    assert!(whole.iter().zip(&chunked).any(|(a, b)| worst(&row(a), &row(b)) > 1e-4));

    let refused = |package: &str, settings: &dyn Fn(&M2dEncode)| {
        let element = element(None);
        element.set_model(folder(package).to_str());
        element.set_accept_license(true);
        element.set_window_mode(WindowMode::Chunked);
        settings(&element);
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        assert!(element.set_state(gst::State::Ready).is_err());
        error(&bus)
    };
    let clip = refused("tiny-clip", &|_| ());
    assert!(clip.contains("window-mode=chunked") && clip.contains("one vector a window"), "{clip}");
    let exact = refused("tiny-stream", &|element| element.set_edge(Edge::Exact));
    assert!(exact.contains("edge=exact"), "{exact}");
}

#[test]
fn live_latency_is_the_window_the_context_after_it_and_a_hop() {
    let (mut h, _) = stream(|_| ());
    h.set_live(true);
    let mut query = gst::query::Latency::new();
    assert!(h.element().unwrap().static_pad("src").unwrap().query(&mut query));
    assert_eq!(query.result().1, time(LONG + 16 + CHUNK));
}

#[test]
fn chunks_after_gated_ones_are_those_of_the_whole_where_what_was_heard_is_carried_over() {
    let run = |gate: Option<f64>| {
        let (mut h, _) = stream_of("tiny-carry", |element| {
            element.set_output(Output::Tokens);
            gate.into_iter().for_each(|gate| element.set_gate(gate));
        });
        h.push(frames(0, 200)).unwrap();
        h.push(quiet(200, 300)).unwrap();
        h.push(frames(500, 200)).unwrap();
        undisturbed(&finish(&mut h))
    };
    let (all, open) = (run(None), run(Some(-60.0)));
    assert!(open.len() + 5 < all.len() && open.len() > 5, "{} of {}", open.len(), all.len());
    for (start, found) in open {
        assert!(worst(&found, &all[&start]) <= 1e-5, "from {start}");
    }
}

#[test]
fn a_window_after_gated_ones_hears_what_was_silent_in_it() {
    let push = |h: &mut Harness| {
        h.push(frames(0, 160)).unwrap();
        h.push(quiet(160, 320)).unwrap();
        h.push(frames(480, 200)).unwrap();
        h.push(quiet(680, 200)).unwrap();
        finish(h)
    };
    let (mut h, _) = stream(|_| ());
    let expected = undisturbed(&push(&mut h));
    let (mut h, _) = stream(|element| element.set_gate(-60.0));
    let out = push(&mut h);
    for buffer in &out {
        assert!(row(buffer) == expected[&buffer.offset()], "the window at frame {}", buffer.offset());
    }
    let silent = |start: &u64| (160..=320).contains(start) || *start >= 680;
    let gated = expected.keys().filter(|start| silent(start)).count() as u64;
    assert!(gated > 5, "six in the middle, and the end");
    let all = expected.len() as u64;
    assert_eq!(counts(&h.element().unwrap()), [all, all - gated, 0, gated, 0, 0, 0]);
}

#[test]
fn a_flush_leaves_no_time_step_of_what_was() {
    let (mut h, _) = stream(|_| ());
    let expected = undisturbed(&heard(&mut h, 400, 90));
    let (mut h, _) = stream(|_| ());
    h.push(quiet(0, 250)).unwrap();
    h.push_event(gst::event::FlushStart::new());
    h.push_event(gst::event::FlushStop::new(true));
    rest(&mut h);
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    let out = heard(&mut h, 400, 90);
    assert_eq!(undisturbed(&out), expected);
    let [taken, given, dropped, gated, flushed, lost, pending] = counts(&h.element().unwrap());
    // Three windows were whole before, given or flushed.
    assert_eq!((taken, given + flushed), (expected.len() as u64 + 3, taken));
    assert_eq!((dropped, gated, lost, pending), (0, 0, 0, 0));
}

#[test]
fn two_streams_share_an_engine_and_keep_their_own_time_steps() {
    let (mut h, _) = stream(|_| ());
    let expected = undisturbed(&heard(&mut h, 500, 90));
    let run = |cut: u64| {
        let (mut h, _) = stream(|_| ());
        undisturbed(&heard(&mut h, 500, cut))
    };
    thread::scope(|scope| {
        let runs: Vec<_> = [33, 90, 500].map(|cut| scope.spawn(move || run(cut))).into();
        runs.into_iter().for_each(|run| assert_eq!(run.join().unwrap(), expected));
    });
}
