//! A llmcaption that hears lines of JSON, and what comes out of it.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod embeddings;
pub mod server;

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst_check::Harness;
use gst_listen_common::labels::{self, Listened};
use gst_listen_llmcaption::{LlmCaption, Opened};
use listen_captioner::{
    Backend, Cancel, CaptionError, Captioner, Catalogue, Finish, Progress, Reply, Request, Template,
};
use serde_json::{Value, json};

/// Seconds as a time.
pub fn s(seconds: f64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds((seconds * 1e9).round() as u64)
}

/// A caption as it came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Caption {
    pub pts: f64,
    pub duration: f64,
    pub text: String,
}

/// A harness around one llmcaption that takes lines, and the messages that it posts.
pub struct Bench {
    pub h: Harness,
    pub element: LlmCaption,
    pub bus: gst::Bus,
}

impl Bench {
    /// Not live; `properties` as in gst-launch.
    pub fn new(properties: &[(&str, &str)]) -> Bench {
        Bench::of(properties, false, |_| {})
    }

    /// With another backend.
    pub fn with(properties: &[(&str, &str)], live: bool, writes: impl Captioner + Clone + 'static) -> Bench {
        Bench::of(properties, live, |element| opens(element, writes))
    }

    pub fn of(properties: &[(&str, &str)], live: bool, set_up: impl FnOnce(&LlmCaption)) -> Bench {
        gst::init().unwrap();
        let element: LlmCaption = glib::Object::new();
        for (name, value) in properties {
            element.set_property_from_str(name, value);
        }
        set_up(&element);
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        upstream(&element, live);
        let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
        h.set_sink_caps("text/x-raw,format=utf8".parse().unwrap());
        h.set_src_caps("application/x-json,format=audio-events".parse().unwrap());
        Bench { h, element, bus }
    }

    /// One line at the time at which its window becomes known.
    pub fn hear(&mut self, line: &str, pts: f64) {
        self.h.push(buffer(line, s(pts))).unwrap();
    }

    /// An event from `onset` to `offset`: its start, its end, and a GAP up to its end each.
    pub fn event(&mut self, id: u64, label: &str, onset: f64, offset: f64) {
        self.hear(&start(id, label, onset, onset + 0.5), onset);
        self.hear(&end(id, label, onset, offset), offset);
        self.gap(offset, offset + 0.1);
    }

    pub fn gap(&mut self, from: f64, to: f64) {
        let gap = gst::event::Gap::builder(s(from)).duration(s(to) - s(from)).build();
        assert!(self.h.push_event(gap));
    }

    /// Ends the stream, and waits until that has gone through.
    pub fn eos(&mut self) {
        assert!(self.h.push_event(gst::event::Eos::new()));
        self.wait_for_event(gst::EventType::Eos);
    }

