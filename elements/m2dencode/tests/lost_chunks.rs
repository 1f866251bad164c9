//! Streams that are encoded in chunks and lose windows: those that are left are as if nothing had been lost.

mod common;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use common::chunks::*;
use common::*;
use gst::prelude::*;
use gst_check::Harness;
use gst_listen_m2dencode::Overload;
use gst_listen_m2dencode::engine::{Open, Windows};
use listen_encoder::{Heard, WindowJob};
use listen_runtime::{Limits, RuntimeError, Stats, SubmitError, TrySubmitError};

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
