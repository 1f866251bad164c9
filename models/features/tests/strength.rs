//! Strengths say when something changed.

use listen_features::{FrontEnd, Log, Strength, Strengths, log_mel};

/// A second of noise of amplitude `quiet`, one of `loud`, one of `quiet` again.
fn noise(front_end: &FrontEnd, quiet: f32, loud: f32) -> Vec<f32> {
    let mut state = 1_u32;
    let second = front_end.sample_rate as usize;
    let step = |at| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let amplitude = if (second..2 * second).contains(&at) { loud } else { quiet };
        amplitude * (state as f32 / u32::MAX as f32 - 0.5)
    };
    (0..3 * second).map(step).collect()
}

fn strengths(front_end: &FrontEnd, samples: &[f32]) -> Vec<Strength> {
    Strengths::new(front_end).of(&log_mel(front_end, samples).unwrap(), 0..usize::MAX)
}

fn highest(values: impl Iterator<Item = f32>) -> (usize, f32) {
    values.enumerate().fold((0, 0.0), |best, (at, value)| if value > best.1 { (at, value) } else { best })
}

#[test]
fn what_begins_and_ends_has_the_strength_of_its_step_whatever_the_front_end() {
    let front_ends = [
        FrontEnd::m2d_16k(),
        FrontEnd::m2d_32k(),
        FrontEnd::byol_a(),
        FrontEnd::laion_clap(),
        FrontEnd { log: Log::LnMax { floor: 1e-10 }, ..FrontEnd::m2d_16k() },
    ];
    for front_end in front_ends {
        // Ten times the amplitude is 20 dB, 4.6 nats: of what is over 4 a part counts.
        for (loud, nats) in [(0.01 * 10_f32.powf(0.5), 2.3), (0.1, 4.09)] {
            let found = strengths(&front_end, &noise(&front_end, 0.01, loud));
            let (frame, second) = (front_end.hop_length, front_end.sample_rate);
            for (second_of, found) in [
                (1, highest(found.iter().map(|strength| strength.onset))),
                (2, highest(found.iter().map(|strength| strength.offset))),
            ] {
                let time = found.0 as f32 * frame as f32 / second as f32;
                assert!((time - second_of as f32).abs() < 0.03, "{time} s, {front_end:?}");
                // What the log adds to a power makes steps of weak bands smaller.
                assert!((nats * 0.8..nats * 1.1).contains(&found.1), "{found:?}, {nats} nats, {front_end:?}");
            }
        }
    }
}

#[test]
fn the_edge_of_digital_silence_is_where_it_is() {
    let front_end = FrontEnd::m2d_16k();
    let found = strengths(&front_end, &noise(&front_end, 0.0, 0.9));
    for (second, found) in [
        (1, highest(found.iter().map(|strength| strength.onset))),
        (2, highest(found.iter().map(|strength| strength.offset))),
    ] {
        assert!(found.0.abs_diff(second * 100) <= 2, "frame {}", found.0);
    }
}

#[test]
fn what_goes_on_as_it_was_has_hardly_any() {
    let front_end = FrontEnd::m2d_16k();
    let (_, most) = highest(strengths(&front_end, &noise(&front_end, 0.1, 0.1)).iter().map(|s| s.onset));
    assert!(most < 0.45, "{most}");
    assert!(strengths(&front_end, &vec![0.0; 16_000]).iter().all(|s| s.onset.max(s.offset) < 1e-4));
}

#[test]
fn a_part_of_a_stream_has_the_same_bits_where_there_is_enough_around_it() {
    let front_end = FrontEnd::m2d_16k();
    let frames = log_mel(&front_end, &noise(&front_end, 0.01, 0.1)).unwrap();
    let measured = Strengths::new(&front_end);
    let whole = measured.of(&frames, 0..usize::MAX);
    assert_eq!(whole.len(), frames.len() / 80);
    for (from, to) in [(0, 100), (50, 180), (88, 124)] {
        let (before, after) = (from.min(12), 12);
        let part = &frames[(from - before) * 80..(to + after) * 80];
        assert_eq!(measured.of(part, before..before + to - from), whole[from..to], "{from}..{to}");
    }
}

#[test]
fn what_is_not_there_or_no_number_is_no_edge() {
    let measured = Strengths::new(&FrontEnd::m2d_16k());
    assert_eq!(measured.of(&[], 0..10), []);
    assert_eq!(measured.of(&[0.0; 160], 5..10), []);
    let bad = measured.of(&[f32::NAN; 160], 0..2);
    assert_eq!(bad, [Strength::default(); 2]);
}
