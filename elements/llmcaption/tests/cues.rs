//! How long captions stand, and how they end: what subtitles and terminals see.

mod common;

use common::{Bench, end, s, start};

#[test]
fn a_caption_that_comes_late_stands_as_long_as_its_sound_was_there() {
    let mut bench = Bench::new(&[]);
    // Without latency it is told of where it ends: the output has come as far.
    bench.event(1, "siren", 1.0, 5.5);
    let caption = bench.caption();
    assert_eq!((caption.pts, caption.duration), (5.5, 4.5));
    // However far the output has gone on.
    bench.gap(5.6, 20.0);
    bench.hear(&end(2, "dog barking", 10.0, 14.0), 20.0);
    bench.gap(20.0, 20.1);
    let caption = bench.caption();
    assert_eq!((caption.pts, caption.duration), (20.0, 4.0));
    // Nobody could read what is shorter.
    bench.event(3, "door knock", 30.0, 30.2);
    assert_eq!(bench.caption().duration, 2.0);
}

#[test]
fn live_what_comes_late_does_not_hold_up_what_comes_next() {
    let mut bench = Bench::of(&[], true, |_| {});
    bench.gap(0.0, 20.0);
    bench.hear(&end(1, "dog barking", 10.0, 14.0), 20.0);
    bench.gap(20.0, 20.1);
    // GAPs may overtake it.
    let caption = bench.caption();
    assert!((20.0..=20.1).contains(&caption.pts), "{caption:?}");
    assert_eq!(caption.duration, 2.0);
}

/// A siren that goes on from 1 s and is told of at 4 s, with 10 s of latency.
fn siren() -> Bench {
    let mut bench = Bench::new(&[("latency", "10000"), ("interval", "3000000000")]);
    bench.hear(&start(1, "siren", 1.0, 1.5), 1.0);
    bench.gap(1.0, 4.5);
    assert_eq!((bench.stat("asked"), bench.messages("caption").len()), (1, 0));
    bench
}

#[test]
fn a_caption_of_a_sound_that_goes_on_waits_for_its_time_to_know_how_long() {
    let mut bench = siren();
    bench.hear(&end(1, "siren", 1.0, 8.0), 8.0);
    bench.gap(8.0, 12.0);
    let caption = bench.caption();
    assert_eq!((caption.pts, caption.duration), (1.0, 7.0));
    let message = bench.message("caption");
    assert_eq!(message.get::<gst::ClockTime>("end").unwrap(), s(8.0));
    bench.eos();
    assert_eq!(bench.captions(), []);
}

#[test]
fn a_sound_that_still_goes_on_lasts_as_far_as_it_was_heard() {
    let mut bench = siren();
    bench.gap(4.5, 11.0);
    let caption = bench.caption();
    assert_eq!((caption.pts, caption.duration), (1.0, 10.0));
}

#[test]
fn a_caption_ends_where_the_next_one_begins() {
    let mut bench = siren();
    bench.hear(&end(2, "dog barking", 5.0, 5.5), 5.0);
    bench.gap(5.5, 11.5);
    let caption = bench.caption();
    assert_eq!((caption.pts, caption.duration), (1.0, 4.0));
    bench.eos();
    let caption = bench.caption();
    assert_eq!((caption.pts, caption.duration), (5.0, 2.0));
}

#[test]
fn the_end_and_a_flush_do_not_wait_for_a_sound_that_goes_on() {
    let mut bench = siren();
    bench.eos();
    assert_eq!(bench.captions().len(), 1);
    let mut bench = siren();
    assert!(bench.h.push_event(gst::event::FlushStart::new()));
    assert!(bench.h.push_event(gst::event::FlushStop::new(true)));
    assert!(bench.h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())));
    bench.event(2, "dog barking", 1.0, 2.0);
    bench.eos();
    let captions = bench.captions();
    assert_eq!(captions.len(), 1, "{captions:?}");
    assert_eq!(captions[0].text, "You can hear a dog barking.");
}

#[test]
fn captions_that_wait_for_their_time_never_fill_the_queue() {
    // A hundred captions within the latency, behind one of a sound that goes on: nobody may wait for ever.
    let mut bench = Bench::new(&[("latency", "600000"), ("interval", "3000000000")]);
    bench.hear(&start(1, "siren", 1.0, 1.5), 1.0);
    bench.gap(1.0, 4.5);
    for id in 2..=101_u64 {
        let at = 3.0 + id as f64;
        bench.hear(&end(id, "dog barking", at, at + 0.5), at);
        bench.gap(at + 0.5, at + 0.6);
    }
    bench.eos();
    assert_eq!(bench.captions().len(), 101);
}

#[test]
fn who_names_a_format_gets_sentences_and_everybody_else_lines() {
    for (caps, newline) in [
        ("text/x-raw,format=utf8", false),
        // textoverlay, matroskamux.
        ("text/x-raw,format={pango-markup,utf8}", false),
        // A capsfilter in front of fdsink; fdsink.
        ("text/x-raw", true),
        ("ANY", true),
    ] {
        let mut bench = Bench::new(&[]);
        bench.h.set_sink_caps(caps.parse().unwrap());
        bench.event(1, "siren", 1.0, 2.0);
        assert_eq!(bench.caption().text.ends_with(".\n"), newline, "{caps}");
    }
}
