//! `melspec ! m2dencode` with ONNX Runtime and the tiny packages: the embeddings of the models' own crates, to the bit.

mod common;

use std::sync::Arc;
use std::thread;

use common::{folder, row, wait_for_load};
use gst::prelude::*;
use gst_check::Harness;
use gst_listen_common::caps::{EmbeddingCaps, EmbeddingKind};
use gst_listen_m2dencode::{Edge, ExecutionProvider, M2dEncode, Output};
use gst_listen_melspec::MelSpec;
use listen_encoder::{
    Embedding, EncoderModel, EncoderOptions, Plan, Preparer, Window, WindowJob, WindowStream,
};
use listen_features::log_mel;
use listen_package::{Package, ShortPad};
use listen_runtime::{Model, Provider};

fn signal(samples: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state as f32 / 4_294_967_296.0 - 0.5
    };
    (0..samples).map(|n| 0.3 * (n as f32 * (0.05 + n as f32 * 1e-7)).sin() + 0.1 * noise()).collect()
}

/// A harness around `melspec ! m2dencode` for a tiny package, at the package's rate.
fn chain(package: &str, settings: impl FnOnce(&M2dEncode)) -> (Harness, gst::Bus) {
    gst::init().unwrap();
    let (mel, encode): (MelSpec, M2dEncode) = (gst::glib::Object::new(), gst::glib::Object::new());
    encode.set_model(folder(package).to_str());
    encode.set_accept_license(true);
    encode.set_execution_provider(ExecutionProvider::Cpu);
    encode.set_workers(1);
    settings(&encode);
    let bin = gst::Bin::new();
    bin.add_many([mel.upcast_ref::<gst::Element>(), encode.upcast_ref()]).unwrap();
    mel.link(&encode).unwrap();
    for (name, element) in [("sink", mel.upcast_ref::<gst::Element>()), ("src", encode.upcast_ref())] {
        bin.add_pad(&gst::GhostPad::with_target(&element.static_pad(name).unwrap()).unwrap()).unwrap();
    }
    let bus = gst::Bus::new();
    encode.set_bus(Some(&bus));
    let mut h = Harness::with_element(&bin, Some("sink"), Some("src"));
    h.set_live(false);
    let rate = open(package).manifest().audio.sample_rate;
    h.set_src_caps_str(&format!("audio/x-raw,format=F32LE,rate={rate},channels=1,layout=interleaved"));
    encode.set_bus(Some(&bus));
    wait_for_load(&bus);
    (h, bus)
}

fn open(package: &str) -> Arc<Package> {
    Package::open(&folder(package), true).unwrap()
}

fn push(h: &mut Harness, samples: &[f32], piece: usize) {
    for piece in samples.chunks(piece) {
        let bytes: Vec<u8> = piece.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        h.push(gst::Buffer::from_mut_slice(bytes)).unwrap();
    }
}

fn options() -> EncoderOptions {
    EncoderOptions { provider: Provider::Cpu, ..EncoderOptions::default() }
}

