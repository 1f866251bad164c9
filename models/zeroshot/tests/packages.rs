//! The small packages of `models/package/fixtures`, through ONNX Runtime where they have a text tower.

use std::path::PathBuf;
use std::sync::Arc;

use listen_package::{Activation, Package};
use listen_runtime::SessionOptions;
use listen_zeroshot::{
    Classes, Classifier, Label, LabelList, LabelSource, MatchError, MatchOptions, OnnxTextTower, ScoreKind,
    Settings, TextTower, text_tower,
};
use safetensors::SafeTensors;

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../package/fixtures").join(name)
}

fn package(name: &str) -> Arc<Package> {
    Package::open(&folder(name), true).unwrap()
}

/// A float32 tensor of `truth.safetensors`, by rows.
fn truth(name: &str, tensor: &str) -> Vec<Vec<f32>> {
    let bytes = std::fs::read(folder(name).join("truth.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor(tensor).unwrap();
    let values: Vec<f32> =
        view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    values.chunks_exact(view.shape()[1]).map(<[f32]>::to_vec).collect()
}

fn sentences(name: &str) -> Vec<String> {
    let bytes = std::fs::read(folder(name).join("truth.safetensors")).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    serde_json::from_str(&metadata.metadata().as_ref().unwrap()["sentences"]).unwrap()
}

fn source(name: &str) -> LabelSource {
    LabelSource::open(&package(name), &SessionOptions::default()).unwrap()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn a_tower_gives_the_embeddings_that_float64_gives() {
    let mut tower = OnnxTextTower::open(&package("tiny-tokens"), &SessionOptions::default()).unwrap();
    assert_eq!(tower.dim(), 16);
    let expected = truth("tiny-tokens", "text_embedding");
    let found = tower.embed(&sentences("tiny-tokens")).unwrap();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
    }
}

/// `tiny-tokens` with its manifest and files changed, and the checksums to fit.
fn changed(change: impl FnOnce(&mut serde_json::Value, &std::path::Path)) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder("tiny-tokens")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let path = copy.path().join("manifest.json");
    let mut manifest: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut manifest, copy.path());
    for (file, sum) in manifest["sha256"].as_object_mut().unwrap() {
        use sha2::Digest;
        let sha = sha2::Sha256::digest(std::fs::read(copy.path().join(file)).unwrap());
        *sum = sha.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
    }
    std::fs::write(&path, manifest.to_string()).unwrap();
    copy
}

#[test]
fn a_text_tower_that_is_not_what_the_manifest_says_names_file_key_and_both_sides() {
    type Change = fn(&mut serde_json::Value, &std::path::Path);
    let cases: [(Change, [&str; 2]); 4] = [
        (
            |m, _| m["text"]["output"] = "pooled".into(),
            ["/text.onnx", ": text.output: the manifest says pooled, the graph has "],
        ),
        (
            |m, _| m["text"]["inputs"][0] = "ids".into(),
            ["/text.onnx", ": text.inputs: the manifest says ids, the graph has "],
        ),
        (
            |m, folder| {
                std::fs::copy(folder.join("head.onnx"), folder.join(m["text"]["file"].as_str().unwrap()))
                    .unwrap();
            },
            ["/text.onnx", ": text.inputs: the manifest says "],
        ),
        (
            |m, folder| std::fs::write(folder.join(m["text"]["tokenizer"].as_str().unwrap()), "{}}").unwrap(),
            ["/tokenizer.json (text.tokenizer)", ": expected a tokenizer"],
        ),
    ];
    for (change, said) in cases {
        let copy = changed(change);
        let package = Package::open(copy.path(), true).unwrap();
        let error = OnnxTextTower::open(&package, &SessionOptions::default()).unwrap_err().to_string();
        let expected = format!("{}{}", copy.path().display(), said.concat());
        assert!(error.starts_with(&expected), "{error}\nexpected {expected}");
    }
}

#[test]
fn the_default_package_places_events_by_calibrated_scores() {
    let mut source = source("../../packages/default");
    let labels = || Some(LabelList::new(["dog", "rain"].map(Label::new).to_vec()).unwrap());
    let matcher = source.matcher(labels(), &MatchOptions::default()).unwrap();
    assert!(matcher.placing().is_some());
    let cosines = MatchOptions { score: ScoreKind::Cosine, ..MatchOptions::default() };
    assert!(source.matcher(labels(), &cosines).unwrap().placing().is_none());
}

