//! Frames to windows: ends, flushes, gaps, caps, queries.

mod common;

use common::*;
use gst::prelude::*;
use gst_check::Harness;
use gst_listen_common::caps::{EmbeddingCaps, MelCaps, MelFormat};
use gst_listen_common::window_meta::WindowMeta;
use gst_listen_m2dencode::{M2dEncode, Overload};
use listen_features::FrontEnd;

const OK: Result<gst::FlowSuccess, gst::FlowError> = Ok(gst::FlowSuccess::Ok);

/// A harness of a file, whose encoder runs at once.
fn file() -> (Harness, gst::Bus) {
    harness(&instant().open, false, |_| ())
}

#[test]
fn any_cut_of_the_frames_gives_the_same_windows() {
    for cut in [1, 3, 31, 64, 200, 1_000] {
        let (mut h, _) = file();
        let mut first = 0;
        while first < 200 {
            let count = cut.min(200 - first);
            assert_eq!(h.push(frames(first, count)), OK);
            first += count;
        }
        let out = finish(&mut h);
        let expected = [(0, 64), (32, 64), (64, 64), (96, 64), (128, 64), (160, 40)];
        assert_eq!(windows(&out), expected, "buffers of {cut} frames");
        for (buffer, (start, length)) in out.iter().zip(expected) {
            assert_eq!((buffer.pts(), buffer.duration()), (Some(time(start)), Some(time(length))));
            assert_eq!((buffer.offset(), buffer.offset_end()), (start, start + length));
        }
        assert_eq!(disconts(&out), [true, false, false, false, false, false]);
        assert_eq!(counts(&h.element().unwrap()), [6, 6, 0, 0, 0, 0, 0]);
    }
}

#[test]
fn caps_segment_and_a_first_gap_go_out_before_the_first_window() {
    let (mut h, _) = file();
    h.push(frames(0, 1)).unwrap();
    let types: Vec<_> = (0..4).map(|_| h.pull_event().unwrap().type_()).collect();
    let expected =
        [gst::EventType::StreamStart, gst::EventType::Caps, gst::EventType::Segment, gst::EventType::Gap];
    assert_eq!(types, expected);
    let caps = EmbeddingCaps::from_caps(&h.sinkpad().unwrap().current_caps().unwrap()).unwrap();
    assert_eq!((caps.dim, caps.channel), (DIM as u32, -1));
    assert!(caps.space.starts_with("tiny-frames-"), "{}", caps.space);
}

#[test]
fn a_stream_shorter_than_a_window_gives_one() {
    let (mut h, _) = file();
    h.push(frames(0, 5)).unwrap();
    assert_eq!(windows(&finish(&mut h)), [(0, 5)]);
}

#[test]
fn a_stream_without_frames_gives_none() {
    let (mut h, _) = file();
    assert!(finish(&mut h).is_empty());
}

#[test]
fn a_flush_in_the_middle_of_a_window_begins_a_new_stream() {
    // A flush whose beginning has not come here holds nobody up.
    for begins in [true, false] {
        let (mut h, _) = file();
        h.push(frames(0, 70)).unwrap();
        assert_eq!(windows(&[h.pull().unwrap()]), [(0, 64)]);
        if begins {
            h.push_event(gst::event::FlushStart::new());
        }
        h.push_event(gst::event::FlushStop::new(true));
        h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        h.push(frames(500, 64)).unwrap();
        let out = finish(&mut h);
        assert_eq!((windows(&out), disconts(&out)), (vec![(0, 64)], vec![true]));
        assert_eq!(out[0].pts(), Some(time(500)));
    }
}

#[test]
fn the_same_frames_of_another_channel_are_another_stream() {
    let (mut h, _) = file();
    h.push(frames(0, 70)).unwrap();
    h.push_event(gst::event::Caps::new(&mel_caps(2)));
    h.push(frames(70, 64)).unwrap();
    let out = finish(&mut h);
    assert_eq!(windows(&out), [(0, 64), (32, 38), (0, 64)]);
    assert_eq!(disconts(&out), [true, false, true]);
    assert_eq!(EmbeddingCaps::from_caps(&h.sinkpad().unwrap().current_caps().unwrap()).unwrap().channel, 2);
}

#[test]
fn short_holes_are_silence_and_keep_the_grid() {
    let (mut h, _) = file();
    h.push(frames(0, 40)).unwrap();
    h.push_event(gst::event::Gap::new(time(40), time(20)));
    h.push(frames(60, 20)).unwrap();
    let mut after = frames(90, 38);
    after.get_mut().unwrap().set_flags(gst::BufferFlags::DISCONT);
    h.push(after).unwrap();
    h.push_event(gst::event::Eos::new());
    assert_eq!(gaps(&until_eos(&mut h)), []);
    let out = rest(&mut h);
    assert_eq!(windows(&out), [(0, 64), (32, 64), (64, 64)]);
    assert_eq!(disconts(&out), [true, false, false]);
}

