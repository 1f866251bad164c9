//! Flushes: what was active ends, nothing that stays is lost, and everybody comes to rest.

mod common;

use common::{
    TONE, complaint, drain, encoder, events, harness, inside, listenbin, pipeline, play, stat_of, tones,
    wait_until,
};
use gst::prelude::*;

#[test]
fn a_flush_ends_events_and_the_analysis_begins_anew() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[("channel-mode", "each")]);
    let (mut h, bus) = harness(&bin, false);
    h.set_src_caps(common::audio_caps(2));
    for round in 0..5 {
        for number in 0..20 {
            h.push(tones(number, &[440.0, 440.0])).unwrap();
        }
        wait_until(|| stat_of(&bin, "clapmatch", "active") == 1);
        h.push_event(gst::event::FlushStart::new());
        h.push_event(gst::event::FlushStop::new(true));
        h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        let messages = drain(&bus);
        assert_eq!(complaint(&messages), None);
        let found = events(&messages);
        let ended = found.iter().filter(|event| event.starts_with("end")).count();
        assert!(ended >= 1, "round {round}: {found:?}");
    }
}

#[test]
fn a_flushing_seek_in_a_pipeline_comes_through() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[]);
    let pipeline = pipeline(TONE, &bin);
    pipeline.set_state(gst::State::Paused).unwrap();
    pipeline.state(common::PATIENCE).0.unwrap();
    for seconds in [5, 1, 12] {
        let to = gst::ClockTime::from_seconds(seconds);
        pipeline.seek_simple(gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, to).unwrap();
        pipeline.state(common::PATIENCE).0.unwrap();
    }
    play(&pipeline);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn what_still_waits_when_a_flush_comes_is_not_lost() {
    for held in ["stream-start", "caps"] {
        let fake = encoder(false);
        let bin = listenbin(&fake, &[]);
        let (mut h, bus) = harness(&bin, false);
        let lane = inside(&bin, "tap").static_pad("lane_0").unwrap();
        let (reached, at_event) = std::sync::mpsc::channel();
        let (go_on, released) = std::sync::mpsc::channel::<()>();
        let (reached, released) = (std::sync::Mutex::new(reached), std::sync::Mutex::new(Some(released)));
        lane.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            let is_held = info.event().is_some_and(|event| event.type_().name() == held);
            // Only the first time: after the flush it passes.
            if is_held && let Some(released) = released.lock().unwrap().take() {
                reached.lock().unwrap().send(()).unwrap();
                let _ = released.recv();
            }
            gst::PadProbeReturn::Ok
        });
        h.set_src_caps(common::audio_caps(1));
        at_event.recv().unwrap();
        h.push_event(gst::event::FlushStart::new());
        go_on.send(()).unwrap();
        h.push_event(gst::event::FlushStop::new(true));
        h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        for number in 0..30 {
            h.push(tones(number, &[440.0])).unwrap();
        }
        h.push_event(gst::event::Eos::new());
        let messages = drain(&bus);
        assert_eq!(complaint(&messages), None, "{held}");
        assert_eq!(events(&messages), ["start low tone -1", "end low tone -1"], "{held}");
    }
}

#[test]
fn a_pad_that_is_given_back_during_a_flush_is_at_rest() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[]);
    let (mut h, _bus) = harness(&bin, true);
    h.set_src_caps(common::audio_caps(1));
    for name in ["events", "text", "events"] {
        let pad = bin.request_pad_simple(name).unwrap();
        let inner = pad.downcast_ref::<gst::GhostPad>().unwrap().target().unwrap();
        assert!(inner.is_active());
        // Its thread rests, and holds nothing.
        h.push_event(gst::event::FlushStart::new());
        wait_until(|| inner.task_state() == gst::TaskState::Paused);
        bin.release_request_pad(&pad);
        assert!(!inner.is_active() && inner.task_state() == gst::TaskState::Stopped, "{name}");
        h.push_event(gst::event::FlushStop::new(true));
        h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    }
}

#[test]
fn the_end_of_a_flush_that_it_has_not_seen_begin_holds_nobody_up() {
    // So it comes to branches that CAPS make while the flush begins, and to pads that are asked for then.
    let fake = encoder(false);
    let bin = listenbin(&fake, &[("channel-mode", "each")]);
    let (mut h, bus) = harness(&bin, false);
    let mut lines = gst_check::Harness::with_element(&bin, None, Some("events"));
    h.set_src_caps(common::audio_caps(2));
    h.push_event(gst::event::FlushStop::new(true));
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    for number in 0..30 {
        h.push(tones(number, &[440.0, 0.0])).unwrap();
    }
    h.push_event(gst::event::Eos::new());
    let line = lines.pull().unwrap();
    assert!(std::str::from_utf8(&line.map_readable().unwrap()).unwrap().contains("low tone"));
    // Somebody reads the lines, so the audio's end did not wait for the analysis.
    let messages = std::cell::RefCell::new(Vec::new());
    wait_until(|| {
        messages.borrow_mut().extend(drain(&bus));
        events(&messages.borrow()).len() == 2
    });
    let messages = messages.into_inner();
    assert_eq!(complaint(&messages), None);
    assert_eq!(events(&messages), ["start low tone 0", "end low tone 0"]);
}
