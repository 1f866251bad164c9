//! How long after a sound has begun its caption is there: `./run bench captions` (figures in BENCHMARKS.md).
//!
//! Live streams of the example recording's sounds, at their own pace and all at once, one for each backend and `interval`;
//! several rounds of other orders. Arguments: seconds of a round (90), rounds (2). `LOCAL=folder` names a package with a
//! decoder, for `backend=local`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;

#[path = "../../../elements/llmcaption/tests/common/server.rs"]
#[allow(dead_code, reason = "nothing fails here")]
mod server;
#[path = "../tests/hour/sound.rs"]
mod sound;

use server::{Answer, Server};
use sound::{Endless, RATE};

type Failure = Box<dyn std::error::Error>;

/// Samples of a buffer: 20 ms.
const CUT: usize = RATE / 50;
/// An event is that of a sound if it begins so near to it, in seconds.
const NEAR: f64 = 1.5;

fn main() -> Result<(), Failure> {
    gst::init()?;
    gstlisten::plugin_register_static()?;
    let asked: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let (seconds, rounds) = (asked.first().copied().unwrap_or(90), asked.get(1).copied().unwrap_or(2));
    let server = Server::new(|_, _| Answer::Words("Something can be heard outside.".into()));
    let mut backends = vec![
        ("template", "backend=template".to_owned()),
        ("http, a server that answers at once", format!("backend=http url={} model-name=none", server.url)),
    ];
    if let Ok(folder) = std::env::var("LOCAL") {
        backends.push(("local", format!("backend=local model={folder}")));
    }
    let recording = sound::recording();
    let mut runs = Vec::new();
    for (name, properties) in &backends {
        for (interval, words) in [(5_000_000_000u64, "5 s"), (100_000_000, "0.1 s")] {
            runs.push((*name, words, format!("{properties} interval={interval}"), Took::default()));
        }
    }
    for round in 0..rounds {
        let begin = Instant::now() + Duration::from_secs(3);
        let threads: Vec<_> = runs
            .iter()
            .map(|(_, _, properties, _)| {
                let (properties, recording) = (properties.clone(), recording.clone());
                std::thread::spawn(move || {
                    listen(&properties, Endless::new(recording, round), begin, seconds)
                        .map_err(|error| error.to_string())
                })
            })
            .collect();
        for (thread, run) in threads.into_iter().zip(&mut runs) {
            run.3.add(thread.join().map_err(|_| "a stream panicked")??);
        }
    }
    println!(
        "\n## Captions: {rounds} rounds of {seconds} s, live\n\n| backend | `interval` | sounds | told | onset to caption, p50 | p99 | asked for to written, p50 | worst stream's p99 |\n|---|---|---|---|---|---|---|---|"
    );
    for (name, interval, _, mut took) in runs {
        let (told, sounds) = (took.onset.len(), took.sounds);
        let [a, b] = [0.5, 0.99].map(|part| at(&mut took.onset, part));
        let (c, d) = (at(&mut took.median, 0.5), at(&mut took.late, 1.0));
        println!("| {name} | {interval} | {sounds} | {told} | {a:.2} s | {b:.2} s | {c:.2} ms | {d:.2} ms |");
    }
    Ok(())
}

/// Seconds from the onsets of sounds to their captions; and from when captions were asked for, the median and the 99th
/// part of each stream.
#[derive(Debug, Default, Clone)]
struct Took {
    sounds: usize,
    onset: Vec<f64>,
    median: Vec<f64>,
    late: Vec<f64>,
}

impl Took {
    fn add(&mut self, other: Took) {
        self.sounds += other.sounds;
        self.onset.extend(other.onset);
        self.median.extend(other.median);
        self.late.extend(other.late);
    }
}

