//! A package whose graph has its front end inside: `melspec` hands the samples on (`tensor-id=waveform`), and what comes
//! of them is the truth of `models/package/fixtures/tiny_wave.py`, NumPy in float64.

mod common;

use common::{complaint, drain, events, folder, harness, tones};
use gst::prelude::*;
use gst_listen_common::caps::WaveformCaps;
use gst_listen_listenbin::ListenBin;
use gst_listen_m2dencode::{ExecutionProvider, M2dEncode};
use gst_listen_melspec::{MelSpec, Preset};
use safetensors::SafeTensors;

const PACKAGE: &str = "tiny-wave";

fn truth(tensor: &str) -> (usize, Vec<f32>) {
    let bytes = std::fs::read(folder(PACKAGE).join("truth.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let view = tensors.tensor(tensor).unwrap();
    (view.shape()[0], floats(view.data()))
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn bytes(samples: &[f32]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn encoder() -> M2dEncode {
    gst::init().unwrap();
    let encode: M2dEncode = gst::glib::Object::new();
    encode.set_model(folder(PACKAGE).to_str());
    encode.set_execution_provider(ExecutionProvider::Cpu);
    encode.set_workers(1);
    encode
}

/// `elements` in a row, with audio at their beginning; what comes out of their end for `samples` in such pieces, and the
/// caps of what the first of them gives.
fn run(elements: &[&gst::Element], samples: &[f32], piece: usize) -> (Vec<gst::Buffer>, gst::Caps) {
    let caps = gst_audio::AudioInfo::builder(gst_audio::AudioFormat::F32le, 16_000, 1).build().unwrap();
    let source = gst_app::AppSrc::builder().caps(&caps.to_caps().unwrap()).format(gst::Format::Time).build();
    let sink = gst_app::AppSink::builder().sync(false).build();
    let pipeline = gst::Pipeline::new();
    pipeline.add_many([source.upcast_ref::<gst::Element>(), sink.upcast_ref()]).unwrap();
    pipeline.add_many(elements).unwrap();
    let row: Vec<_> = std::iter::once(source.upcast_ref::<gst::Element>())
        .chain(elements.iter().copied())
        .chain([sink.upcast_ref()])
        .collect();
    gst::Element::link_many(row).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    for piece in samples.chunks(piece) {
        source.push_buffer(gst::Buffer::from_mut_slice(bytes(piece))).unwrap();
    }
    source.end_of_stream().unwrap();
    let out: Vec<_> =
        std::iter::from_fn(|| sink.pull_sample().ok()).map(|sample| sample.buffer_owned().unwrap()).collect();
    let messages = drain(&pipeline.bus().unwrap());
    assert_eq!(complaint(&messages), None);
    let between = elements[0].static_pad("src").unwrap().current_caps().unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    (out, between)
}

fn values(buffers: &[gst::Buffer]) -> Vec<Vec<f32>> {
    buffers.iter().map(|buffer| floats(&buffer.map_readable().unwrap())).collect()
}

#[test]
fn its_embeddings_are_those_of_the_truth_however_the_samples_come() {
    let (_, samples) = truth("stream");
    let (windows, expected) = truth("embedding");
    let mut first = None;
    for piece in [1, 777, usize::MAX] {
        let (encode, mel): (M2dEncode, MelSpec) = (encoder(), gst::glib::Object::new());
        let (out, between) = run(&[mel.upcast_ref(), encode.upcast_ref()], &samples, piece);
        assert_eq!(WaveformCaps::from_caps(&between), Ok(WaveformCaps { rate: 16_000, channel: -1 }));
        let found = values(&out);
        assert_eq!((found.len(), windows), (3, 3));
        for (k, (found, expected)) in found.iter().zip(expected.chunks_exact(16)).enumerate() {
            let dot = |a: &[f32], b: &[f32]| {
                a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
            };
            let cosine = dot(found, expected) / (dot(found, found) * dot(expected, expected)).sqrt();
            assert!(cosine >= 0.99999, "window {k} in pieces of {piece}: {cosine}");
            assert_eq!(out[k].pts(), Some(gst::ClockTime::from_mseconds(160 * k as u64)));
        }
        assert!(found == *first.get_or_insert(found.clone()), "another cut, other bits: {piece}");
    }
    // Samples that come without melspec are the same.
    let (out, _) = run(&[encoder().upcast_ref()], &samples, 1_000);
    assert_eq!(Some(values(&out)), first);
}

#[test]
fn listenbin_hears_with_it() {
    gst::init().unwrap();
    let bin: ListenBin = gst::glib::Object::new();
    bin.set_property("model", folder(PACKAGE).to_str().unwrap());
    bin.set_property("labels", "low tone;high tone;dog barking");
    bin.set_property("channel-mode", "each");
    let (mut h, bus) = harness(&bin, false);
    h.set_src_caps(common::audio_caps(2));
    for number in 0..40 {
        h.push(tones(number, &[440.0, 5_000.0])).unwrap();
    }
    h.push_event(gst::event::Eos::new());
    let messages = drain(&bus);
    assert_eq!(complaint(&messages), None);
    let mut found = events(&messages);
    found.sort();
    assert_eq!(found, ["end high tone 1", "end low tone 0", "start high tone 1", "start low tone 0"]);
}

#[test]
fn properties_that_ask_for_frames_contradict_it() {
    let (encode, mel): (M2dEncode, MelSpec) = (encoder(), gst::glib::Object::new());
    mel.set_preset(Preset::ByolA);
    let source = gst::ElementFactory::make("audiotestsrc").property("num-buffers", 10).build().unwrap();
    let sink = gst::ElementFactory::make("fakesink").build().unwrap();
    let pipeline = gst::Pipeline::new();
    let row = [&source, mel.upcast_ref(), encode.upcast_ref(), &sink];
    pipeline.add_many(row).unwrap();
    gst::Element::link_many(row).unwrap();
    let _ = pipeline.set_state(gst::State::Playing);
    let bus = pipeline.bus().unwrap();
    let message = bus.timed_pop_filtered(common::PATIENCE, &[gst::MessageType::Error]).unwrap();
    let text = complaint(&[message]).unwrap();
    let (me, peer) = (mel.name(), encode.name());
    assert!(text.contains("takes samples") && text.contains(&*me) && text.contains(&*peer), "{text}");
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn melspec_hands_on_what_it_is_given_as_float32_with_its_times() {
    gst::init().unwrap();
    let mel: MelSpec = gst::glib::Object::new();
    let mut h = gst_check::Harness::with_element(&mel, Some("sink"), Some("src"));
    h.set_sink_caps_str("tensor/strided,tensor-id=waveform,rate=8000");
    h.set_src_caps_str("audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved,channel=2");
    let integers = [0_i16, 16_384, -32_768, 1];
    let mut buffer = gst::Buffer::from_mut_slice(integers.map(i16::to_le_bytes).concat());
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(500));
    h.push(buffer).unwrap();
    let out = h.pull().unwrap();
    assert_eq!(floats(&out.map_readable().unwrap()), [0.0, 0.5, -1.0, 1.0 / 32_768.0]);
    assert_eq!(out.pts(), Some(gst::ClockTime::from_mseconds(500)));
    assert_eq!(out.duration(), Some(gst::ClockTime::from_useconds(500)));
    let caps = h.sinkpad().unwrap().current_caps().unwrap();
    assert_eq!(WaveformCaps::from_caps(&caps), Ok(WaveformCaps { rate: 8_000, channel: 2 }));
    assert_eq!(mel.property::<u64>("bad-samples"), 0);

    h.set_src_caps_str("audio/x-raw,format=F32LE,rate=8000,channels=1,layout=interleaved");
    h.push(gst::Buffer::from_mut_slice(bytes(&[0.25, f32::NAN, f32::INFINITY]))).unwrap();
    assert_eq!(floats(&h.pull().unwrap().map_readable().unwrap()), [0.25, 0.0, 0.0]);
    assert_eq!(mel.property::<u64>("bad-samples"), 2);
}
