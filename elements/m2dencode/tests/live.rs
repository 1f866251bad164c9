//! Live streams: bursts of windows, `overload=block`, what is lost while nobody takes anything. Nothing is timed.

mod common;

use std::thread;

use common::*;
use gst::prelude::*;
use gst_listen_common::caps::{EdgeCaps, MelCaps, MelFormat};
use gst_listen_m2dencode::{Edge, Overload};
use listen_features::FrontEnd;

/// Gives `count` permits.
fn permit(control: &Control, count: usize) {
    (0..count).for_each(|_| control.permits.send(Permit::Run).unwrap());
}

#[test]
fn a_live_buffer_of_many_hops_loses_no_window_where_the_engine_keeps_up() {
    let control = permitted();
    let (mut h, _) = harness(&control.open, true, |_| ());
    let element = h.element().unwrap();
    let mut next = 0;
    for burst in 1..=10_u64 {
        // All windows of a buffer are there before the first of them is encoded.
        let count = if next == 0 { WINDOW + 6 * HOP } else { 7 * HOP };
        h.push(frames(next, count)).unwrap();
        next += count;
        assert_eq!(counts(&element), [burst * 7, (burst - 1) * 7, 0, 0, 0, 0, 7]);
        permit(&control, 7);
        (0..7).for_each(|_| drop(h.pull().unwrap()));
    }
    assert_eq!(counts(&element), [70, 70, 0, 0, 0, 0, 0]);
}

#[test]
fn where_it_does_not_keep_up_no_more_than_a_buffer_and_a_window_wait() {
    let control = permitted();
    let (mut h, _) = harness(&control.open, true, |_| ());
    h.push(frames(0, WINDOW + 6 * HOP)).unwrap();
    assert_eq!(control.started.recv_timeout(PATIENCE), Ok(0));
    for n in 1..=3 {
        h.push(frames(WINDOW + (7 * n - 1) * HOP, 7 * HOP)).unwrap();
    }
    // One is being encoded, eight wait.
    assert_eq!(counts(&h.element().unwrap()), [28, 0, 19, 0, 0, 0, 9]);
    permit(&control, 9);
    let out = finish(&mut h);
    let starts: Vec<_> = windows(&out).into_iter().map(|(start, _)| start / HOP).collect();
    assert_eq!(starts, [0, 20, 21, 22, 23, 24, 25, 26, 27]);
}

#[test]
fn silence_that_fills_a_hole_and_the_buffer_after_it_are_one_burst() {
    let control = permitted();
    let (mut h, _) = harness(&control.open, true, |_| ());
    h.push(frames(0, WINDOW)).unwrap();
    assert_eq!(control.started.recv_timeout(PATIENCE), Ok(0));
    let mut late = frames(WINDOW + 3 * HOP, 2 * HOP);
    late.get_mut().unwrap().set_flags(gst::BufferFlags::DISCONT);
    h.push(late).unwrap();
    assert_eq!(counts(&h.element().unwrap()), [6, 0, 0, 0, 0, 0, 6]);
    permit(&control, 6);
    assert_eq!(finish(&mut h).len(), 6);
}

#[test]
fn exact_windows_of_one_buffer_of_sound_come_one_by_one_and_none_is_lost() {
    let control = permitted();
    let element = element(Some(&control.open));
    element.set_edge(Edge::Exact);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut h = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_live(true);
    // Upstream holds back a window, and six hops of sound in one buffer.
    h.set_upstream_latency(time(WINDOW + 6 * HOP));
    wait_for_load(&bus);
    let edge = EdgeCaps::Exact { window: WINDOW as u32, hop: HOP as u32, tail: false, fill: None };
    let format = MelFormat { edge, ..MelFormat::new(FrontEnd::byol_a()) };
    h.set_src_caps(MelCaps { format, channel: -1 }.to_caps());
    for k in 0..6 {
        h.push(frames(k * HOP, WINDOW)).unwrap();
    }
    assert_eq!(counts(&element), [6, 0, 0, 0, 0, 0, 6]);
    permit(&control, 6);
    assert_eq!(finish(&mut h).len(), 6);
}

#[test]
fn a_live_stream_that_blocks_waits_and_loses_nothing() {
    let control = permitted();
    let (mut h, bus) = harness(&control.open, true, |element| element.set_overload(Overload::Block));
    let element = h.element().unwrap();
    let pusher = thread::spawn(move || {
        h.push(frames(0, WINDOW + 11 * HOP)).unwrap();
        h
    });
    assert_eq!(control.started.recv_timeout(PATIENCE), Ok(0));
    for _ in 0..12 {
        let [taken, given, dropped, gated, flushed, lost, pending] = counts(&element);
        assert_eq!((dropped, gated, flushed, lost), (0, 0, 0, 0));
        assert!(taken == given + pending && taken <= 12);
        permit(&control, 1);
    }
    let mut h = pusher.join().unwrap();
    let out = finish(&mut h);
    let expected: Vec<_> = (0..12).map(|k| (k * HOP, WINDOW)).collect();
    assert_eq!(windows(&out), expected);
    assert_eq!(disconts(&out).iter().filter(|discont| **discont).count(), 1);
    assert_eq!(counts(&element), [12, 12, 0, 0, 0, 0, 0]);
    assert!(bus.pop_filtered(&[gst::MessageType::Qos]).is_none());
    assert_eq!(element.property::<gst::Structure>("stats").get("live"), Ok(true));
}

#[test]
fn windows_lost_while_nothing_is_taken_are_few_gaps_that_say_so() {
    let control = permitted();
    let (mut h, _) = harness(&control.open, true, |_| ());
    let element = h.element().unwrap();
    h.push(frames(0, WINDOW)).unwrap();
    assert_eq!(control.started.recv_timeout(PATIENCE), Ok(0));
    for k in 1..1_000 {
        h.push(frames(WINDOW + (k - 1) * HOP, HOP)).unwrap();
    }
    assert_eq!(counts(&element), [1_000, 0, 997, 0, 0, 0, 3]);
    permit(&control, 3);
    h.push_event(gst::event::Eos::new());
    let events = until_eos(&mut h);
    let gaps = gaps(&events);
    assert!(gaps.len() <= 64, "{} gaps", gaps.len());
    let mut next = time(HOP);
    for (start, duration) in gaps {
        assert_eq!(start, next, "without a hole or an overlap");
        next += duration;
    }
    assert_eq!(next, time(998 * HOP));
    let hole = events.iter().any(|event| match event.view() {
        gst::EventView::Gap(gap) => gap.gap_flags() == gst::GapFlags::DATA,
        _ => false,
    });
    assert!(hole, "it is no silence");
    let starts: Vec<_> = windows(&rest(&mut h)).into_iter().map(|(start, _)| start / HOP).collect();
    assert_eq!(starts, [0, 998, 999]);
}