#[test]
fn a_text_has_the_same_embedding_whatever_is_asked_beside_it() {
    let mut tower = text_tower(&package("tiny-tokens"), &SessionOptions::default()).unwrap();
    let mut texts = sentences("tiny-tokens");
    let alone: Vec<Vec<f32>> =
        texts.iter().map(|text| tower.embed(std::slice::from_ref(text)).unwrap().swap_remove(0)).collect();
    texts.extend((0..100).map(|i| "low ".repeat(i % 20) + "tone"));
    let together = tower.embed(&texts).unwrap();
    for (text, (a, b)) in texts.iter().zip(alone.iter().zip(&together)) {
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6), "{text}");
    }
    assert!(tower.embed(&[]).unwrap().is_empty());
}

#[test]
fn any_text_is_cut_to_what_the_tower_can_read() {
    let mut tower = text_tower(&package("tiny-tokens"), &SessionOptions::default()).unwrap();
    let hostile =
        ["low tone ".repeat(2_000), "🐕\u{0}\u{202e}\n\t".to_owned(), "x".repeat(100_000), String::new()];
    for embedding in tower.embed(&hostile).unwrap() {
        assert!(embedding.len() == 16 && embedding.iter().all(|value| value.is_finite()));
    }
}

#[test]
fn scores_are_the_documented_formula_of_embeddings_that_float64_gives() {
    let package = package("tiny-tokens");
    let mut source = source("tiny-tokens");
    let list = "low tone;high tone;noise;dog barking";
    let labels = LabelList::parse(list).unwrap();
    let mut matcher = source.matcher(Some(labels), &MatchOptions::default()).unwrap();

    let clap = package.manifest().clap.clone().unwrap();
    let calibration = clap.calibration.unwrap();
    let (shape, background) = package.tensor_f32(&calibration.file, "background").unwrap();
    let mut tower = text_tower(&package, &SessionOptions::default()).unwrap();
    let mut logits = |label: &str, embedding: &[f32]| {
        let prompts: Vec<String> = clap.prompt_templates.iter().map(|t| t.replace("{}", label)).collect();
        let mut mean = vec![0.0f32; 16];
        for row in tower.embed(&prompts).unwrap() {
            let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            mean.iter_mut().zip(&row).for_each(|(mean, value)| *mean += value / norm);
        }
        let cosines: Vec<f64> = background.chunks_exact(shape[1]).map(|row| cosine(row, &mean)).collect();
        let n = cosines.len() as f64;
        let average = cosines.iter().sum::<f64>() / n;
        let std = (cosines.iter().map(|c| (c - average).powi(2)).sum::<f64>() / n).sqrt();
        calibration.a * (cosine(embedding, &mean) - average) / std.max(calibration.min_std) + calibration.b
    };
    for embedding in truth("tiny-tokens", "embedding") {
        let others = ["silence", "speech", "music"].map(|text| logits(text, &embedding));
        let highest = others.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let mut found = [0.0; 4];
        matcher.scores(&embedding, &mut found).unwrap();
        for (found, label) in found.iter().zip(list.split(';')) {
            let logit = logits(label, &embedding);
            let expected = 1.0 / (1.0 + (-(logit - (highest - logit).max(0.0))).exp());
            assert!((f64::from(*found) - expected).abs() < 1e-4, "{label}: {found}, expected {expected}");
        }
    }
}

#[test]
fn a_sound_like_its_label_scores_high_and_like_no_other() {
    for name in ["tiny-tokens", "tiny-frames", "tiny-clip"] {
        let mut source = source(name);
        let LabelSource::Text { tower, .. } = &mut source else { panic!("{name} has no text") };
        let sounds = ["low tone", "high tone", "noise"].map(str::to_owned);
        let embeddings = tower.embed(&sounds).unwrap();
        let labels = LabelList::parse("Low Tone;high tone;NOISE").unwrap();
        let mut matcher = source.matcher(Some(labels), &MatchOptions::default()).unwrap();
        for (sound, embedding) in embeddings.iter().enumerate() {
            let mut scores = [0.0; 3];
            matcher.scores(embedding, &mut scores).unwrap();
            for (label, score) in scores.into_iter().enumerate() {
                assert_eq!(score > 0.5, label == sound, "{name}: {} scores {scores:?}", sounds[sound]);
            }
        }
    }
}