#[test]
fn a_long_gap_ends_the_windows_goes_on_and_begins_anew() {
    let (mut h, _) = file();
    h.push(frames(0, 40)).unwrap();
    h.push_event(gst::event::Gap::new(time(40), time(200)));
    h.push(frames(240, 64)).unwrap();
    h.push_event(gst::event::Eos::new());
    assert_eq!(gaps(&until_eos(&mut h)), [(time(40), time(200))]);
    let out = rest(&mut h);
    assert_eq!((windows(&out), disconts(&out)), (vec![(0, 40), (0, 64)], vec![true, true]));
    assert_eq!(out[1].pts(), Some(time(240)));
}

#[test]
fn a_buffer_marked_resync_begins_anew_however_near_it_is() {
    let (mut h, _) = file();
    h.push(frames(0, 40)).unwrap();
    let mut after = frames(46, 64);
    after.get_mut().unwrap().set_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::RESYNC);
    h.push(after).unwrap();
    let out = finish(&mut h);
    assert_eq!(windows(&out), [(0, 40), (0, 64)]);
    assert_eq!(out[1].pts(), Some(time(46)));
}

#[test]
fn what_runs_backwards_gives_gaps_only() {
    let (mut h, _) = file();
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(-1.0);
    segment.set_stop(gst::ClockTime::from_seconds(10));
    h.push_event(gst::event::Segment::new(&segment));
    let mut buffer = frames(300, 100);
    buffer.get_mut().unwrap().set_duration(time(100));
    h.push(buffer).unwrap();
    h.push_event(gst::event::Eos::new());
    assert_eq!(gaps(&until_eos(&mut h)), [(time(300), time(100))]);
    assert!(rest(&mut h).is_empty());
}

#[test]
fn windows_below_the_gate_are_gaps_and_the_gate_can_be_moved_while_playing() {
    let (mut h, _) = harness(&instant().open, false, |element| element.set_gate(-60.0));
    h.push(quiet(0, 64)).unwrap();
    h.push(quiet(64, 32)).unwrap();
    h.push(frames(96, 64)).unwrap();
    h.element().unwrap().set_property("gate", -140.0);
    h.push(quiet(160, 64)).unwrap();
    h.push_event(gst::event::Eos::new());
    assert_eq!(gaps(&until_eos(&mut h)), [(time(0), time(32)), (time(32), time(32))]);
    let out = rest(&mut h);
    assert_eq!(windows(&out), [(64, 64), (96, 64), (128, 64), (160, 64)]);
    assert_eq!(counts(&h.element().unwrap()), [6, 4, 0, 2, 0, 0, 0]);
    assert_eq!(disconts(&out), [false; 4], "a gated window is no hole: a GAP tells of it");
    assert!(WindowMeta::of(&out[0]).unwrap().level > -60.0);
    assert!(WindowMeta::of(&out[3]).unwrap().level < -60.0);
}

#[test]
fn capture_times_travel_from_frames_to_embeddings() {
    let (mut h, _) = file();
    let caps = gst::Caps::builder("timestamp/x-unix").build();
    let captured = gst::ClockTime::from_seconds(1_790_000_000);
    let mut first = frames(10, 100);
    gst::ReferenceTimestampMeta::add(first.get_mut().unwrap(), &caps, captured, None);
    h.push(first).unwrap();
    for (k, buffer) in finish(&mut h).iter().enumerate() {
        let meta = buffer.meta::<gst::ReferenceTimestampMeta>().unwrap();
        assert_eq!(meta.timestamp(), captured + time(HOP) * k as u64);
    }
}

#[test]
fn live_latency_is_window_and_a_hop_or_what_is_asked_and_a_file_has_none() {
    let latency = |live: bool, settings: &dyn Fn(&M2dEncode)| {
        let (mut h, _) = harness(&instant().open, live, |element| settings(element));
        h.set_upstream_latency(gst::ClockTime::from_mseconds(20));
        let mut query = gst::query::Latency::new();
        assert!(h.element().unwrap().static_pad("src").unwrap().query(&mut query));
        (query.result().0, query.result().1.mseconds())
    };
    assert_eq!(latency(true, &|_| ()), (true, 20 + 640 + 320));
    let asked = |element: &M2dEncode| {
        element.set_inference_latency(50_000_000);
        element.set_max_wait(7_000_000);
        element.set_hop(160_000_000);
    };
    assert_eq!(latency(true, &asked), (true, 20 + 640 + 50 + 7));
    assert!(!latency(false, &|_| ()).0);
}

#[test]
fn the_sink_asks_for_the_front_end_of_the_package_from_ready_on() {
    let element = element(Some(&instant().open));
    let sink = element.static_pad("sink").unwrap();
    assert_eq!(sink.query_caps(None), sink.pad_template_caps());
    element.set_state(gst::State::Ready).unwrap();
    let format = gst::Caps::from(MelFormat::new(FrontEnd::byol_a()).to_structure());
    assert_eq!(sink.query_caps(Some(&gst_listen_common::caps::mel_template())), format);
    // Who asks without a filter hears of it first.
    assert_eq!(sink.query_caps(None).structure(0), format.structure(0));
    element.set_state(gst::State::Null).unwrap();
    assert_eq!(sink.query_caps(None), sink.pad_template_caps());
}

