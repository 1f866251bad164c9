//! No memory is taken after construction.
#![allow(unsafe_code, reason = "an allocator can be counted only by being one")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use listen_features::{ExactWindows, Fill, FrontEnd, Level, LogMel, log_mel};

/// The system's allocator, with a count of what this thread asked of it.
struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread's last frees come after its locals are gone.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every call is the system allocator's own, with the caller's arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Calls of the allocator while `work` runs.
fn calls(work: impl FnOnce()) -> usize {
    let before = CALLS.get();
    work();
    CALLS.get() - before
}

fn front_ends() -> [FrontEnd; 5] {
    [FrontEnd::m2d_16k(), FrontEnd::m2d_32k(), FrontEnd::byol_a(), FrontEnd::laion_clap(), FrontEnd::yamnet()]
}

#[test]
fn the_count_sees_an_allocation() {
    assert_eq!(calls(|| drop(std::hint::black_box(Box::new(1)))), 2);
    assert!(calls(|| drop(log_mel(&FrontEnd::m2d_16k(), &[0.0; 1_000]))) > 0);
}

#[test]
fn a_stream_takes_no_memory_after_construction() {
    let samples = vec![0.25; 100_000];
    for front_end in front_ends() {
        let mut mel = LogMel::new(&front_end).unwrap();
        let mut sum = 0.0;
        let taken = calls(|| {
            for chunk in [1, 441, 4_096, 100_000] {
                samples.chunks(chunk).for_each(|chunk| mel.push(chunk, |frame| sum += frame[0]));
                mel.finish(|frame| sum += frame[0]);
                mel.push(&samples[..100], |_| ());
                mel.finish(|frame| sum += frame[0]);
                mel.push(&samples[..100], |_| ());
                mel.reset();
            }
        });
        assert_eq!(taken, 0, "{front_end:?}");
        assert!(sum.is_finite());
    }
}

#[test]
fn exact_windows_and_levels_take_no_memory_after_construction() {
    let samples = vec![0.25; 100_000];
    for front_end in front_ends() {
        let mut exact = ExactWindows::new(&front_end, 101, 7).unwrap();
        let mut filling = ExactWindows::new(&front_end, 101, 7).unwrap().with_fill(Some(Fill::Repeat));
        let level = Level::new(&front_end).unwrap();
        let mut sum = 0.0;
        let taken = calls(|| {
            for chunk in [160, 441, 100_000] {
                samples.chunks(chunk).for_each(|chunk| exact.push(chunk, |window| sum += level.db(window)));
                // Only where it ends a stream does it take some.
                samples.chunks(chunk).for_each(|chunk| filling.push(chunk, |window| sum += level.db(window)));
                filling.reset();
                exact.finish(|window| sum += level.db(window));
            }
        });
        assert_eq!(taken, 0, "{front_end:?}");
        assert!(sum.is_finite());
    }
}
