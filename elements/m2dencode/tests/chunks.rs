//! Streams that are encoded in chunks, with ONNX Runtime and `tiny-stream`: against the graph run once on the whole
//! stream, and with windows that are gated, dropped, flushed or missed. Nothing is timed.

mod common;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use common::*;
use gst::prelude::*;
use gst_check::Harness;
use gst_listen_m2dencode::engine::{Open, Windows};
use gst_listen_m2dencode::{Edge, ExecutionProvider, M2dEncode, Output, Overload, WindowMode};
use listen_encoder::{EncoderModel, EncoderOptions, Heard, Plan, Repooler, WindowJob, WindowStream, open};
use listen_package::Package;
use listen_runtime::{
    GraphSource, Limits, Model, Provider, RuntimeError, Session, SessionOptions, Stats, SubmitError,
    TensorRef, TrySubmitError,
};

/// Windows of five chunks of `tiny-stream`, a chunk apart.
const LONG: u64 = 160;
const CHUNK: u64 = 32;

fn long_windows(element: &M2dEncode) {
    element.set_execution_provider(ExecutionProvider::Cpu);
    element.set_workers(1);
    element.set_window(time(LONG).nseconds());
    element.set_hop(time(CHUNK).nseconds());
}

/// The process's engine, as the element opens it.
fn real() -> Open {
    Arc::new(|package, options| {
        let plan = Plan::new(package.manifest(), options)?;
        let windows: Arc<dyn Windows> = match plan.repools() {
            true => Arc::new(Repooler::open(package, options)?),
            false => Arc::new(open(package, options)?.client()),
        };
        Ok(windows)
    })
}

fn stream(settings: impl FnOnce(&M2dEncode)) -> (Harness, gst::Bus) {
    let element = element(None);
    element.set_model(folder("tiny-stream").to_str());
    long_windows(&element);
    settings(&element);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_live(false);
    wait_for_load(&bus);
    h.set_src_caps(mel_caps(-1));
    (h, bus)
}

/// What comes out of `total` frames in buffers of `cut`.
fn heard(h: &mut Harness, total: u64, cut: u64) -> Vec<gst::Buffer> {
    let mut first = 0;
    while first < total {
        let count = cut.min(total - first);
        h.push(frames(first, count)).unwrap();
        first += count;
    }
    finish(h)
}

/// The time steps of the first `total` frames, in one run of the graph: 8 frames and 8 values each.
fn whole_tokens(total: u64) -> Vec<f32> {
    let copy = changed("tiny-stream", |manifest| manifest["window"]["max_frames"] = 1_024.into());
    let package = Package::open(copy.path(), true).unwrap();
    let length = total.next_multiple_of(8) as u32;
    let options = EncoderOptions {
        provider: Provider::Cpu,
        output: Some(listen_package::Output::Tokens),
        window_mode: listen_encoder::WindowMode::Whole,
        window_frames: Some(length),
        hop_frames: Some(length),
        ..Default::default()
    };
    let plan = Plan::new(package.manifest(), &options).unwrap();
    let mut stream = WindowStream::new(package.manifest(), &plan).unwrap();
    let mut jobs = Vec::new();
    stream.push(&row(&frames(0, total)), |job| jobs.push(job));
    jobs.extend(stream.finish());
    assert_eq!(jobs.len(), 1);
    EncoderModel::load(&package, &options).unwrap().run(&mut jobs).remove(0).unwrap().data
}

/// The head's embedding of time steps, as ONNX Runtime gives it, at length 1.
fn pooled(tokens: &[f32]) -> Vec<f32> {
    let head = folder("tiny-stream").join("head.onnx");
    let mut head = Session::load(&GraphSource::Path(&head), &SessionOptions::default()).unwrap();
    let shape = [1, tokens.len() / 8, 8];
    let out = head.run(&[("tokens", TensorRef::f32(&shape, tokens).unwrap())], &["embedding"]).unwrap();
    let values = out.into_iter().next().unwrap().into_f32().unwrap();
    let length = values.iter().map(|v| v * v).sum::<f32>().sqrt();
    values.iter().map(|v| v / length).collect()
}

fn worst(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(p, q)| (p - q).abs()).fold(0.0, f32::max)
}

