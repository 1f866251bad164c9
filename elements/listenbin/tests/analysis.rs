//! The analysis: nothing of a file is lost, channels are told apart, failures do no harm to the audio.

mod common;

use common::{
    Permit, TONE, complaint, drain, encoder, events, folder, harness, inside, listenbin, pipeline, play,
    stat, stat_of, tones, wait_until,
};
use gst::prelude::*;
use gst_listen_listenbin::ListenBin;

#[test]
fn a_file_loses_no_window_and_its_end_waits_for_the_last_one() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[]);
    let pipeline = pipeline(TONE, &bin);
    let messages = play(&pipeline);
    // 20 s in windows of 640 ms every 320 ms: the last begins before 19.36 s, or is what is left.
    let windows = stat_of(&bin, "clapmatch", "windows");
    assert_eq!(stat_of(&bin, "m2dencode", "in"), stat_of(&bin, "m2dencode", "out"));
    assert_eq!(windows, stat_of(&bin, "m2dencode", "out"));
    assert!((61..=63).contains(&windows), "{windows}");
    assert_eq!((stat(&bin, "dropped-buffers"), stat(&bin, "buffers")), (0, 400));
    let kinds: Vec<_> = messages
        .iter()
        .filter_map(|message| message.structure().filter(|s| s.name() == "audio-event"))
        .map(|event| event.get::<String>("type").unwrap())
        .collect();
    assert_eq!(kinds, ["start", "end"], "both before EOS");
    let source =
        messages.iter().find(|m| m.structure().is_some_and(|s| s.name() == "audio-event")).unwrap().src();
    assert_eq!(source, Some(bin.upcast_ref::<gst::Object>()), "the bin posts them as its own");
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn every_channel_has_its_number() {
    for (mode, expected) in [
        ("each", vec!["end low tone 1", "end low tone 3", "start low tone 1", "start low tone 3"]),
        ("1", vec!["end low tone 1", "start low tone 1"]),
        ("first", vec![]),
        ("downmix", vec!["end low tone -1", "start low tone -1"]),
    ] {
        let fake = encoder(false);
        let bin = listenbin(&fake, &[("channel-mode", mode)]);
        let (mut h, bus) = harness(&bin, false);
        h.set_src_caps(common::audio_caps(4));
        for number in 0..30 {
            h.push(tones(number, &[0.0, 440.0, 0.0, 5_000.0])).unwrap();
        }
        h.push_event(gst::event::Eos::new());
        let mut found = events(&drain(&bus));
        found.sort();
        assert_eq!(found, expected, "{mode}");
    }
}

#[test]
fn other_caps_in_the_middle_are_followed() {
    for mode in ["downmix", "each", "first"] {
        let fake = encoder(false);
        let bin = listenbin(&fake, &[("channel-mode", mode)]);
        let (mut h, bus) = harness(&bin, false);
        let mut number = 0;
        for channels in [2usize, 1, 4, 2] {
            let info =
                gst_audio::AudioInfo::builder(gst_audio::AudioFormat::S16le, common::RATE, channels as u32);
            h.set_src_caps(info.build().unwrap().to_caps().unwrap());
            for _ in 0..20 {
                h.push(tones(number, &vec![440.0; channels])).unwrap();
                number += 1;
            }
            let branches = if mode == "each" { channels as u64 } else { 1 };
            assert_eq!(stat(&bin, "branches"), branches, "{mode}");
        }
        h.push_event(gst::event::Eos::new());
        assert_eq!(std::iter::from_fn(|| h.try_pull()).count(), 80);
        let messages = drain(&bus);
        assert_eq!(complaint(&messages), None, "{mode}");
        let found = events(&messages);
        let count = |kind: &str| found.iter().filter(|event| event.starts_with(kind)).count();
        assert!(count("start") >= 1 && count("start") == count("end"), "{mode}: {found:?}");
    }
}

#[test]
fn a_model_that_is_missing_is_an_error_at_the_start() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[("model", "/nowhere/model.pkg")]);
    let bus = gst::Bus::new();
    bin.set_bus(Some(&bus));
    assert!(bin.set_state(gst::State::Ready).is_err());
    let text = complaint(&drain(&bus)).unwrap();
    assert!(text.starts_with("error") && text.contains("/nowhere/model.pkg"), "{text}");
    bin.set_property("model", folder("tiny-frames").to_str().unwrap());
    bin.set_state(gst::State::Ready).unwrap();
    bin.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_channel_that_is_not_there_is_an_error_that_names_both_numbers() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[("channel-mode", "5")]);
    let (mut h, bus) = harness(&bin, false);
    h.set_src_caps(common::audio_caps(2));
    h.push(tones(0, &[440.0, 440.0])).unwrap();
    let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    assert!(error.error().to_string().contains("asks for channel 5, the stream has 2"), "{error:?}");
}

#[test]
fn a_channel_mode_that_is_none_is_refused() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[("channel-mode", "left")]);
    let bus = gst::Bus::new();
    bin.set_bus(Some(&bus));
    assert!(bin.set_state(gst::State::Ready).is_err());
    let text = complaint(&drain(&bus)).unwrap();
    assert!(text.contains("\"left\", expected downmix, first, each or a number"), "{text}");
}

