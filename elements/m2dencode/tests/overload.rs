//! More windows than are encoded: policies, loading, flushes, stops. Nothing here depends on how long anything takes.

mod common;

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use common::*;
use gst::prelude::*;
use gst_listen_m2dencode::engine::{Open, Windows};
use gst_listen_m2dencode::{M2dEncode, Overload};

/// Pushes the frames of windows `from..to`, the ones before them pushed already.
fn push_windows(h: &mut gst_check::Harness, from: u64, to: u64) {
    for k in from..to {
        let (first, count) = if k == 0 { (0, WINDOW) } else { (WINDOW + (k - 1) * HOP, HOP) };
        h.push(frames(first, count)).unwrap();
    }
}

/// Qos messages on the bus: the times that they tell of.
fn qos(bus: &gst::Bus) -> Vec<gst::ClockTime> {
    let all = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Qos]));
    all.filter_map(|message| match message.view() {
        gst::MessageView::Qos(qos) => qos.get().3,
        _ => None,
    })
    .collect()
}

#[test]
fn a_live_stream_drops_the_oldest_windows_that_wait() {
    let control = permitted();
    let (mut h, bus) = harness(&control.open, true, |_| ());
    let element = h.element().unwrap();
    push_windows(&mut h, 0, 1);
    assert_eq!(control.started.recv_timeout(PATIENCE), Ok(0), "window 0 is being encoded");
    push_windows(&mut h, 1, 5);
    assert_eq!(counts(&element), [5, 0, 2, 0, 0, 0, 3]);
    assert_eq!(qos(&bus), [time(HOP), time(2 * HOP)]);

    (0..3).for_each(|_| control.permits.send(Permit::Run).unwrap());
    h.push_event(gst::event::Eos::new());
    let events = until_eos(&mut h);
    let out = rest(&mut h);
    assert_eq!(windows(&out), [(0, 64), (96, 64), (128, 64)]);
    assert_eq!(disconts(&out), [true, true, false]);
    assert_eq!(gaps(&events), [(time(32), time(32)), (time(64), time(32))]);
    assert_eq!(counts(&element), [5, 3, 2, 0, 0, 0, 0]);
}

#[test]
fn drop_newest_drops_what_has_just_come() {
    let control = permitted();
    let (mut h, bus) = harness(&control.open, true, |element| element.set_overload(Overload::DropNewest));
    push_windows(&mut h, 0, 1);
    assert_eq!(control.started.recv_timeout(PATIENCE), Ok(0));
    push_windows(&mut h, 1, 5);
    assert_eq!(qos(&bus), [time(3 * HOP), time(4 * HOP)]);
    (0..4).for_each(|_| control.permits.send(Permit::Run).unwrap());
    let first: Vec<_> = (0..3).map(|_| h.pull().unwrap()).collect();
    push_windows(&mut h, 5, 6);
    let after = finish(&mut h);
    assert_eq!((windows(&first), windows(&after)), (vec![(0, 64), (32, 64), (64, 64)], vec![(160, 64)]));
    assert_eq!(disconts(&after), [true]);
    assert_eq!(counts(&h.element().unwrap()), [6, 4, 2, 0, 0, 0, 0]);
}

#[test]
fn a_file_waits_and_loses_nothing() {
    let control = permitted();
    let (mut h, bus) = harness(&control.open, false, |_| ());
    let element = h.element().unwrap();
    let (pushed, pushes) = channel();
    let pusher = thread::spawn(move || {
        for k in 0..12 {
            push_windows(&mut h, k, k + 1);
            pushed.send(k).unwrap();
        }
        h
    });
    assert_eq!(control.started.recv_timeout(PATIENCE), Ok(0));
    for _ in 0..12 {
        let [taken, given, .., pending] = counts(&element);
        assert!(pending <= 2 + 4 + 1, "two wait, four are with the engine, one is on its way out: {pending}");
        assert_eq!(taken, given + pending);
        control.permits.send(Permit::Run).unwrap();
    }
    let mut h = pusher.join().unwrap();
    assert_eq!(pushes.iter().count(), 12);
    assert_eq!(finish(&mut h).len(), 12);
    assert_eq!(counts(&element), [12, 12, 0, 0, 0, 0, 0]);
    assert!(qos(&bus).is_empty());
}