/// The embeddings of a recording, straight from the models' crates.
fn reference(package: &str, samples: &[f32], options: &EncoderOptions) -> Vec<Embedding> {
    let package = open(package);
    let (manifest, front_end) = (package.manifest(), package.front_end().unwrap());
    let plan = Plan::new(manifest, options).unwrap();
    let jobs: Vec<WindowJob> = if plan.edge == listen_package::Edge::Exact {
        let mut preparer = Preparer::new(manifest, &plan).unwrap();
        let (hop, window) = (plan.hop_frames as usize * front_end.hop_length as usize, plan.window_frames);
        let whole = front_end.exact_samples(window.into()) as usize;
        let mut count = 1 + samples.len().saturating_sub(whole).div_ceil(hop);
        // Where windows give their middle, the end of the stream has a window of its own too.
        let ends_on_a_window = samples.len() >= whole && (samples.len() - whole).is_multiple_of(hop);
        count += usize::from(ends_on_a_window && plan.steps.is_some() && hop < whole);
        let window = |k: usize| {
            let cut = &samples[k * hop..samples.len().min(k * hop + whole)];
            let (start_frame, first, last) =
                ((k * plan.hop_frames as usize) as u64, k == 0, cut.len() < whole);
            // A recording that is shorter than a window is repeated, not its frames.
            let repeated = match manifest.window.short_pad {
                ShortPad::Repeat => whole / cut.len(),
                ShortPad::RepeatCut => whole / cut.len() + 1,
                ShortPad::ZeroNormalized | ShortPad::Silence => 0,
            };
            let mut sound = cut.repeat(repeated.max(1));
            if repeated > 0 {
                sound.resize(whole, 0.0);
            }
            let window = Window { start_frame, frames: &log_mel(front_end, &sound).unwrap(), first, last };
            preparer.prepare_filled(&window, front_end.frames_in(cut.len() as u64) as u32)
        };
        (0..count).map(window).collect()
    } else {
        let mut stream = WindowStream::new(manifest, &plan).unwrap();
        let mut jobs = Vec::new();
        stream.push(&log_mel(front_end, samples).unwrap(), |job| jobs.push(job));
        jobs.extend(stream.finish());
        jobs
    };
    let mut model = EncoderModel::load(&package, options).unwrap();
    jobs.into_iter().map(|job| model.run(&mut vec![job]).remove(0).unwrap()).collect()
}

#[test]
fn every_kind_of_package_gives_the_embeddings_of_its_encoder_whatever_the_buffers() {
    for (package, seconds) in [("tiny-frames", 2), ("tiny-tokens", 2), ("tiny-clip", 1), ("tiny-tagger", 3)] {
        let rate = open(package).manifest().audio.sample_rate as usize;
        let samples = signal(seconds * rate + 1_234);
        let expected = reference(package, &samples, &options());
        assert!(expected.len() > 2);
        for piece in [333, 16_000, usize::MAX] {
            let (mut h, _) = chain(package, |_| ());
            push(&mut h, &samples, piece);
            let out = common::finish(&mut h);
            assert_eq!(out.len(), expected.len(), "{package}");
            for (found, expected) in out.iter().zip(&expected) {
                let values =
                    expected.scores.as_ref().filter(|_| package == "tiny-tagger").unwrap_or(&expected.data);
                assert!(row(found) == *values, "{package} at frame {}", expected.start_frame);
                assert_eq!(
                    (found.offset(), found.offset_end() - found.offset()),
                    (expected.start_frame, expected.frames.into())
                );
            }
        }
    }
}

#[test]
fn what_fills_a_short_window_is_its_own_sound_repeated_before_it_becomes_frames() {
    for pad in ["repeat", "repeat_cut"] {
        let copy = common::changed("tiny-clip", |manifest| manifest["window"]["short_pad"] = pad.into());
        let package = copy.path().to_str().unwrap();
        let whole = open(package).front_end().unwrap().exact_samples(32) as usize;
        for len in [whole / 3, whole / 2 + 100, whole + 500] {
            let expected = reference(package, &signal(len), &options());
            let (mut h, _) = chain(package, |_| ());
            push(&mut h, &signal(len), 700);
            let out = common::finish(&mut h);
            assert_eq!(out.len(), expected.len(), "{pad}, {len} samples");
            for (found, expected) in out.iter().zip(&expected) {
                assert!(row(found) == expected.data, "{pad}, {len} samples");
                assert_eq!(
                    found.offset_end() - found.offset(),
                    u64::from(expected.frames),
                    "{pad}, {len} samples"
                );
            }
        }
    }
}

#[test]
fn one_sample_at_a_time_is_the_same_as_all_at_once() {
    let samples = signal(18_000);
    let expected = reference("tiny-frames", &samples, &options());
    let (mut h, _) = chain("tiny-frames", |_| ());
    push(&mut h, &samples, 1);
    let out = common::finish(&mut h);
    assert!(out.iter().map(row).eq(expected.iter().map(|e| e.data.clone())));
}