#[test]
fn time_steps_of_a_stream_are_those_of_the_whole_and_any_cut_gives_the_same_bits() {
    for total in [300, 288, 33] {
        let expected = whole_tokens(total);
        let mut before: Option<Vec<f32>> = None;
        for cut in [1, 50, 1_000] {
            let (mut h, _) = stream(|element| element.set_output(Output::Tokens));
            let out = heard(&mut h, total, cut);
            assert_eq!(out.len() as u64, total.div_ceil(CHUNK));
            let found: Vec<f32> = out.iter().flat_map(row).collect();
            assert!(worst(&found, &expected) <= 1e-5, "{total} frames");
            assert!(before.as_ref().is_none_or(|before| *before == found), "in buffers of {cut}");
            before = Some(found);
            for (k, buffer) in out.iter().enumerate() {
                assert_eq!(buffer.pts(), Some(time(k as u64 * CHUNK)));
            }
        }
    }
}

#[test]
fn clips_of_a_stream_are_pooled_from_the_steps_of_the_whole_and_any_cut_gives_the_same_bits() {
    let total = 333;
    let tokens = whole_tokens(total);
    let mut before: Option<Vec<Vec<f32>>> = None;
    for cut in [1, 50, 1_000] {
        // An engine of its own: who shares it is counted.
        let (mut h, _) = stream(|element| element.set_intra_op_threads(2));
        let out = heard(&mut h, total, cut);
        // Six whole windows, and one that the end cuts short.
        assert_eq!(out.len(), 7);
        let found: Vec<_> = out.iter().map(row).collect();
        for (k, values) in found.iter().enumerate() {
            let start = k * CHUNK as usize / 8;
            let end = (start + LONG as usize / 8).min(tokens.len() / 8);
            assert!(worst(values, &pooled(&tokens[start * 8..end * 8])) <= 1e-5, "window {k}");
            assert_eq!(out[k].pts(), Some(time(k as u64 * CHUNK)));
            let length = LONG.min(total - k as u64 * CHUNK);
            assert_eq!(out[k].duration(), Some(time(length)));
        }
        assert!(before.as_ref().is_none_or(|before| *before == found), "in buffers of {cut}");
        before = Some(found);
        assert_eq!(counts(&h.element().unwrap()), [7, 7, 0, 0, 0, 0, 0]);
        let stats = h.element().unwrap().property::<gst::Structure>("stats");
        assert_eq!(stats.get("elements"), Ok(1_u64), "{stats}");
    }
}

#[test]
fn whole_is_whole_and_what_cannot_be_chunked_says_why() {
    let (mut h, _) = stream(|element| {
        element.set_window_mode(WindowMode::Whole);
        element.set_window(time(64).nseconds());
    });
    let whole = heard(&mut h, 300, 77);
    let (mut h, _) = stream(|element| element.set_window(time(64).nseconds()));
    let chunked = heard(&mut h, 300, 77);
    assert_eq!(whole.len(), chunked.len());
    // A whole window does not hear what lies around it.
    assert!(whole.iter().zip(&chunked).any(|(a, b)| worst(&row(a), &row(b)) > 1e-4));

    let refused = |package: &str, settings: &dyn Fn(&M2dEncode)| {
        let element = element(None);
        element.set_model(folder(package).to_str());
        element.set_accept_license(true);
        element.set_window_mode(WindowMode::Chunked);
        settings(&element);
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        assert!(element.set_state(gst::State::Ready).is_err());
        error(&bus)
    };
    let clip = refused("tiny-clip", &|_| ());
    assert!(clip.contains("window-mode=chunked") && clip.contains("one vector a window"), "{clip}");
    let exact = refused("tiny-stream", &|element| element.set_edge(Edge::Exact));
    assert!(exact.contains("edge=exact"), "{exact}");
}

#[test]
fn live_latency_is_the_window_the_context_after_it_and_a_hop() {
    let (mut h, _) = stream(|_| ());
    h.set_live(true);
    let mut query = gst::query::Latency::new();
    assert!(h.element().unwrap().static_pad("src").unwrap().query(&mut query));
    assert_eq!(query.result().1, time(LONG + 16 + CHUNK));
}

/// The embeddings of all windows of `total` frames by their first frame, undisturbed.
fn undisturbed(buffers: &[gst::Buffer]) -> BTreeMap<u64, Vec<f32>> {
    buffers.iter().map(|buffer| (buffer.offset(), row(buffer))).collect()
}

#[test]
fn a_window_after_gated_ones_hears_what_was_silent_in_it() {
    let push = |h: &mut Harness| {
        h.push(frames(0, 160)).unwrap();
        h.push(quiet(160, 320)).unwrap();
        h.push(frames(480, 200)).unwrap();
        h.push(quiet(680, 200)).unwrap();
        finish(h)
    };
    let (mut h, _) = stream(|_| ());
    let expected = undisturbed(&push(&mut h));
    let (mut h, _) = stream(|element| element.set_gate(-60.0));
    let out = push(&mut h);
    for buffer in &out {
        assert!(row(buffer) == expected[&buffer.offset()], "the window at frame {}", buffer.offset());
    }
    let silent = |start: &u64| (160..=320).contains(start) || *start >= 680;
    let gated = expected.keys().filter(|start| silent(start)).count() as u64;
    assert!(gated > 5, "six in the middle, and the end");
    let all = expected.len() as u64;
    assert_eq!(counts(&h.element().unwrap()), [all, all - gated, 0, gated, 0, 0, 0]);
}

