//! The audio: untouched, undelayed, whatever the analysis does.

mod common;

use std::sync::mpsc::channel;

use common::{encoder, harness, inside, listenbin, stat, stat_of, tones};
use gst::prelude::*;

/// Bytes that no arithmetic would leave alone: NaN, infinities and denormals among them in every float format.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn it_passes_every_format_bit_by_bit_with_times_flags_and_metas() {
    gst::init().unwrap();
    gst::meta::CustomMeta::register("ListenBinTestMeta", &["audio"]);
    let fake = encoder(false);
    for (format, rate, channels, layout) in [
        ("S16LE", 44_100, 2, "interleaved"),
        ("F32LE", 48_000, 6, "interleaved"),
        ("F64BE", 8_000, 1, "interleaved"),
        ("S24LE", 96_000, 2, "interleaved"),
        ("U8", 11_025, 1, "interleaved"),
        ("F32LE", 48_000, 2, "non-interleaved"),
        ("S16LE", 16_000, 3, "interleaved"),
    ] {
        for mode in ["downmix", "each", "first"] {
            let bin = listenbin(&fake, &[("channel-mode", mode)]);
            let (mut h, bus) = harness(&bin, false);
            let mask = if channels > 2 { ",channel-mask=(bitmask)0x0" } else { "" };
            let caps =
                format!("audio/x-raw,format={format},rate={rate},channels={channels},layout={layout}{mask}");
            h.set_src_caps_str(&caps);
            let info = gst_audio::AudioInfo::from_caps(&caps.parse::<gst::Caps>().unwrap()).unwrap();
            for number in 0..5u64 {
                let bytes = noise(info.bpf() as usize * 441);
                let mut buffer = gst::Buffer::from_slice(bytes.clone());
                let writable = buffer.get_mut().unwrap();
                writable.set_pts(gst::ClockTime::from_nseconds(number * 9_999_999 + 7));
                writable.set_duration(gst::ClockTime::from_nseconds(9_999_999));
                writable.set_offset(number * 441);
                writable.set_flags(gst::BufferFlags::DISCONT);
                if layout == "non-interleaved" {
                    // GStreamer asks for it there.
                    gst_audio::AudioMeta::add(writable, &info, 441, &[]).unwrap();
                }
                let mut meta = gst::meta::CustomMeta::add(writable, "ListenBinTestMeta").unwrap();
                meta.mut_structure().set("number", number);
                let there = buffer.as_ptr();
                h.push(buffer).unwrap();
                let out = h.pull().unwrap();
                assert_eq!(out.as_ptr(), there, "{caps} {mode}: it is the buffer itself");
                assert_eq!(out.map_readable().unwrap().as_slice(), bytes, "{caps} {mode}");
                assert_eq!(out.pts(), Some(gst::ClockTime::from_nseconds(number * 9_999_999 + 7)));
                assert!(out.is_writable(), "nobody else holds it");
                let meta = gst::meta::CustomMeta::from_buffer(&out, "ListenBinTestMeta").unwrap();
                assert_eq!(meta.structure().get::<u64>("number").unwrap(), number);
            }
            let out_caps = h.sinkpad().unwrap().current_caps().unwrap();
            assert_eq!(out_caps, h.srcpad().unwrap().current_caps().unwrap(), "{mode}");
            assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none(), "{caps} {mode}");
        }
    }
}

#[test]
fn it_adds_no_latency() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[("inference-latency", "5000000000")]);
    let (mut h, _bus) = harness(&bin, true);
    h.set_src_caps(common::audio_caps(2));
    h.set_upstream_latency(gst::ClockTime::from_mseconds(20));
    h.push(tones(0, &[440.0, 440.0])).unwrap();
    assert_eq!(h.query_latency(), Some(gst::ClockTime::from_mseconds(20)));
}

#[test]
fn a_pipelines_latency_is_that_of_the_audio() {
    let fake = encoder(false);
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("audiotestsrc").property("is-live", true).build().unwrap();
    let sink = gst::ElementFactory::make("fakesink").property("sync", true).build().unwrap();
    let without = {
        pipeline.add_many([&source, &sink]).unwrap();
        source.link(&sink).unwrap();
        latency(&pipeline)
    };
    source.unlink(&sink);
    let bin = listenbin(&fake, &[]);
    pipeline.add(&bin).unwrap();
    gst::Element::link_many([&source, bin.upcast_ref(), &sink]).unwrap();
    assert_eq!(latency(&pipeline), without);
    pipeline.set_state(gst::State::Null).unwrap();
}