#[test]
fn each_time_step_comes_once_and_in_its_place() {
    let samples = signal(40_000);
    for (package, output, edge) in [
        ("tiny-frames", Output::Frames, Edge::Rolling),
        ("tiny-tokens", Output::Frames, Edge::Rolling),
        ("tiny-tokens", Output::Tokens, Edge::Exact),
        ("tiny-frames", Output::Frames, Edge::Exact),
    ] {
        let (mut h, _) = chain(package, |encode| {
            encode.set_output(output);
            encode.set_edge(edge);
        });
        push(&mut h, &samples, 1_000);
        let out = common::finish(&mut h);
        let caps = EmbeddingCaps::from_caps(&h.sinkpad().unwrap().current_caps().unwrap()).unwrap();
        let step = gst::ClockTime::from_nseconds(caps.step.unwrap());
        let mut next = gst::ClockTime::ZERO;
        for buffer in &out {
            assert_eq!(buffer.pts(), Some(next), "{package}, {output:?}, {edge:?}");
            let rows = row(buffer).len() / caps.dim as usize;
            let steps = rows as u64 / u64::from(caps.rows_per_step);
            let last = std::ptr::eq(buffer, out.last().unwrap());
            assert!(buffer.duration() == Some(step * steps) || last, "{package}, {output:?}: {buffer:?}");
            next += step * steps;
        }
        assert!(
            next >= gst::ClockTime::from_mseconds(2_500),
            "{package}, {output:?}, {edge:?} end at {next}"
        );
    }
}

#[test]
fn the_last_steps_of_a_stream_that_ends_with_an_exact_window_are_reflected_at_both_ends_of_their_own() {
    // Windows of 64 frames that share one time step, which is the first of the next: its own reflection is heard in it.
    for (package, hop) in [("tiny-tokens", 48), ("tiny-frames", 56)] {
        let front_end = open(package).front_end().unwrap().clone();
        let exact = front_end.exact_samples(64) as usize + 2 * hop as usize * front_end.hop_length as usize;
        let options = EncoderOptions {
            output: Some(listen_package::Output::Frames),
            edge: Some(listen_package::Edge::Exact),
            hop_frames: Some(hop),
            ..options()
        };
        for length in [exact - 1, exact, exact + 1] {
            let samples = signal(length);
            let expected = reference(package, &samples, &options);
            assert_eq!(expected.len(), 3 + usize::from(length >= exact));
            for piece in [333, usize::MAX] {
                let (mut h, _) = chain(package, |encode| {
                    encode.set_output(Output::Frames);
                    encode.set_edge(Edge::Exact);
                    encode.set_hop(u64::from(hop) * 10_000_000);
                });
                push(&mut h, &samples, piece);
                let out = common::finish(&mut h);
                assert_eq!(out.len(), expected.len(), "{package}, {length} samples");
                for (found, expected) in out.iter().zip(&expected) {
                    let what = format!("{package}, {length} samples, frame {}", expected.start_frame);
                    assert!(row(found) == expected.data, "{what}");
                    assert_eq!(found.offset(), expected.start_frame, "{what}");
                }
            }
        }
    }
}

#[test]
fn a_tagger_gives_the_scores_of_its_classes() {
    let (mut h, _) = chain("tiny-tagger", |_| ());
    push(&mut h, &signal(20_000), 1_000);
    let out = common::finish(&mut h);
    let caps = EmbeddingCaps::from_caps(&h.sinkpad().unwrap().current_caps().unwrap()).unwrap();
    let classes = open("tiny-tagger").classes().unwrap().len();
    assert_eq!((caps.kind, caps.dim as usize), (EmbeddingKind::ClassScores, classes));
    assert!(row(&out[0]).iter().all(|score| (0.0..=1.0).contains(score)));
}

