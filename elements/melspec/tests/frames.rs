//! Which frames come out, and when they are.

mod common;

use common::*;
use gst::prelude::*;
use gst_listen_melspec::{Edge, MelSpec, Preset};
use listen_features::{FrontEnd, log_mel};

const SIZES: [usize; 6] = [1, 7, 160, 441, 16_000, 160_000];

#[test]
fn any_buffer_size_gives_the_frames_of_the_whole_recording() {
    let samples = signal(0, 24_321);
    let expected = log_mel(&FrontEnd::m2d_16k(), &samples).unwrap();
    for size in SIZES {
        let (frames, _) = run(&mut harness(|_| ()), &samples, size);
        assert!(frames == expected, "buffers of {size} samples");
    }
    // Ten seconds in one buffer, and what is left.
    let samples = signal(0, 171_234);
    let (frames, _) = run(&mut harness(|_| ()), &samples, 160_000);
    assert!(frames == log_mel(&FrontEnd::m2d_16k(), &samples).unwrap());
}

#[test]
fn any_buffer_size_gives_the_same_exact_windows() {
    let samples = signal(0, 40_000);
    let exact = |element: &MelSpec| {
        element.set_edge(Edge::Exact);
        element.set_window(gst::ClockTime::from_mseconds(640).nseconds());
        element.set_hop(gst::ClockTime::from_mseconds(320).nseconds());
    };
    let front_end = FrontEnd::m2d_16k();
    let window = front_end.exact_samples(64) as usize;
    for size in SIZES {
        let (_, windows) = run(&mut harness(exact), &samples, size);
        for (k, found) in windows.iter().enumerate() {
            let start = k * 32 * 160;
            let end = (start + window).min(samples.len());
            assert!(
                values(found) == log_mel(&front_end, &samples[start..end]).unwrap(),
                "{size}, window {k}"
            );
            assert_eq!(found.pts(), Some(time(start as u64)));
        }
        assert_eq!(windows.len(), 7, "six whole windows and what the end cuts short");
        assert_eq!(windows[0].duration(), Some(gst::ClockTime::from_mseconds(640)));
    }
}

#[test]
fn sixteen_bit_samples_are_the_same_sound() {
    let integers: Vec<i16> = signal(0, 4_000).iter().map(|s| (s * 32_000.0) as i16).collect();
    let floats: Vec<f32> = integers.iter().map(|&s| f32::from(s) / 32_768.0).collect();
    let mut h = harness_for("S16LE", |_| ());
    let bytes: Vec<u8> = integers.iter().flat_map(|s| s.to_le_bytes()).collect();
    h.push(gst::Buffer::from_slice(bytes)).unwrap();
    h.push_event(gst::event::Eos::new());
    assert!(collect(&mut h).0 == run(&mut harness(|_| ()), &floats, 4_000).0);
}

#[test]
fn each_buffer_gives_one_of_whole_frames_that_follows_the_one_before() {
    let mut h = harness(|_| ());
    let (_, buffers) = run(&mut h, &signal(0, 16_000), 100);
    let mut next = gst::ClockTime::ZERO;
    for (k, buffer) in buffers.iter().enumerate() {
        assert_eq!((buffer.pts(), buffer.size() % (80 * 4)), (Some(next), 0));
        let first = buffer.flags().contains(gst::BufferFlags::DISCONT);
        assert_eq!(first, k == 0);
        next += buffer.duration().unwrap();
    }
    assert_eq!(next, gst::ClockTime::from_mseconds(1_010), "101 frames, the last one centred on the end");
}

#[test]
fn the_first_frame_is_centred_on_the_first_sample() {
    let mut h = harness(|_| ());
    let origin = gst::ClockTime::from_seconds(3);
    h.push(buffer(Some(origin), &signal(0, 200))).unwrap();
    assert!(h.try_pull().is_none(), "200 samples after the centre there are 200 of 400 only");
    h.push(buffer(Some(origin + time(200)), &signal(200, 1))).unwrap();
    let first = h.pull().unwrap();
    assert_eq!((first.pts(), first.duration()), (Some(origin), Some(gst::ClockTime::from_mseconds(10))));
}