#[test]
fn the_policy_can_be_changed_while_playing() {
    let control = permitted();
    let (mut h, _) = harness(&control.open, false, |_| ());
    h.element().unwrap().set_property("overload", Overload::DropOldest);
    push_windows(&mut h, 0, 1);
    assert_eq!(control.started.recv_timeout(PATIENCE), Ok(0));
    push_windows(&mut h, 1, 9);
    assert_eq!(counts(&h.element().unwrap()), [9, 0, 6, 0, 0, 0, 3]);
    drop(control);
    finish(&mut h);
}

#[test]
fn a_flush_cancels_what_waits_and_what_runs() {
    let control = permitted();
    let (mut h, _) = harness(&control.open, true, |_| ());
    let element = h.element().unwrap();
    push_windows(&mut h, 0, 1);
    assert_eq!(control.started.recv_timeout(PATIENCE), Ok(0));
    push_windows(&mut h, 1, 3);
    h.push_event(gst::event::FlushStart::new());
    assert_eq!(counts(&element), [3, 0, 0, 0, 3, 0, 0]);
    h.push_event(gst::event::FlushStop::new(true));
    h.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    h.push(frames(1_000, 64)).unwrap();
    drop(control);
    let out = finish(&mut h);
    assert_eq!((windows(&out), out[0].pts()), (vec![(0, 64)], Some(time(1_000))));
    assert_eq!(counts(&element), [4, 1, 0, 0, 3, 0, 0]);
}

#[test]
fn a_flush_frees_a_streaming_thread_that_waits() {
    let control = permitted();
    let (mut h, _) = harness(&control.open, false, |_| ());
    let element = h.element().unwrap();
    let sink = element.static_pad("sink").unwrap();
    let pushing = sink.clone();
    let pusher = thread::spawn(move || {
        let mut result = Ok(gst::FlowSuccess::Ok);
        for k in 0..20 {
            let (first, count) = if k == 0 { (0, WINDOW) } else { (WINDOW + (k - 1) * HOP, HOP) };
            result = pushing.chain(frames(first, count));
            if result.is_err() {
                break;
            }
        }
        result
    });
    assert_eq!(control.started.recv_timeout(PATIENCE), Ok(0));
    // Whether the thread waits already or will: it finds that it is flushed.
    sink.send_event(gst::event::FlushStart::new());
    assert_eq!(pusher.join().unwrap(), Err(gst::FlowError::Flushing));
    let [taken, .., flushed, _, pending] = counts(&element);
    assert_eq!((taken, pending), (flushed, 0));
    drop(control);
    h.push_event(gst::event::FlushStop::new(true));
}

#[test]
fn what_is_under_way_when_the_stream_stops_counts_as_flushed() {
    let control = permitted();
    let (mut h, _) = harness(&control.open, true, |_| ());
    let element = h.element().unwrap();
    push_windows(&mut h, 0, 1);
    assert_eq!(control.started.recv_timeout(PATIENCE), Ok(0));
    push_windows(&mut h, 1, 3);
    element.set_state(gst::State::Ready).unwrap();
    assert_eq!(counts(&element), [3, 0, 0, 0, 3, 0, 0]);
    drop(control);
}

/// An engine whose load waits until something is sent.
fn slow_load(inner: &Open) -> (std::sync::mpsc::Sender<()>, Open) {
    let (go, gone) = channel::<()>();
    let (gone, inner) = (std::sync::Mutex::new(gone), Arc::clone(inner));
    let open: Open = Arc::new(move |package, options| {
        // Without a test that waits for it there is no reason to wait.
        let _ = gone.lock().unwrap().recv();
        inner(package, options)
    });
    (go, open)
}

fn loading_harness(open: &Open, live: bool) -> (gst_check::Harness, gst::Bus, M2dEncode) {
    let element = element(Some(open));
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut h = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
    h.set_live(live);
    h.set_src_caps(mel_caps(-1));
    (h, bus, element)
}