#[test]
fn a_label_that_a_table_lacks_is_an_error_that_names_it() {
    let labels = LabelList::parse("low tone;mid ton").unwrap();
    let error =
        source("tiny-frames").matcher(Some(labels), &MatchOptions::default()).unwrap_err().to_string();
    assert!(error.contains("\"mid ton\"") && error.contains("near it: \"mid tone\""), "{error}");
}

/// What is wrong with these labels.
fn refusal(source: &mut LabelSource, labels: LabelList, background: &[&str]) -> String {
    let background = background.iter().map(|&text| text.to_owned()).collect();
    let options = MatchOptions { background, ..MatchOptions::default() };
    source.matcher(Some(labels), &options).unwrap_err().to_string()
}

#[test]
fn a_label_of_which_the_tower_knows_nothing_is_an_error_that_names_it() {
    let mut source = source("tiny-tokens");
    for label in ["\u{2603}", "[UNK]", "[CLS] [SEP]", "\u{2603} \u{2604}", "\u{200b}"] {
        let labels = LabelList::parse(&format!("low tone;{label}")).unwrap();
        let said = refusal(&mut source, labels, &[]);
        assert!(said.starts_with(&format!("the package cannot embed {label:?}")), "{said}");
    }
    let low = || LabelList::parse("low tone").unwrap();
    let said = refusal(&mut source, low(), &["noise", "\u{2603}"]);
    assert!(said.starts_with("the package cannot embed \"\u{2603}\""), "{said}");
    // What is known in part is a label.
    let labels = LabelList::parse("\u{2603} low tone").unwrap();
    assert!(source.matcher(Some(labels), &MatchOptions::default()).is_ok());
}

#[test]
fn a_labels_own_prompts_are_what_the_tower_must_know() {
    let mut source = source("tiny-tokens");
    let labels = |prompts: &[&str]| {
        let json = serde_json::json!([{"label": "\u{2603}", "prompts": prompts}]);
        LabelList::from_json(&json.to_string()).unwrap()
    };
    assert!(source.matcher(Some(labels(&["low tone"])), &MatchOptions::default()).is_ok());
    let said = refusal(&mut source, labels(&["low tone", "\u{2604}"]), &[]);
    assert!(said.contains("label \"\u{2603}\"") && said.contains("prompt \"\u{2604}\""), "{said}");
}

#[test]
fn the_default_package_refuses_what_its_tower_does_not_know() {
    let package = Package::default_package().unwrap();
    let mut source = LabelSource::open(&package, &SessionOptions::default()).unwrap();
    let said = refusal(&mut source, LabelList::parse("dog barking;\u{2603}").unwrap(), &[]);
    assert!(said.starts_with("the package cannot embed \"\u{2603}\""), "{said}");
    for label in ["dog barking", "caf\u{e9}", "\u{2603} snow", "3", "train_horn"] {
        let labels = LabelList::parse(label).unwrap();
        assert!(source.matcher(Some(labels), &MatchOptions::default()).is_ok(), "{label}");
    }
}

#[test]
fn a_taggers_scores_are_those_that_float64_gives() {
    let mut matcher = source("tiny-tagger").matcher(None, &MatchOptions::default()).unwrap();
    let names = ["silence", "low tone", "mid tone", "high tone", "noise"];
    assert_eq!(matcher.labels().texts().collect::<Vec<_>>(), names);
    for (logits, expected) in truth("tiny-tagger", "embedding").iter().zip(truth("tiny-tagger", "scores")) {
        let mut found = [0.0; 5];
        matcher.scores(logits, &mut found).unwrap();
        assert!(
            found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6),
            "{found:?}, expected {expected:?}"
        );
    }
    let rules =
        Settings::default().rule(&matcher.labels().as_slice()[0], matcher.kind(), matcher.defaults(0));
    assert_eq!(rules.map(|rule| (rule.onset, rule.offset)), Ok((0.5, 0.35)));
}

