//! Flush, end, caps, gaps, queries: what happens to the stream.

mod common;

use common::*;
use gst::prelude::*;
use gst_check::Harness;
use gst_listen_common::caps::{EdgeCaps, MelCaps, MelFormat};
use gst_listen_melspec::{MelSpec, Preset};
use listen_features::{Fill, FrontEnd, log_mel};

fn mel(samples: &[f32]) -> Vec<f32> {
    log_mel(&FrontEnd::m2d_16k(), samples).unwrap()
}

/// A harness whose downstream asks for `format`.
fn asked(format: &MelFormat, settings: impl FnOnce(&MelSpec)) -> (Harness, gst::Bus) {
    gst::init().unwrap();
    let element: MelSpec = gst::glib::Object::new();
    settings(&element);
    let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_sink_caps(gst::Caps::from(format.to_structure()));
    let bus = bus(&h);
    (h, bus)
}

fn audio_caps(rate: u32) -> gst::Caps {
    format!("audio/x-raw,format=F32LE,rate={rate},channels=1,layout=interleaved").parse().unwrap()
}

/// What a pipeline that is started says first of an error.
fn first_error(pipeline: &gst::Pipeline) -> String {
    let bus = pipeline.bus().unwrap();
    let _ = pipeline.set_state(gst::State::Playing);
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null).unwrap();
    let message = message.expect("an error");
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    error.error().to_string()
}

/// What the element says of an error.
fn error(bus: &gst::Bus) -> Option<String> {
    messages(bus).iter().find_map(|message| match message.view() {
        gst::MessageView::Error(error) => Some(format!("{} {:?}", error.error(), error.debug())),
        _ => None,
    })
}

#[test]
fn the_front_end_is_the_one_that_downstream_asks_for() {
    let window = EdgeCaps::Exact { window: 96, hop: 48, tail: false, fill: None };
    for edge in [EdgeCaps::Rolling, window] {
        let format = MelFormat { edge, pre_scale: 0.5, ..MelFormat::new(FrontEnd::byol_a()) };
        let (mut h, _) = asked(&format, |element| element.set_channel(3));
        h.set_src_caps(audio_caps(16_000));
        let caps = h.sinkpad().unwrap().current_caps().unwrap();
        assert_eq!(MelCaps::from_caps(&caps), Ok(MelCaps { format, channel: 3 }));

        let samples = signal(0, 15_200);
        let halved: Vec<f32> = samples.iter().map(|s| s * 0.5).collect();
        h.push(buffer(None, &samples)).unwrap();
        h.push_event(gst::event::Eos::new());
        assert!(collect(&mut h).0 == log_mel(&FrontEnd::byol_a(), &halved).unwrap());
    }
}

#[test]
fn a_short_recording_fills_its_window_where_downstream_asks_for_that() {
    let front_end = FrontEnd::byol_a();
    let (short, whole) = (6_000_usize, front_end.exact_samples(96) as usize);
    for (fill, repeated) in [(None, 1), (Some(Fill::Repeat), 2), (Some(Fill::RepeatCut), 3)] {
        let edge = EdgeCaps::Exact { window: 96, hop: 48, tail: false, fill };
        let (mut h, _) = asked(&MelFormat { edge, ..MelFormat::new(front_end.clone()) }, |_| ());
        h.set_src_caps(audio_caps(16_000));
        let samples = signal(0, short);
        h.push(buffer(None, &samples)).unwrap();
        h.push_event(gst::event::Eos::new());
        let mut expected = samples.repeat(repeated);
        if fill.is_some() {
            expected.resize(whole, 0.0);
        }
        let (found, buffers) = collect(&mut h);
        assert!(found == log_mel(&front_end, &expected).unwrap(), "{fill:?}");
        // Its times are those of what sounds.
        let frames = front_end.frames_in(short as u64);
        assert_eq!((buffers[0].offset(), buffers[0].offset_end()), (0, frames), "{fill:?}");
        assert_eq!(buffers[0].duration(), Some(gst::ClockTime::from_mseconds(10) * frames), "{fill:?}");
    }
}

#[test]
fn a_buffer_that_is_not_of_whole_samples_is_an_error_that_names_both() {
    let (mut h, bus) = asked(&MelFormat::new(FrontEnd::m2d_16k()), |_| ());
    h.set_src_caps(audio_caps(16_000));
    assert_eq!(h.push(gst::Buffer::from_slice([0_u8; 4_001])), Err(gst::FlowError::Error));
    let error = error(&bus).expect("an error");
    assert!(
        error.contains("a buffer of 4001 bytes came, expected whole samples of F32LE (4 bytes each)"),
        "{error}"
    );
}