#[test]
fn windows_of_a_live_stream_that_come_while_loading_are_lost_and_counted() {
    let (go, open) = slow_load(&instant().open);
    let (mut h, bus, element) = loading_harness(&open, true);
    push_windows(&mut h, 0, 3);
    assert_eq!(counts(&element), [3, 0, 0, 0, 0, 3, 0]);
    go.send(()).unwrap();
    wait_for_load(&bus);
    push_windows(&mut h, 3, 5);
    h.push_event(gst::event::Eos::new());
    assert_eq!(gaps(&until_eos(&mut h)).len(), 3);
    let out = rest(&mut h);
    assert_eq!((windows(&out), disconts(&out)), (vec![(96, 64), (128, 64)], vec![true, false]));
    assert_eq!(counts(&element), [5, 2, 0, 0, 0, 3, 0]);
}

#[test]
fn a_file_waits_for_the_graphs() {
    let (go, open) = slow_load(&instant().open);
    let (mut h, _, element) = loading_harness(&open, false);
    let pusher = thread::spawn(move || {
        push_windows(&mut h, 0, 3);
        h
    });
    go.send(()).unwrap();
    let mut h = pusher.join().unwrap();
    assert_eq!(finish(&mut h).len(), 3);
    assert_eq!(counts(&element), [3, 3, 0, 0, 0, 0, 0]);
}

#[test]
fn to_null_in_the_middle_of_loading_waits_for_nobody_and_leaks_nothing() {
    let inner = instant();
    let (go, open) = slow_load(&inner.open);
    let (h, bus, element) = loading_harness(&open, false);
    drop(h);
    element.set_state(gst::State::Null).unwrap();
    let ends: Vec<_> = std::iter::from_fn(|| bus.pop_filtered(&[gst::MessageType::Progress]))
        .map(|message| match message.view() {
            gst::MessageView::Progress(progress) => progress.get().0,
            _ => unreachable!(),
        })
        .collect();
    assert_eq!(ends, [gst::ProgressType::Start, gst::ProgressType::Canceled]);

    let (weak, opener) = (element.downgrade(), Arc::downgrade(&open));
    drop((element, open));
    assert!(weak.upgrade().is_none(), "the loading thread does not keep the element");
    drop(go);
    // It lets go of everything when the load is through.
    while opener.upgrade().is_some() {
        thread::yield_now();
    }
}

#[test]
fn a_load_that_fails_is_an_error_and_its_progress_ends() {
    let open: Open =
        Arc::new(|_, _| -> Result<Arc<dyn Windows>, _> { Err(listen_encoder::EncoderError::Hop) });
    let (h, bus, _) = loading_harness(&open, false);
    assert!(error(&bus).contains("a hop of 0 frames"));
    drop(h);
}

#[test]
fn the_watchdog_tells_of_a_stream_without_windows() {
    let (h, bus) = harness(&instant().open, true, |_| ());
    h.element().unwrap().set_property("watchdog", 1_u64);
    let warning = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Warning]);
    let warning = warning.expect("a warning");
    let gst::MessageView::Warning(warning) = warning.view() else { unreachable!() };
    assert!(warning.error().to_string().contains("no window came out"), "{warning:?}");
}

#[test]
fn a_package_that_is_not_there_or_not_accepted_fails_at_once_with_its_reason() {
    let refused = |name: &str| {
        let element = element(None);
        element.set_model(folder(name).to_str());
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        assert_eq!(element.set_state(gst::State::Ready), Err(gst::StateChangeError));
        error(&bus)
    };
    let missing = refused("no-such-package");
    assert!(missing.contains("no-such-package"), "{missing}");
    let terms = refused("tiny-clip");
    assert!(terms.contains("accept-license=true") && terms.contains("Tiny-Evaluation"), "{terms}");

    let accepting = element(Some(&instant().open));
    accepting.set_model(folder("tiny-clip").to_str());
    accepting.set_accept_license(true);
    assert!(accepting.set_state(gst::State::Ready).is_ok());
    accepting.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_window_that_the_encoder_does_not_take_is_refused_with_what_it_takes() {
    let element = element(Some(&instant().open));
    element.set_window(50_000_000);
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    assert_eq!(element.set_state(gst::State::Ready), Err(gst::StateChangeError));
    let error = error(&bus);
    assert!(error.contains("a window of 5 frames") && error.contains("8 to 256 frames"), "{error}");
}
