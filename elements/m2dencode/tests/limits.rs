//! The ends of ranges: times, sizes of buffers, the end of the stream.

mod common;

use common::*;
use gst::ClockTime;
use gst::prelude::*;
use gst_check::Harness;
use gst_listen_common::caps::{EdgeCaps, MelCaps, MelFormat};
use gst_listen_m2dencode::{Edge, M2dEncode};
use listen_features::FrontEnd;

const DAY: u64 = 86_400_000_000_000;

fn latency(element: &impl IsA<gst::Element>) -> ClockTime {
    let mut query = gst::query::Latency::new();
    assert!(element.static_pad("src").unwrap().query(&mut query));
    query.result().1
}

#[test]
fn times_of_properties_end_with_a_day() {
    let element = element(None);
    for name in ["window", "hop", "max-wait", "watchdog"] {
        let spec = element.find_property(name).unwrap().downcast::<gst::glib::ParamSpecUInt64>().unwrap();
        assert_eq!((spec.minimum(), spec.maximum()), (0, DAY), "{name}");
    }
    element.set_property_from_str("inference-latency", "18446744073709551614");
    assert_eq!(element.inference_latency(), DAY);
    element.set_property_from_str("inference-latency", "-1");
    assert_eq!(element.inference_latency(), u64::MAX);
}

#[test]
fn the_longest_times_are_a_latency_of_days_and_no_panic() {
    let (h, _) = harness(&instant().open, true, |element| {
        element.set_inference_latency(u64::MAX - 1);
        element.set_max_wait(DAY);
        element.set_watchdog(DAY);
    });
    assert_eq!(latency(&h.element().unwrap()), time(WINDOW) + 2 * ClockTime::from_nseconds(DAY));

    // A hop of a day: one window, then a long wait.
    let (mut h, _) = harness(&instant().open, true, |element| element.set_hop(DAY));
    assert_eq!(latency(&h.element().unwrap()), time(WINDOW) + ClockTime::from_nseconds(DAY));
    h.push(frames(0, 5 * WINDOW)).unwrap();
    assert_eq!(windows(&finish(&mut h)), [(0, WINDOW)]);
}

#[test]
fn upstreams_latency_may_be_as_long_as_can_be() {
    let (mut h, _) = harness(&instant().open, true, |_| ());
    h.set_upstream_latency(ClockTime::MAX);
    assert_eq!(latency(&h.element().unwrap()), ClockTime::MAX);
}

#[test]
fn frames_at_the_end_of_all_times_are_no_error() {
    let (mut h, _) = harness(&instant().open, false, |_| ());
    for pts in [ClockTime::MAX - ClockTime::MSECOND, ClockTime::MAX, ClockTime::ZERO, ClockTime::MAX] {
        let mut buffer = frames(0, WINDOW + 2 * HOP);
        buffer.get_mut().unwrap().set_pts(pts);
        h.push(buffer).unwrap();
    }
    let out = finish(&mut h);
    assert!(out.iter().any(|buffer| buffer.pts() == Some(ClockTime::MAX)));
}

fn exact_harness() -> (Harness, gst::Bus) {
    let element: M2dEncode = element(Some(&instant().open));
    element.set_edge(Edge::Exact);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_live(false);
    wait_for_load(&bus);
    let edge = EdgeCaps::Exact { window: WINDOW as u32, hop: HOP as u32, tail: false, fill: None };
    h.set_src_caps(
        MelCaps { format: MelFormat { edge, ..MelFormat::new(FrontEnd::byol_a()) }, channel: -1 }.to_caps(),
    );
    (h, bus)
}

#[test]
fn a_buffer_that_is_not_of_whole_frames_is_an_error_that_names_both_sizes() {
    let (mut h, bus) = harness(&instant().open, false, |_| ());
    assert_eq!(h.push(gst::Buffer::from_mut_slice(vec![0_u8; 64 * 4 * 3 + 8])), Err(gst::FlowError::Error));
    let found = error(&bus);
    assert!(found.contains("776 bytes came, expected frames of 64 float32 (256 bytes"), "{found}");
}

#[test]
fn a_buffer_that_is_not_one_exact_window_is_an_error_that_names_both_sizes() {
    for (bytes, named) in [((WINDOW + 1) * 256, "16640 bytes"), (0, "0 bytes"), (1_000, "1000 bytes")] {
        let (mut h, bus) = exact_harness();
        let buffer = gst::Buffer::from_mut_slice(vec![0_u8; bytes as usize]);
        assert_eq!(h.push(buffer), Err(gst::FlowError::Error));
        let found = error(&bus);
        assert!(
            found.contains(named) && found.contains("a window of 1 to 64 frames of 64 float32"),
            "{found}"
        );
    }
}

#[test]
fn the_watchdog_does_not_wait_for_windows_after_the_end() {
    let (mut h, bus) = harness(&instant().open, true, |_| ());
    let element = h.element().unwrap();
    h.push(frames(0, WINDOW)).unwrap();
    assert_eq!(finish(&mut h).len(), 1);

    element.set_property("watchdog", 1_u64);
    element.set_state(gst::State::Paused).unwrap();
    element.set_state(gst::State::Playing).unwrap();
    // What comes out now shows that the task has looked at the watchdog before. After EOS pads take nothing any more.
    let pads = [h.srcpad().unwrap(), h.sinkpad().unwrap()];
    let own = ["sink", "src"].map(|name| element.static_pad(name).unwrap());
    // The flag is set only after EOS has come out: a mark may be refused at first.
    let mut came = false;
    while !came {
        pads.iter().chain(&own).for_each(|pad| pad.unset_pad_flags(gst::PadFlags::EOS));
        h.push_event(gst::event::CustomDownstream::new(gst::Structure::new_empty("mark")));
        std::thread::yield_now();
        came = std::iter::from_fn(|| h.try_pull_event())
            .any(|event| event.type_() == gst::EventType::CustomDownstream);
    }
    assert!(bus.pop_filtered(&[gst::MessageType::Warning]).is_none());
}