#[test]
fn buffers_without_times_follow_each_other() {
    let samples = signal(0, 3_200);
    let mut h = harness(|_| ());
    for piece in samples.chunks(320) {
        h.push(buffer(None, piece)).unwrap();
    }
    let last = collect(&mut h).1.pop().unwrap();
    assert_eq!(last.pts().unwrap() + last.duration().unwrap(), gst::ClockTime::from_mseconds(190));
}

#[test]
fn each_preset_is_its_front_end() {
    let presets = [
        (Preset::M2d, FrontEnd::m2d_16k()),
        (Preset::M2d32k, FrontEnd::m2d_32k()),
        (Preset::ByolA, FrontEnd::byol_a()),
        (Preset::LaionClap, FrontEnd::laion_clap()),
        (Preset::Yamnet, FrontEnd::yamnet()),
    ];
    for (preset, front_end) in presets {
        gst::init().unwrap();
        let element: MelSpec = gst::glib::Object::new();
        element.set_preset(preset);
        let mut h = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        let rate = front_end.sample_rate;
        h.set_src_caps_str(&format!("audio/x-raw,format=F32LE,rate={rate},channels=1,layout=interleaved"));
        let samples = signal(0, 20_000);
        h.push(buffer(None, &samples)).unwrap();
        h.push_event(gst::event::Eos::new());
        assert!(collect(&mut h).0 == log_mel(&front_end, &samples).unwrap(), "{preset:?}");
    }
}

#[test]
fn samples_that_are_no_numbers_count_as_silence_and_are_told_of_once() {
    let mut samples = signal(0, 8_000);
    (samples[1_000], samples[2_000], samples[6_000]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
    samples[3_000] = f32::from_bits(1);
    let mended: Vec<f32> = samples.iter().map(|&s| if s.is_finite() { s } else { 0.0 }).collect();

    let mut h = harness(|_| ());
    let bus = bus(&h);
    let (frames, _) = run(&mut h, &samples, 500);
    assert!(frames == log_mel(&FrontEnd::m2d_16k(), &mended).unwrap());
    let warnings = messages(&bus).iter().filter(|m| m.type_() == gst::MessageType::Warning).count();
    assert_eq!(warnings, 1);
    assert_eq!(h.element().unwrap().property::<u64>("bad-samples"), 3);
}

#[test]
fn capture_times_travel_from_samples_to_frames() {
    let mut h = harness(|_| ());
    let caps = gst::Caps::builder("timestamp/x-unix").build();
    let captured = gst::ClockTime::from_seconds(1_790_000_000);
    let mut samples = buffer(Some(gst::ClockTime::from_seconds(5)), &signal(0, 1_000));
    gst::ReferenceTimestampMeta::add(samples.get_mut().unwrap(), &caps, captured, None);
    h.push(samples).unwrap();
    h.push(buffer(Some(gst::ClockTime::from_seconds(5) + time(1_000)), &signal(1_000, 1_000))).unwrap();
    for buffer in collect(&mut h).1 {
        let meta = buffer.meta::<gst::ReferenceTimestampMeta>().unwrap();
        let later = buffer.pts().unwrap() - gst::ClockTime::from_seconds(5);
        assert_eq!((meta.reference(), meta.timestamp()), (caps.as_ref(), captured + later));
    }
}

#[test]
fn a_file_of_frames_has_four_bytes_for_each_band_and_nothing_else() {
    gst::init().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mel.f32");
    let pipeline = gst::parse::launch(
        "audiotestsrc num-buffers=16 samplesperbuffer=1000 ! audio/x-raw,rate=16000,channels=1 ! identity name=i",
    );
    let pipeline = pipeline.unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink =
        gst::ElementFactory::make("filesink").property("location", file.to_str().unwrap()).build().unwrap();
    let mel: MelSpec = gst::glib::Object::new();
    pipeline.add_many([mel.upcast_ref(), &sink]).unwrap();
    gst::Element::link_many([&pipeline.by_name("i").unwrap(), mel.upcast_ref(), &sink]).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds).unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 101 * 80 * 4);
}
