//! Decoders of captions that the rest of the manifest, or their own numbers, belie.

use serde_json::json;

use crate::check;
use crate::common::Copy;

/// A block that is right: with a projector, on the package `tiny-clip`.
fn add(copy: &mut Copy) {
    for name in ["decoder.onnx", "tokens.onnx", "projector.onnx", "tokenizer.json"] {
        copy.file(name, name);
    }
    copy.set(
        "captioner",
        json!({
            "decoder": {"file": "decoder.onnx", "layers": 2, "kv_heads": 2, "head_dim": 8, "hidden": 32, "vocab": 256,
                "max_positions": 512, "position_ids": true},
            "embed_tokens": {"file": "tokens.onnx", "input": "input_ids", "output": "inputs_embeds"},
            "projector": {"file": "projector.onnx", "input": "embedding", "output": "prefix", "takes": "clip",
                "prefix": 4, "max_windows": 3},
            "tokenizer": "tokenizer.json", "prompt": "<s>{system}{audio}{prompt}", "begin": [1], "stop": [2],
            "max_tokens": 64, "temperature": 0.0, "top_p": 1.0, "repetition_penalty": 1.0,
            "self_test": {"prompt": "dog", "tokens": [17, 4, 91]}
        }),
    );
}

/// Sets a value of a right block to something wrong.
macro_rules! spoil {
    ($key:literal, $($value:tt)+) => {
        |copy: &mut Copy| {
            add(copy);
            copy.set(concat!("captioner.", $key), json!($($value)+));
        }
    };
}

#[test]
fn a_block_that_is_right_is_taken_and_written_as_it_was_read() {
    let mut copy = Copy::of("tiny-clip");
    add(&mut copy);
    copy.write();
    let package = copy.open().unwrap();
    let captioner = package.manifest().captioner.clone().unwrap();
    assert_eq!(serde_json::to_value(&captioner).unwrap(), copy.manifest["captioner"]);
    let past = captioner.decoder.past();
    assert_eq!((past.len(), &*past[1], &*past[2]), (4, "past_key_values.0.value", "past_key_values.1.key"));
    assert_eq!(captioner.decoder.present()[3], "present.1.value");
}

#[test]
fn sizes_that_no_decoder_has() {
    check(&[
        (
            "no layers",
            "tiny-clip",
            spoil!("decoder.layers", 0),
            "`captioner.decoder.layers` must be 1 to 1024, found 0",
        ),
        (
            "one token",
            "tiny-clip",
            spoil!("decoder.vocab", 1),
            "`captioner.decoder.vocab` must be 2 to 4194304, found 1",
        ),
        (
            "a cache of terabytes",
            "tiny-clip",
            spoil!("decoder.head_dim", 1_000_000),
            "`captioner.decoder.max_positions` must be a number whose keys and values are at most 2147483648, found 512 (4096000000 keys and values)",
        ),
        (
            "a name of nothing",
            "tiny-clip",
            spoil!("embed_tokens.output", " "),
            "`captioner.embed_tokens.output` must be a name, found \" \"",
        ),
        (
            "a size that is no whole number",
            "tiny-clip",
            spoil!("decoder.hidden", 1.5),
            "`captioner.decoder.hidden`: invalid type: floating point…",
        ),
        (
            "a key of nobody's",
            "tiny-clip",
            spoil!("decoder.width", 32),
            "`captioner.decoder.width`: unknown field `width`…",
        ),
        (
            "a form of evidence of nobody's",
            "tiny-clip",
            spoil!("evidence", "yaml"),
            "`captioner.evidence`: unknown variant `yaml`, expected `json` or `compact`…",
        ),
    ]);
}

#[test]
fn a_projector_that_does_not_fit_encoder_or_decoder() {
    check(&[
        (
            "frames of an encoder that gives none",
            "tiny-clip",
            spoil!("projector.takes", "frames"),
            "`captioner.projector.takes` must be what an encoder of kind \"clip\" gives, found \"frames\"",
        ),
        (
            "tokens of an encoder that gives frames",
            "tiny-frames",
            spoil!("projector.takes", "tokens"),
            "`captioner.projector.takes` must be what an encoder of kind \"frames\" gives, found \"tokens\"",
        ),
        (
            "no vectors",
            "tiny-clip",
            spoil!("projector.prefix", 0),
            "`captioner.projector.prefix` must be 1 to 512, found 0",
        ),
        (
            "no room for words",
            "tiny-clip",
            spoil!("projector.max_windows", 128),
            "`captioner.projector.max_windows` must be windows whose `prefix` vectors leave room in `captioner.decoder.max_positions` (512), found 128 of 4 vectors each",
        ),
    ]);
}