#[test]
fn a_flush_leaves_no_time_step_of_what_was() {
    let (mut h, _) = stream(|_| ());
    let expected = undisturbed(&heard(&mut h, 400, 90));
    let (mut h, _) = stream(|_| ());
    h.push(quiet(0, 250)).unwrap();
    h.push_event(gst::event::FlushStart::new());
    h.push_event(gst::event::FlushStop::new(true));
    rest(&mut h);
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    let out = heard(&mut h, 400, 90);
    assert_eq!(undisturbed(&out), expected);
    let [taken, given, dropped, gated, flushed, lost, pending] = counts(&h.element().unwrap());
    // Three windows were whole before, given or flushed.
    assert_eq!((taken, given + flushed), (expected.len() as u64 + 3, taken));
    assert_eq!((dropped, gated, lost, pending), (0, 0, 0, 0));
}

/// An engine that takes nothing until it is let: the first window waits in `submit`.
struct Held {
    inner: Arc<dyn Windows>,
    free: Arc<(Mutex<bool>, Condvar)>,
    came: Sender<u64>,
}

impl Windows for Held {
    fn try_submit(&self, job: WindowJob, limits: Limits) -> Result<(), TrySubmitError<WindowJob>> {
        match *self.free.0.lock().unwrap() {
            true => self.inner.try_submit(job, limits),
            false => Err(TrySubmitError::Full(job)),
        }
    }

    fn submit(&self, job: WindowJob, limits: Limits) -> Result<(), SubmitError> {
        let _ = self.came.send(job.start_frame);
        let mut free = self.free.0.lock().unwrap();
        while !*free {
            free = self.free.1.wait(free).unwrap();
        }
        drop(free);
        self.inner.submit(job, limits)
    }

    fn recv_under_way(&self, timeout: Duration) -> Option<Result<Heard, RuntimeError>> {
        self.inner.recv_under_way(timeout)
    }

    fn flush(&self) -> usize {
        self.inner.flush()
    }

    fn workers(&self) -> usize {
        self.inner.workers()
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }
}

type Free = Arc<(Mutex<bool>, Condvar)>;

fn held() -> (Open, Receiver<u64>, Free) {
    let free = Free::default();
    let (came, comes) = channel();
    let (came, inside) = (Mutex::new(came), Arc::clone(&free));
    let open: Open = Arc::new(move |package, options| {
        let inner = real()(package, options)?;
        let came = came.lock().unwrap().clone();
        let windows: Arc<dyn Windows> = Arc::new(Held { inner, free: Arc::clone(&inside), came });
        Ok(windows)
    });
    (open, comes, free)
}

#[test]
fn windows_after_a_dropped_one_are_as_if_nothing_had_been_dropped() {
    let (mut h, _) = stream(|_| ());
    let expected = undisturbed(&heard(&mut h, 700, 90));
    for policy in [Overload::DropOldest, Overload::DropNewest] {
        let (open, came, free) = held();
        let (mut h, bus) = harness_of("tiny-stream", &open, true, |element| {
            long_windows(element);
            element.set_overload(policy);
        });
        let element = h.element().unwrap();
        h.push(frames(0, LONG + 16)).unwrap();
        assert_eq!(came.recv_timeout(PATIENCE), Ok(0));
        for k in 0..10 {
            h.push(frames(LONG + 16 + k * CHUNK, CHUNK)).unwrap();
        }
        // One is on its way to the engine and two wait.
        assert_eq!(counts(&element), [11, 0, 8, 0, 0, 0, 3], "{policy:?}");
        *free.0.lock().unwrap() = true;
        free.1.notify_all();
        h.push(frames(LONG + 16 + 10 * CHUNK, 700 - (LONG + 16 + 10 * CHUNK))).unwrap();
        assert!(h.push_event(gst::event::Eos::new()));
        let gaps = gaps(&until_eos(&mut h));
        let out = rest(&mut h);
        let [taken, given, dropped, gated, flushed, lost, pending] = counts(&element);
        assert_eq!((taken, given), (expected.len() as u64, out.len() as u64));
        assert_eq!((gated, flushed, lost, pending), (0, 0, 0, 0));
        assert_eq!(gaps.len() as u64, dropped);
        for buffer in &out {
            assert!(row(buffer) == expected[&buffer.offset()], "{policy:?}: {}", buffer.offset());
        }
        // DISCONT stands where windows are missing before, and at the start.
        let mut next = u64::MAX;
        for buffer in &out {
            let discont = buffer.flags().contains(gst::BufferFlags::DISCONT);
            assert_eq!(discont, buffer.offset() != next, "{policy:?}: {}", buffer.offset());
            next = buffer.offset() + CHUNK;
        }
        let qos = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Qos])).count();
        assert_eq!(qos as u64, dropped);
    }
}

