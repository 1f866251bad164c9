//! A stream is the same however it is cut, and the same as the recording at once.

use listen_features::{ExactWindows, Fill, FrontEnd, FrontEndError, LogMel, PadMode, log_mel};

const CHUNKS: [usize; 9] = [1, 7, 159, 160, 161, 441, 4_096, 100_000, usize::MAX];

/// The five published front ends, and shapes that none of them has.
fn front_ends() -> Vec<FrontEnd> {
    let m2d = FrontEnd::m2d_16k();
    let uncentred = FrontEnd { center: false, pad_mode: PadMode::None, ..m2d.clone() };
    vec![
        FrontEnd::m2d_32k(),
        FrontEnd::byol_a(),
        FrontEnd::laion_clap(),
        FrontEnd::yamnet(),
        FrontEnd { n_fft: 512, win_length: 399, ..m2d.clone() },
        FrontEnd { hop_length: 777, ..m2d.clone() },
        FrontEnd { hop_length: 777, ..uncentred.clone() },
        FrontEnd { hop_length: 33, n_fft: 250, win_length: 250, n_mels: 8, ..uncentred },
        m2d,
    ]
}

/// Loud, quiet and silent parts, with noise everywhere else: neighbours that differ as much as they can.
fn sound(samples: usize) -> Vec<f32> {
    let mut state = 7_u32;
    let sample = |n: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = state as f32 / u32::MAX as f32 - 0.5;
        match n / 500 % 4 {
            0 => noise,
            1 => 1e-4 * noise,
            2 => 0.0,
            _ => (n as f32 * 0.3).sin() + 1e-6 * noise,
        }
    };
    (0..samples).map(sample).collect()
}

fn stream(mel: &mut LogMel, samples: &[f32], chunk: usize) -> Vec<f32> {
    let mut frames = Vec::new();
    for chunk in samples.chunks(chunk) {
        mel.push(chunk, |frame| frames.extend_from_slice(frame));
    }
    mel.finish(|frame| frames.extend_from_slice(frame));
    frames
}