#[test]
fn a_flush_leaves_no_trace_in_what_comes_after() {
    let samples = signal(30_000);
    let expected = reference("tiny-tokens", &samples, &options());
    let (mut h, _) = chain("tiny-tokens", |_| ());
    push(&mut h, &signal(21_111), 777);
    h.push_event(gst::event::FlushStart::new());
    h.push_event(gst::event::FlushStop::new(true));
    common::rest(&mut h);
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    push(&mut h, &samples, 777);
    let out = common::finish(&mut h);
    assert!(out.iter().map(row).eq(expected.iter().map(|e| e.data.clone())));
}

#[test]
fn noise_that_is_no_number_makes_no_embedding_that_is_none() {
    let mut samples = signal(30_000);
    for (n, sample) in samples.iter_mut().enumerate().skip(500) {
        match n % 97 {
            0 => *sample = f32::NAN,
            1 => *sample = f32::INFINITY,
            2 => *sample = f32::from_bits(3),
            _ => {}
        }
    }
    let (mut h, _) = chain("tiny-frames", |_| ());
    push(&mut h, &samples, 1_024);
    let out = common::finish(&mut h);
    assert!(!out.is_empty() && out.iter().flat_map(row).all(f32::is_finite));
}

#[test]
fn two_pipelines_share_an_engine_while_a_third_one_stops() {
    let samples = signal(48_000);
    let expected: Vec<_> =
        reference("tiny-frames", &samples, &options()).into_iter().map(|e| e.data).collect();
    let run = || {
        let (mut h, bus) = chain("tiny-frames", |_| ());
        push(&mut h, &samples[..16_000], 500);
        (h, bus)
    };
    let (mut first, mut second, mut third) = (run(), run(), run());
    push(&mut third.0, &samples[16_000..], 500);
    drop(third);
    for (h, _) in [&mut first, &mut second] {
        push(h, &samples[16_000..], 500);
        assert!(common::finish(h).iter().map(row).eq(expected.iter().cloned()));
    }
}

#[test]
fn two_hundred_times_to_playing_and_back_at_any_moment_of_loading() {
    gst::init().unwrap();
    let encode: M2dEncode = gst::glib::Object::new();
    encode.set_model(folder("tiny-tokens").to_str());
    encode.set_execution_provider(ExecutionProvider::Cpu);
    let bus = gst::Bus::new();
    encode.set_bus(Some(&bus));
    for cycle in 0..200 {
        encode.set_state(gst::State::Playing).unwrap();
        // Every other one stops while it loads.
        if cycle % 2 == 0 {
            wait_for_load(&bus);
        }
        encode.set_state(gst::State::Null).unwrap();
    }
    assert!(bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Warning]).is_none());
}

#[test]
fn sixteen_elements_share_one_engine() {
    let samples = signal(24_000);
    let expected: Vec<_> =
        reference("tiny-frames", &samples, &options()).into_iter().map(|e| e.data).collect();
    let chains: Vec<_> =
        (0..16).map(|_| chain("tiny-frames", |encode| encode.set_intra_op_threads(2))).collect();
    let element = chains[0].0.element().unwrap().downcast::<gst::Bin>().unwrap();
    let encode = element
        .iterate_elements()
        .into_iter()
        .flatten()
        .find_map(|e| e.downcast::<M2dEncode>().ok())
        .unwrap();
    let stats = encode.property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("elements"), Ok(16));

    let run = |(mut h, bus): (Harness, gst::Bus)| {
        push(&mut h, &samples, 700);
        assert!(common::finish(&mut h).iter().map(row).eq(expected.iter().cloned()));
        (h, bus)
    };
    let chains: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = chains.into_iter().map(|chain| scope.spawn(|| run(chain))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let stats = encode.property::<gst::Structure>("stats");
    let field = |name: &str| stats.get::<u64>(name).unwrap();
    assert_eq!(field("out"), expected.len() as u64);
    assert_eq!((stats.get("execution-provider"), stats.get("precision")), (Ok("cpu"), Ok("fp32")));
    assert!(0 < field("inference-p50") && field("inference-p50") <= field("inference-max"), "{stats}");
    drop(chains);
}
