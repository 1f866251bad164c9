//! Tables, classes and self-tests that disagree with the manifest.

use serde_json::json;

use crate::check;
use crate::common::{Copy, tensor};

/// A safetensors file whose header claims `header` bytes.
fn claiming(header: u64) -> Vec<u8> {
    [&header.to_le_bytes()[..], b"{}"].concat()
}

/// Lists a file of networks that place events.
fn place_by(copy: &mut Copy, bytes: Vec<u8>) {
    copy.file("placing", bytes);
    copy.set("clap.placing", json!({"file": "placing", "step_frames": 8}));
}

#[test]
fn tables_that_disagree_with_the_manifest() {
    check(&[
        (
            "a header of 10 GB",
            "tiny-clip",
            |copy| copy.file("labels.safetensors", claiming(10 << 30)),
            "DIR/labels.safetensors: the header of a safetensors file must be at most 2 bytes, found 10737418240",
        ),
        (
            "a tensor of 10 GB",
            "tiny-clip",
            |copy| {
                let header =
                    br#"{"embeddings":{"dtype":"F32","shape":[6,419430400],"data_offsets":[0,10066329600]}}"#;
                let length = (header.len() as u64).to_le_bytes();
                copy.file("labels.safetensors", [&length[..], header].concat());
            },
            "DIR/labels.safetensors: not a safetensors file: incomplete metadata, file not fully covered",
        ),
        (
            "no safetensors file",
            "tiny-clip",
            |copy| copy.file("labels.safetensors", "no"),
            "DIR/labels.safetensors: not a safetensors file: header too small",
        ),
        (
            "another tensor",
            "tiny-clip",
            |copy| copy.file("labels.safetensors", tensor("labels", &[6, 16], &[1.0; 96])),
            "DIR/labels.safetensors: tensor `embeddings` must be there, found only [labels]",
        ),
        (
            "more labels than rows",
            "tiny-clip",
            |copy| copy.file("labels.safetensors", tensor("embeddings", &[5, 16], &[1.0; 80])),
            "DIR/labels.safetensors: tensor `embeddings` must be of shape [6, 16], found [5, 16]",
        ),
        (
            "rows of another width",
            "tiny-frames",
            |copy| copy.file("labels.safetensors", tensor("embeddings", &[10, 8], &[1.0; 80])),
            "DIR/labels.safetensors: tensor `embeddings` must be of shape [10, 16], found [10, 8]",
        ),
        (
            "a label of nothing",
            "tiny-clip",
            |copy| {
                let mut values = [1.0; 96];
                values[16..32].fill(0.0);
                copy.file("labels.safetensors", tensor("embeddings", &[6, 16], &values));
            },
            "DIR/labels.safetensors: tensor `embeddings` must be vectors with a direction, found zeros in row 1",
        ),
        (
            "a label that is no number",
            "tiny-clip",
            |copy| {
                let mut values = [1.0; 96];
                values[40] = f32::NAN;
                copy.file("labels.safetensors", tensor("embeddings", &[6, 16], &values));
            },
            "DIR/labels.safetensors: tensor `embeddings` must be finite, found NaN at 40",
        ),
        (
            "a background that is not of length 1",
            "tiny-tokens",
            |copy| copy.file("background.safetensors", tensor("background", &[2, 16], &[0.5; 32])),
            "DIR/background.safetensors: tensor `background` must be vectors of length 1, found 2.0000 in row 0",
        ),
        (
            "a background of nothing",
            "tiny-tokens",
            |copy| copy.file("background.safetensors", tensor("background", &[0, 16], &[])),
            "DIR/background.safetensors: tensor `background` must be of shape [any, 16], found [0, 16]",
        ),
        (
            "networks of no layer",
            "tiny-tokens",
            |copy| place_by(copy, tensor("bank", &[1, 1], &[1.0])),
            "DIR/placing: tensor `onset.0.weight` must be there, found only [bank]",
        ),
        (
            "a network that takes an odd number of scores",
            "tiny-tokens",
            |copy| place_by(copy, tensor("onset.0.weight", &[1, 8], &[1.0; 8])),
            "DIR/placing: tensor `onset.0.weight` must be [any, 5 + 2 n], at most 37 columns, found [1, 8]",
        ),
        (
            "a network of 65 rows",
            "tiny-tokens",
            |copy| place_by(copy, tensor("onset.0.weight", &[65, 9], &[1.0; 585])),
            "DIR/placing: tensor `onset.0.weight` must be at most 64 rows, found 65",
        ),
        (
            "a network without a bias",
            "tiny-tokens",
            |copy| place_by(copy, tensor("onset.0.weight", &[1, 9], &[1.0; 9])),
            "DIR/placing: tensor `onset.0.bias` must be there, found only [onset.0.weight]",
        ),
        (
            "too few classes",
            "tiny-tagger",
            |copy| copy.file("labels.txt", "a\nb\nc\n"),
            "DIR/labels.txt: the number of classes must be `encoder.output.dim` (5), found 3",
        ),
        (
            "a class twice",
            "tiny-tagger",
            |copy| copy.file("labels.txt", "a\nb\nc\nb\ne\n"),
            "DIR/labels.txt: each line must be a class that no other line names, found \"b\" in line 4",
        ),
        (
            "classes that are not UTF-8",
            "tiny-tagger",
            |copy| copy.file("labels.txt", b"a\nb\xe9\n"),
            "DIR/labels.txt: must be UTF-8, found the byte 0xe9 at 3",
        ),
        (
            "a self-test that is too short",
            "tiny-tagger",
            |copy| copy.file("self_test.safetensors", tensor("samples", &[100], &[0.0; 100])),
            "DIR/self_test.safetensors: tensor `samples` must be of shape [15600], found [100]",
        ),
        (
            "a self-test that tests nothing",
            "tiny-tagger",
            |copy| copy.file("self_test.safetensors", tensor("samples", &[15_600], &[0.0; 15_600])),
            "DIR/self_test.safetensors: tensor `embedding` must be there, or `log_mel`, found neither",
        ),
    ]);
}
