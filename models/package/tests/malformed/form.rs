//! Manifests that are no JSON, or do not have the form of one.

use std::fs;

use serde_json::{Value, json};

use crate::check;
use crate::common::{self, Copy};

/// Each of `bytes`, in the manifest's place, is refused with `says`.
fn check_bytes(cases: &[(&str, Vec<u8>, &str)]) {
    for (what, bytes, says) in cases {
        let copy = Copy::of("tiny-tagger");
        fs::write(copy.path("manifest.json"), bytes).unwrap();
        assert_eq!(copy.refusal(), format!("DIR/manifest.json: {says}"), "{what}");
    }
}

fn text(manifest: &Value) -> String {
    serde_json::to_string_pretty(manifest).unwrap()
}

#[test]
fn bytes_that_are_no_manifest() {
    let good = common::manifest("tiny-tagger");
    let mut not_utf8 = text(&good).into_bytes();
    not_utf8[20] = 0xff;
    let twice = text(&good).replacen("\"version\": 1", "\"version\": 1, \"version\": 1", 1);
    let twice_inside = text(&good).replacen("\"dim\": 5", "\"dim\": 5, \"dim\": 6", 1);
    let huge = text(&good).replacen("\"pre_scale\": 1.0", "\"pre_scale\": 1e999", 1);
    let long = vec![b' '; (4 << 20) + 1];
    check_bytes(&[
        ("not UTF-8", not_utf8, "must be UTF-8, found the byte 0xff at 20"),
        ("empty", Vec::new(), "`.`: EOF while parsing a value at line 1 column 0"),
        (
            "cut short",
            text(&good).into_bytes()[..100].to_vec(),
            "`audio`: EOF while parsing a string at line 6 column 14",
        ),
        (
            "something behind it",
            [text(&good).as_bytes(), b"{}"].concat(),
            "`.`: trailing characters at line 88 column 2",
        ),
        ("a list", b"[]".to_vec(), "`format` must be \"audio-embedding-package\", found none"),
        (
            "a key twice",
            twice.into_bytes(),
            "`.`: the key `version` must stand there once, found it twice at line 77 column 25",
        ),
        (
            "a key twice further in",
            twice_inside.into_bytes(),
            "`encoder.output`: the key `dim` must stand there once, found it twice at line 21 column 21",
        ),
        (
            "a number beyond all",
            huge.into_bytes(),
            "`audio.pre_scale`: number out of range at line 5 column 22",
        ),
        ("nested without end", b"[".repeat(1_000), "`.`: recursion limit exceeded at line 1 column 128"),
        ("above 4 MiB", long, "a manifest must be at most 4194304 bytes, found 4194305"),
    ]);
}

#[test]
fn manifests_of_the_wrong_form() {
    check(&[
        (
            "another format",
            "tiny-tokens",
            set!("format", "image-embedding-package"),
            "`format` must be \"audio-embedding-package\", found \"image-embedding-package\"",
        ),
        ("another version", "tiny-tokens", set!("version", 2), "`version` must be 1, found 2"),
        (
            "another version with keys of its own",
            "tiny-tokens",
            |copy| {
                copy.set("version", 2);
                copy.set("sensors", json!([]));
            },
            "`version` must be 1, found 2",
        ),
        ("a version in words", "tiny-tokens", set!("version", "1"), "`version` must be 1, found \"1\""),
        (
            "an unknown key",
            "tiny-tokens",
            set!("windows", 1),
            "`windows`: unknown field `windows`, expected one of `format`, `version`, `id`, `family`, `description`, `sha256`, `license`, `audio`, `frontend`, `normalize`, `window`, `streaming`, `encoder`, `frame_embedding`, `clip_pooling`, `head`, `clap`, `text`, `label_embeddings`, `tagger`, `captioner`, `self_test`",
        ),
        (
            "an unknown key inside",
            "tiny-tokens",
            set!("encoder.output.rows", 5),
            "`encoder.output.rows`: unknown field `rows`, expected one of `name`, `kind`, `dim`, `order`, `freq_rows`, `frames_per_column`",
        ),
        (
            "an unknown key in the front end",
            "tiny-tokens",
            set!("frontend.n_mel", 80),
            "`frontend.n_mel`: unknown field `n_mel`, expected one of `sample_rate`, `n_fft`, `win_length`, `hop_length`, `window`, `center`, `pad_mode`, `spectrum`, `n_mels`, `f_min`, `f_max`, `mel_scale`, `mel_norm`, `triangle_domain`, `zero_dc`, `log`, `filterbank`",
        ),
        (
            "an unknown key in the logarithm",
            "tiny-tokens",
            set!("frontend.log.base", 10),
            "`frontend.log`: unknown field `base`, expected `eps`",
        ),
        (
            "an unknown key beside nothing",
            "tiny-tagger",
            set!("normalize.mean", 1.0),
            "`normalize`: unknown field `mean`, there are no fields",
        ),
        ("a missing key", "tiny-tokens", set!("window.frames", null), "`window`: missing field `frames`"),
        (
            "a missing key in the front end",
            "tiny-tokens",
            set!("frontend.f_max", null),
            "`frontend`: missing field `f_max`",
        ),
        ("a missing section", "tiny-tokens", set!("license", null), "`.`: missing field `license`"),
        (
            "an unknown word",
            "tiny-tokens",
            set!("window.edge", "sharp"),
            "`window.edge`: unknown variant `sharp`, expected `exact` or `rolling`",
        ),
        (
            "an unknown kind",
            "tiny-tokens",
            set!("normalize.kind", "batch"),
            "`normalize.kind`: unknown variant `batch`, expected one of `none`, `fixed`, `per_window`, `running`",
        ),
        (
            "an unknown precision",
            "tiny-tokens",
            set!("encoder.graphs.int4", {"file": "encoder.onnx"}),
            "`encoder.graphs`: unknown variant `int4`, expected one of `fp32`, `fp16`, `bf16`, `int8`",
        ),
        (
            "a number for a word",
            "tiny-tokens",
            set!("clip_pooling", 1),
            "`clip_pooling`: invalid type: integer `1`, expected string or map",
        ),
        (
            "a variant's number for its name",
            "tiny-tokens",
            set!("normalize.kind", 0),
            "`normalize.kind`: invalid type: integer `0`, expected variant identifier",
        ),
        (
            "text for a number",
            "tiny-tokens",
            set!("encoder.output.dim", "8"),
            "`encoder.output.dim`: invalid type: string \"8\", expected u32",
        ),
        (
            "text for a number of the front end",
            "tiny-tokens",
            set!("frontend.f_min", "50"),
            "`frontend.f_min`: invalid type: string \"50\", expected f64",
        ),
        (
            "text for a number of the normalisation",
            "tiny-tokens",
            set!("normalize.std", "4.2"),
            "`normalize.std`: invalid type: string \"4.2\", expected f64",
        ),
        (
            "a fraction of a frame",
            "tiny-tokens",
            set!("window.frames", 64.5),
            "`window.frames`: invalid type: floating point `64.5`, expected u32",
        ),
        (
            "a negative length",
            "tiny-tokens",
            set!("text.max_length", -1),
            "`text.max_length`: invalid value: integer `-1`, expected u32",
        ),
    ]);
}
