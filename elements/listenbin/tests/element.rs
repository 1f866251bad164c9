//! The element as such: its documentation, its states, what it leaves behind.

mod common;

use common::{encoder, harness, listenbin, tones};
use gst::glib;
use gst::prelude::*;
use gst_listen_listenbin::ListenBin;

#[test]
fn every_property_is_in_the_docs() {
    gst::init().unwrap();
    let element: ListenBin = glib::Object::new();
    let docs = include_str!("../src/lib.rs");
    let own = |p: &&glib::ParamSpec| p.owner_type() == ListenBin::static_type();
    let properties = element.list_properties();
    assert!(properties.iter().filter(own).count() > 30);
    for property in properties.iter().filter(own) {
        assert!(docs.contains(&format!("`{}`", property.name())), "{}", property.name());
    }
}

#[test]
fn what_is_passed_on_reads_back_and_arrives() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[("threshold", "0.25"), ("overload", "drop-newest"), ("gate", "-50")]);
    bin.set_state(gst::State::Ready).unwrap();
    let (matching, encode) = (common::inside(&bin, "clapmatch"), common::inside(&bin, "m2dencode"));
    assert_eq!((bin.property::<f64>("threshold"), matching.property::<f64>("threshold")), (0.25, 0.25));
    assert_eq!((bin.property::<f64>("gate"), encode.property::<f64>("gate")), (-50.0, -50.0));
    bin.set_property("threshold", 0.75);
    assert_eq!(matching.property::<f64>("threshold"), 0.75);
    bin.set_state(gst::State::Null).unwrap();
    assert_eq!(bin.property::<Option<String>>("labels").as_deref(), Some("low tone;high tone"));
}

#[test]
fn two_hundred_state_cycles_leave_it_usable() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[("channel-mode", "each")]);
    let (mut h, bus) = harness(&bin, false);
    for cycle in 0..200 {
        bin.set_state(gst::State::Playing).unwrap();
        if cycle % 20 == 0 {
            h.push_event(gst::event::StreamStart::new(&format!("cycle {cycle}")));
            h.push_event(gst::event::Caps::new(&common::audio_caps(2)));
            h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
            for number in 0..10 {
                h.push(tones(number, &[440.0, 440.0])).unwrap();
            }
            assert_eq!(std::iter::from_fn(|| h.try_pull()).count(), 10, "cycle {cycle}");
        }
        bin.set_state(gst::State::Null).unwrap();
        assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none(), "cycle {cycle}");
        while bus.pop().is_some() {}
    }
}

#[test]
fn stopping_in_the_middle_is_quick_and_ends_events() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[]);
    let (mut h, bus) = harness(&bin, false);
    h.set_src_caps(common::audio_caps(1));
    for number in 0..50 {
        h.push(tones(number, &[440.0])).unwrap();
    }
    let mut messages = Vec::new();
    for _ in 0..6_000 {
        messages.extend(common::drain(&bus));
        if !common::events(&messages).is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    bin.set_state(gst::State::Null).unwrap();
    messages.extend(common::drain(&bus));
    assert_eq!(common::events(&messages), ["start low tone -1", "end low tone -1"]);
}

#[test]
fn nothing_is_left_when_it_is_gone() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[("channel-mode", "each")]);
    let (mut h, bus) = harness(&bin, false);
    h.set_src_caps(common::audio_caps(2));
    for number in 0..20 {
        h.push(tones(number, &[440.0, 440.0])).unwrap();
    }
    h.push_event(gst::event::Eos::new());
    let inside: Vec<_> =
        bin.iterate_elements().into_iter().filter_map(Result::ok).map(|e| e.downgrade()).collect();
    assert_eq!(inside.len(), 12);
    let weak = bin.downgrade();
    drop(h);
    bin.set_state(gst::State::Null).unwrap();
    bin.set_bus(None);
    bus.set_flushing(true);
    drop(bin);
    assert!(weak.upgrade().is_none());
    assert!(inside.iter().all(|element| element.upgrade().is_none()));
}

#[test]
fn the_bin_does_not_count_as_a_sink() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[]);
    bin.set_state(gst::State::Ready).unwrap();
    assert!(!bin.element_flags().contains(gst::ElementFlags::SINK), "or its latency would be the pipeline's");
    bin.set_state(gst::State::Null).unwrap();
}
