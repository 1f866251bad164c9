//! The element as such: its documentation, its states, what it leaves behind.

mod common;

use common::Bench;
use gst::glib;
use gst::prelude::*;
use gst_listen_clapmatch::ClapMatch;

#[test]
fn every_property_is_in_the_docs() {
    gst::init().unwrap();
    let element: ClapMatch = glib::Object::new();
    let docs = include_str!("../src/lib.rs");
    let own = |p: &&glib::ParamSpec| p.owner_type() == ClapMatch::static_type();
    for property in element.list_properties().iter().filter(own) {
        assert!(docs.contains(&format!("//! | `{}` |", property.name())), "{}", property.name());
        let blurb = property.blurb().unwrap_or_default();
        assert!(blurb.len() > 20, "{}: {blurb}", property.name());
    }
}

#[test]
fn every_setting_reads_back_and_can_be_changed_while_playing() {
    gst::init().unwrap();
    let element: ClapMatch = glib::Object::new();
    for property in element.list_properties() {
        if property.owner_type() != ClapMatch::static_type() || property.name() == "stats" {
            continue;
        }
        assert!(property.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING), "{}", property.name());
        let value = match property.value_type() {
            glib::Type::STRING => "abc".to_value(),
            glib::Type::BOOL => true.to_value(),
            glib::Type::U64 => 77u64.to_value(),
            glib::Type::U32 => 7u32.to_value(),
            glib::Type::F64 => 0.25.to_value(),
            _ => gst_listen_clapmatch::Score::Cosine.to_value(),
        };
        element.set_property_from_value(property.name(), &value);
        let back = element.property_value(property.name());
        assert_eq!(format!("{back:?}"), format!("{value:?}"), "{}", property.name());
    }
}

#[test]
fn two_hundred_state_cycles_leave_it_usable() {
    let mut bench = Bench::new("ANY", &[("labels", "low tone")]);
    for cycle in 0..200 {
        bench.element.set_state(gst::State::Playing).unwrap();
        if cycle % 20 == 0 {
            let id = format!("cycle {cycle}");
            bench.h.push_event(gst::event::StreamStart::new(&id));
            bench.h.push_event(gst::event::Caps::new(
                &common::caps(&bench.package, listen_package::Output::Clip).to_caps(),
            ));
            bench.h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
            bench.hear(&["low tone"]);
            assert_eq!(bench.events().len(), 1, "cycle {cycle}");
        }
        bench.element.set_state(gst::State::Null).unwrap();
        bench.messages("");
    }
}

#[test]
fn nothing_is_left_when_it_is_gone() {
    let mut bench = Bench::new("ANY", &[("labels", "low tone")]);
    bench.hear(&["low tone", "silence"]);
    let weak = bench.element.downgrade();
    let Bench { h, element, bus, .. } = bench;
    element.set_bus(None);
    bus.set_flushing(true);
    drop((h, element, bus));
    assert!(weak.upgrade().is_none());
}

#[test]
fn a_missing_timestamp_is_an_error() {
    let mut bench = Bench::new("ANY", &[("labels", "low tone")]);
    let mut window = bench.window("low tone", gst::ClockTime::ZERO);
    window.get_mut().unwrap().set_pts(gst::ClockTime::NONE);
    assert_eq!(bench.h.push(window), Err(gst::FlowError::Error));
}

#[test]
fn half_a_row_is_an_error_that_names_both_sizes() {
    let mut bench = Bench::new("ANY", &[("labels", "low tone")]);
    assert_eq!(
        bench.h.push(common::buffer(&[0.0; 17], common::s(0.0), common::HOP)),
        Err(gst::FlowError::Error)
    );
    let (_, text) = bench.complaint().unwrap();
    assert!(text.contains("68 bytes") && text.contains("16 float32"), "{text}");
}
