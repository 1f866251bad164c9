//! What the tests of listenbin share: sounds, an encoder that does as it is told, and a look at what comes out.
#![allow(dead_code, reason = "each test file takes what it needs")]

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use gst::glib;
use gst::prelude::*;
use gst_check::Harness;
use gst_listen_clapmatch::ClapMatch;
use gst_listen_listenbin::ListenBin;
use gst_listen_m2dencode::M2dEncode;
use gst_listen_m2dencode::engine::{Open, Windows};
use listen_encoder::{Embedding, WindowJob};
use listen_package::Package;
use listen_runtime::{Engine, EngineOptions, Model, RuntimeError};

/// Samples per second in most tests: not the model's, so that the branch must convert.
pub const RATE: u32 = 32_000;
/// Long enough for anything that is not stuck.
pub const PATIENCE: gst::ClockTime = gst::ClockTime::from_seconds(60);

pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/package/fixtures").join(name)
}

/// A listenbin for the small package with a table of labels; `encoder` takes the place of ONNX Runtime.
pub fn listenbin(encoder: &Encoder, properties: &[(&str, &str)]) -> ListenBin {
    gst::init().unwrap();
    let bin: ListenBin = glib::Object::new();
    bin.set_property("model", folder("tiny-frames").to_str().unwrap());
    bin.set_property("labels", "low tone;high tone");
    for (name, value) in properties {
        bin.set_property_from_str(name, value);
    }
    let open = encoder.open.clone();
    bin.connect_deep_element_added(move |_, _, element| {
        if let Some(encode) = element.downcast_ref::<M2dEncode>() {
            encode.set_opener(open.clone());
        }
    });
    bin
}

/// What an encoder does with a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    Run,
    Fail,
}

/// An encoder that hears a low tone in whatever is not silent.
pub struct Encoder {
    pub open: Open,
    /// One for each window that it may encode.
    pub permits: Sender<Permit>,
}

struct Fake {
    low: Vec<f32>,
    silence: Vec<f32>,
    permits: Option<Arc<Mutex<Receiver<Permit>>>>,
}

impl Model for Fake {
    type Input = WindowJob;
    type Output = Embedding;

    fn run(&mut self, batch: &mut Vec<WindowJob>) -> Vec<Result<Embedding, RuntimeError>> {
        let run = |job: WindowJob| {
            let permit = match &self.permits {
                // Once the test has ended everything runs.
                Some(permits) => permits.lock().unwrap().recv().unwrap_or(Permit::Run),
                None => Permit::Run,
            };
            if permit == Permit::Fail {
                return Err(RuntimeError::Run { reason: "told to fail".into() });
            }
            let data = if job.level_db > -60.0 { self.low.clone() } else { self.silence.clone() };
            Ok(Embedding {
                rows: 1,
                dim: data.len(),
                data,
                start_frame: job.start_frame,
                frames: job.valid_frames,
                frames_per_step: 0,
                rows_per_step: 1,
                window_start: job.start_frame,
                valid_frames: job.valid_frames,
                last: job.last,
                stream: 0,
                level_db: job.level_db,
                strengths: Vec::new(),
                scores: None,
                provider: listen_runtime::Provider::Cpu,
            })
        };
        batch.drain(..).map(run).collect()
    }
}

/// An encoder that runs at once, or only with permits.
pub fn encoder(permitted: bool) -> Encoder {
    gst::init().unwrap();
    let package = Package::open(&folder("tiny-frames"), false).unwrap();
    let (low, silence) = (embedding(&package, "low tone"), embedding(&package, "silence"));
    let (permits, allowed) = channel();
    let allowed = permitted.then(|| Arc::new(Mutex::new(allowed)));
    let engine = Engine::new(EngineOptions { workers: 1, queue: 64 }, move |_| {
        Ok(Fake { low: low.clone(), silence: silence.clone(), permits: allowed.clone() })
    })
    .unwrap();
    let open: Open = Arc::new(move |_, _| {
        let client: Arc<dyn Windows> = Arc::new(engine.client());
        Ok(client)
    });
    Encoder { open, permits }
}

fn embedding(package: &Package, label: &str) -> Vec<f32> {
    let table = package.manifest().label_embeddings.as_ref().unwrap();
    let (shape, data) = package.tensor_f32(&table.file, "embeddings").unwrap();
    let row = table.labels.iter().position(|have| have == label).unwrap();
    data[row * shape[1]..(row + 1) * shape[1]].to_vec()
}

pub fn audio_caps(channels: u32) -> gst::Caps {
    gst_audio::AudioInfo::builder(gst_audio::AudioFormat::S16le, RATE, channels)
        .build()
        .unwrap()
        .to_caps()
        .unwrap()
}