fn at(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(((values.len().saturating_sub(1)) as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
}

/// What a stream said.
#[derive(Default)]
struct Heard {
    /// Label and onset in seconds of each event.
    events: HashMap<u64, (String, f64)>,
    /// The events of a caption whose buffer has not come yet.
    next: Vec<u64>,
    /// When the caption of an event came.
    told: Vec<(u64, Instant)>,
}

fn listen(properties: &str, mut sound: Endless, begin: Instant, seconds: u64) -> Result<Took, Failure> {
    let line = format!(
        "appsrc name=in format=time is-live=true caps=audio/x-raw,format=F32LE,layout=interleaved,channels=1,rate={RATE} \
         ! melspec ! m2dencode workers=1 ! clapmatch labels=\"dog barking;applause;rain\" \
         ! llmcaption name=caption {properties} ! text/x-raw ! fakesink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&line)?.downcast::<gst::Pipeline>().map_err(|_| "no pipeline")?;
    let by_name = |name: &str| pipeline.by_name(name).ok_or("no such element");
    let heard = Arc::new(Mutex::new(Heard::default()));
    let (end, ended) = mpsc::channel();
    let noted = heard.clone();
    pipeline.bus().ok_or("no bus")?.set_sync_handler(move |_, message| {
        if let Ok(mut heard) = noted.lock() {
            note(&mut heard, message);
        }
        if matches!(message.view(), gst::MessageView::Eos(_) | gst::MessageView::Error(_)) {
            // Only the first is waited for.
            let _ = end.send(format!("{message:?}"));
        }
        gst::BusSyncReply::Drop
    });
    let seen = heard.clone();
    by_name("out")?.static_pad("sink").ok_or("no pad")?.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        if let Ok(mut heard) = seen.lock() {
            let ids = std::mem::take(&mut heard.next);
            heard.told.extend(ids.into_iter().map(|id| (id, Instant::now())));
        }
        gst::PadProbeReturn::Ok
    });
    let source = by_name("in")?.downcast::<gst_app::AppSrc>().map_err(|_| "no appsrc")?;
    pipeline.set_state(gst::State::Playing)?;
    let time = |cut: u64| Duration::from_nanos(cut * 20_000_000);
    for cut in 0..seconds * 50 {
        // A microphone gives a buffer once its last sample was there.
        std::thread::sleep((begin + time(cut + 1)).saturating_duration_since(Instant::now()));
        let mut buffer = gst::Buffer::from_mut_slice(sound.next(CUT));
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(gst::ClockTime::try_from(time(cut))?);
            buffer.set_duration(gst::ClockTime::from_mseconds(20));
        }
        source.push_buffer(buffer)?;
    }
    // What ends with the stream was not waited for as in a stream that goes on.
    let cut_off = Instant::now();
    source.end_of_stream()?;
    let last = ended.recv_timeout(Duration::from_secs(60))?;
    if last.contains("Error") {
        return Err(last.into());
    }
    let stats = by_name("caption")?.property::<gst::Structure>("stats");
    pipeline.set_state(gst::State::Null)?;
    let heard = heard.lock().map_err(|_| "a handler panicked")?;
    let mut took = Took { sounds: sound.begun.len(), ..Took::default() };
    for (onset, label) in &sound.begun {
        let is_it = |(found, at): &(String, f64)| found == label && (at - onset).abs() < NEAR;
        let first = heard.told.iter().find(|(id, _)| heard.events.get(id).is_some_and(is_it));
        let Some((_, told)) = first.filter(|(_, told)| *told < cut_off) else { continue };
        took.onset.push((*told - begin).as_secs_f64() - onset);
    }
    took.median.push(stats.get::<u64>("time-p50")? as f64 / 1e6);
    took.late.push(stats.get::<u64>("time-p99")? as f64 / 1e6);
    Ok(took)
}

fn note(heard: &mut Heard, message: &gst::Message) {
    let gst::MessageView::Element(element) = message.view() else { return };
    let Some(structure) = element.structure() else { return };
    let Ok(id) = structure.get::<u64>("id") else { return };
    match structure.name().as_str() {
        "audio-event" => {
            let label = structure.get::<String>("label").unwrap_or_default();
            let onset =
                structure.get::<gst::ClockTime>("onset").map_or(f64::NAN, |t| t.nseconds() as f64 / 1e9);
            heard.events.insert(id, (label, onset));
        }
        "caption" => {
            if let Ok(ids) = structure.get::<glib::ValueArray>("events") {
                heard.next.extend(ids.iter().filter_map(|id| id.get::<u64>().ok()));
            }
        }
        _ => {}
    }
}