#[test]
fn audio_is_asked_for_at_the_rate_that_downstream_needs() {
    let (h, _) = asked(&MelFormat::new(FrontEnd::laion_clap()), |_| ());
    let sink = h.element().unwrap().static_pad("sink").unwrap();
    let rates = |caps: gst::Caps| caps.iter().map(|s| s.get::<i32>("rate").unwrap()).collect::<Vec<_>>();
    assert_eq!(rates(sink.query_caps(None)), [48_000]);
    assert_eq!(
        rates(harness(|_| ()).element().unwrap().static_pad("sink").unwrap().query_caps(None)),
        [16_000]
    );
}

#[test]
fn a_wrong_pairing_is_an_error_that_names_both_front_ends() {
    let (mut h, bus) =
        asked(&MelFormat::new(FrontEnd::m2d_16k()), |element| element.set_preset(Preset::Yamnet));
    h.set_src_caps(audio_caps(16_000));
    let error = error(&bus).expect("an error");
    for part in
        ["n-fft (400 expected, 512 found)", "spectrum (power expected, magnitude found)", "by its properties"]
    {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    assert_eq!(h.push(buffer(None, &signal(0, 100))), Err(gst::FlowError::NotNegotiated));
}

#[test]
fn properties_that_say_what_downstream_asks_for_anyway_do_no_harm() {
    let (mut h, bus) = asked(&MelFormat::new(FrontEnd::yamnet()), |element| {
        element.set_preset(Preset::Yamnet);
        element.set_n_mels(64);
    });
    h.set_src_caps(audio_caps(16_000));
    assert_eq!((h.push(buffer(None, &signal(0, 100))), error(&bus)), (Ok(gst::FlowSuccess::Ok), None));
}

#[test]
fn audio_at_another_rate_is_an_error_that_says_both_rates_and_what_to_do() {
    let (mut h, bus) = asked(&MelFormat::new(FrontEnd::m2d_16k()), |_| ());
    h.set_src_caps(audio_caps(44_100));
    let error = error(&bus).expect("an error");
    assert!(error.contains("takes 16000 Hz, the audio has 44100 Hz: put audioresample"), "{error}");
}

#[test]
fn a_converter_that_cannot_resample_does_not_hide_that_error() {
    gst::init().unwrap();
    let pipeline = gst::Pipeline::new();
    let make = |name| gst::ElementFactory::make(name).build().unwrap();
    let source = gst::ElementFactory::make("audiotestsrc").property("num-buffers", 5).build().unwrap();
    let caps = gst::ElementFactory::make("capsfilter").build().unwrap();
    caps.set_property("caps", gst::Caps::builder("audio/x-raw").field("rate", 44_100).build());
    let (convert, sink) = (make("audioconvert"), make("fakesink"));
    let melspec: MelSpec = gst::glib::Object::new();
    pipeline.add_many([&source, &caps, &convert, melspec.upcast_ref(), &sink]).unwrap();
    gst::Element::link_many([&convert, melspec.upcast_ref(), &sink]).unwrap();
    gst::Element::link_many([&source, &caps]).unwrap();
    // As gst-launch links behind decodebin: without asking what fits.
    caps.static_pad("src")
        .unwrap()
        .link_full(&convert.static_pad("sink").unwrap(), gst::PadLinkCheck::empty())
        .unwrap();
    let error = first_error(&pipeline);
    assert!(error.contains("takes 16000 Hz, the audio has 44100 Hz: put audioresample"), "{error}");
}

#[test]
fn branches_that_want_different_frames_are_told_what_to_do() {
    gst::init().unwrap();
    let pipeline = gst::Pipeline::new();
    let make = |name| gst::ElementFactory::make(name).build().unwrap();
    let (source, tee, melspec) = (make("audiotestsrc"), make("tee"), gst::glib::Object::new::<MelSpec>());
    pipeline.add_many([&source, melspec.upcast_ref(), &tee]).unwrap();
    gst::Element::link_many([&source, melspec.upcast_ref(), &tee]).unwrap();
    for fill in [Fill::Repeat, Fill::RepeatCut] {
        let edge = EdgeCaps::Exact { window: 96, hop: 48, tail: false, fill: Some(fill) };
        let format = MelFormat { edge, ..MelFormat::new(FrontEnd::byol_a()) };
        let (queue, caps, sink) = (make("queue"), make("capsfilter"), make("fakesink"));
        caps.set_property("caps", gst::Caps::from(format.to_structure()));
        pipeline.add_many([&queue, &caps, &sink]).unwrap();
        gst::Element::link_many([&queue, &caps, &sink]).unwrap();
        // As gst-launch links with a caps filter that is set later.
        let pad = tee.request_pad_simple("src_%u").unwrap();
        pad.link_full(&queue.static_pad("sink").unwrap(), gst::PadLinkCheck::empty()).unwrap();
    }
    let error = first_error(&pipeline);
    assert!(error.contains("put the tee before melspec and a melspec into each branch"), "{error}");
}

#[test]
fn a_flush_in_the_middle_begins_a_new_stream() {
    let samples = signal(0, 5_000);
    let mut h = harness(|_| ());
    h.push(buffer(Some(time(0)), &signal(777, 1_234))).unwrap();
    collect(&mut h);
    h.push_event(gst::event::FlushStart::new());
    h.push_event(gst::event::FlushStop::new(true));
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    let (frames, buffers) = run(&mut h, &samples, 1_000);
    assert!(frames == mel(&samples));
    assert!(buffers[0].flags().contains(gst::BufferFlags::DISCONT));
}

#[test]
fn a_new_rate_ends_the_frames_before_it() {
    gst::init().unwrap();
    let element: MelSpec = gst::glib::Object::new();
    element.set_preset(Preset::Custom);
    let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_src_caps(audio_caps(16_000));
    let samples = signal(0, 3_000);
    h.push(buffer(Some(time(0)), &samples)).unwrap();
    h.push_event(gst::event::Caps::new(&audio_caps(22_050)));
    assert!(collect(&mut h).0 == mel(&samples));
    h.push(buffer(Some(time(3_000)), &samples)).unwrap();
    h.push_event(gst::event::Eos::new());
    let front_end = FrontEnd { sample_rate: 22_050, ..FrontEnd::m2d_16k() };
    assert!(collect(&mut h).0 == log_mel(&front_end, &samples).unwrap());
    assert_eq!(h.sinkpad().unwrap().current_caps().unwrap().structure(0).unwrap().get("rate"), Ok(22_050));
}

#[test]
fn a_short_gap_is_silence_and_not_told_of() {
    let mut samples = signal(0, 3_200);
    let mut h = harness(|_| ());
    h.push(buffer(Some(time(0)), &samples)).unwrap();
    h.push_event(gst::event::Gap::new(time(3_200), time(1_600)));
    h.push(buffer(Some(time(4_800)), &signal(4_800, 3_200))).unwrap();
    h.push_event(gst::event::Eos::new());
    samples.extend([0.0; 1_600]);
    samples.extend(signal(4_800, 3_200));
    assert!(collect(&mut h).0 == mel(&samples));
    assert!(events(&mut h).iter().all(|event| event.type_() != gst::EventType::Gap));
}

#[test]
fn a_hole_marked_by_discont_is_filled() {
    let mut samples = signal(0, 3_200);
    let mut h = harness(|_| ());
    h.push(buffer(Some(time(0)), &samples)).unwrap();
    let mut after = buffer(Some(time(5_200)), &signal(5_200, 3_200));
    after.get_mut().unwrap().set_flags(gst::BufferFlags::DISCONT);
    h.push(after).unwrap();
    h.push_event(gst::event::Eos::new());
    samples.extend([0.0; 2_000]);
    samples.extend(signal(5_200, 3_200));
    let (frames, buffers) = collect(&mut h);
    assert!(frames == mel(&samples));
    assert_eq!(buffers.iter().filter(|b| b.flags().contains(gst::BufferFlags::DISCONT)).count(), 1);
}

#[test]
fn a_long_gap_ends_the_frames_is_told_of_and_begins_anew() {
    let (before, after) = (signal(0, 3_200), signal(9, 3_200));
    let mut h = harness(|_| ());
    h.push(buffer(Some(time(0)), &before)).unwrap();
    h.push_event(gst::event::Gap::new(time(3_200), gst::ClockTime::from_seconds(2)));
    assert!(collect(&mut h).0 == mel(&before));
    assert!(events(&mut h).iter().any(|event| event.type_() == gst::EventType::Gap));

    let resumed = time(3_200) + gst::ClockTime::from_seconds(2);
    h.push(buffer(Some(resumed), &after)).unwrap();
    h.push_event(gst::event::Eos::new());
    let (frames, buffers) = collect(&mut h);
    assert!(frames == mel(&after));
    assert_eq!(buffers[0].pts(), Some(resumed));
    assert!(buffers[0].flags().contains(gst::BufferFlags::DISCONT | gst::BufferFlags::RESYNC));
}

#[test]
fn a_step_back_in_time_ends_the_frames_and_begins_anew() {
    let mut h = harness(|_| ());
    h.push(buffer(Some(gst::ClockTime::from_seconds(60)), &signal(0, 3_200))).unwrap();
    h.push(buffer(Some(time(0)), &signal(0, 3_200))).unwrap();
    let (frames, buffers) = collect(&mut h);
    let whole = mel(&signal(0, 3_200));
    assert!(frames[..whole.len()] == whole, "what was there is complete");
    let again = buffers.iter().filter(|b| b.flags().contains(gst::BufferFlags::RESYNC)).nth(1).unwrap();
    assert_eq!(again.pts(), Some(gst::ClockTime::ZERO));
}

#[test]
fn what_runs_backwards_gives_gaps_only() {
    let mut h = harness(|_| ());
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(-1.0);
    segment.set_stop(gst::ClockTime::from_seconds(10));
    h.push_event(gst::event::Segment::new(&segment));
    events(&mut h);
    let mut samples = buffer(Some(gst::ClockTime::from_seconds(4)), &signal(0, 16_000));
    samples.get_mut().unwrap().set_duration(gst::ClockTime::SECOND);
    h.push(samples).unwrap();
    let gap = events(&mut h).pop().expect("a gap");
    let gst::EventView::Gap(gap) = gap.view() else { panic!("{gap:?}") };
    assert_eq!(gap.get(), (gst::ClockTime::from_seconds(4), Some(gst::ClockTime::SECOND)));
    assert!(collect(&mut h).0.is_empty());
}

#[test]
fn samples_outside_of_the_segment_are_not_heard() {
    let mut h = harness(|_| ());
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(time(1_600));
    segment.set_stop(time(4_800));
    h.push_event(gst::event::Segment::new(&segment));
    let samples = signal(0, 6_400);
    let (frames, buffers) = run(&mut h, &samples, 6_400);
    assert!(frames == mel(&samples[1_600..4_800]));
    assert_eq!(buffers[0].pts(), Some(time(1_600)));
}

#[test]
fn a_live_stream_is_told_how_late_frames_are_and_a_file_is_not() {
    let mut h = harness(|_| ());
    let latency = |h: &Harness| {
        let mut query = gst::query::Latency::new();
        assert!(h.element().unwrap().static_pad("src").unwrap().query(&mut query));
        query.result()
    };
    assert!(latency(&h).0, "a harness says that it is live");
    h.set_upstream_latency(gst::ClockTime::from_mseconds(20));
    let own = time(201);
    let (live, min, max) = latency(&h);
    assert_eq!((live, min), (true, gst::ClockTime::from_mseconds(20) + own));
    assert!(max.is_none_or(|max| max >= min));
    h.set_live(false);
    assert!(!latency(&h).0);
}

#[test]
fn two_hundred_times_to_playing_and_back() {
    let mut h = harness(|_| ());
    let element = h.element().unwrap();
    let samples = signal(0, 800);
    for _ in 0..200 {
        element.set_state(gst::State::Null).unwrap();
        h.play();
        h.set_src_caps(audio_caps(16_000));
        h.push(buffer(Some(time(0)), &samples)).unwrap();
    }
    assert_eq!(collect(&mut h).1.len(), 200);
}

#[test]
fn every_property_is_in_the_docs() {
    gst::init().unwrap();
    let element: MelSpec = gst::glib::Object::new();
    let docs = include_str!("../src/lib.rs");
    for property in element.list_properties().iter().filter(|p| p.owner_type() == MelSpec::static_type()) {
        assert!(docs.contains(&format!("`{}`", property.name())), "{}", property.name());
        assert!(property.blurb().is_some_and(|blurb| blurb.ends_with('.')), "{}", property.name());
    }
}
