//! Scoring takes no memory after its start.
#![allow(unsafe_code, reason = "an allocator that counts cannot be written without")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use common::{SECOND, span};
use listen_package::Clap;
use listen_zeroshot::{
    Detector, LabelList, MatchOptions, Matcher, Placing, Settings, Smoothing, Table, TextSpace,
};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // While a thread ends its locals are gone; what it allocates then is not ours.
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_window_without_a_change_takes_no_memory() {
    const DIM: usize = 64;
    let names: Vec<String> = (0..DIM).map(|i| format!("label {i}")).collect();
    let rows: Vec<f32> = (0..DIM * DIM).map(|i| if i % (DIM + 1) == 0 { 1.0 } else { 0.0 }).collect();
    let labels = LabelList::parse(&names[..60].join(";")).unwrap();
    let mut table = Table::new("t", names, DIM, (vec![DIM, DIM], rows)).unwrap();
    let clap = Clap {
        dim: DIM as u32,
        logit_scale: None,
        logit_bias: None,
        prompt_templates: vec![],
        background_prompts: vec!["label 63".into()],
        calibration: None,
        placing: None,
        default_threshold: 0.9,
        default_offset_threshold: 0.8,
        default_smoothing: None,
    };
    let layers = || vec![(vec![1.0; 9], vec![0.0])];
    let placing = Placing::new(SECOND, layers(), layers()).map(Arc::new);
    let space = TextSpace { clap, background: None, placing };
    for smoothing in [Smoothing::None, Smoothing::Ema { tau: SECOND }, Smoothing::Mean { over: 5 * SECOND }] {
        let matcher = Matcher::new(&mut table, &space, labels.clone(), &MatchOptions::default()).unwrap();
        let mut detector =
            Detector::new(matcher, Settings { smoothing: Some(smoothing), ..Settings::default() }).unwrap();
        let mut changes = Vec::new();
        let mut counted = 0;
        for k in 0..100 {
            let embedding: [f32; DIM] = std::array::from_fn(|i| 10.0 + ((i as u64 + k) % 7) as f32);
            let before = COUNT.get();
            detector.push(span(k, SECOND, SECOND), -1, None, &embedding, &mut changes).unwrap();
            if k >= 10 {
                counted += COUNT.get() - before;
            }
        }
        assert_eq!((counted, changes.len()), (0, 0), "{smoothing:?}");
    }
}
