//! How cosines become scores.

use listen_package::{Calibration, Clap};
use listen_zeroshot::{
    Background, Detector, LabelList, MatchOptions, Matcher, ScoreKind, Settings, Smoothing, Span, Table,
    TextError, TextSpace, TextTower,
};

/// A tower that knows directions for some texts, gives every other text its own, and remembers what it was asked.
struct Directions {
    known: Vec<(&'static str, [f32; 3])>,
    asked: Vec<String>,
}

impl TextTower for Directions {
    fn dim(&self) -> usize {
        3
    }

    fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, TextError> {
        self.asked.extend_from_slice(texts);
        let direction = |text: &String| {
            self.known.iter().find(|(known, _)| text == known).map_or([0.0, 0.0, 9.0], |(_, d)| *d).to_vec()
        };
        Ok(texts.iter().map(direction).collect())
    }
}

fn tower() -> Directions {
    let known = vec![
        ("dog", [2.0, 0.0, 0.0]),
        ("siren", [0.0, 3.0, 0.0]),
        ("the sound of dog", [0.0, 5.0, 0.0]),
        ("barking", [0.0, 0.0, 1.0]),
        ("speech", [0.6, 0.8, 0.0]),
        ("nothing", [0.0, 0.0, 0.0]),
        ("not a number", [f32::NAN, 0.0, 0.0]),
    ];
    Directions { known, asked: Vec::new() }
}

fn clap() -> Clap {
    Clap {
        dim: 3,
        logit_scale: None,
        logit_bias: None,
        prompt_templates: vec!["{}".into()],
        background_prompts: vec![],
        calibration: None,
        placing: None,
        default_threshold: 0.5,
        default_offset_threshold: 0.35,
        default_smoothing: None,
    }
}

const CALIBRATION: (f64, f64, f64) = (1.5, -0.5, 0.01);

/// Background cosines of "dog": 0, 0.6, 0.8, 1; of "siren": 1, 0.8, 0.6, 0.
fn calibrated() -> (Clap, Option<Background>) {
    let (a, b, min_std) = CALIBRATION;
    let calibration = Some(Calibration { file: "b.safetensors".into(), a, b, min_std });
    let data = vec![0.0, 1.0, 0.0, 0.6, 0.8, 0.0, 0.8, 0.6, 0.0, 1.0, 0.0, 0.0];
    (Clap { calibration, ..clap() }, Some(Background::new(vec![4, 3], data, 3).unwrap()))
}

fn z(cosine: f64) -> f64 {
    let mean = 0.6;
    let std = ((0.36 + 0.0 + 0.04 + 0.16) / 4.0f64).sqrt();
    (cosine - mean) / std
}

fn sigmoid(logit: f64) -> f32 {
    (1.0 / (1.0 + (-logit).exp())) as f32
}

fn matcher(space: (Clap, Option<Background>), labels: &str, options: MatchOptions) -> Matcher {
    let space = TextSpace { clap: space.0, background: space.1, placing: None };
    Matcher::new(&mut tower(), &space, LabelList::parse(labels).unwrap(), &options).unwrap()
}

fn refused(space: (Clap, Option<Background>), labels: &str, options: MatchOptions) -> String {
    let space = TextSpace { clap: space.0, background: space.1, placing: None };
    let labels = LabelList::parse(labels).unwrap();
    Matcher::new(&mut tower(), &space, labels, &options).unwrap_err().to_string()
}

fn scores(matcher: &mut Matcher, embedding: &[f32]) -> Vec<f32> {
    let mut out = vec![f32::NAN; matcher.labels().len()];
    matcher.scores(embedding, &mut out).unwrap();
    out
}

fn close(found: &[f32], expected: &[f32]) {
    let near = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(near, "{found:?}, expected {expected:?}");
}

fn background(texts: &[&str]) -> MatchOptions {
    MatchOptions {
        background: texts.iter().map(|text| (*text).to_owned()).collect(),
        ..MatchOptions::default()
    }
}

/// The cosines of [0.9, 0.3, ...] at unit length with "dog" and "siren".
const EMBEDDING: [f32; 3] = [0.9, 0.3, 0.316_227_77];

#[test]
fn a_cosine_score_is_the_cosine_whatever_the_lengths() {
    let options = MatchOptions { score: ScoreKind::Cosine, ..MatchOptions::default() };
    let mut matcher = matcher((clap(), None), "dog;siren", options);
    close(&scores(&mut matcher, &EMBEDDING), &[0.9, 0.3]);
    close(&scores(&mut matcher, &EMBEDDING.map(|value| value * 1e-20)), &[0.9, 0.3]);
    close(&scores(&mut matcher, &EMBEDDING.map(|value| value * -1e20)), &[-0.9, -0.3]);
    assert!((matcher.cosine(1).unwrap() + 0.3).abs() < 1e-6);
    assert_eq!(matcher.cosine(2), None);
}

#[test]
fn a_calibrated_score_compares_with_unrelated_sound() {
    let (a, b, _) = CALIBRATION;
    let mut matcher = matcher(calibrated(), "dog;siren", MatchOptions::default());
    close(&scores(&mut matcher, &EMBEDDING), &[sigmoid(a * z(0.9) + b), sigmoid(a * z(0.3) + b)]);
}

#[test]
fn a_deviation_below_the_smallest_counts_as_the_smallest() {
    let (mut clap, _) = calibrated();
    clap.calibration.as_mut().unwrap().min_std = 0.2;
    let same = Background::new(vec![2, 3], vec![1.0, 0.0, 0.0, 1.0, 0.0, 0.0], 3).unwrap();
    let mut matcher = matcher((clap, Some(same)), "dog", MatchOptions::default());
    let (a, b, _) = CALIBRATION;
    close(&scores(&mut matcher, &EMBEDDING), &[sigmoid(a * (0.9 - 1.0) / 0.2 + b)]);
}

#[test]
fn with_a_scale_both_measures_must_be_high() {
    let (a, b, _) = CALIBRATION;
    for (scale, bias, expected) in [
        (10.0, Some(-9.5), sigmoid(10.0 * 0.9 - 9.5)),
        (10.0, Some(0.0), sigmoid(a * z(0.9) + b)),
        (10.0, None, sigmoid(a * z(0.9) + b)),
    ] {
        let (clap, background) = calibrated();
        let clap = Clap { logit_scale: Some(scale), logit_bias: bias, ..clap };
        close(
            &scores(&mut matcher((clap, background), "dog", MatchOptions::default()), &EMBEDDING),
            &[expected],
        );
    }
}

#[test]
fn a_scale_with_a_bias_is_enough_for_a_probability() {
    let clap = Clap { logit_scale: Some(10.0), logit_bias: Some(-6.0), ..clap() };
    let mut matcher = matcher((clap, None), "dog;siren", MatchOptions::default());
    close(&scores(&mut matcher, &EMBEDDING), &[sigmoid(3.0), sigmoid(-3.0)]);
}

#[test]
fn without_a_bias_a_score_is_the_difference_to_the_nearest_background_label() {
    // "speech" lies at 0.6 * 0.9 + 0.8 * 0.3 = 0.78.
    for (scale, slope) in [(Some(12.0), 12.0), (None, 20.0)] {
        let clap = Clap { logit_scale: scale, background_prompts: vec!["speech".into()], ..clap() };
        let mut matcher = matcher((clap, None), "dog;siren", MatchOptions::default());
        close(&scores(&mut matcher, &EMBEDDING), &[sigmoid(slope * 0.12), sigmoid(slope * -0.48)]);
    }
}

#[test]
fn common_sounds_stand_in_where_there_is_no_background_label() {
    let mut tower = tower();
    let space = TextSpace { clap: clap(), background: None, placing: None };
    let labels = LabelList::parse("dog;Music").unwrap();
    Matcher::new(&mut tower, &space, labels, &MatchOptions::default()).unwrap();
    assert_eq!(tower.asked[..4], ["dog", "Music", "silence", "background noise"]);
    assert!(!tower.asked.contains(&"music".to_owned()), "it is a label");
    let table = vec!["dog".to_owned()];
    let mut table = Table::new("t", table, 3, (vec![1, 3], vec![1.0, 0.0, 0.0])).unwrap();
    let dog = LabelList::parse("dog").unwrap();
    let error = Matcher::new(&mut table, &space, dog, &MatchOptions::default()).unwrap_err().to_string();
    assert!(error.contains("give background= labels to compare with, or score=cosine"), "{error}");
}

#[test]
fn a_clearer_background_label_takes_its_lead_from_a_label_and_a_weaker_one_nothing() {
    let clap = || Clap { logit_scale: Some(10.0), logit_bias: Some(-6.0), ..clap() };
    // Logits: dog 3, siren -3, speech 1.8.
    let mut with = matcher((clap(), None), "dog;siren", background(&["speech"]));
    close(&scores(&mut with, &EMBEDDING), &[sigmoid(3.0), sigmoid(-3.0 - 4.8)]);
    let clap = Clap { background_prompts: vec!["speech".into()], ..clap() };
    let mut with = matcher((clap, None), "dog;siren", MatchOptions::default());
    close(&scores(&mut with, &EMBEDDING), &[sigmoid(3.0), sigmoid(-3.0 - 4.8)]);
}

#[test]
fn a_packages_background_prompt_that_is_a_label_is_left_out_and_a_users_is_an_error() {
    let clap = Clap { background_prompts: vec!["Speech".into()], ..calibrated().0 };
    let space = || (clap.clone(), calibrated().1);
    let mut alone = matcher(calibrated(), "dog;speech", MatchOptions::default());
    let mut with = matcher(space(), "dog;speech", MatchOptions::default());
    assert_eq!(scores(&mut alone, &EMBEDDING), scores(&mut with, &EMBEDDING));
    assert_eq!(
        refused(space(), "dog;siren", background(&["wind", "Dog"])),
        "\"Dog\" is both label and background"
    );
}

#[test]
fn a_label_is_the_mean_of_its_prompts_unit_vectors() {
    let cosine = |prompts: &[&str]| MatchOptions {
        prompts: prompts.iter().map(|prompt| (*prompt).to_owned()).collect(),
        score: ScoreKind::Cosine,
        ..MatchOptions::default()
    };
    let half = std::f32::consts::FRAC_1_SQRT_2;
    let mut matcher = matcher((clap(), None), "dog", cosine(&["{}", "the sound of {}"]));
    close(&scores(&mut matcher, &EMBEDDING), &[half * (0.9 + 0.3)]);

    let own = r#"[{"label": "dog", "prompts": ["barking", "siren"]}]"#;
    let space = TextSpace { clap: clap(), background: None, placing: None };
    let labels = LabelList::from_json(own).unwrap();
    let mut matcher = Matcher::new(&mut tower(), &space, labels, &cosine(&["the sound of {}"])).unwrap();
    close(&scores(&mut matcher, &EMBEDDING), &[half * (0.3 + 0.316_227_77)]);
    assert_eq!(
        refused((clap(), None), "dog", cosine(&["{}", "the sound"])),
        "prompt \"the sound\" has no {} that the label could be put into"
    );
}

#[test]
fn templates_are_filled_with_words_and_only_once() {
    let mut tower = tower();
    let clap = Clap { prompt_templates: vec!["a {} b".into()], ..clap() };
    let space = TextSpace { clap, background: None, placing: None };
    let labels = LabelList::parse("glass_breaking;{}").unwrap();
    let options = MatchOptions { score: ScoreKind::Cosine, ..MatchOptions::default() };
    Matcher::new(&mut tower, &space, labels, &options).unwrap();
    assert_eq!(tower.asked, ["a glass breaking b", "a {} b"]);
}

#[test]
fn a_table_is_asked_for_labels_and_not_for_sentences() {
    let names = ["dog", "silence"].map(str::to_owned).to_vec();
    let mut table = Table::new("t", names, 3, (vec![2, 3], vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0])).unwrap();
    let clap = Clap {
        prompt_templates: vec!["the sound of {}".into()],
        background_prompts: vec!["silence".into(), "not in the table".into()],
        ..clap()
    };
    let space = TextSpace { clap, background: None, placing: None };
    let file = r#"["Dog", {"label": "Hund", "prompts": ["dog"]}]"#;
    let labels = LabelList::from_json(file).unwrap();
    let mut matcher = Matcher::new(&mut table, &space, labels, &MatchOptions::default()).unwrap();
    let scores = scores(&mut matcher, &EMBEDDING);
    close(&scores, &[sigmoid(20.0 * 0.6); 2]);
    let error =
        Matcher::new(&mut table, &space, LabelList::parse("dog;cat").unwrap(), &MatchOptions::default());
    assert!(error.unwrap_err().to_string().contains("cannot embed \"cat\""));
    let error = Matcher::new(&mut table, &space, LabelList::parse("dog").unwrap(), &background(&["wind"]));
    assert!(error.unwrap_err().to_string().contains("cannot embed \"wind\""));
}