fn windows(exact: &mut ExactWindows, samples: &[f32], chunk: usize) -> Vec<Vec<f32>> {
    let mut windows = Vec::new();
    for chunk in samples.chunks(chunk) {
        exact.push(chunk, |window| windows.push(window.to_vec()));
    }
    exact.finish(|window| windows.push(window.to_vec()));
    windows
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn chunking_is_invisible() {
    for front_end in front_ends() {
        let samples = sound(9_000);
        let whole = log_mel(&front_end, &samples).unwrap();
        assert_eq!(whole.len() as u64, front_end.frames_in(9_000) * u64::from(front_end.n_mels));
        for chunk in CHUNKS {
            let mut mel = LogMel::new(&front_end).unwrap();
            assert_eq!(
                bits(&stream(&mut mel, &samples, chunk)),
                bits(&whole),
                "chunks of {chunk}, {front_end:?}"
            );
        }
    }
}

#[test]
fn a_frame_does_not_depend_on_the_sound_around_its_window() {
    let front_end = FrontEnd::m2d_16k();
    let samples = sound(9_000);
    let mut other: Vec<f32> = samples.iter().map(|sample| 1e3 * sample + 0.5).collect();
    let frame = 20;
    let under = frame * 160 - 200..frame * 160 + 200;
    other[under.clone()].copy_from_slice(&samples[under]);
    let row = |samples: &[f32]| bits(&log_mel(&front_end, samples).unwrap()[frame * 80..][..80]);
    assert_eq!(row(&samples), row(&other));
}

#[test]
fn a_stream_of_any_length_ends_like_the_recording() {
    for front_end in front_ends() {
        let shortest = if front_end.center { front_end.win_length.div_ceil(2) as usize + 1 } else { 0 };
        for samples in
            [200, 201, 202, 320, 359, 360, 399, 400, 401, 512, 513, 1_024, 1_025, 2_048, 2_049, 5_000]
        {
            let samples = sound(samples);
            let whole = log_mel(&front_end, &samples);
            if samples.len() < shortest {
                let too_short =
                    FrontEndError::TooShort { expected: shortest as u64, found: samples.len() as u64 };
                assert_eq!(whole, Err(too_short), "{front_end:?}");
                continue;
            }
            let mut mel = LogMel::new(&front_end).unwrap();
            assert_eq!(
                bits(&stream(&mut mel, &samples, 97)),
                bits(&whole.unwrap()),
                "{} {front_end:?}",
                samples.len()
            );
        }
    }
}

#[test]
fn a_stream_shorter_than_the_reflection_is_reflected_at_both_ends_in_turn() {
    let front_end = FrontEnd::m2d_16k();
    let mut mel = LogMel::new(&front_end).unwrap();
    for len in [1_usize, 2, 3, 150, 200] {
        let samples = sound(len);
        let period = (2 * (len - 1)).max(1);
        // The same reflection laid out over a recording that is long enough, whole periods before and after.
        let at = |n: usize| samples[if n % period < len { n % period } else { period - n % period }];
        let start = period * 1_000_usize.div_ceil(period);
        let long: Vec<f32> = (0..start + 1_000).map(at).collect();

        let ours = stream(&mut mel, &samples, 13);
        assert_eq!(ours.len() as u64, 80 * front_end.frames_in(len as u64), "{len} samples");
        let from = (start - 480) % 160;
        let theirs = log_mel(&front_end, &long[from..]).unwrap();
        let first = (start - from) / 160 * 80;
        assert_eq!(bits(&ours), bits(&theirs[first..first + ours.len()]), "{len} samples");
    }
}

#[test]
fn a_stream_without_samples_has_no_frames() {
    for front_end in front_ends() {
        let mut mel = LogMel::new(&front_end).unwrap();
        mel.push(&[], |_| panic!("a frame of nothing"));
        mel.finish(|_| panic!("a frame of nothing"));
        assert_eq!(front_end.frames_in(0), 0);
        let mut exact = ExactWindows::new(&front_end, 20, 20).unwrap();
        exact.finish(|_| panic!("a window of nothing"));
    }
}

#[test]
fn frames_come_as_soon_as_their_samples_are_there_and_are_foretold() {
    for front_end in front_ends() {
        let mut mel = LogMel::new(&front_end).unwrap();
        let (hop, delay) = (front_end.hop_length as usize, mel.delay_samples());
        let right = front_end.win_length as usize / if front_end.center { 2 } else { 1 };
        assert_eq!(
            delay,
            if front_end.center { front_end.win_length.div_ceil(2) as usize + 1 } else { right }
        );
        let mut given = 0;
        for (n, sample) in sound(5_000).into_iter().enumerate() {
            let foretold = mel.frames_after(1);
            let before = given;
            mel.push(&[sample], |_| given += 1);
            assert_eq!(given - before, foretold, "after sample {n} of {front_end:?}");
            let there = n + 1;
            let due = if there < delay { 0 } else { (there - right) / hop + 1 };
            assert!(given == due, "{given} frames, not {due}, after {there} samples of {front_end:?}");
        }
        let (foretold, all) = (mel.frames_at_finish(), front_end.frames_in(5_000) as usize);
        let before = given;
        mel.finish(|_| given += 1);
        assert_eq!((given - before, given), (foretold, all), "{front_end:?}");
    }
}

#[test]
fn frames_after_foretells_pushes_of_any_length() {
    let mut mel = LogMel::new(&FrontEnd::m2d_16k()).unwrap();
    for len in [0, 100, 100, 1, 1, 158, 159, 160, 3_000, 50_000, 20] {
        let (foretold, mut given) = (mel.frames_after(len), 0);
        mel.push(&vec![0.1; len], |_| given += 1);
        assert_eq!(given, foretold, "a push of {len}");
    }
}

#[test]
fn a_stream_after_a_reset_or_an_end_remembers_nothing() {
    for front_end in front_ends() {
        let samples = sound(3_000);
        let whole = log_mel(&front_end, &samples).unwrap();
        let mut mel = LogMel::new(&front_end).unwrap();
        mel.push(&sound(4_321), |_| ());
        mel.reset();
        assert_eq!(bits(&stream(&mut mel, &samples, 441)), bits(&whole));
        assert_eq!(bits(&stream(&mut mel, &samples, 100)), bits(&whole));

        let fresh = windows(&mut ExactWindows::new(&front_end, 9, 2).unwrap(), &samples, 441);
        let mut exact = ExactWindows::new(&front_end, 9, 2).unwrap();
        exact.push(&sound(4_321), |_| ());
        exact.reset();
        assert_eq!(windows(&mut exact, &samples, 50), fresh);
        assert_eq!(windows(&mut exact, &samples, 3_000), fresh);
    }
}

/// The windows as the definition has them: cut the recording, then make the frames of the piece.
fn cut_first(front_end: &FrontEnd, samples: &[f32], window: usize, hop: usize) -> Vec<Vec<f32>> {
    let len = front_end.exact_samples(window as u64) as usize;
    let step = hop * front_end.hop_length as usize;
    let (mut pieces, mut held, mut start) = (Vec::new(), 0, 0);
    while start < samples.len() && held < samples.len() {
        let piece = &samples[start..samples.len().min(start + len)];
        match log_mel(front_end, piece) {
            Ok(frames) if frames.is_empty() => {}
            Ok(frames) => pieces.push(frames),
            // Shorter than its reflection: a stream reflects it as far as it takes.
            Err(_) => pieces.push(stream(&mut LogMel::new(front_end).unwrap(), piece, usize::MAX)),
        }
        held = start + len;
        start += step;
    }
    pieces
}

#[test]
fn exact_windows_are_those_of_the_cut_recording_bit_for_bit() {
    for front_end in front_ends() {
        // Overlapping, side by side, apart; windows that are all edge, and ones that are hardly any.
        for (window, hop) in [(9, 1), (9, 4), (10, 9), (12, 12), (12, 13), (9, 30), (40, 3), (61, 20)] {
            for len in [0, 1, 150, 1_500, 3_000, 9_000, 9_600, 9_601, 9_801] {
                let samples = sound(len);
                let expected = cut_first(&front_end, &samples, window, hop);
                for chunk in [1, 160, 441, 4_096, usize::MAX] {
                    let mut exact = ExactWindows::new(&front_end, window, hop).unwrap();
                    let found = windows(&mut exact, &samples, chunk);
                    let what = format!(
                        "window {window}, hop {hop}, {len} samples, chunks of {chunk}, {front_end:?}"
                    );
                    assert_eq!(found.len(), expected.len(), "{what}");
                    for (nth, (found, expected)) in found.iter().zip(&expected).enumerate() {
                        assert_eq!(bits(found), bits(expected), "window {nth} of {what}");
                    }
                }
            }
        }
    }
}

#[test]
fn with_a_tail_a_stream_that_ends_with_a_window_has_one_more_of_what_they_share() {
    for front_end in front_ends() {
        for (window, hop) in [(9, 1), (9, 4), (40, 3), (12, 12), (9, 30)] {
            let whole = front_end.exact_samples(window as u64) as usize;
            let step = hop * front_end.hop_length as usize;
            for len in [
                0,
                100,
                whole - 1,
                whole,
                whole + 1,
                whole + 2 * step - 1,
                whole + 2 * step,
                whole + 2 * step + 1,
            ] {
                let samples = sound(len);
                let mut expected = cut_first(&front_end, &samples, window, hop);
                if len >= whole && (len - whole).is_multiple_of(step) && hop < window {
                    let rest = &samples[(len - whole) + step..];
                    expected.push(stream(&mut LogMel::new(&front_end).unwrap(), rest, usize::MAX));
                }
                let mut exact = ExactWindows::new(&front_end, window, hop).unwrap().with_tail(true);
                let found = windows(&mut exact, &samples, 441);
                assert_eq!(found.len(), expected.len(), "window {window}, hop {hop}, {len} samples");
                for (nth, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    assert_eq!(bits(found), bits(expected), "window {nth} of {window}/{hop}, {len} samples");
                }
                assert_eq!(windows(&mut exact, &samples, 100), found, "and again");
            }
        }
    }
}

#[test]
fn a_short_window_is_filled_by_its_own_samples_before_it_becomes_frames() {
    let front_end = FrontEnd::laion_clap();
    let (window, hop) = (40, 12);
    let (whole, step) = (front_end.exact_samples(40) as usize, hop * front_end.hop_length as usize);
    for len in [1, 600, whole / 2, whole / 2 + 1, whole - 1, whole, whole + 700, whole + 2 * step + 10_000] {
        let samples = sound(len);
        // What is left from where the next window would have begun.
        let begun = if len < whole { 0 } else { (len - whole) / step + 1 };
        let rest = &samples[(begun * step).min(len)..];
        let held = if begun == 0 { 0 } else { (begun - 1) * step + whole };
        for fill in [Fill::Repeat, Fill::RepeatCut] {
            let mut expected = cut_first(&front_end, &samples, window, hop);
            expected.truncate(begun);
            if len > held {
                let mut filled = rest.repeat(whole / rest.len() + usize::from(fill == Fill::RepeatCut));
                filled.resize(whole, 0.0);
                expected.push(log_mel(&front_end, &filled).unwrap());
            }
            let mut exact = ExactWindows::new(&front_end, window, hop).unwrap().with_fill(Some(fill));
            for chunk in [1_000, 7, usize::MAX] {
                let found = windows(&mut exact, &samples, chunk);
                assert_eq!(found.len(), expected.len(), "{len} samples, {fill:?}");
                for (found, expected) in found.iter().zip(&expected) {
                    assert_eq!(bits(found), bits(expected), "{len} samples, {fill:?}, chunks of {chunk}");
                }
            }
        }
    }
}

#[test]
fn the_shortest_possible_windows_are_exact_too() {
    let front_end = FrontEnd::m2d_16k();
    for window in [3, 4, 5] {
        let samples = sound(2_345);
        let expected = cut_first(&front_end, &samples, window, 1);
        let found = windows(&mut ExactWindows::new(&front_end, window, 1).unwrap(), &samples, 100);
        assert_eq!(found, expected, "windows of {window}");
    }
    let too_short = ExactWindows::new(&front_end, 2, 1).err();
    assert_eq!(too_short, Some(FrontEndError::TooShort { expected: 201, found: 160 }));
}

#[test]
fn windows_come_with_their_last_sample_and_are_foretold() {
    let front_end = FrontEnd::m2d_16k();
    let mut exact = ExactWindows::new(&front_end, 11, 3).unwrap();
    assert_eq!(exact.delay_samples(), 1_600);
    let mut given = 0;
    for (n, sample) in sound(5_000).into_iter().enumerate() {
        let foretold = exact.windows_after(1);
        let before = given;
        exact.push(&[sample], |_| given += 1);
        assert_eq!(given - before, foretold, "after sample {n}");
        assert_eq!(given, if n + 1 < 1_600 { 0 } else { (n + 1 - 1_600) / 480 + 1 }, "after sample {n}");
    }
    assert_eq!(exact.windows_after(10_000), (15_000 - 1_600) / 480 + 1 - given);
    // Eight windows hold 0..4960; the ninth would have begun at 3840.
    assert_eq!((given, exact.frames_at_finish()), (8, 1 + (5_000 - 3_840) / 160));
}

#[test]
fn samples_that_are_not_numbers_are_silent_and_counted() {
    let mut broken = sound(9_000);
    let mut mended = broken.clone();
    for (n, bad) in [(0, f32::NAN), (1_234, f32::INFINITY), (5_000, f32::NEG_INFINITY), (8_999, -f32::NAN)] {
        (broken[n], mended[n]) = (bad, 0.0);
    }
    let front_end = FrontEnd::m2d_16k();
    let mut mel = LogMel::new(&front_end).unwrap();
    assert_eq!(stream(&mut mel, &broken, 441), log_mel(&front_end, &mended).unwrap());
    assert_eq!(mel.bad_samples(), 4);
    mel.reset();
    assert_eq!(mel.bad_samples(), 4);

    let mut exact = ExactWindows::new(&front_end, 11, 3).unwrap();
    assert_eq!(windows(&mut exact, &broken, 441), cut_first(&front_end, &mended, 11, 3));
    assert_eq!(exact.bad_samples(), 4);
}

#[test]
fn denormal_and_huge_samples_make_finite_frames() {
    for front_end in front_ends() {
        for value in [f32::MIN_POSITIVE / 8.0, 1e-45, f32::MAX, f32::MIN] {
            let samples: Vec<f32> = (0..3_000).map(|n| if n % 3 == 0 { value } else { -value }).collect();
            let frames = log_mel(&front_end, &samples).unwrap();
            assert!(frames.iter().all(|value| value.is_finite()), "{value:e} {front_end:?}");
        }
        let tiny = log_mel(&front_end, &[1e-40; 3_000]).unwrap();
        assert!(
            tiny.iter().all(|&value| value == listen_features::silence_value(&front_end)),
            "{front_end:?}"
        );
    }
}

#[test]
fn frame_counts_and_lengths_belong_together() {
    let m2d = FrontEnd::m2d_16k();
    assert_eq!([1, 159, 160, 160_000].map(|n| m2d.frames_in(n)), [1, 1, 2, 1_001]);
    assert_eq!(m2d.exact_samples(1_001), 160_000);
    let yamnet = FrontEnd::yamnet();
    assert_eq!([399, 400, 559, 560, 15_600].map(|n| yamnet.frames_in(n)), [0, 1, 1, 2, 96]);
    assert_eq!(yamnet.exact_samples(96), 15_600);
    for front_end in front_ends() {
        for frames in 2..50 {
            let samples = front_end.exact_samples(frames);
            assert_eq!(
                (front_end.frames_in(samples), front_end.frames_in(samples - 1)),
                (frames, frames - 1)
            );
        }
    }
}