    pub fn wait_for_event(&mut self, kind: gst::EventType) -> gst::Event {
        for _ in 0..6_000 {
            while let Some(event) = self.h.try_pull_event() {
                if event.type_() == kind {
                    return event;
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no {kind:?} came");
    }

    /// The captions that came out since the last call.
    pub fn captions(&mut self) -> Vec<Caption> {
        std::iter::from_fn(|| self.h.try_pull()).map(|buffer| read(&buffer)).collect()
    }

    /// Waits for one.
    pub fn caption(&mut self) -> Caption {
        for _ in 0..6_000 {
            if let Some(buffer) = self.h.try_pull() {
                return read(&buffer);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no caption came");
    }

    /// The texts and details of the warnings that are on the bus.
    pub fn warnings(&self) -> Vec<(String, gst::Structure)> {
        let all = std::iter::from_fn(|| self.bus.pop_filtered(&[gst::MessageType::Warning]));
        let told = |message: gst::Message| match message.view() {
            gst::MessageView::Warning(warning) => {
                Some((warning.error().to_string(), warning.details().map(|d| d.to_owned())?))
            }
            _ => None,
        };
        all.filter_map(told).collect()
    }

    /// The structures of the element messages of this name that are on the bus; others are left out.
    pub fn messages(&self, name: &str) -> Vec<gst::Structure> {
        let all = std::iter::from_fn(|| self.bus.pop_filtered(&[gst::MessageType::Element]));
        let all = all.filter_map(|message| message.structure().map(|s| s.to_owned()));
        all.filter(|structure| structure.name() == name).collect()
    }

    /// Waits for a message.
    pub fn message(&self, name: &str) -> gst::Structure {
        loop {
            let timeout = gst::ClockTime::from_seconds(30);
            let message = self.bus.timed_pop_filtered(timeout, &[gst::MessageType::Element]);
            let message = message.unwrap_or_else(|| panic!("no {name} came"));
            if let Some(structure) = message.structure().filter(|s| s.name() == name) {
                return structure.to_owned();
            }
        }
    }

    pub fn stat(&self, name: &str) -> u64 {
        self.element.property::<gst::Structure>("stats").get(name).unwrap()
    }

    pub fn ask(&self, question: &str, look_back: f64) -> u64 {
        self.element.emit_by_name::<u64>("ask", &[&question, &s(look_back).nseconds()])
    }
}

/// The ids of the events that a caption tells of.
pub fn ids(caption: &gst::StructureRef) -> Vec<u64> {
    let ids = caption.get::<glib::ValueArray>("events").unwrap();
    ids.iter().map(|id| id.get::<u64>().unwrap()).collect()
}

fn read(buffer: &gst::Buffer) -> Caption {
    let map = buffer.map_readable().unwrap();
    let seconds = |time: Option<gst::ClockTime>| time.unwrap().nseconds() as f64 / 1e9;
    Caption {
        pts: seconds(buffer.pts()),
        duration: seconds(buffer.duration()),
        text: std::str::from_utf8(&map).unwrap().to_owned(),
    }
}

pub fn buffer(line: &str, pts: gst::ClockTime) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(line.as_bytes().to_vec());
    buffer.get_mut().unwrap().set_pts(pts);
    buffer
}

/// The line of an event that begins; `at` is the end of the window that it was heard in.
pub fn start(id: u64, label: &str, onset: f64, at: f64) -> String {
    line("start", id, label, onset, at, Value::Null)
}

/// The line of one that ends.
pub fn end(id: u64, label: &str, onset: f64, offset: f64) -> String {
    line("end", id, label, onset, offset, json!(s(offset).nseconds()))
}

fn line(kind: &str, id: u64, label: &str, onset: f64, end: f64, offset: Value) -> String {
    let (start, end) = (s(onset).nseconds(), s(end).nseconds());
    let mut event = json!({
        "type": kind, "id": id, "event_type": label, "label": label, "channel": -1,
        "start_timestamp": start, "end_timestamp": end, "onset": start, "offset": offset,
        "running_time": start, "stream_time": start, "score": 0.8, "peak_score": 0.9,
        "detection": {"segment": {"start_timestamp": start, "end_timestamp": end}, "confidence": 0.9,
                      "label_id": 1, "label": label},
    });
    if kind == "end" {
        event["reason"] = json!("quiet");
    }
    json!({"channels": 1, "events": [event]}).to_string() + "\n"
}

/// A harness says that it is live; a file does not.
pub fn upstream(element: &LlmCaption, live: bool) {
    let pad = element.static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::QUERY_UPSTREAM | gst::PadProbeType::PUSH, move |_, info| {
        let Some(query) = info.query_mut() else { return gst::PadProbeReturn::Ok };
        match query.view_mut() {
            gst::QueryViewMut::Latency(latency) => {
                latency.set(live, s(0.3), gst::ClockTime::NONE);
                gst::PadProbeReturn::Handled
            }
            _ => gst::PadProbeReturn::Ok,
        }
    });
}

/// Upstream listens for these labels, and says so who asks.
pub fn listens_for(element: &LlmCaption, labels: &[(&str, &str)]) {
    let listened = |(label, german): &(&str, &str)| Listened {
        label: (*label).into(),
        names: [("de".to_owned(), (*german).to_owned())].into(),
    };
    let labels: Vec<Listened> = labels.iter().map(listened).collect();
    let pad = element.static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::QUERY_UPSTREAM | gst::PadProbeType::PUSH, move |_, info| {
        match info.query_mut().map(|query| query.view_mut()) {
            Some(gst::QueryViewMut::Custom(query)) if labels::is_asked(query) => {
                labels::answer(query, labels.clone());
                gst::PadProbeReturn::Handled
            }
            _ => gst::PadProbeReturn::Ok,
        }
    });
}

/// Puts a backend in the place of those that the properties name.
pub fn opens(element: &LlmCaption, writes: impl Captioner + Clone + 'static) {
    let writes = Mutex::new(writes);
    element.set_opener(Arc::new(move |_| {
        let template = Template::new(Catalogue::of("en").unwrap());
        let captioner = Box::new(writes.lock().unwrap().clone());
        Ok(Opened { captioner, template: Box::new(template), note: None })
    }));
}

/// A backend that writes nothing until it is let.
#[derive(Clone, Default)]
pub struct Slow {
    inner: Arc<(Mutex<Held>, Condvar)>,
}

#[derive(Default)]
struct Held {
    /// Requests that may be answered.
    let_go: usize,
    /// Requests that came.
    came: usize,
    cancelled: usize,
}

impl Slow {
    pub fn let_go(&self, requests: usize) {
        self.inner.0.lock().unwrap().let_go += requests;
        self.inner.1.notify_all();
    }

    /// Waits until so many requests came.
    pub fn wait_for(&self, requests: usize) {
        let mut held = self.inner.0.lock().unwrap();
        while held.came < requests {
            let (now, over) = self.inner.1.wait_timeout(held, Duration::from_secs(30)).unwrap();
            assert!(!over.timed_out(), "{} requests came, expected {requests}", now.came);
            held = now;
        }
    }

    /// Waits until so many requests were given up.
    pub fn wait_for_cancelled(&self, requests: usize) {
        for _ in 0..6_000 {
            if self.cancelled() >= requests {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("{} requests were given up, expected {requests}", self.cancelled());
    }

    /// Begins to count anew.
    pub fn forget(&self) {
        *self.inner.0.lock().unwrap() = Held::default();
    }

    pub fn cancelled(&self) -> usize {
        self.inner.0.lock().unwrap().cancelled
    }
}

impl Captioner for Slow {
    fn backend(&self) -> Backend {
        Backend::Http
    }

    fn reply(
        &mut self,
        request: &Request,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Reply, CaptionError> {
        let mut held = self.inner.0.lock().unwrap();
        held.came += 1;
        self.inner.1.notify_all();
        while held.let_go == 0 {
            if cancel.is_cancelled() {
                held.cancelled += 1;
                return Err(CaptionError::Cancelled);
            }
            held = self.inner.1.wait_timeout(held, Duration::from_millis(5)).unwrap().0;
        }
        held.let_go -= 1;
        drop(held);
        let labels: Vec<&str> = request.scene.sounds.iter().map(|sound| sound.label.as_str()).collect();
        let text = format!("heard {}", labels.join(", "));
        progress(Progress::Text(&text));
        Ok(Reply { text, by: Backend::Http, finish: Finish::Stop, fallback: None, notice: None })
    }
}