#[test]
fn an_embedding_without_direction_has_the_lowest_score() {
    for kind in [ScoreKind::Calibrated, ScoreKind::Cosine, ScoreKind::Softmax] {
        let options = MatchOptions { score: kind, ..MatchOptions::default() };
        let mut matcher = matcher(calibrated(), "dog;siren", options);
        for bad in [0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(scores(&mut matcher, &[bad, 0.0, 0.0]), [kind.lowest(); 2], "{kind:?} {bad}");
            assert_eq!(matcher.cosine(0), None);
        }
        let tiny = f32::from_bits(1);
        let scores = scores(&mut matcher, &[tiny, 0.0, 0.0]);
        assert!(scores[0] > 0.5, "denormals have a direction: {scores:?}");
    }
}

#[test]
fn lengths_that_disagree_are_told_both() {
    let mut matcher = matcher(calibrated(), "dog", MatchOptions::default());
    let error = matcher.scores(&[0.0; 4], &mut [0.0]).unwrap_err().to_string();
    assert_eq!(error, "an embedding of 4 values came, the labels were embedded with 3");
    let clap = Clap { dim: 4, ..clap() };
    let options = MatchOptions { score: ScoreKind::Cosine, ..MatchOptions::default() };
    assert_eq!(
        refused((clap, None), "dog", options),
        "the text tower gives 3 values for \"dog\", the package says 4"
    );
    for (shape, values) in [(vec![4, 2], 8), (vec![1, 3], 3), (vec![6], 6), (vec![2, 3], 5)] {
        let error = Background::new(shape.clone(), vec![0.0; values], 3).unwrap_err().to_string();
        assert!(error.contains(&format!("{shape:?}, expected [N, 3]")), "{error}");
    }
}