#[test]
fn frames_of_another_front_end_are_an_error_that_names_both() {
    let (mut h, bus) = file();
    let other = MelCaps { format: MelFormat::new(FrontEnd::m2d_16k()), channel: -1 };
    h.push_event(gst::event::Caps::new(&other.to_caps()));
    let error = error(&bus);
    assert_eq!(h.push(frames(0, 1)), Err(gst::FlowError::NotNegotiated));
    for part in ["n-fft (1024 expected, 400 found)", "n-mels (64 expected, 80 found)", "tiny-frames-"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
}

#[test]
fn sound_that_no_melspec_has_seen_is_an_error_that_says_so() {
    let element = element(Some(&instant().open));
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("audiotestsrc").property("num-buffers", 5).build().unwrap();
    let sink = gst::ElementFactory::make("fakesink").build().unwrap();
    // The format alone, so that the link itself fits: where a decoder gives the sound, that is how it is.
    pipeline.add_many([&source, element.upcast_ref(), &sink]).unwrap();
    gst::Element::link_many([&source, element.upcast_ref(), &sink]).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let error = error(&pipeline.bus().unwrap());
    pipeline.set_state(gst::State::Null).unwrap();
    for part in ["takes log-mel frames, found audio/x-raw", "put melspec before", "tiny-frames-"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
}

#[test]
fn a_run_that_fails_is_an_error_and_ends_the_stream() {
    let control = permitted();
    let (mut h, bus) = harness(&control.open, false, |_| ());
    control.permits.send(Permit::Fail).unwrap();
    h.push(frames(0, 64)).unwrap();
    assert!(error(&bus).contains("told to fail"));
    // The streaming thread hears of it with one of the next buffers.
    drop(control);
    let mut first = 64;
    while h.push(frames(first, 32)).is_ok() {
        first += 32;
    }
    let [taken, given, dropped, ..] = counts(&h.element().unwrap());
    assert!(taken >= 1 && given <= taken && dropped >= 1);
}

#[test]
fn a_package_whose_graph_takes_samples_is_given_them() {
    let folder = changed("tiny-frames", |manifest| {
        manifest["frontend"] = serde_json::json!({ "kind": "in_graph" });
        manifest["encoder"]["input"]["layout"] = "BT".into();
        for (key, value) in
            [("frames", 8_000), ("min_frames", 8_000), ("max_frames", 8_000), ("default_hop_frames", 4_000)]
        {
            manifest["window"][key] = value.into();
        }
        // Its sound is of another length, and its log-mel is not ours.
        manifest.as_object_mut().unwrap().remove("self_test");
    });

    let element = element(Some(&instant().open));
    element.set_model(folder.path().to_str());
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    element.set_state(gst::State::Ready).unwrap_or_else(|_| panic!("{}", error(&bus)));
    let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_live(false);
    h.set_src_caps_str("audio/x-raw,format=F32LE,layout=interleaved,channels=1,rate=16000,channel=4");
    for _ in 0..20 {
        let bytes: Vec<u8> = (0..1_000).flat_map(|n| (n as f32 * 1e-4).to_le_bytes()).collect();
        h.push(gst::Buffer::from_mut_slice(bytes)).unwrap();
    }
    let out = finish(&mut h);
    assert_eq!(windows(&out), [(0, 8_000), (4_000, 8_000), (8_000, 8_000), (12_000, 8_000)]);
    assert_eq!(out[3].pts(), Some(gst::ClockTime::from_mseconds(750)));
    assert_eq!(EmbeddingCaps::from_caps(&h.sinkpad().unwrap().current_caps().unwrap()).unwrap().channel, 4);
}

#[test]
fn two_hundred_times_to_playing_and_back() {
    let control = instant();
    let element = element(Some(&control.open));
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    element.set_overload(Overload::Block);
    let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
    for _ in 0..200 {
        element.set_state(gst::State::Null).unwrap();
        h.play();
        h.set_src_caps(mel_caps(-1));
        h.push(frames(0, 64)).unwrap();
    }
    element.set_state(gst::State::Null).unwrap();
    let mut open = 0;
    for message in std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Progress])) {
        let gst::MessageView::Progress(progress) = message.view() else { unreachable!() };
        open += if progress.get().0 == gst::ProgressType::Start { 1 } else { -1 };
        assert!((0..=1).contains(&open), "a START and its end by turns");
    }
    assert_eq!(open, 0);
}

#[test]
fn every_property_is_in_the_docs() {
    gst::init().unwrap();
    let element: M2dEncode = gst::glib::Object::new();
    let docs = include_str!("../src/lib.rs");
    for property in element.list_properties().iter().filter(|p| p.owner_type() == M2dEncode::static_type()) {
        assert!(docs.contains(&format!("`{}`", property.name())), "{}", property.name());
        assert!(property.blurb().is_some_and(|blurb| blurb.ends_with('.')), "{}", property.name());
    }
}