#[test]
fn a_prompt_without_its_places() {
    check(&[
        (
            "no prompt",
            "tiny-clip",
            spoil!("prompt", "{audio}{system}"),
            "`captioner.prompt` must be text with one `{prompt}`, found 0 in \"{audio}{system}\"",
        ),
        (
            "two prompts",
            "tiny-clip",
            spoil!("prompt", "{audio}{prompt}{prompt}"),
            "`captioner.prompt` must be text with one `{prompt}`, found 2 in \"{audio}{prompt}{prompt}\"",
        ),
        (
            "two systems",
            "tiny-clip",
            spoil!("prompt", "{system}{audio}{prompt}{system}"),
            "`captioner.prompt` must be text with at most one `{system}`, found 2 in …",
        ),
        (
            "a projector and no place for it",
            "tiny-clip",
            spoil!("prompt", "{prompt}"),
            "`captioner.prompt` must be text with 1 `{audio}`, as there is a projector, found 0 in \"{prompt}\"",
        ),
        (
            "a place for no projector",
            "tiny-clip",
            |copy| {
                add(copy);
                copy.set("captioner.projector", json!(null));
            },
            "`captioner.prompt` must be text with 0 `{audio}`, as there is no projector, found 1 in …",
        ),
        (
            "a prompt of a megabyte",
            "tiny-clip",
            |copy| {
                add(copy);
                copy.set("captioner.prompt", "{audio}{prompt}".to_owned() + &" ".repeat(1 << 20));
            },
            "`captioner.prompt` must be at most 65536 bytes, found 1048591",
        ),
    ]);
}

#[test]
fn tokens_and_numbers_that_cannot_be() {
    check(&[
        (
            "a beginning that is no token",
            "tiny-clip",
            spoil!("begin", [1, 256]),
            "`captioner.begin[1]` must be below `captioner.decoder.vocab` (256), found 256",
        ),
        (
            "no end",
            "tiny-clip",
            spoil!("stop", []),
            "`captioner.stop` must be at least one token, found none",
        ),
        (
            "an end twice",
            "tiny-clip",
            spoil!("stop", [2, 2]),
            "`captioner.stop[1]` must be another than those before it, found 2",
        ),
        (
            "a test without an answer",
            "tiny-clip",
            spoil!("self_test.tokens", []),
            "`captioner.self_test.tokens` must be at least one token, found none",
        ),
        (
            "a test that goes on behind the end",
            "tiny-clip",
            spoil!("self_test.tokens", [4, 2, 5]),
            "`captioner.self_test.tokens[1]` must be none of `captioner.stop`, found 2",
        ),
        (
            "an answer of nothing",
            "tiny-clip",
            spoil!("max_tokens", 0),
            "`captioner.max_tokens` must be 1 to 512, found 0",
        ),
        (
            "more tokens than positions",
            "tiny-clip",
            spoil!("max_tokens", 513),
            "`captioner.max_tokens` must be 1 to 512, found 513",
        ),
        (
            "colder than cold",
            "tiny-clip",
            spoil!("temperature", -0.1),
            "`captioner.temperature` must be 0 to 2, found -0.1",
        ),
        (
            "no token likely enough",
            "tiny-clip",
            spoil!("top_p", 0.0),
            "`captioner.top_p` must be above 0, at most 1, found 0",
        ),
        (
            "a penalty of nothing",
            "tiny-clip",
            spoil!("repetition_penalty", 0),
            "`captioner.repetition_penalty` must be above 0, at most 10, found 0",
        ),
        (
            "a graph that is not listed",
            "tiny-clip",
            spoil!("decoder.external_data", ["decoder.data"]),
            "`captioner.decoder.external_data[0]` must be a file that `sha256` lists …",
        ),
        (
            "a tokenizer out of the package",
            "tiny-clip",
            spoil!("tokenizer", "../tokenizer.json"),
            "`captioner.tokenizer` must be the relative name of a file within the package, found \"../tokenizer.json\"",
        ),
    ]);
}
