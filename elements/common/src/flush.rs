//! What a flush must not lose: events that stay on a pad, and that nobody sends again.

use std::ops::ControlFlow;

use gst::prelude::*;

/// Whether an event stays on its pad through a flush; those that place or end the stream do not.
fn outlives(event: &gst::EventRef) -> bool {
    event.is_sticky() && !matches!(event.type_(), gst::EventType::Segment | gst::EventType::Eos)
}

/// Leaves on a source pad those of `events`, which a flush kept from going out, that outlive it.
pub fn keep(pad: &gst::Pad, events: &[gst::Event]) {
    for event in events.iter().filter(|event| outlives(event)) {
        // A pad that is being shut down needs none.
        let _ = pad.store_sticky_event(event);
    }
}

/// The events on a pad that outlive a flush, in their order.
pub fn standing(pad: &gst::Pad) -> Vec<gst::Event> {
    let mut found = Vec::new();
    pad.sticky_events_foreach(|event| {
        if outlives(event) {
            found.push(event.clone());
        }
        ControlFlow::Continue(gst::EventForeachAction::Keep)
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_and_tags_outlive_a_flush_and_segment_eos_and_gaps_do_not() {
        gst::init().unwrap();
        let pad = gst::Pad::new(gst::PadDirection::Src);
        pad.set_active(true).unwrap();
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        let events = [
            gst::event::StreamStart::new("stream"),
            gst::event::Caps::new(&gst::Caps::new_empty_simple("audio/x-raw")),
            gst::event::Segment::new(&segment),
            gst::event::Tag::new(gst::TagList::new()),
            gst::event::Gap::new(gst::ClockTime::ZERO, gst::ClockTime::NONE),
            gst::event::Eos::new(),
        ];
        keep(&pad, &events);
        let kinds = |events: Vec<gst::Event>| events.iter().map(|event| event.type_()).collect::<Vec<_>>();
        use gst::EventType::{Caps, StreamStart, Tag};
        assert_eq!(kinds(standing(&pad)), [StreamStart, Caps, Tag]);
        // Segments that stand on the pad are left out as well.
        pad.store_sticky_event(&events[2]).unwrap();
        assert_eq!(kinds(standing(&pad)), [StreamStart, Caps, Tag]);
        pad.set_active(false).unwrap();
        keep(&pad, &events);
        assert!(standing(&pad).is_empty(), "a pad that does not run keeps nothing");
    }
}