#[test]
fn a_text_without_direction_is_named() {
    for text in ["nothing", "not a number"] {
        let said = refused(calibrated(), &format!("dog;{text}"), MatchOptions::default());
        assert_eq!(said, format!("the embedding of {text:?} is zero or not finite"));
    }
}

#[test]
fn numbers_that_would_turn_scores_around_are_refused_by_name() {
    let with = |change: fn(&mut Clap)| {
        let (mut clap, background) = calibrated();
        change(&mut clap);
        refused((clap, background), "dog", MatchOptions::default())
    };
    for (said, name) in [
        (with(|clap| clap.logit_scale = Some(-1.0)), "logit_scale is -1, expected a number above 0"),
        (with(|clap| clap.logit_bias = Some(f64::NAN)), "logit_bias is NaN, expected a finite number"),
        (
            with(|clap| clap.calibration.as_mut().unwrap().a = 0.0),
            "calibration.a is 0, expected a number above 0",
        ),
        (with(|clap| clap.calibration.as_mut().unwrap().min_std = 0.0), "calibration.min_std is 0"),
        (with(|clap| clap.calibration.as_mut().unwrap().b = f64::INFINITY), "calibration.b is inf"),
    ] {
        assert!(said.starts_with(name), "{said}");
    }
}

#[test]
fn the_default_thresholds_of_cosines_are_where_calibrated_scores_reach_theirs() {
    let (clap, background) = calibrated();
    for clap in [
        clap.clone(),
        Clap { logit_scale: Some(10.0), logit_bias: Some(-8.9), ..clap.clone() },
        Clap { calibration: None, logit_scale: Some(10.0), logit_bias: Some(-5.0), ..clap.clone() },
    ] {
        let space = || (clap.clone(), background.clone());
        let cosine = MatchOptions { score: ScoreKind::Cosine, ..MatchOptions::default() };
        let (onset, offset) = matcher(space(), "dog", cosine).defaults(0).thresholds.unwrap();
        let mut calibrated = matcher(space(), "dog", MatchOptions::default());
        assert_eq!(calibrated.defaults(0).thresholds, Some((0.5, 0.35)));
        for (cosine, score) in [(onset, 0.5), (offset, 0.35)] {
            let embedding = [cosine, 0.0, (1.0 - cosine * cosine).sqrt()];
            let found = scores(&mut calibrated, &embedding)[0];
            assert!((found - score).abs() < 1e-4, "{found}, expected {score}");
        }
    }
    let options = MatchOptions { score: ScoreKind::Cosine, ..MatchOptions::default() };
    assert_eq!(matcher((self::clap(), None), "dog", options).defaults(0).thresholds, None);
}

