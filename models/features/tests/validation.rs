//! A front end that cannot be built says what disagrees, with both values.

use listen_features::{ExactWindows, FrontEnd, Level, Log, LogMel, PadMode, log_mel};

fn refused(wrong: impl FnOnce(&mut FrontEnd)) -> String {
    let mut front_end = FrontEnd::m2d_16k();
    wrong(&mut front_end);
    let error = front_end.validate().unwrap_err();
    let error = error.to_string();
    // Whatever is made from a front end refuses it for the same reason.
    assert_eq!(LogMel::new(&front_end).err().unwrap().to_string(), error);
    assert_eq!(ExactWindows::new(&front_end, 10, 10).err().unwrap().to_string(), error);
    assert_eq!(log_mel(&front_end, &[0.0; 1_000]).unwrap_err().to_string(), error);
    assert_eq!(Level::new(&front_end).unwrap_err().to_string(), error);
    error
}

#[test]
fn every_published_front_end_is_valid() {
    let all = [
        FrontEnd::m2d_16k(),
        FrontEnd::m2d_32k(),
        FrontEnd::byol_a(),
        FrontEnd::laion_clap(),
        FrontEnd::yamnet(),
    ];
    all.iter().for_each(|front_end| front_end.validate().unwrap());
}

#[test]
fn numbers_out_of_range_are_named_with_their_range() {
    let range = |name: &str, min: u32, max: u32, found: u32| {
        format!("front end: {name} must be {min} to {max}, found {found}")
    };
    assert_eq!(refused(|f| f.sample_rate = 0), range("sample_rate", 1, 1_000_000, 0));
    assert_eq!(refused(|f| f.n_fft = 0), range("n_fft", 2, 65_536, 0));
    assert_eq!(refused(|f| f.n_fft = u32::MAX), range("n_fft", 2, 65_536, u32::MAX));
    assert_eq!(refused(|f| f.win_length = 0), range("win_length", 1, 400, 0));
    assert_eq!(refused(|f| f.win_length = 401), range("win_length", 1, 400, 401));
    assert_eq!(refused(|f| f.hop_length = 0), range("hop_length", 1, 65_536, 0));
    assert_eq!(refused(|f| f.n_mels = 0), range("n_mels", 1, 4_096, 0));
    assert_eq!(refused(|f| f.n_mels = 5_000), range("n_mels", 1, 4_096, 5_000));
    assert_eq!(refused(|f| f.n_fft = 401), "front end: n_fft must be even, found 401");
}

#[test]
fn a_band_that_is_empty_or_beyond_half_the_rate_is_named_with_both_edges() {
    let band = |low: &str, high: &str| {
        format!("front end: f_min {low} Hz to f_max {high} Hz must be a band within 0 to 8000 Hz")
    };
    assert_eq!(refused(|f| f.f_max = 8_001.0), band("50", "8001"));
    assert_eq!(refused(|f| f.f_min = 8_000.0), band("8000", "8000"));
    assert_eq!(refused(|f| f.f_min = -1.0), band("-1", "8000"));
    assert_eq!(refused(|f| f.f_min = f64::NAN), band("NaN", "8000"));
    assert_eq!(refused(|f| f.f_max = f64::INFINITY), band("50", "inf"));
}

#[test]
fn padding_must_fit_centring() {
    assert_eq!(
        refused(|f| f.center = false),
        "front end: pad_mode Reflect does not go with center=false, expected None"
    );
    assert_eq!(
        refused(|f| f.pad_mode = PadMode::None),
        "front end: pad_mode None does not go with center=true, expected Reflect"
    );
}

#[test]
fn a_logarithm_of_nothing_is_refused() {
    let range = "of the logarithm must be 1.1754943508222875e-38 to 1e6";
    assert_eq!(refused(|f| f.log = Log::LnAdd { eps: 0.0 }), format!("front end: eps {range}, found 0e0"));
    assert_eq!(
        refused(|f| f.log = Log::LnMax { floor: -1.0 }),
        format!("front end: floor {range}, found -1e0")
    );
    assert_eq!(
        refused(|f| f.log = Log::DbMax { amin: f64::NAN }),
        format!("front end: amin {range}, found NaN")
    );
}

#[test]
fn a_window_without_frames_is_refused() {
    let error = |window, hop| ExactWindows::new(&FrontEnd::m2d_16k(), window, hop).err().unwrap().to_string();
    assert_eq!(error(0, 10), "a window of 0 frames; it must be at least 1 and at most 65536");
    assert_eq!(error(10, 0), "a hop of 0 frames; it must be at least 1 and at most 65536");
    assert_eq!(
        error(usize::MAX, 1),
        format!("a window of {} frames; it must be at least 1 and at most 65536", usize::MAX)
    );
    assert_eq!(error(1, 1), "reflection at the edges needs at least 201 samples, found 0");
}

#[test]
fn a_front_end_survives_its_json() {
    for front_end in [FrontEnd::m2d_16k(), FrontEnd::laion_clap(), FrontEnd::yamnet()] {
        let json = serde_json::to_string(&front_end).unwrap();
        assert_eq!(serde_json::from_str::<FrontEnd>(&json).unwrap(), front_end);
        let unknown = json.replacen('{', "{\"colour\":1,", 1);
        let error = serde_json::from_str::<FrontEnd>(&unknown).unwrap_err().to_string();
        assert!(error.contains("colour"), "{error}");
    }
}
