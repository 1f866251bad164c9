//! What flows no further: a branch that has had enough, a source pad that is deactivated.

mod common;

use common::*;
use gst::prelude::*;
use gst_check::Harness;
use gst_listen_m2dencode::{M2dEncode, Overload};

const OK: Result<gst::FlowSuccess, gst::FlowError> = Ok(gst::FlowSuccess::Ok);

/// A tee of two pads, the first of which has had enough of the first buffer; who hears of the end is told.
struct Branches {
    tee: gst::Element,
    _pads: [gst::Pad; 2],
    ends: std::sync::mpsc::Receiver<&'static str>,
}

impl Branches {
    fn behind(element: &M2dEncode) -> Self {
        let (ended, ends) = std::sync::mpsc::channel();
        let branch = |flow: Result<gst::FlowSuccess, gst::FlowError>| {
            let name = if flow.is_ok() { "goes on" } else { "has had enough" };
            let ended = ended.clone();
            let pad = gst::Pad::builder(gst::PadDirection::Sink)
                .chain_function(move |_, _, _| flow)
                .event_function(move |_, _, event| {
                    if matches!(event.type_(), gst::EventType::Eos | gst::EventType::SegmentDone) {
                        // The test may be over.
                        let _ = ended.send(name);
                    }
                    true
                })
                .build();
            pad.set_active(true).unwrap();
            pad
        };
        let pads = [branch(Err(gst::FlowError::Eos)), branch(OK)];
        let tee = gst::ElementFactory::make("tee").build().unwrap();
        for pad in &pads {
            tee.request_pad_simple("src_%u").unwrap().link(pad).unwrap();
        }
        element.link(&tee).unwrap();
        tee.set_state(gst::State::Paused).unwrap();
        Self { tee, _pads: pads, ends }
    }

    fn heard(&self) -> [&'static str; 2] {
        [(); 2].map(|()| self.ends.recv_timeout(PATIENCE).unwrap())
    }
}

impl Drop for Branches {
    fn drop(&mut self) {
        // A test that fails has said why.
        let _ = self.tee.set_state(gst::State::Null);
    }
}

/// The end of a stream and that of a segment.
fn ends() -> [gst::Event; 2] {
    gst::init().unwrap();
    let at = gst::ClockTime::from_seconds(9);
    [gst::event::Eos::new(), gst::event::SegmentDone::new(at)]
}

#[test]
fn where_one_branch_ends_early_the_other_one_still_hears_of_the_end() {
    for end in ends() {
        let element = element(Some(&instant().open));
        element.set_overload(Overload::Block);
        let branches = Branches::behind(&element);
        let mut h = Harness::with_element(&element, Some("sink"), None);
        h.set_src_caps(mel_caps(-1));
        // It hears of the flow's end with one of these.
        let mut first = 0;
        while h.push(frames(first, 32)).is_ok() {
            first += 32;
        }
        assert_eq!(h.push(frames(first, 32)), Err(gst::FlowError::Eos));
        h.push_event(end);
        assert_eq!(branches.heard(), ["has had enough", "goes on"]);
    }
}

#[test]
fn where_one_branch_ends_early_an_end_that_waits_already_is_not_lost() {
    for end in ends() {
        let control = permitted();
        let element = element(Some(&control.open));
        // It waits for the model to be loaded rather than lose its window.
        element.set_overload(Overload::Block);
        let branches = Branches::behind(&element);
        let mut h = Harness::with_element(&element, Some("sink"), None);
        h.set_src_caps(mel_caps(-1));
        h.push(frames(0, 64)).unwrap();
        // The end waits behind windows that are still to be encoded.
        h.push_event(end);
        assert!(branches.ends.try_recv().is_err());
        for _ in 0..4 {
            control.permits.send(Permit::Run).unwrap();
        }
        assert_eq!(branches.heard(), ["has had enough", "goes on"]);
    }
}

#[test]
fn a_segment_that_comes_while_the_source_pad_is_deactivated_is_no_error() {
    let (mut h, _) = harness(&instant().open, false, |_| ());
    h.push(frames(0, 1)).unwrap();
    // As on the way to READY, where the sink pad follows.
    h.element().unwrap().static_pad("src").unwrap().set_active(false).unwrap();
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    h.push_event(gst::event::Segment::new(&segment));
    assert_eq!(h.push(frames(1, 1)), Err(gst::FlowError::Flushing));
}
