//! What the tests of m2dencode share: frames, a harness, and an encoder that does as it is told.
#![allow(dead_code, reason = "each test file takes what it needs")]

pub mod chunks;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gst::prelude::*;
use gst_check::Harness;
use gst_listen_common::caps::{MelCaps, MelFormat};
use gst_listen_m2dencode::M2dEncode;
use gst_listen_m2dencode::engine::{Open, Windows};
use listen_encoder::{Embedding, WindowJob};
use listen_features::FrontEnd;
use listen_runtime::{Engine, EngineOptions, Model, Provider, RuntimeError};

/// Frames in a window of `tiny-frames`, and from one to the next.
pub const WINDOW: u64 = 64;
pub const HOP: u64 = 32;
/// Its bands, and values of its embeddings.
pub const BANDS: usize = 64;
pub const DIM: usize = 16;
/// Long enough for anything that is not stuck.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The folder of a tiny package.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/package/fixtures").join(name)
}

/// A copy of a tiny package with its manifest changed.
pub fn changed(name: &str, change: impl FnOnce(&mut serde_json::Value)) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder(name)).unwrap() {
        let file = file.unwrap().path();
        std::fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
    }
    let path = copy.path().join("manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    std::fs::write(&path, manifest.to_string()).unwrap();
    copy
}

pub fn mel_caps(channel: i32) -> gst::Caps {
    MelCaps { format: MelFormat::new(FrontEnd::byol_a()), channel }.to_caps()
}

/// The time of a frame.
pub fn time(frame: u64) -> gst::ClockTime {
    gst::ClockTime::from_mseconds(frame * 10)
}

/// A buffer of `frames` frames that begins with frame `first`.
pub fn frames(first: u64, frames: u64) -> gst::Buffer {
    values(first, frames, |frame, band| (frame as f32 * 0.37).sin() * 3.0 - 6.0 + band as f32 * 0.05)
}

/// Frames that are nearly silent.
pub fn quiet(first: u64, frames: u64) -> gst::Buffer {
    values(first, frames, |_, _| -15.0)
}

fn values(first: u64, frames: u64, value: impl Fn(u64, usize) -> f32) -> gst::Buffer {
    let frames = first..first + frames;
    let all = frames.flat_map(|frame| (0..BANDS).map(move |band| (frame, band)));
    let bytes: Vec<u8> = all.flat_map(|(frame, band)| value(frame, band).to_le_bytes()).collect();
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    buffer.get_mut().unwrap().set_pts(time(first));
    buffer
}

/// An encoder that gives each window's first frame and number of real frames, when it is allowed to.
pub struct Fake {
    started: Sender<u64>,
    /// One for each run; `None`: it runs at once.
    permits: Option<Arc<Mutex<Receiver<Permit>>>>,
}

/// What a run comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    Run,
    Fail,
}

/// The test's side of a [`Fake`].
pub struct Control {
    /// The first frames of windows whose runs have begun.
    pub started: Receiver<u64>,
    pub permits: Sender<Permit>,
    pub open: Open,
}

impl Model for Fake {
    type Input = WindowJob;
    type Output = Embedding;

    fn run(&mut self, batch: &mut Vec<WindowJob>) -> Vec<Result<Embedding, RuntimeError>> {
        let run = |job: WindowJob| {
            // A test that has ended listens no more.
            let _ = self.started.send(job.start_frame);
            let permit = match &self.permits {
                Some(permits) => permits.lock().unwrap().recv().unwrap_or(Permit::Run),
                None => Permit::Run,
            };
            if permit == Permit::Fail {
                return Err(RuntimeError::Run { reason: "told to fail".into() });
            }
            let mut data = vec![0.0; DIM];
            (data[0], data[1]) = (job.start_frame as f32, job.valid_frames as f32);
            Ok(Embedding {
                rows: 1,
                dim: DIM,
                data,
                start_frame: job.start_frame,
                frames: job.valid_frames,
                frames_per_step: 0,
                rows_per_step: 1,
                window_start: job.start_frame,
                valid_frames: job.valid_frames,
                last: job.last,
                level_db: job.level_db,
                strengths: Vec::new(),
                provider: Provider::Cpu,
                scores: None,
                stream: 0,
            })
        };
        batch.drain(..).map(run).collect()
    }
}

