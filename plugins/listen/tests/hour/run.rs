//! One run: the pipeline, what is asked, and everything that it says.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;

use super::server::{Answer, Server};
use super::sound::{Endless, RATE, hash, recording};

const SEED: u64 = 11;
/// How long a caption or an answer may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What a run said, and what it took.
#[derive(Debug, Default)]
pub struct Told {
    pub minutes: u64,
    pub took: Duration,
    /// Ids of events, as they began and ended.
    pub began: Vec<u64>,
    pub ended: Vec<u64>,
    /// Numbers of captions, and the ids that each tells of.
    pub numbers: Vec<u64>,
    pub captions: Vec<Vec<u64>>,
    pub by_server: u64,
    pub fallback: u64,
    pub merged: u64,
    /// The buffers that came out.
    pub texts: Vec<(gst::ClockTime, String)>,
    /// Ids of questions and of answers.
    pub asked: Vec<u64>,
    pub answered: Vec<u64>,
    pub warnings: u64,
    pub errors: Vec<String>,
    /// What became of requests.
    pub requests: BTreeMap<&'static str, u64>,
    /// Bytes behind the warm-up and at the end.
    pub resident: (f64, f64),
    pub kept: (u64, u64),
    pub threads_left: Vec<String>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { minutes, took, began, captions, by_server, fallback, merged, asked, warnings, .. } = self;
        writeln!(
            f,
            "{minutes} min of sound in {:.1} s: {} events, {} captions",
            took.as_secs_f64(),
            began.len(),
            captions.len()
        )?;
        writeln!(
            f,
            "captions by the server {by_server}, by the template {fallback}; {merged} requests merged; {} answers; {warnings} warnings",
            asked.len()
        )?;
        writeln!(f, "requests: {:?}", self.requests)?;
        let mb = |bytes: f64| bytes / 1e6;
        write!(
            f,
            "resident {:.1} MB behind the warm-up, {:.1} MB at the end; kept {:.1} and {:.1} MB; threads left: {:?}",
            mb(self.resident.0),
            mb(self.resident.1),
            mb(self.kept.0 as f64),
            mb(self.kept.1 as f64),
            self.threads_left
        )
    }
}

/// Runs so many minutes. One at a time: memory and threads are the process's.
pub fn soak(minutes: u64, live: bool) -> Told {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    gst::init().unwrap();
    // A second run finds it there.
    let _ = gstlisten::plugin_register_static();
    warm_up();
    let before = threads();
    let told = Arc::new(Mutex::new(Told { minutes, ..Told::default() }));
    let requests = Arc::new(Mutex::new(BTreeMap::new()));
    let counted = requests.clone();
    let number = AtomicU64::new(0);
    let server = Server::new(move |_, _| {
        // Only numbers are counted here: no order between threads is needed.
        let (kind, answer) = answer(number.fetch_add(1, Ordering::Relaxed));
        *counted.lock().unwrap().entry(kind).or_insert(0) += 1;
        answer
    });
    let began = Instant::now();
    play(&told, &server, minutes, live);
    drop(server);
    let mut told = std::mem::take(&mut *told.lock().unwrap());
    told.took = began.elapsed();
    told.requests = requests.lock().unwrap().clone();
    told.threads_left = left(&before);
    told
}

/// Loads what a process loads once and keeps: ONNX Runtime has a thread of its own.
fn warm_up() {
    let line = format!(
        "audiotestsrc num-buffers=100 ! audio/x-raw,format=F32LE,channels=1,rate={RATE} ! melspec ! m2dencode workers=1 \
         ! clapmatch labels=rain ! llmcaption ! fakesink"
    );
    let pipeline = gst::parse::launch(&line).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(120), &kinds);
    assert_eq!(end.map(|message| message.type_()), Some(gst::MessageType::Eos));
    pipeline.set_state(gst::State::Null).unwrap();
    rest();
}

/// One request in five fails, in one of five ways.
fn answer(number: u64) -> (&'static str, Answer) {
    let dice = hash(SEED, number);
    if !dice.is_multiple_of(5) {
        return ("words", Answer::Words(format!("Sentence {number} of the server.")));
    }
    match dice / 5 % 5 {
        0 => ("dropped", Answer::Drop),
        1 => ("status 500", Answer::Status(500)),
        2 => ("status 429", Answer::Status(429)),
        3 => ("cut", Answer::Cut),
        _ => ("slow", Answer::Trickle(Duration::from_millis(100))),
    }
}

