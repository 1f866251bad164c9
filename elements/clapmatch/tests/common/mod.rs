//! A clapmatch with the embeddings of labels as sounds: what is pushed as "low tone" is heard as "low tone".
#![allow(dead_code, reason = "each test file uses its part")]

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use gst::prelude::*;
use gst_check::Harness;
use gst_listen_clapmatch::ClapMatch;
use gst_listen_common::caps::{EmbeddingCaps, EmbeddingKind};
use listen_package::{Output, Package};

/// Hop of the windows that [`Bench::hear`] pushes.
pub const HOP: gst::ClockTime = gst::ClockTime::from_seconds(1);
/// Their length.
pub const WINDOW: gst::ClockTime = gst::ClockTime::from_seconds(2);

pub fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models/package/fixtures").join(name)
}

/// A package with a table of labels: no ONNX Runtime is needed to embed them.
pub fn tiny_clip() -> Arc<Package> {
    Package::open(&folder("tiny-clip"), true).unwrap()
}

/// Seconds as a time.
pub fn s(seconds: f64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds((seconds * 1e9).round() as u64)
}

/// A harness around one clapmatch, and the messages that it posts.
pub struct Bench {
    pub h: Harness,
    pub element: ClapMatch,
    pub bus: gst::Bus,
    pub package: Arc<Package>,
    /// Windows pushed.
    pub count: u64,
    /// Messages that were taken from the bus and not looked at yet.
    kept: RefCell<Vec<gst::Message>>,
}

impl Bench {
    /// Not live, downstream takes `sink`; `properties` as in gst-launch.
    pub fn new(sink: &str, properties: &[(&str, &str)]) -> Bench {
        Bench::of(tiny_clip(), Output::Clip, sink, properties)
    }

    pub fn of(package: Arc<Package>, output: Output, sink: &str, properties: &[(&str, &str)]) -> Bench {
        gst::init().unwrap();
        let element: ClapMatch = gst::glib::Object::new();
        for (name, value) in properties {
            element.set_property_from_str(name, value);
        }
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        not_live(&element);
        let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
        h.set_sink_caps(sink.parse().unwrap());
        h.set_src_caps(caps(&package, output).to_caps());
        Bench { h, element, bus, package, count: 0, kept: RefCell::default() }
    }

    /// Pushes one window a second that sounds like each of `labels`.
    pub fn hear(&mut self, labels: &[&str]) {
        for label in labels {
            let buffer = self.window(label, HOP * self.count);
            self.count += 1;
            self.h.push(buffer).unwrap();
        }
    }

    /// A window that sounds like a label of the package's table.
    pub fn window(&self, label: &str, pts: gst::ClockTime) -> gst::Buffer {
        buffer(&embedding(&self.package, label), pts, WINDOW)
    }

    pub fn eos(&mut self) {
        assert!(self.h.push_event(gst::event::Eos::new()));
    }

    /// The lines that came out since the last call.
    pub fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(buffer) = self.h.try_pull() {
            let map = buffer.map_readable().unwrap();
            let text = std::str::from_utf8(&map).unwrap();
            lines.push(text.strip_suffix('\n').expect("a line ends with a newline").to_owned());
        }
        lines
    }

    pub fn json(&mut self) -> Vec<serde_json::Value> {
        self.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The structures of the element messages posted since the last call.
    pub fn messages(&self, name: &str) -> Vec<gst::Structure> {
        self.collect();
        let all =
            self.kept.take().into_iter().filter_map(|message| message.structure().map(|s| s.to_owned()));
        all.filter(|structure| structure.name() == name).collect()
    }

    fn collect(&self) {
        self.kept
            .borrow_mut()
            .extend(std::iter::from_fn(|| self.bus.pop_filtered(&[gst::MessageType::Element])));
    }

    /// How often another list of labels has taken effect since the last call of [`Bench::messages`].
    fn label_changes(&self) -> usize {
        self.collect();
        let kept = self.kept.borrow();
        kept.iter()
            .filter(|message| message.structure().is_some_and(|s| s.name() == "labels-changed"))
            .count()
    }

    /// `start low tone 0.0-2.0` of each event message since the last call.
    pub fn events(&self) -> Vec<String> {
        self.messages("audio-event").iter().map(|event| told(event)).collect()
    }

    /// The text of the first warning or error that is on the bus.
    pub fn complaint(&self) -> Option<(gst::MessageType, String)> {
        let message = self.bus.pop_filtered(&[gst::MessageType::Warning, gst::MessageType::Error])?;
        let text = match message.view() {
            gst::MessageView::Warning(warning) => warning.error().to_string(),
            gst::MessageView::Error(error) => error.error().to_string(),
            _ => unreachable!(),
        };
        Some((message.type_(), text))
    }

    /// Waits for a message, as the label thread posts or causes it.
    pub fn wait_for(&self, kind: gst::MessageType) -> gst::Message {
        self.bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &[kind]).expect("it comes")
    }

    /// Sets a property and hears windows until another list has taken effect.
    pub fn hear_while_setting(&mut self, label: &str, property: &str, value: &str) {
        let before = self.label_changes();
        self.element.set_property(property, value);
        for _ in 0..6_000 {
            self.hear(&[label]);
            if self.label_changes() > before {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("the labels never changed");
    }
}

pub fn told(event: &gst::StructureRef) -> String {
    let time = |field| event.get::<gst::ClockTime>(field).unwrap();
    let seconds = |time: gst::ClockTime| time.nseconds() as f64 / 1e9;
    let (kind, label) = (event.get::<&str>("type").unwrap(), event.get::<&str>("label").unwrap());
    let end = time("onset") + time("duration");
    format!("{kind} {label} {:.1}-{:.1}", seconds(time("onset")), seconds(end))
}

pub fn caps(package: &Package, output: Output) -> EmbeddingCaps {
    EmbeddingCaps {
        kind: EmbeddingKind::Embedding,
        dim: package.manifest().clap.as_ref().map_or(5, |clap| clap.dim),
        space: package.space().to_owned(),
        output,
        step: (output != Output::Clip).then_some(100_000_000),
        rows_per_step: 1,
        channel: -1,
    }
}

/// The table's embedding of a label.
pub fn embedding(package: &Package, label: &str) -> Vec<f32> {
    let table = package.manifest().label_embeddings.as_ref().unwrap();
    let (shape, data) = package.tensor_f32(&table.file, "embeddings").unwrap();
    let row = table.labels.iter().position(|have| have == label).unwrap();
    data[row * shape[1]..(row + 1) * shape[1]].to_vec()
}

pub fn buffer(values: &[f32], pts: gst::ClockTime, duration: gst::ClockTime) -> gst::Buffer {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    let writable = buffer.get_mut().unwrap();
    writable.set_pts(pts);
    writable.set_duration(duration);
    buffer
}

/// A harness says that it is live; a file does not.
pub fn not_live(element: &ClapMatch) {
    let pad = element.static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::QUERY_UPSTREAM | gst::PadProbeType::PUSH, |_, info| {
        match info.query_mut() {
            Some(query) => match query.view_mut() {
                gst::QueryViewMut::Latency(latency) => {
                    latency.set(false, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                    gst::PadProbeReturn::Handled
                }
                _ => gst::PadProbeReturn::Ok,
            },
            None => gst::PadProbeReturn::Ok,
        }
    });
}
