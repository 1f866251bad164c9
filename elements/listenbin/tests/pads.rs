//! The pads `events` and `text`: what goes out on them, when they are asked for and given back.

mod common;

use common::{TONE, encoder, harness, listenbin, pipeline, play, stat_of, tones, wait_until};
use gst::prelude::*;

#[test]
fn events_and_text_go_out_on_pads_of_their_own() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[("channel-mode", "each")]);
    let pipeline = pipeline(TONE, &bin);
    let sinks: Vec<gst_app::AppSink> = ["events", "text"]
        .into_iter()
        .map(|name| {
            let sink = gst_app::AppSink::builder().sync(false).wait_on_eos(false).build();
            pipeline.add(&sink).unwrap();
            bin.link_pads(Some(name), &sink, None).unwrap();
            sink
        })
        .collect();
    play(&pipeline);
    let lines = |sink: &gst_app::AppSink| -> Vec<(gst::ClockTime, String)> {
        let samples = std::iter::from_fn(|| sink.try_pull_sample(gst::ClockTime::ZERO));
        let line = |sample: gst::Sample| {
            let buffer = sample.buffer().unwrap();
            let text = String::from_utf8(buffer.map_readable().unwrap().to_vec()).unwrap();
            (buffer.pts().unwrap(), text)
        };
        samples.map(line).collect()
    };
    let json = lines(&sinks[0]);
    assert!(json.is_sorted_by_key(|(pts, _)| *pts));
    let mut told: Vec<String> = json
        .iter()
        .map(|(_, line)| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let event = &line["events"][0];
            format!("{} {}", event["type"].as_str().unwrap(), event["channel"])
        })
        .collect();
    told.sort();
    assert_eq!(told, ["end 0", "end 1", "start 0", "start 1"]);
    let text = lines(&sinks[1]);
    assert_eq!(text.len(), 4, "{text:?}");
    assert!(text.iter().any(|(_, line)| line.contains("low tone begins") && line.contains("channel 1")));
    pipeline.set_state(gst::State::Null).unwrap();
    let pad = bin.static_pad("events").unwrap();
    bin.release_request_pad(&pad);
    assert!(bin.static_pad("events").is_none());
    assert!(bin.request_pad_simple("events").is_some());
}

#[test]
fn scores_are_given_where_downstream_asks_for_them() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[]);
    let pipeline = pipeline(TONE, &bin);
    let caps = gst::Caps::builder("application/x-json").field("format", "audio-scores").build();
    let sink = gst_app::AppSink::builder().sync(false).wait_on_eos(false).caps(&caps).build();
    pipeline.add(&sink).unwrap();
    bin.link_pads(Some("events"), &sink, None).unwrap();
    play(&pipeline);
    let count = std::iter::from_fn(|| sink.try_pull_sample(gst::ClockTime::ZERO)).count() as u64;
    assert_eq!(count, stat_of(&bin, "clapmatch", "windows"));
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_pad_that_is_asked_for_late_joins_the_stream() {
    let fake = encoder(false);
    let bin = listenbin(&fake, &[]);
    let (mut h, _bus) = harness(&bin, false);
    h.set_src_caps(common::audio_caps(1));
    for number in 0..20 {
        h.push(tones(number, &[0.0])).unwrap();
    }
    wait_until(|| stat_of(&bin, "clapmatch", "windows") > 2);
    let mut late = gst_check::Harness::with_element(&bin, None, Some("events"));
    for number in 20..60 {
        h.push(tones(number, &[440.0])).unwrap();
    }
    h.push_event(gst::event::Eos::new());
    let line = late.pull().unwrap();
    assert!(std::str::from_utf8(&line.map_readable().unwrap()).unwrap().contains("\"type\":\"start\""));
    let types: Vec<_> = std::iter::from_fn(|| late.try_pull_event()).map(|event| event.type_()).collect();
    assert_eq!(types[..3], [gst::EventType::StreamStart, gst::EventType::Caps, gst::EventType::Segment]);
}

#[test]
fn a_pad_that_is_given_back_does_not_wait_for_its_sink() {
    for name in ["events", "text"] {
        let fake = encoder(false);
        let bin = listenbin(&fake, &[]);
        let pipeline = pipeline(TONE, &bin);
        let sink = gst::ElementFactory::make("fakesink").build().unwrap();
        pipeline.add(&sink).unwrap();
        let pad = bin.request_pad_simple(name).unwrap();
        let inner = pad.downcast_ref::<gst::GhostPad>().unwrap().target().unwrap();
        pad.link(&sink.static_pad("sink").unwrap()).unwrap();
        sink.sync_state_with_parent().unwrap();
        pipeline.set_state(gst::State::Paused).unwrap();
        // From here on the pad's thread is in the sink, which keeps it until the pipeline plays.
        assert_eq!(pipeline.state(common::PATIENCE).0, Ok(gst::StateChangeSuccess::Success));
        let (done, given_back) = std::sync::mpsc::channel();
        let (giver, pad) = (bin.clone(), pad.clone());
        std::thread::spawn(move || {
            giver.release_request_pad(&pad);
            done.send(pad.parent().is_none()).unwrap();
        });
        let alone = given_back.recv_timeout(std::time::Duration::from_secs(20));
        assert_eq!(alone, Ok(true), "{name}: it waits for the sink");
        assert!(!sink.static_pad("sink").unwrap().is_linked());
        // The name is free again.
        let again = bin.request_pad_simple(name).unwrap();
        bin.release_request_pad(&again);
        // The sink lets it go, and nothing of the pad is left.
        sink.set_state(gst::State::Null).unwrap();
        pipeline.remove(&sink).unwrap();
        wait_until(|| !inner.is_active() && inner.task_state() == gst::TaskState::Stopped);
        play(&pipeline);
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
