//! Time and memory of the front ends, frame by frame: divan prints allocations only where there are any.

use divan::{AllocProfiler, Bencher, black_box, counter::ItemsCount};
use listen_features::{ExactWindows, FrontEnd, LogMel};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// A second of noise, from an LCG.
fn noise(rate: u32) -> Vec<f32> {
    let mut state = 1_u32;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state as f32 / u32::MAX as f32 - 0.5
    };
    (0..rate).map(step).collect()
}

/// Pushes a second in pieces of so many samples; items are samples.
fn push(bencher: Bencher, front_end: &FrontEnd, piece: usize) {
    let second = noise(front_end.sample_rate);
    let mut mel = LogMel::new(front_end).unwrap();
    bencher.counter(ItemsCount::new(second.len())).bench_local(|| {
        for piece in black_box(&second).chunks(piece) {
            mel.push(piece, |frame| {
                black_box(frame);
            });
        }
    });
}

#[divan::bench(args = [160, 441, 4_096, 16_000])]
fn m2d_16k(bencher: Bencher, piece: usize) {
    push(bencher, &FrontEnd::m2d_16k(), piece);
}

#[divan::bench(args = [4_096])]
fn m2d_32k(bencher: Bencher, piece: usize) {
    push(bencher, &FrontEnd::m2d_32k(), piece);
}

#[divan::bench(args = [4_096])]
fn byol_a(bencher: Bencher, piece: usize) {
    push(bencher, &FrontEnd::byol_a(), piece);
}

#[divan::bench(args = [4_096])]
fn laion_clap(bencher: Bencher, piece: usize) {
    push(bencher, &FrontEnd::laion_clap(), piece);
}

#[divan::bench(args = [4_096])]
fn yamnet(bencher: Bencher, piece: usize) {
    push(bencher, &FrontEnd::yamnet(), piece);
}

/// Exact windows of so many frames, every 50.
#[divan::bench(args = [101, 1_001])]
fn exact_windows(bencher: Bencher, window: usize) {
    let front_end = FrontEnd::m2d_16k();
    let second = noise(front_end.sample_rate);
    let mut windows = ExactWindows::new(&front_end, window, 50).unwrap();
    bencher.counter(ItemsCount::new(second.len())).bench_local(|| {
        windows.push(black_box(&second), |window| {
            black_box(window);
        });
    });
}