fn latency(pipeline: &gst::Pipeline) -> gst::ClockTime {
    pipeline.set_state(gst::State::Playing).unwrap();
    pipeline.state(common::PATIENCE).0.unwrap();
    let mut query = gst::query::Latency::new();
    assert!(pipeline.query(&mut query));
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(query.result().0, "it is live");
    query.result().1
}

#[test]
fn live_audio_goes_on_while_the_encoder_sleeps() {
    // It is never permitted to run.
    let fake = encoder(true);
    let bin = listenbin(&fake, &[]);
    let (mut h, _bus) = harness(&bin, true);
    h.set_src_caps(common::audio_caps(1));
    for number in 0..600 {
        h.push(tones(number, &[440.0])).unwrap();
        assert!(h.try_pull().is_some(), "buffer {number} is there at once");
    }
    assert_eq!(stat_of(&bin, "clapmatch", "windows"), 0);
    drop(fake);
}

#[test]
fn live_audio_goes_on_while_the_whole_analysis_stands_still_and_what_it_loses_is_counted() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[]);
    let (mut h, bus) = harness(&bin, true);
    h.set_src_caps(common::audio_caps(1));
    h.play();
    let pad = inside(&bin, "audioconvert").static_pad("sink").unwrap();
    let probe =
        pad.add_probe(gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER, |_, _| gst::PadProbeReturn::Ok);
    for number in 0..600 {
        h.push(tones(number, &[440.0])).unwrap();
        assert!(h.try_pull().is_some(), "buffer {number} is there at once");
    }
    // Two seconds wait, one buffer is on its way.
    let dropped = stat(&bin, "dropped-buffers");
    assert!((578..=581).contains(&dropped), "{dropped}");
    assert_eq!(stat(&bin, "dropped-time"), dropped * 100_000_000);
    let message = bus.pop_filtered(&[gst::MessageType::Qos]).expect("a QoS message tells of it");
    let gst::MessageView::Qos(qos) = message.view() else { unreachable!() };
    assert!(qos.get().0, "it says that it is live");
    pad.remove_probe(probe.unwrap());
    for number in 600..640 {
        h.push(tones(number, &[440.0])).unwrap();
    }
    h.push_event(gst::event::Eos::new());
}

#[test]
fn where_upstream_is_not_live_the_audio_waits_and_a_flush_wakes_it() {
    let fake = encoder(true);
    let bin = listenbin(&fake, &[]);
    let (mut h, _bus) = harness(&bin, false);
    h.set_src_caps(common::audio_caps(1));
    h.play();
    let pad = bin.static_pad("sink").unwrap();
    let (done, pushed) = channel();
    let source = h.srcpad().unwrap();
    let thread = std::thread::spawn(move || {
        for number in 0..3_000 {
            let result = source.push(tones(number, &[440.0]));
            done.send((number, result)).unwrap();
            if result.is_err() {
                return;
            }
        }
    });
    // It comes to a halt: nothing more arrives although the thread has not ended.
    let mut last = 0;
    while let Ok((number, _)) = pushed.recv_timeout(std::time::Duration::from_secs(2)) {
        last = number;
    }
    assert!(last < 2_900, "the audio waited, at buffer {last}");
    assert_eq!(stat(&bin, "dropped-buffers"), 0);
    pad.send_event(gst::event::FlushStart::new());
    thread.join().unwrap();
    assert!(pushed.iter().any(|(_, result)| result == Err(gst::FlowError::Flushing)));
    drop(fake);
}

#[test]
fn queries_and_events_pass_in_both_directions() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[]);
    let (mut h, _bus) = harness(&bin, true);
    h.set_src_caps(common::audio_caps(2));
    h.set_sink_caps_str("audio/x-raw,rate=32000,channels=2");
    h.push(tones(0, &[0.0, 0.0])).unwrap();
    let allowed = bin.static_pad("sink").unwrap().query_caps(None);
    assert!(allowed.iter().all(|s| s.get::<i32>("rate") == Ok(32_000)), "{allowed}");
    let mut tags = gst::TagList::new();
    tags.get_mut().unwrap().add::<gst::tags::Title>(&"street", gst::TagMergeMode::Append);
    h.push_event(gst::event::Tag::new(tags));
    let got = std::iter::from_fn(|| h.try_pull_event()).any(|event| event.type_() == gst::EventType::Tag);
    assert!(got, "tags go on");
    h.push_upstream_event(gst::event::CustomUpstream::new(gst::Structure::new_empty("up")));
    let got = std::iter::from_fn(|| h.try_pull_upstream_event())
        .filter(|e| e.type_() == gst::EventType::CustomUpstream);
    assert_eq!(got.count(), 1, "and come back once");
}
