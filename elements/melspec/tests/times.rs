//! Times of hours and of years.

mod common;

use common::*;
use gst::ClockTime;
use gst::prelude::*;
use gst_check::Harness;
use gst_listen_melspec::{Edge, MelSpec, Preset};

/// Samples a second of a slow stream, one frame of it a minute: a day of it is little work.
const SLOW: u64 = 100;

fn slow() -> Harness {
    gst::init().unwrap();
    let element: MelSpec = gst::glib::Object::new();
    element.set_preset(Preset::Custom);
    element.set_n_fft(16);
    element.set_win_length(16);
    element.set_hop_length(60 * SLOW as u32);
    element.set_n_mels(1);
    element.set_f_min(0.0);
    element.set_f_max(SLOW as f64 / 2.0);
    let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_src_caps_str(&format!("audio/x-raw,format=F32LE,rate={SLOW},channels=1,layout=interleaved"));
    h
}

#[test]
fn a_clock_that_drifts_50_ppm_is_followed_for_a_day_of_large_buffers() {
    let seconds = 10;
    for ppm in [-50, 50] {
        let mut h = slow();
        let samples = signal(0, (seconds * SLOW) as usize);
        // What a sample of the stream is stamped by a clock that runs a little faster or slower.
        let stamp = |sample: u64| {
            let ns = sample as i64 * 1_000_000_000 / SLOW as i64;
            ClockTime::from_nseconds((ns + ns / 1_000_000 * ppm).unsigned_abs())
        };
        let buffers = 86_400 / seconds;
        for n in 0..buffers {
            let pts = stamp(n * seconds * SLOW);
            h.push(buffer(Some(pts), &samples)).unwrap();
        }
        h.push_event(gst::event::Eos::new());
        let out: Vec<_> = std::iter::from_fn(|| h.try_pull()).collect();
        assert_eq!(out.iter().map(|buffer| values(buffer).len()).sum::<usize>(), 1 + 24 * 60, "{ppm} ppm");
        for (n, buffer) in out.iter().enumerate() {
            let (pts, first) = (buffer.pts().unwrap(), buffer.offset());
            let by_the_clock = stamp(first * 60 * SLOW);
            let off = pts.absdiff(by_the_clock);
            assert!(off <= 2 * ClockTime::MSECOND, "{ppm} ppm: frame {first} is {off} off");
            assert_eq!(
                buffer.flags().contains(gst::BufferFlags::DISCONT),
                n == 0,
                "{ppm} ppm, frame {first}"
            );
        }
        let last = out.last().unwrap().pts().unwrap();
        let undisturbed = ClockTime::from_seconds(86_400 - 60);
        assert!(
            last.absdiff(undisturbed) > 4 * ClockTime::SECOND,
            "the clocks are seconds apart after a day"
        );
    }
}

#[test]
fn times_at_the_end_of_all_times_are_no_error() {
    for edge in [Edge::Rolling, Edge::Exact] {
        let last = ClockTime::MAX;
        let mut h = harness(|element| {
            element.set_edge(edge);
            element.set_window(200_000_000);
        });
        let samples = signal(0, 8_000);
        for pts in
            [last - ClockTime::SECOND, last - 499 * ClockTime::MSECOND, last, last - ClockTime::USECOND]
        {
            h.push(buffer(Some(pts), &samples)).unwrap();
        }
        h.push_event(gst::event::Gap::new(last, last));
        h.push(buffer(Some(ClockTime::ZERO), &samples)).unwrap();
        h.push(buffer(Some(last), &samples)).unwrap();
        h.push_event(gst::event::Eos::new());
        let (_, out) = collect(&mut h);
        assert!(out.iter().any(|buffer| buffer.pts() > Some(last - ClockTime::SECOND)), "{edge:?}");
        assert!(out.iter().any(|buffer| buffer.pts() == Some(ClockTime::ZERO)), "{edge:?}");
    }
}

#[test]
fn times_of_properties_end_with_a_day() {
    gst::init().unwrap();
    let element: MelSpec = gst::glib::Object::new();
    for name in ["window", "hop"] {
        let spec = element.find_property(name).unwrap().downcast::<gst::glib::ParamSpecUInt64>().unwrap();
        assert_eq!((spec.minimum(), spec.maximum()), (0, 86_400_000_000_000), "{name}");
    }
}

#[test]
fn a_window_of_a_day_is_refused_with_the_longest_that_there_is() {
    gst::init().unwrap();
    let element: MelSpec = gst::glib::Object::new();
    element.set_edge(Edge::Exact);
    element.set_window(86_400_000_000_000);
    let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
    let bus = bus(&h);
    h.set_src_caps_str("audio/x-raw,format=F32LE,rate=16000,channels=1,layout=interleaved");
    assert!(h.push(buffer(None, &signal(0, 100))).is_err());
    let error = messages(&bus).into_iter().find_map(|message| match message.view() {
        gst::MessageView::Error(error) => Some(error.error().to_string()),
        _ => None,
    });
    let error = error.expect("an error");
    assert!(error.contains("8640000") && error.contains("65536"), "{error}");
}
