//! What flows no further: a branch that has had enough, a source pad that is deactivated.

mod common;

use common::{Bench, Slow, buffer, end, s};
use gst::prelude::*;

/// Captions flow into nothing more, as behind a tee where one branch has had enough; events still arrive.
fn has_had_enough(bench: &Bench) {
    let pad = bench.element.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        info.flow_res = Err(gst::FlowError::Eos);
        gst::PadProbeReturn::Handled
    });
}

/// The end of a stream and that of a segment.
fn ends() -> [gst::Event; 2] {
    gst::init().unwrap();
    let at = gst::ClockTime::from_seconds(9);
    [gst::event::Eos::new(), gst::event::SegmentDone::new(at)]
}

#[test]
fn an_end_behind_a_caption_that_nobody_takes_is_not_lost() {
    for end in ends() {
        let slow = Slow::default();
        let mut bench = Bench::with(&[], false, slow.clone());
        has_had_enough(&bench);
        bench.event(1, "siren", 1.0, 2.0);
        slow.wait_for(1);
        let kind = end.type_();
        assert!(bench.h.push_event(end));
        slow.let_go(1);
        bench.wait_for_event(kind);
    }
}

#[test]
fn several_ends_behind_a_caption_that_nobody_takes_all_go_out_in_their_order() {
    let slow = Slow::default();
    let mut bench = Bench::with(&[], false, slow.clone());
    has_had_enough(&bench);
    bench.event(1, "siren", 1.0, 2.0);
    slow.wait_for(1);
    let [eos, segment_done] = ends();
    assert!(bench.h.push_event(segment_done) && bench.h.push_event(eos));
    slow.let_go(1);
    bench.wait_for_event(gst::EventType::SegmentDone);
    bench.wait_for_event(gst::EventType::Eos);
}

#[test]
fn an_end_after_a_caption_that_nobody_took_is_not_lost() {
    for last in ends() {
        let slow = Slow::default();
        slow.let_go(1_000);
        let mut bench = Bench::with(&[], false, slow);
        has_had_enough(&bench);
        // It hears of the flow's end with one of these.
        let mut taken =
            |id: u64| bench.h.push(buffer(&end(id, "siren", id as f64, id as f64 + 0.5), s(id as f64 + 0.5)));
        assert!((1..10_000).any(|id| taken(id) == Err(gst::FlowError::Eos)));
        let kind = last.type_();
        assert!(bench.h.push_event(last));
        bench.wait_for_event(kind);
    }
}

#[test]
fn a_segment_that_comes_while_the_source_pad_is_deactivated_is_no_error() {
    let mut bench = Bench::new(&[]);
    bench.hear(&end(1, "siren", 1.0, 2.0), 2.0);
    // As on the way to READY, where the sink pad follows.
    bench.element.static_pad("src").unwrap().set_active(false).unwrap();
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    bench.h.push_event(gst::event::Segment::new(&segment));
    assert_eq!(bench.h.push(buffer(&end(2, "siren", 3.0, 4.0), s(4.0))), Err(gst::FlowError::Flushing));
}