/// One engine for all elements that are given its `open`.
fn fake(permitted: bool) -> Control {
    let (started, starts) = channel();
    let (permits, allowed) = channel();
    let allowed = permitted.then(|| Arc::new(Mutex::new(allowed)));
    let engine = Engine::new(EngineOptions { workers: 1, queue: 64 }, move |_| {
        Ok(Fake { started: started.clone(), permits: allowed.clone() })
    });
    let engine = engine.unwrap();
    let open: Open = Arc::new(move |_, _| {
        let client: Arc<dyn Windows> = Arc::new(engine.client());
        Ok(client)
    });
    Control { started: starts, permits, open }
}

/// An encoder that runs at once.
pub fn instant() -> Control {
    fake(false)
}

/// An encoder that waits for a permit for each window.
pub fn permitted() -> Control {
    fake(true)
}

pub fn element(open: Option<&Open>) -> M2dEncode {
    gst::init().unwrap();
    let element: M2dEncode = gst::glib::Object::new();
    element.set_model(folder("tiny-frames").to_str());
    if let Some(open) = open {
        element.set_opener(Arc::clone(open));
    }
    element
}

/// A harness around one element with `tiny-frames`, fed with its mel; `live` as upstream says.
pub fn harness(open: &Open, live: bool, settings: impl FnOnce(&M2dEncode)) -> (Harness, gst::Bus) {
    harness_of("tiny-frames", open, live, settings)
}

/// The same with another package of the same mel.
pub fn harness_of(
    package: &str,
    open: &Open,
    live: bool,
    settings: impl FnOnce(&M2dEncode),
) -> (Harness, gst::Bus) {
    let element = element(Some(open));
    element.set_model(folder(package).to_str());
    settings(&element);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_live(live);
    wait_for_load(&bus);
    h.set_src_caps(mel_caps(-1));
    (h, bus)
}

/// Waits until the graphs are loaded.
pub fn wait_for_load(bus: &gst::Bus) {
    loop {
        let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Progress]);
        let message = message.expect("an end of loading");
        let gst::MessageView::Progress(progress) = message.view() else { unreachable!() };
        if progress.get().0 != gst::ProgressType::Start {
            return;
        }
    }
}

/// Ends the stream and gives all that came out of it.
pub fn finish(h: &mut Harness) -> Vec<gst::Buffer> {
    assert!(h.push_event(gst::event::Eos::new()));
    until_eos(h);
    rest(h)
}

/// The events until EOS.
pub fn until_eos(h: &mut Harness) -> Vec<gst::Event> {
    let mut events = Vec::new();
    loop {
        let event = h.pull_event().expect("an event");
        let eos = event.type_() == gst::EventType::Eos;
        events.push(event);
        if eos {
            return events;
        }
    }
}

/// The buffers that have come out.
pub fn rest(h: &mut Harness) -> Vec<gst::Buffer> {
    std::iter::from_fn(|| h.try_pull()).collect()
}

/// The values of a buffer.
pub fn row(buffer: &gst::Buffer) -> Vec<f32> {
    let map = buffer.map_readable().unwrap();
    map.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// First frame and number of real frames of each window, as [`Fake`] gives them.
pub fn windows(buffers: &[gst::Buffer]) -> Vec<(u64, u64)> {
    buffers.iter().map(row).map(|row| (row[0] as u64, row[1] as u64)).collect()
}

/// Whether each buffer follows on a hole.
pub fn disconts(buffers: &[gst::Buffer]) -> Vec<bool> {
    buffers.iter().map(|buffer| buffer.flags().contains(gst::BufferFlags::DISCONT)).collect()
}

/// The times of the GAP events among `events` that are not of no length.
pub fn gaps(events: &[gst::Event]) -> Vec<(gst::ClockTime, gst::ClockTime)> {
    let gap = |event: &gst::Event| match event.view() {
        gst::EventView::Gap(gap) => {
            gap.get().1.filter(|d| !d.is_zero()).map(|duration| (gap.get().0, duration))
        }
        _ => None,
    };
    events.iter().filter_map(gap).collect()
}

/// What the element has counted: `[in, out, dropped, gated, flushed, lost, pending]`; they always add up.
pub fn counts(element: &impl IsA<gst::Element>) -> [u64; 7] {
    let stats = element.upcast_ref().property::<gst::Structure>("stats");
    let fields = ["in", "out", "dropped", "gated", "flushed", "lost-loading", "pending"];
    let counts = fields.map(|field| stats.get::<u64>(field).unwrap());
    assert_eq!(counts[0], counts[1..].iter().sum::<u64>(), "{stats}");
    counts
}

/// What an error on the bus says.
pub fn error(bus: &gst::Bus) -> String {
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Error]);
    match message.expect("an error").view() {
        gst::MessageView::Error(error) => format!("{} {:?}", error.error(), error.debug()),
        _ => unreachable!(),
    }
}
