//! What the tests of melspec share.
#![allow(dead_code, reason = "each test file takes what it needs")]

use gst::prelude::*;
use gst_check::Harness;
use gst_listen_melspec::MelSpec;

pub const RATE: u64 = 16_000;

/// Two tones and a little noise: `samples` of them, from sample `first` on.
pub fn signal(first: u64, samples: usize) -> Vec<f32> {
    (first..)
        .take(samples)
        .map(|n| {
            let noise = (n.wrapping_mul(6_364_136_223_846_793_005) >> 40) as f64 / f64::from(1 << 24) - 0.5;
            let t = n as f64 / RATE as f64;
            (0.4 * (2_764.6 * t).sin() + 0.2 * (9_000.0 * t * t).sin() + 0.01 * noise) as f32
        })
        .collect()
}

pub fn time(sample: u64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(sample * 1_000_000_000 / RATE)
}

/// A buffer of float32 samples.
pub fn buffer(pts: Option<gst::ClockTime>, samples: &[f32]) -> gst::Buffer {
    let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    buffer.get_mut().unwrap().set_pts(pts);
    buffer
}

/// A harness around one element, fed with 16 kHz mono audio; nobody downstream asks for a front end.
pub fn harness(settings: impl FnOnce(&MelSpec)) -> Harness {
    harness_for("F32LE", settings)
}

pub fn harness_for(format: &str, settings: impl FnOnce(&MelSpec)) -> Harness {
    gst::init().unwrap();
    let element: MelSpec = gst::glib::Object::new();
    settings(&element);
    let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_src_caps_str(&format!("audio/x-raw,format={format},rate=16000,channels=1,layout=interleaved"));
    h
}

/// Everything that has come out: the frames' values, and each buffer.
pub fn collect(h: &mut Harness) -> (Vec<f32>, Vec<gst::Buffer>) {
    let buffers: Vec<_> = std::iter::from_fn(|| h.try_pull()).collect();
    (buffers.iter().flat_map(values).collect(), buffers)
}

pub fn values(buffer: &gst::Buffer) -> Vec<f32> {
    let map = buffer.map_readable().unwrap();
    map.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect()
}

/// Pushes samples in pieces and ends the stream.
pub fn run(h: &mut Harness, samples: &[f32], piece: usize) -> (Vec<f32>, Vec<gst::Buffer>) {
    let mut first = 0;
    for piece in samples.chunks(piece) {
        assert_eq!(h.push(buffer(Some(time(first)), piece)), Ok(gst::FlowSuccess::Ok));
        first += piece.len() as u64;
    }
    assert!(h.push_event(gst::event::Eos::new()));
    collect(h)
}

/// The kinds of the downstream events so far, in order.
pub fn events(h: &mut Harness) -> Vec<gst::Event> {
    std::iter::from_fn(|| h.try_pull_event()).collect()
}

/// The element's messages since the last call.
pub fn messages(bus: &gst::Bus) -> Vec<gst::Message> {
    std::iter::from_fn(|| bus.pop()).collect()
}

/// A bus of the element's own.
pub fn bus(h: &Harness) -> gst::Bus {
    let bus = gst::Bus::new();
    h.element().unwrap().set_bus(Some(&bus));
    bus
}