#[test]
fn what_a_package_cannot_do_is_said() {
    let mut tagger = source("tiny-tagger");
    let labels = |text| Some(LabelList::parse(text).unwrap());
    let cosine = MatchOptions { score: ScoreKind::Cosine, ..MatchOptions::default() };
    for (result, said) in [
        (tagger.matcher(labels("noise;dog"), &MatchOptions::default()), "the package has no class \"dog\""),
        (
            tagger.matcher(None, &cosine),
            "score=cosine and score=softmax: the package has fixed classes, which have no cosine",
        ),
        (source("tiny-tokens").matcher(None, &MatchOptions::default()), "labels must be given"),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
    let error = text_tower(&package("tiny-tagger"), &SessionOptions::default()).err().unwrap().to_string();
    assert!(error.starts_with("the package has neither a text tower"), "{error}");
}

/// A probe of two classes: the first two values of the embedding that it is given.
struct FirstTwo;

impl Classifier for FirstTwo {
    fn classify(&mut self, embedding: &[f32]) -> Result<Vec<f32>, MatchError> {
        Ok(embedding[..2].to_vec())
    }
}

/// tiny-tokens with a classifier of two classes on its embeddings, the second of which is a word of its tower as well.
/// A word begins at 0.8.
fn both() -> LabelSource {
    let LabelSource::Text { tower, mut space } = source("tiny-tokens") else {
        panic!("tiny-tokens has no text")
    };
    space.clap.default_threshold = 0.8;
    let names = ["murmur", "high tone"].map(str::to_owned).to_vec();
    let classes = Classes::with_graph(names, Activation::None, 16, FirstTwo).of_unit_length();
    LabelSource::Both { tower, space, classes }
}

#[test]
fn labels_that_name_classes_have_the_classifiers_scores_and_others_are_text() {
    let text = |list: &str, embedding: &[f32]| {
        let labels = LabelList::parse(list).unwrap();
        let mut matcher = source("tiny-tokens").matcher(Some(labels), &MatchOptions::default()).unwrap();
        let mut scores = [0.0; 2];
        matcher.scores(embedding, &mut scores).unwrap();
        scores
    };
    let labels = LabelList::parse("low tone;MURMUR;noise;high_tone").unwrap();
    let mut matcher = both().matcher(Some(labels), &MatchOptions::default()).unwrap();
    let mut embedding = [0.0f32; 16];
    // Three times as long as a unit vector: the classifier takes it at unit length.
    (embedding[0], embedding[1], embedding[5]) = (0.9, 1.8, 2.2248595);
    let mut scores = [f32::NAN; 4];
    matcher.scores(&embedding, &mut scores).unwrap();
    let [low, noise] = text("low tone;noise", &embedding);
    for (found, expected) in scores.into_iter().zip([low, 0.3, noise, 0.6]) {
        assert!((found - expected).abs() < 1e-6, "{scores:?}: {found}, expected {expected}");
    }
    let cosines: Vec<bool> = (0..4).map(|label| matcher.cosine(label).is_some()).collect();
    assert_eq!(cosines, [true, false, true, false]);
    let onsets: Vec<f32> = (0..4).map(|label| matcher.defaults(label).thresholds.unwrap().0).collect();
    assert_eq!(onsets, [0.8, 0.5, 0.8, 0.5]);
    matcher.scores(&[0.0; 16], &mut scores).unwrap();
    assert_eq!(scores, [0.0; 4]);
}

#[test]
fn without_labels_the_classes_are_listened_for_and_cosines_are_of_texts() {
    let all = both().matcher(None, &MatchOptions::default()).unwrap();
    assert_eq!(all.labels().texts().collect::<Vec<_>>(), ["murmur", "high tone"]);
    let cosine = MatchOptions { score: ScoreKind::Cosine, ..MatchOptions::default() };
    let mut matcher = both().matcher(LabelList::parse("high tone").ok(), &cosine).unwrap();
    matcher.scores(&truth("tiny-tokens", "embedding")[0], &mut [0.0]).unwrap();
    assert!(matcher.cosine(0).is_some());
    assert!(matches!(both().matcher(None, &cosine), Err(MatchError::NoCosine)));
}

#[test]
fn prompts_of_its_own_make_a_class_name_a_text() {
    let score = |prompts: &str| {
        let json = format!(r#"[{{"label": "high tone", "prompts": [{prompts}]}}]"#);
        let labels = LabelList::from_json(&json).unwrap();
        let mut matcher = both().matcher(Some(labels), &MatchOptions::default()).unwrap();
        matcher.scores(&truth("tiny-tokens", "embedding")[0], &mut [0.0]).unwrap();
        matcher.cosine(0)
    };
    assert!(score(r#""a whistle""#).is_some());
    assert!(score(r#""murmur", "high tone""#).is_none());
}
