//! The frames against NumPy, value by value.
//!
//! `golden/make_golden.py` writes the vectors in double precision and rounds them to float32. The promise is 1e-4; what
//! is left here is that rounding on both sides: at most 1e-6 in nats and 8e-6 in decibels.

use std::{f64::consts::TAU, fs};

use listen_features::{
    Filterbank, FrontEnd, MelNorm, MelScale, TriangleDomain, hz_to_mel, log_mel, mel_to_hz, silence_value,
};
use serde_json::Value;

const TOLERANCE: f64 = 1e-5;

fn front_ends() -> [(&'static str, FrontEnd); 5] {
    [
        ("m2d_16k", FrontEnd::m2d_16k()),
        ("m2d_32k", FrontEnd::m2d_32k()),
        ("byol_a", FrontEnd::byol_a()),
        ("laion_clap", FrontEnd::laion_clap()),
        ("yamnet", FrontEnd::yamnet()),
    ]
}

fn bytes(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read(&path)
        .unwrap_or_else(|error| panic!("{path}: {error}; run `python tests/golden/make_golden.py`"))
}

fn floats(name: &str) -> Vec<f32> {
    bytes(name).as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect()
}

fn clip() -> Vec<f32> {
    bytes("clip.s16").as_chunks().0.iter().map(|&two| f32::from(i16::from_le_bytes(two)) / 32_768.0).collect()
}

fn golden(front_end: &str) -> Value {
    serde_json::from_slice::<Value>(&bytes("golden.json")).unwrap()[front_end].clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn index(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

/// The script's `sweep`: a tone, a sweep, a little noise, and digital silence from 4 s to 5 s.
fn sweep(rate: u32) -> Vec<f32> {
    let rate = rate as usize;
    let mut state = 1_u32;
    let mut samples: Vec<f32> = (0..rate * 10)
        .map(|n| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = f64::from(state) / 2_147_483_648.0 - 1.0;
            let t = n as f64 / rate as f64;
            let tones = 0.4 * (TAU * 440.0 * t).sin() + 0.2 * (TAU * (100.0 * t + 350.0 * t * t)).sin();
            (tones + 0.01 * noise) as f32
        })
        .collect();
    samples[4 * rate..5 * rate].fill(0.0);
    samples
}

fn assert_agrees(name: &str, signal: &str, ours: &[f32]) {
    let theirs = floats(&format!("{name}.{signal}.f32"));
    assert_eq!(ours.len(), theirs.len(), "{name} of {signal}");
    for (i, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        assert!(
            (f64::from(*a) - f64::from(*b)).abs() < TOLERANCE,
            "{name} of {signal}, value {i}: {a} and not {b}"
        );
    }
}

#[test]
fn a_tone_with_weak_noise_agrees_everywhere() {
    for (name, front_end) in front_ends() {
        assert_agrees(name, "weak", &log_mel(&front_end, &floats("weak.f32")).unwrap());
    }
}

#[test]
fn a_recording_agrees_everywhere() {
    for (name, front_end) in front_ends() {
        assert_agrees(name, "clip", &log_mel(&front_end, &clip()).unwrap());
    }
}

#[test]
fn ten_seconds_agree_in_shape_moments_and_points() {
    for (name, front_end) in front_ends() {
        let (golden, bands) = (golden(name), front_end.n_mels as usize);
        let frames = log_mel(&front_end, &sweep(front_end.sample_rate)).unwrap();
        assert_eq!(
            [frames.len() / bands, bands],
            [index(&golden["shape"][0]), index(&golden["shape"][1])],
            "{name}"
        );

        let count = frames.len() as f64;
        let mean = frames.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        let variance = frames.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
        assert!((mean - number(&golden["mean"])).abs() < TOLERANCE, "{name}: mean {mean}");
        assert!(
            (variance.sqrt() - number(&golden["std"])).abs() < TOLERANCE,
            "{name}: deviation {}",
            variance.sqrt()
        );
        for point in golden["points"].as_array().unwrap() {
            let (band, frame, theirs) = (index(&point[0]), index(&point[1]), number(&point[2]));
            let ours = f64::from(frames[frame * bands + band]);
            assert!(
                (ours - theirs).abs() < TOLERANCE,
                "{name}, frame {frame}, band {band}: {ours} and not {theirs}"
            );
        }
    }
}

/// The figures that models.md 1.1 states, taken from there and not from the script.
#[test]
fn the_published_check_values_hold() {
    let stated = [
        (
            "m2d_16k",
            -9.035327,
            3.770717,
            [1.82431, 3.43744, -10.56703, -15.94239, -10.13203],
            2.00069846,
            388,
        ),
        ("m2d_32k", -8.327646, 3.926248, [2.80891, -7.51156, 1.88436, -15.94239, -9.01584], 1.99953584, 777),
        ("byol_a", -7.234019, 3.886667, [3.66144, -7.33033, -1.15219, -15.94239, -6.75792], 4.09573853, 966),
    ];
    let points = [(0, 0), (10, 100), (40, 333), (40, 450), (55, 777)];
    let front_ends = front_ends();
    for (name, mean, deviation, values, weights, nonzero) in stated {
        let (_, front_end) = front_ends.iter().find(|(other, _)| *other == name).unwrap();
        let bands = front_end.n_mels as usize;
        let frames = log_mel(front_end, &sweep(front_end.sample_rate)).unwrap();
        assert_eq!(frames.len(), 1_001 * bands);
        let ours = frames.iter().map(|&v| f64::from(v)).sum::<f64>() / frames.len() as f64;
        let spread = frames.iter().map(|&v| (f64::from(v) - ours).powi(2)).sum::<f64>() / frames.len() as f64;
        assert!(
            (ours - mean).abs() < 2e-6 && (spread.sqrt() - deviation).abs() < 2e-6,
            "{name}: {ours}, {spread}"
        );
        for ((band, frame), value) in points.into_iter().zip(values) {
            let ours = f64::from(frames[frame * bands + band]);
            assert!(
                (ours - value).abs() < 1.5e-5,
                "{name}, frame {frame}, band {band}: {ours} and not {value}"
            );
        }
        let bank = Filterbank::new(front_end);
        assert_eq!(bank.iter().count(), nonzero, "{name}");
        assert!((bank.iter().map(|(_, _, weight)| weight).sum::<f64>() - weights).abs() < 1e-8, "{name}");
    }
}

#[test]
fn the_triangles_agree_with_numpy() {
    for (name, front_end) in front_ends() {
        let (golden, bank) = (golden(name), Filterbank::new(&front_end));
        let sum: f64 = bank.iter().map(|(_, _, weight)| weight).sum();
        assert!((sum - number(&golden["filterbank_sum"])).abs() < 1e-8, "{name}: {sum}");
        assert_eq!(bank.iter().count(), index(&golden["filterbank_nonzero"]), "{name}");
        for peak in golden["filterbank_peaks"].as_array().unwrap() {
            let (band, bin, weight) = (index(&peak[0]), index(&peak[1]), number(&peak[2]));
            let ours =
                bank.iter().find(|&(b, k, _)| (b, k) == (band, bin)).map(|(_, _, weight)| weight).unwrap();
            assert!((ours - weight).abs() < 1e-10, "{name}, band {band}, bin {bin}: {ours} and not {weight}");
        }
    }
    let low: Vec<f64> =
        Filterbank::new(&FrontEnd::m2d_16k()).iter().take(2).map(|(_, _, weight)| weight).collect();
    assert!((low[0] - 0.022_368_6).abs() < 1e-7 && (low[1] - 0.002_418_68).abs() < 1e-8, "{low:?}");
}

#[test]
fn mel_and_hertz_are_inverse() {
    for scale in [MelScale::Slaney, MelScale::Htk] {
        for hz in [0.0, 50.0, 999.9, 1_000.0, 1_000.1, 16_000.0] {
            assert!((mel_to_hz(hz_to_mel(hz, scale), scale) - hz).abs() < 1e-8, "{scale:?} {hz}");
        }
    }
    assert!((hz_to_mel(1_000.0, MelScale::Slaney) - 15.0).abs() < 1e-12);
    assert!((hz_to_mel(1_000.0, MelScale::Htk) - 999.985_5).abs() < 1e-4);
}

#[test]
fn digital_silence_has_the_published_value() {
    assert_eq!(silence_value(&FrontEnd::m2d_16k()), -15.942_385);
    assert_eq!(silence_value(&FrontEnd::laion_clap()), -100.0);
    assert_eq!(silence_value(&FrontEnd::yamnet()), 0.001_f64.ln() as f32);
    for (name, front_end) in front_ends() {
        let frames = log_mel(&front_end, &[0.0; 4_000]).unwrap();
        assert!(frames.iter().all(|&value| value == silence_value(&front_end)), "{name}");
    }
}

/// How far the frames of the recording move when the front end is wrong in one place.
fn moved_by(wrong: impl FnOnce(&mut FrontEnd)) -> f32 {
    let right = FrontEnd::m2d_16k();
    let mut other = right.clone();
    wrong(&mut other);
    let (right, wrong) = (log_mel(&right, &clip()).unwrap(), log_mel(&other, &clip()).unwrap());
    right.iter().zip(&wrong).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_wrong_front_end_would_not_pass_these_tests() {
    assert!(moved_by(|wrong| wrong.mel_scale = MelScale::Htk) > 1.0);
    assert!(moved_by(|wrong| wrong.mel_norm = MelNorm::None) > 1.0);
    assert!(moved_by(|wrong| wrong.triangle_domain = TriangleDomain::Mel) > 1e-3);
    assert!(moved_by(|wrong| wrong.f_min = 60.0) > 1e-1);
    assert!(moved_by(|wrong| wrong.win_length = 399) > 1e-3);
}
