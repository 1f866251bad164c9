//! Decoders that are refused, and embeddings that they refuse: with both sides.

use super::*;

#[test]
fn embeddings_that_are_missing_or_of_another_kind_are_told_with_both_sides() {
    let mut local = local("tiny-llama", &options(4));
    assert_eq!(local.takes(), Some(Output::Clip));
    let mut told = |scene: Scene| {
        local.reply(&Request::caption(scene), &Cancel::new(), &mut |_| {}).unwrap_err().to_string()
    };
    let with = |embedding: Embedding| Scene { embeddings: vec![embedding.into()], ..scene("dog") };
    assert_eq!(
        told(Scene { embeddings: Vec::new(), ..scene("dog") }),
        "the decoder's projector takes embeddings, found none in what was heard"
    );
    assert_eq!(
        told(with(Embedding { rows: 2, ..window(&[0.0; 32]) })),
        "the decoder's projector takes 1 vector of 16 values a window (output=clip), found 2 of 16: set `output` of m2dencode"
    );
    assert_eq!(
        told(with(window(&[0.0; 12]))),
        "the decoder's projector takes 1 vector of 16 values a window (output=clip), found 1 of 12: set `output` of m2dencode"
    );
}

#[test]
fn a_block_that_the_graphs_belie_is_refused_with_both_sides() {
    type Change = fn(&mut serde_json::Value);
    let cases: [(Change, &str); 9] = [
        (
            |json| json["captioner"]["self_test"]["tokens"] = serde_json::json!([107, 40, 9]),
            "the decoder's self-test must begin with the tokens [107, 40, 9], found [107, 40, 107]",
        ),
        (
            |json| json["captioner"]["decoder"]["hidden"] = 32.into(),
            "decoder.onnx: `inputs_embeds` must be float32 [1, ?, 32], as the manifest's `captioner` says, found float32 [",
        ),
        (
            |json| json["captioner"]["decoder"]["layers"] = 1.into(),
            "decoder.onnx: each input must be one of inputs_embeds, attention_mask, position_ids, past_key_values.0.key, past_key_values.0.value, as the manifest's `captioner` says, found past_key_values.1.key",
        ),
        (
            |json| json["captioner"]["decoder"]["layers"] = 3.into(),
            "the graph has no input named \"past_key_values.2.key\"",
        ),
        (
            |json| json["captioner"]["decoder"]["head_dim"] = 8.into(),
            "decoder.onnx: `past_key_values.0.key` must be float32 [1, 2, ?, 8], as the manifest's `captioner` says, found float32 [",
        ),
        (
            |json| json["captioner"]["decoder"]["position_ids"] = false.into(),
            "decoder.onnx: each input must be one of inputs_embeds, attention_mask, past_key_values.0.key",
        ),
        (
            |json| json["captioner"]["decoder"]["vocab"] = 300.into(),
            "decoder.onnx: `logits` must be float32 [1, ?, 300], as the manifest's `captioner` says, found float32 [",
        ),
        (
            |json| json["captioner"]["projector"]["prefix"] = 5.into(),
            "projector.onnx: `prefix` must be float32 [1, 5, 16], as the manifest's `captioner` says, found float32 [",
        ),
        (
            |json| json["captioner"]["embed_tokens"]["output"] = "embeddings".into(),
            "the graph has no output named \"embeddings\"; it has inputs_embeds",
        ),
    ];
    for (change, says) in cases {
        let error = changed("tiny-llama", &[], change).unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}\nexpected {says}");
    }
    let none = changed("tiny-llama", &[], |json| drop(json.as_object_mut().unwrap().remove("captioner")));
    assert_eq!(
        none.unwrap_err().to_string(),
        "package `tiny-llama` has no decoder: `captioner` must be in its manifest, found none"
    );
}

#[test]
fn a_tokenizer_that_is_none_or_another_decoders_is_refused() {
    let of = |name: &str, json: &[u8]| {
        let block = package(name).manifest().captioner.clone().unwrap();
        words::Words::new(&block, json).unwrap_err().to_string()
    };
    assert!(
        of("tiny-llama", b"{}")
            .starts_with("tokenizer.json: the file must be a Hugging Face tokenizer.json, found ")
    );
    let qwen = package("tiny-qwen2").read("tokenizer.json").unwrap().into_owned();
    assert_eq!(
        of("tiny-llama", &qwen),
        "tokenizer.json: each id must be below `captioner.decoder.vocab` (265), found 265"
    );
}