#[test]
fn windows_that_came_while_loading_are_lost_alone() {
    let (mut h, _) = stream(|_| ());
    let expected = undisturbed(&heard(&mut h, 400, 90));
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(gone);
    let open: Open = Arc::new(move |package, options| {
        let _ = gone.lock().unwrap().recv();
        real()(package, options)
    });
    let element = element(Some(&open));
    element.set_model(folder("tiny-stream").to_str());
    long_windows(&element);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut h = Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_live(true);
    h.set_src_caps(mel_caps(-1));
    h.push(frames(0, LONG + 16 + CHUNK)).unwrap();
    assert_eq!(counts(&element), [2, 0, 0, 0, 0, 2, 0]);
    go.send(()).unwrap();
    wait_for_load(&bus);
    // In a file nothing is dropped from here on.
    element.set_overload(Overload::Block);
    let came = LONG + 16 + CHUNK;
    h.push(frames(came, 400 - came)).unwrap();
    let out = undisturbed(&finish(&mut h));
    assert_eq!(out.len(), expected.len() - 2);
    assert!(out.iter().all(|(start, values)| *values == expected[start]));
}

/// An engine that misses some of its windows.
struct Missing {
    inner: Arc<dyn Windows>,
    missed: Vec<usize>,
    next: Mutex<usize>,
}

impl Windows for Missing {
    fn try_submit(&self, job: WindowJob, limits: Limits) -> Result<(), TrySubmitError<WindowJob>> {
        self.inner.try_submit(job, limits)
    }

    fn submit(&self, job: WindowJob, limits: Limits) -> Result<(), SubmitError> {
        self.inner.submit(job, limits)
    }

    fn recv_under_way(&self, timeout: Duration) -> Option<Result<Heard, RuntimeError>> {
        let result = self.inner.recv_under_way(timeout)?;
        let mut next = self.next.lock().unwrap();
        *next += 1;
        Some(if self.missed.contains(&(*next - 1)) { Ok(Heard::Missed) } else { result })
    }

    fn flush(&self) -> usize {
        self.inner.flush()
    }

    fn workers(&self) -> usize {
        self.inner.workers()
    }

    fn stats(&self) -> Stats {
        self.inner.stats()
    }
}

#[test]
fn a_window_that_was_missed_is_a_drop_with_gap_qos_and_discont() {
    let inner = instant().open;
    let open: Open = Arc::new(move |package, options| {
        let inner = inner(package, options)?;
        let windows: Arc<dyn Windows> =
            Arc::new(Missing { inner, missed: vec![1, 2], next: Mutex::default() });
        Ok(windows)
    });
    let (mut h, bus) = harness(&open, false, |_| ());
    h.push(frames(0, WINDOW + 4 * HOP)).unwrap();
    h.push_event(gst::event::Eos::new());
    let events = until_eos(&mut h);
    let out = rest(&mut h);
    assert_eq!(windows(&out), [(0, 64), (96, 64), (128, 64)]);
    assert_eq!(disconts(&out), [true, true, false]);
    assert_eq!(gaps(&events), [(time(32), time(32)), (time(64), time(32))]);
    assert_eq!(counts(&h.element().unwrap()), [5, 3, 2, 0, 0, 0, 0]);
    let qos: Vec<_> = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Qos]))
        .filter_map(|message| match message.view() {
            gst::MessageView::Qos(qos) => qos.get().3,
            _ => None,
        })
        .collect();
    assert_eq!(qos, [time(32), time(64)]);
}

#[test]
fn two_streams_share_an_engine_and_keep_their_own_time_steps() {
    let (mut h, _) = stream(|_| ());
    let expected = undisturbed(&heard(&mut h, 500, 90));
    let run = |cut: u64| {
        let (mut h, _) = stream(|_| ());
        undisturbed(&heard(&mut h, 500, cut))
    };
    thread::scope(|scope| {
        let runs: Vec<_> = [33, 90, 500].map(|cut| scope.spawn(move || run(cut))).into();
        runs.into_iter().for_each(|run| assert_eq!(run.join().unwrap(), expected));
    });
}