#[test]
fn scores_are_smoothed_as_the_package_says_unless_the_user_does() {
    let package = || matcher((Clap { default_smoothing: Some(1.0), ..clap() }, None), "dog", cosine());
    assert_eq!(package().smoothing(), Smoothing::Ema { tau: 1_000_000_000 });
    let second = |smoothing| {
        // Cosines have no thresholds of the package's here.
        let settings =
            Settings { smoothing, threshold: Some(0.5), offset_threshold: Some(0.4), ..Settings::default() };
        let mut detector = Detector::new(package(), settings).unwrap();
        let mut step = |start: u64, embedding: [f32; 3]| {
            let mut changes = Vec::new();
            let span = Span::new(start, start + 1_000_000_000, 1_000_000_000);
            detector.push(span, -1, None, &embedding, &mut changes).unwrap();
            detector.scores().next().map_or(f32::NAN, |best| best.score)
        };
        step(0, [1.0, 0.0, 0.0]);
        step(1_000_000_000, [0.0, 1.0, 0.0])
    };
    let told = second(None);
    assert!((told - (-1.0f32).exp()).abs() < 1e-6, "{told}");
    let none = second(Some(Smoothing::None));
    assert!(none.abs() < 1e-6, "{none}");
}

fn cosine() -> MatchOptions {
    MatchOptions { score: ScoreKind::Cosine, ..MatchOptions::default() }
}

#[test]
fn a_softmax_is_of_the_labels_and_the_users_background_at_the_packages_scale() {
    let softmax = |background: &[&str]| MatchOptions {
        score: ScoreKind::Softmax,
        background: background.iter().map(|text| (*text).to_owned()).collect(),
        ..MatchOptions::default()
    };
    let with_scale = |logit_scale| Clap { logit_scale, background_prompts: vec!["wind".into()], ..clap() };
    for scale in [None, Some(7.5)] {
        for (labels, background) in [("dog;siren", vec![]), ("dog", vec!["siren"])] {
            let mut matcher = matcher((with_scale(scale), None), labels, softmax(&background));
            let found = scores(&mut matcher, &EMBEDDING);
            let weights = [0.9_f64, 0.3].map(|cosine| (scale.unwrap_or(1.0) * cosine).exp());
            let expected = weights.map(|weight| (weight / (weights[0] + weights[1])) as f32);
            close(&found, &expected[..found.len()]);
            assert_eq!(matcher.defaults(0).thresholds, Some((0.5, 0.35)));
        }
    }
    let alone = refused((clap(), None), "dog", softmax(&[]));
    assert!(
        alone.starts_with("score=softmax compares labels with each other, found \"dog\" alone"),
        "{alone}"
    );
}