/// 100 ms, buffer `number` of a stream, one tone per channel (0 Hz: silence).
pub fn tones(number: u64, hertz: &[f64]) -> gst::Buffer {
    let length = u64::from(RATE) / 10;
    let samples = (number * length..(number + 1) * length).flat_map(|sample| {
        let t = sample as f64 / f64::from(RATE);
        hertz.iter().map(move |f| ((t * f * std::f64::consts::TAU).sin() * 8_000.0) as i16)
    });
    let bytes: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    let writable = buffer.get_mut().unwrap();
    writable.set_pts(gst::ClockTime::from_mseconds(100 * number));
    writable.set_duration(gst::ClockTime::from_mseconds(100));
    buffer
}

/// A harness around the bin's audio; it is live, unless `live` says otherwise.
pub fn harness(bin: &ListenBin, live: bool) -> (Harness, gst::Bus) {
    let bus = gst::Bus::new();
    bin.set_bus(Some(&bus));
    if !live {
        let pad = bin.static_pad("sink").unwrap();
        pad.add_probe(gst::PadProbeType::QUERY_UPSTREAM, |_, info| {
            match info.query_mut().map(|q| q.view_mut()) {
                Some(gst::QueryViewMut::Latency(latency)) => {
                    latency.set(false, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                    gst::PadProbeReturn::Handled
                }
                _ => gst::PadProbeReturn::Ok,
            }
        });
    }
    (Harness::with_element(bin, Some("sink"), Some("src")), bus)
}

/// An element inside of the bin, by the beginning of its name.
pub fn inside(bin: &ListenBin, name: &str) -> gst::Element {
    let mut all = bin.iterate_elements().into_iter().filter_map(Result::ok);
    all.find(|element| element.name().starts_with(name)).unwrap_or_else(|| panic!("no {name} in the bin"))
}

pub fn matcher(bin: &ListenBin) -> ClapMatch {
    inside(bin, "clapmatch").downcast().unwrap()
}

/// Everything that is on the bus.
pub fn drain(bus: &gst::Bus) -> Vec<gst::Message> {
    bus.iter().collect()
}

/// The text of the first error or warning among messages.
pub fn complaint(messages: &[gst::Message]) -> Option<String> {
    messages.iter().find_map(|message| match message.view() {
        gst::MessageView::Error(error) => Some(format!("error: {}", error.error())),
        gst::MessageView::Warning(warning) => Some(format!("warning: {}", warning.error())),
        _ => None,
    })
}

/// `start low tone 0` (type, label, channel) of the event messages among others.
pub fn events(messages: &[gst::Message]) -> Vec<String> {
    let messages = messages.iter().filter_map(|message| {
        let structure = message.structure().filter(|s| s.name() == "audio-event")?;
        let (kind, label) = (structure.get::<&str>("type").unwrap(), structure.get::<&str>("label").unwrap());
        Some(format!("{kind} {label} {}", structure.get::<i32>("channel").unwrap()))
    });
    messages.collect()
}

/// `source ! bin ! fakesink` in a pipeline.
pub fn pipeline(source: &str, bin: &ListenBin) -> gst::Pipeline {
    let source = gst::parse::bin_from_description(source, true).unwrap();
    let sink = gst::ElementFactory::make("fakesink").build().unwrap();
    let pipeline = gst::Pipeline::new();
    pipeline.add_many([source.upcast_ref(), bin.upcast_ref::<gst::Element>(), &sink]).unwrap();
    gst::Element::link_many([source.upcast_ref(), bin.upcast_ref::<gst::Element>(), &sink]).unwrap();
    pipeline
}

/// 20 s of a low tone in two channels.
pub const TONE: &str = "audiotestsrc num-buffers=400 samplesperbuffer=1600 freq=440 ! capsfilter caps=audio/x-raw,rate=32000,channels=2";

/// Waits for what other threads do.
pub fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..6_000 {
        if condition() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("it never came to be");
}

/// Runs a pipeline to its end; what was on the bus.
pub fn play(pipeline: &gst::Pipeline) -> Vec<gst::Message> {
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut messages = Vec::new();
    loop {
        let message = bus.timed_pop(PATIENCE).expect("it comes to its end");
        let (done, failed) =
            (message.type_() == gst::MessageType::Eos, message.type_() == gst::MessageType::Error);
        assert!(!failed, "{message:?}");
        messages.push(message);
        if done {
            return messages;
        }
    }
}

/// A number in `stats`.
pub fn stat(bin: &ListenBin, field: &str) -> u64 {
    bin.property::<gst::Structure>("stats").get(field).unwrap()
}

/// A number in the statistics of the first element of a kind inside.
pub fn stat_of(bin: &ListenBin, element: &str, field: &str) -> u64 {
    let stats = bin.property::<gst::Structure>("stats");
    let inside = stats.get::<glib::ValueArray>(element).unwrap();
    inside[0].get::<gst::Structure>().unwrap().get(field).unwrap()
}