fn play(told: &Arc<Mutex<Told>>, server: &Server, minutes: u64, live: bool) {
    let url = &server.url;
    let line = format!(
        "appsrc name=in format=time block=true max-bytes=1000000 is-live={live} \
         caps=audio/x-raw,format=F32LE,layout=interleaved,channels=1,rate={RATE} \
         ! melspec ! m2dencode overload=block workers=1 ! clapmatch labels=\"dog barking;applause;rain\" \
         ! llmcaption name=caption backend=http url={url} model-name=none timeout={} \
         ! text/x-raw ! appsink name=out sync=false",
        TIMEOUT.as_nanos()
    );
    let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
    let caption = pipeline.by_name("caption").unwrap();
    let bus = pipeline.bus().unwrap();
    // Everything is noted by whoever posts it, so that none waits in the bus.
    let noted = told.clone();
    let (end, ended) = std::sync::mpsc::channel();
    bus.set_sync_handler(move |_, message| {
        note(&mut noted.lock().unwrap(), message);
        if matches!(message.view(), gst::MessageView::Eos(_) | gst::MessageView::Error(_)) {
            // Only the first is waited for.
            let _ = end.send(());
        }
        gst::BusSyncReply::Drop
    });
    let out = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    let read = told.clone();
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let buffer = sample.buffer().unwrap();
        let text = String::from_utf8(buffer.map_readable().unwrap().to_vec()).unwrap();
        read.lock().unwrap().texts.push((buffer.pts().unwrap(), text));
        Ok(gst::FlowSuccess::Ok)
    });
    out.set_callbacks(callbacks.build());
    pipeline.set_state(gst::State::Playing).unwrap();

    let source = pipeline.by_name("in").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    let mut sound = Endless::new(recording(), SEED);
    for second in 0..60 * minutes {
        let mut buffer = gst::Buffer::from_mut_slice(sound.next(RATE));
        let new = buffer.get_mut().unwrap();
        new.set_pts(gst::ClockTime::from_seconds(second));
        new.set_duration(gst::ClockTime::SECOND);
        source.push_buffer(buffer).unwrap();
        if second % 60 == 30 {
            // What the server remembers is no memory of the element's.
            server.bodies.lock().unwrap().clear();
            let id = caption.emit_by_name::<u64>("ask", &[&"How often was there applause?", &0u64]);
            if id > 0 {
                told.lock().unwrap().asked.push(id);
            }
        }
        if second == 60 * minutes / 6 {
            told.lock().unwrap().resident.0 = resident();
            told.lock().unwrap().kept.0 = stat(&caption, "kept");
        }
    }
    source.end_of_stream().unwrap();
    ended.recv_timeout(Duration::from_secs(600)).expect("the end of the stream came");
    // Questions are not of the stream: its end does not wait for them.
    for _ in 0..600 {
        let told = told.lock().unwrap();
        if told.answered.len() >= told.asked.len() {
            break;
        }
        drop(told);
        std::thread::sleep(Duration::from_millis(50));
    }
    {
        let mut told = told.lock().unwrap();
        told.resident.1 = resident();
        told.kept.1 = stat(&caption, "kept");
        told.merged = stat(&caption, "merged");
    }
    pipeline.set_state(gst::State::Null).unwrap();
    bus.unset_sync_handler();
}

fn note(told: &mut Told, message: &gst::Message) {
    match message.view() {
        gst::MessageView::Error(error) => told.errors.push(format!("{error:?}")),
        gst::MessageView::Warning(_) => told.warnings += 1,
        gst::MessageView::Element(element) => {
            let Some(structure) = element.structure() else { return };
            let id = || structure.get::<u64>("id").unwrap();
            match structure.name().as_str() {
                "audio-event" => match structure.get::<&str>("type").unwrap() {
                    "start" => told.began.push(id()),
                    "end" => told.ended.push(id()),
                    _ => {}
                },
                "caption" => {
                    told.numbers.push(id());
                    let ids = structure.get::<glib::ValueArray>("events").unwrap();
                    told.captions.push(ids.iter().map(|id| id.get::<u64>().unwrap()).collect());
                    match structure.get::<&str>("backend").unwrap() {
                        "http" => told.by_server += 1,
                        _ => told.fallback += 1,
                    }
                }
                "listen-answer" => told.answered.push(id()),
                _ => {}
            }
        }
        _ => {}
    }
}

fn stat(element: &gst::Element, name: &str) -> u64 {
    element.property::<gst::Structure>("stats").get(name).unwrap()
}

/// Resident memory of this process, in bytes.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
}

/// Names of the threads of this process, by id.
fn threads() -> BTreeMap<String, String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let name = |task: std::fs::DirEntry| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        Some((task.file_name().to_string_lossy().into_owned(), name.trim().to_owned()))
    };
    tasks.filter_map(name).collect()
}

/// Waits until the number of threads has not changed for a while.
fn rest() {
    let (mut count, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_secs(1) {
        glib::ThreadPool::stop_unused_threads();
        let now = threads().len();
        if now != count {
            (count, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Threads that were not there before, once those that end have ended.
fn left(before: &BTreeMap<String, String>) -> Vec<String> {
    let mut new = Vec::new();
    for _ in 0..200 {
        // GLib would keep threads of its pool for 15 s.
        glib::ThreadPool::stop_unused_threads();
        new =
            threads().into_iter().filter(|(id, _)| !before.contains_key(id)).map(|(_, name)| name).collect();
        if new.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    new
}