#[test]
fn bad_labels_are_an_error_at_the_start() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[("labels", "low tone;;")]);
    let (mut h, bus) = harness(&bin, false);
    h.set_src_caps(common::audio_caps(1));
    for number in 0..20 {
        h.push(tones(number, &[440.0])).unwrap();
    }
    let message = bus.timed_pop_filtered(common::PATIENCE, &[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    assert!(error.error().to_string().contains("label 2 is empty"), "{error:?}");
}

#[test]
fn a_failure_in_the_middle_is_a_warning_and_the_audio_goes_on() {
    let fake = encoder(true);
    let bin = listenbin(&fake, &[]);
    let (mut h, bus) = harness(&bin, false);
    h.set_src_caps(common::audio_caps(1));
    for permit in [Permit::Run, Permit::Run, Permit::Fail] {
        fake.permits.send(permit).unwrap();
    }
    for number in 0..200 {
        h.push(tones(number, &[440.0])).unwrap();
    }
    let message = bus.timed_pop_filtered(common::PATIENCE, &[gst::MessageType::Warning]).unwrap();
    assert_eq!(message.src(), Some(bin.upcast_ref::<gst::Object>()));
    h.push_event(gst::event::Eos::new());
    assert_eq!(std::iter::from_fn(|| h.try_pull()).count(), 200);
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
}

#[test]
fn labels_change_while_it_runs() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[("labels", "high tone")]);
    let (mut h, bus) = harness(&bin, false);
    h.set_src_caps(common::audio_caps(1));
    for number in 0..20 {
        h.push(tones(number, &[440.0])).unwrap();
    }
    wait_until(|| stat_of(&bin, "clapmatch", "windows") > 2);
    assert_eq!(events(&drain(&bus)), [""; 0]);
    bin.set_property("labels", "low tone");
    let mut messages = Vec::new();
    for number in 20..6_000 {
        h.push(tones(number, &[440.0])).unwrap();
        messages.extend(drain(&bus));
        if !events(&messages).is_empty() {
            break;
        }
    }
    assert_eq!(events(&messages), ["start low tone -1"]);
    assert!(messages.iter().any(|m| m.structure().is_some_and(|s| s.name() == "labels-changed")));
}

#[test]
fn the_real_thing_hears_tones() {
    gst::init().unwrap();
    let bin: ListenBin = gst::glib::Object::new();
    bin.set_property("model", folder("tiny-tokens").to_str().unwrap());
    bin.set_property("labels", "low tone;high tone;dog barking");
    bin.set_property("channel-mode", "each");
    let (mut h, bus) = harness(&bin, false);
    h.set_src_caps(common::audio_caps(2));
    for number in 0..40 {
        h.push(tones(number, &[440.0, 5_000.0])).unwrap();
    }
    h.push_event(gst::event::Eos::new());
    let mut found = events(&drain(&bus));
    found.sort();
    assert_eq!(found, ["end high tone 1", "end low tone 0", "start high tone 1", "start low tone 0"]);
    let shared = inside(&bin, "m2dencode").property::<gst::Structure>("stats");
    assert_eq!(shared.get::<u64>("elements").unwrap_or(2), 2, "one engine for both: {shared}");
}

#[test]
fn the_time_of_day_of_the_capture_is_in_the_events() {
    // Mixed, the copy is converted and resampled on its way; a channel by itself is cut out of it before.
    for (mode, channel) in [("downmix", -1), ("each", 0)] {
        let fake = encoder(false);
        let bin = listenbin(&fake, &[("channel-mode", mode)]);
        let (mut h, bus) = harness(&bin, false);
        h.set_src_caps(common::audio_caps(2));
        let unix = gst::Caps::builder("timestamp/x-unix").build();
        let began = gst::ClockTime::from_seconds(1_800_000_000);
        for number in 0..30 {
            let mut buffer = tones(number, if number < 10 { &[0.0, 0.0] } else { &[440.0, 440.0] });
            let at = began + gst::ClockTime::from_mseconds(100 * number);
            let writable = buffer.get_mut().unwrap();
            gst::ReferenceTimestampMeta::add(writable, &unix, at, gst::ClockTime::NONE);
            h.push(buffer).unwrap();
        }
        h.push_event(gst::event::Eos::new());
        let messages = drain(&bus);
        let found: Vec<_> = messages
            .iter()
            .filter_map(|message| message.structure().filter(|s| s.name() == "audio-event"))
            .filter(|event| event.get::<i32>("channel").unwrap() == channel)
            .collect();
        assert_eq!(found.len(), 2, "{mode}: {messages:?}");
        for event in found {
            let (utc, onset) = (event.get::<u64>("utc").unwrap(), event.get::<u64>("onset").unwrap());
            let expected = began.nseconds() + onset;
            // audioresample hands a buffer's metas on with sound that began its own delay (2 ms) before.
            assert!(utc.abs_diff(expected) < 5_000_000, "{mode}: {utc} and not {expected}");
        }
    }
}

#[test]
fn a_channel_that_comes_back_before_its_analysis_has_ended_is_heard_anew() {
    let fake = encoder(true);
    let bin = listenbin(&fake, &[("channel-mode", "each")]);
    let (mut h, bus) = harness(&bin, true);
    let mut number = 0;
    let mut play = |h: &mut gst_check::Harness, channels: usize| {
        h.set_src_caps(common::audio_caps(channels as u32));
        for _ in 0..10 {
            h.push(tones(number, &vec![440.0; channels])).unwrap();
            number += 1;
        }
    };
    // The encoder stands still: what goes cannot come to its end.
    for channels in [2, 1, 2, 1, 2] {
        play(&mut h, channels);
        assert_eq!(stat(&bin, "branches"), channels as u64);
    }
    assert_eq!(complaint(&drain(&bus)), None);
    drop(fake);
    play(&mut h, 2);
    h.push_event(gst::event::Eos::new());
    let messages = std::cell::RefCell::new(Vec::new());
    let told = |what: &str| {
        messages.borrow_mut().extend(drain(&bus));
        events(&messages.borrow()).iter().filter(|event| *event == what).count()
    };
    // Two that went, and the one that stays.
    wait_until(|| told("end low tone 1") == 3);
    assert_eq!(told("start low tone 1"), 3);
    assert_eq!(complaint(&messages.borrow()), None);
}
