//! A level is relative to a sine of full scale and 1 kHz.

use std::f64::consts::TAU;

use listen_features::{FrontEnd, Level, Log, log_mel};

fn front_ends() -> [FrontEnd; 6] {
    [
        FrontEnd::m2d_16k(),
        FrontEnd::m2d_32k(),
        FrontEnd::byol_a(),
        FrontEnd::laion_clap(),
        FrontEnd::yamnet(),
        FrontEnd { log: Log::LnMax { floor: 1e-10 }, ..FrontEnd::m2d_16k() },
    ]
}

/// The level of a second of a sine, edges left out.
fn level(front_end: &FrontEnd, hz: f64, amplitude: f64) -> f32 {
    let rate = f64::from(front_end.sample_rate);
    let sine =
        (0..front_end.sample_rate).map(|n| (amplitude * (TAU * hz * f64::from(n) / rate).sin()) as f32);
    let frames = log_mel(front_end, &sine.collect::<Vec<_>>()).unwrap();
    let edge = 5 * front_end.n_mels as usize;
    Level::new(front_end).unwrap().db(&frames[edge..frames.len() - edge])
}

#[test]
fn a_full_scale_sine_has_0_db_and_a_tenth_of_it_20_less() {
    for front_end in front_ends() {
        for (amplitude, db) in [(1.0, 0.0), (0.5, -6.0206), (0.1, -20.0), (0.01, -40.0)] {
            let found = level(&front_end, 1_000.0, amplitude);
            // YAMNet adds 0.001 to magnitudes and magnitudes of neighbouring bins do not sum as powers do.
            assert!((found - db).abs() < 0.05, "{found} dB and not {db} dB, {front_end:?}");
        }
    }
}

#[test]
fn silence_has_the_floor_and_nothing_is_below() {
    for front_end in front_ends() {
        let measured = Level::new(&front_end).unwrap();
        let silence = log_mel(&front_end, &vec![0.0; 8_000]).unwrap();
        assert_eq!(measured.db(&silence), Level::FLOOR, "{front_end:?}");
        assert_eq!(measured.db(&[]), Level::FLOOR);
        assert_eq!(measured.db(&[f32::NEG_INFINITY, f32::NAN]), Level::FLOOR);
        assert!(level(&front_end, 1_000.0, 1e-3) > -70.0);
    }
}

#[test]
fn half_a_window_of_sound_is_3_db_below_a_whole_one() {
    let front_end = FrontEnd::m2d_16k();
    let noise: Vec<f32> = {
        let mut state = 1_u32;
        let step = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state as f32 / u32::MAX as f32 - 0.5
        };
        (0..16_000).map(step).collect()
    };
    let frames = log_mel(&front_end, &noise).unwrap();
    let silent = log_mel(&front_end, &[0.0; 16_000]).unwrap();
    let measured = Level::new(&front_end).unwrap();
    let half = measured.db(&[frames.clone(), silent].concat());
    assert!((measured.db(&frames) - half - 3.0103).abs() < 1e-3);
}

#[test]
fn a_front_end_that_cannot_hear_1_khz_is_measured_in_the_middle_of_its_band() {
    let front_end = FrontEnd { f_min: 2_000.0, f_max: 4_000.0, n_mels: 20, ..FrontEnd::m2d_16k() };
    assert!(level(&front_end, 3_000.0, 1.0).abs() < 0.05);
}
