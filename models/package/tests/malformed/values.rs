//! Values that are wrong by themselves or disagree with others.

use serde_json::json;

use crate::check;

#[test]
fn values_that_are_wrong_or_disagree() {
    check(&[
        (
            "an id with a slash",
            "tiny-tokens",
            set!("id", "../tiny"),
            "`id` must be 1 to 64 of a-z, 0-9, `.`, `_` and `-`, found \"../tiny\"",
        ),
        (
            "a checkpoint's sum in upper case",
            "tiny-tokens",
            set!("license.source_sha256", "ABC"),
            "`license.source_sha256` must be 64 of 0-9 and a-f, found \"ABC\"",
        ),
        ("two channels", "tiny-tokens", set!("audio.channels", 2), "`audio.channels` must be 1, found 2"),
        (
            "rates that disagree",
            "tiny-tokens",
            set!("audio.sample_rate", 44_100),
            "`audio.sample_rate` must be `frontend.sample_rate` (16000), found 44100",
        ),
        (
            "scaled by nothing",
            "tiny-tokens",
            set!("audio.pre_scale", 0.0),
            "`audio.pre_scale` must be a number above 0, found 0",
        ),
        (
            "bands beyond half the rate",
            "tiny-tokens",
            set!("frontend.f_max", 9_000.0),
            "`frontend`: front end: f_min 50 Hz to f_max 9000 Hz must be a band within 0 to 8000 Hz",
        ),
        (
            "an empty band",
            "tiny-tokens",
            set!("frontend.f_min", 8_000.0),
            "`frontend`: front end: f_min 8000 Hz to f_max 8000 Hz must be a band within 0 to 8000 Hz",
        ),
        (
            "a hop of nothing",
            "tiny-tokens",
            set!("frontend.hop_length", 0),
            "`frontend`: front end: hop_length must be 1 to 65536, found 0",
        ),
        (
            "reflection without centre",
            "tiny-tokens",
            set!("frontend.center", false),
            "`frontend`: front end: pad_mode Reflect does not go with center=false, expected None",
        ),
        (
            "a deviation of nothing",
            "tiny-tokens",
            set!("normalize.std", 0.0),
            "`normalize.std` must be a number above 0, found 0",
        ),
        (
            "a window below the shortest",
            "tiny-tokens",
            set!("window.min_frames", 80),
            "`window.min_frames` must be 1 to `window.frames` (64), found 80",
        ),
        (
            "a window above the longest",
            "tiny-tokens",
            set!("window.frames", 128),
            "`window.frames` must be `window.min_frames` to `window.max_frames` (16 to 64), found 128",
        ),
        (
            "a window that is no multiple",
            "tiny-tokens",
            set!("window.multiple_of", 3),
            "`window.min_frames` must be a multiple of `window.multiple_of` (3), found 16",
        ),
        (
            "a window that fills the memory",
            "tiny-tokens",
            set!("window.max_frames", 2_000_000_000),
            "`window.max_frames` must be 1 to 1677721, found 2000000000",
        ),
        (
            "a hop longer than the window",
            "tiny-tokens",
            set!("window.default_hop_frames", 65),
            "`window.default_hop_frames` must be 1 to `window.frames` (64), found 65",
        ),
        (
            "a window too short to be reflected",
            "tiny-frames",
            |copy| {
                copy.set("window.edge", "exact");
                copy.set("window.min_frames", 4);
                copy.set("window.multiple_of", 4);
                copy.set("encoder.output.frames_per_column", 4);
            },
            "`window.min_frames` must be frames of at least 513 samples, for `edge` exact to reflect, found 4 (480 samples)",
        ),
        (
            "frames of an encoder that gives none",
            "tiny-clip",
            set!("window.default_output", "frames"),
            "`window.default_output` must be what an encoder of kind \"clip\" gives, found \"frames\"",
        ),
        (
            "tokens of an encoder that gives none",
            "tiny-frames",
            set!("window.default_output", "tokens"),
            "`window.default_output` must be what an encoder of kind \"frames\" gives, found \"tokens\"",
        ),
        (
            "no graph",
            "tiny-tokens",
            set!("encoder.graphs", {}),
            "`encoder.graphs` must be at least one graph, found none",
        ),
        (
            "a cosine above 1",
            "tiny-tokens",
            set!("encoder.graphs.fp32.cosine", 1.5),
            "`encoder.graphs.fp32.cosine` must be a cosine, -1 to 1, found 1.5",
        ),
        (
            "a batch of nothing",
            "tiny-tokens",
            set!("encoder.graphs.fp32.max_batch", 0),
            "`encoder.graphs.fp32.max_batch` must be at least 1, found 0",
        ),
        (
            "samples in a layout with frequency",
            "tiny-tokens",
            set!("encoder.input.layout", "BT"),
            "`encoder.input.layout` must be a layout with frequency, as `frontend.kind` is logmel, found \"BT\"",
        ),
        (
            "a layout with frequency for samples",
            "tiny-tagger",
            |copy| copy.set("frontend", json!({"kind": "in_graph"})),
            "`encoder.input.layout` must be BT, as `frontend.kind` is in_graph, found \"B1TF\"",
        ),
        (
            "tokens without an order",
            "tiny-tokens",
            set!("encoder.output.order", null),
            "`encoder.output.order` must be given for an output of kind \"tokens\", found none",
        ),
        (
            "an order of frames",
            "tiny-frames",
            set!("encoder.output.order", "f_major"),
            "`encoder.output.order` must be absent from an output of kind \"frames\", found \"f_major\"",
        ),
        (
            "more rows than bands",
            "tiny-tokens",
            set!("encoder.output.freq_rows", 81),
            "`encoder.output.freq_rows` must be 1 to 80, found 81",
        ),
        (
            "rows of frames",
            "tiny-frames",
            set!("encoder.output.freq_rows", 2),
            "`encoder.output.freq_rows` must be 1 for an output of kind \"frames\", found 2",
        ),
        (
            "a column of nothing",
            "tiny-tokens",
            set!("encoder.output.frames_per_column", 0),
            "`encoder.output.frames_per_column` must be 1 to `window.min_frames` (16), found 0",
        ),
        (
            "a column of a vector",
            "tiny-clip",
            set!("encoder.output.frames_per_column", 8),
            "`encoder.output.frames_per_column` must be 0 for an output of kind \"clip\", found 8",
        ),
        (
            "a pooling over frequency of frames",
            "tiny-frames",
            set!("frame_embedding", "stack_freq"),
            "`frame_embedding` must be identity for an output of kind \"frames\", found \"stack_freq\"",
        ),
        (
            "time steps of logits",
            "tiny-tagger",
            set!("frame_embedding", "identity"),
            "`frame_embedding` must be none for an output of kind \"logits\", found \"identity\"",
        ),
        (
            "time steps of a vector",
            "tiny-clip",
            set!("frame_embedding", "identity"),
            "`frame_embedding` must be none for an output of kind \"clip\", found \"identity\"",
        ),
        (
            "no pooling over time",
            "tiny-tokens",
            set!("clip_pooling", "none"),
            "`clip_pooling` must be mean_time or mean_plus_max_time for an output of kind \"tokens\", found \"none\"",
        ),
        (
            "pooling twice",
            "tiny-tokens",
            set!("head.takes", "all"),
            "`clip_pooling` must be none for an output of kind \"tokens\" with this head, found \"mean_time\"",
        ),
        (
            "a head that takes all of a vector",
            "tiny-clip",
            |copy| {
                let head = json!({"file": "encoder.onnx", "input": "a", "output": "b", "takes": "all", "dim": 16, "frames": false});
                copy.set("head", head);
            },
            "`head.takes` must be pooled for an output of kind \"clip\", found \"all\"",
        ),
        (
            "a head and text of other widths",
            "tiny-tokens",
            set!("head.dim", 32),
            "`clap.dim` must be `head.dim` (32), found 16",
        ),
        (
            "an encoder and text of other widths",
            "tiny-frames",
            set!("clap.dim", 32),
            "`clap.dim` must be the pooled vector's length (16), found 32",
        ),
        (
            "text without a space",
            "tiny-tokens",
            set!("clap", null),
            "`clap` must be there, as `text` or `label_embeddings` is, found none",
        ),
        (
            "a space without text",
            "tiny-frames",
            set!("label_embeddings", null),
            "`clap` must be with `text` or `label_embeddings`, where labels' embeddings come from, found neither",
        ),
        (
            "a bias without a scale",
            "tiny-tokens",
            set!("clap.logit_bias", 1.0),
            "`clap.logit_scale` must be given, as `clap.logit_bias` is, found none",
        ),
        (
            "a scale of nothing",
            "tiny-clip",
            set!("clap.logit_scale", 0.0),
            "`clap.logit_scale` must be a number above 0, found 0",
        ),
        (
            "a calibration that turns scores round",
            "tiny-tokens",
            set!("clap.calibration.a", -1.0),
            "`clap.calibration.a` must be a number above 0, found -1",
        ),
        (
            "a step of no frames",
            "tiny-tokens",
            set!("clap.placing", {"file": "background.safetensors", "step_frames": 0}),
            "`clap.placing.step_frames` must be a step of 60 to 120 ms, found 0 (0 ms)",
        ),
        (
            "a threshold above 1",
            "tiny-tokens",
            set!("clap.default_threshold", 1.5),
            "`clap.default_threshold` must be 0 to 1, found 1.5",
        ),
        (
            "an end above the beginning",
            "tiny-tokens",
            set!("clap.default_offset_threshold", 0.6),
            "`clap.default_offset_threshold` must be 0 to `clap.default_threshold` (0.5), found 0.6",
        ),
        (
            "a smoothing of two minutes",
            "tiny-tokens",
            set!("clap.default_smoothing", 120.0),
            "`clap.default_smoothing` must be 0 to 60 seconds, found 120",
        ),
        (
            "a prompt without a place",
            "tiny-tokens",
            set!("clap.prompt_templates", ["{}", "the sound"]),
            "`clap.prompt_templates[1]` must be a sentence with one `{}`, found 0 in \"the sound\"",
        ),
        (
            "a prompt with two places",
            "tiny-tokens",
            set!("clap.prompt_templates", ["{} and {}"]),
            "`clap.prompt_templates[0]` must be a sentence with one `{}`, found 2 in \"{} and {}\"",
        ),
        (
            "no prompt",
            "tiny-tokens",
            set!("clap.prompt_templates", []),
            "`clap.prompt_templates` must be at least one sentence, found none",
        ),
        (
            "a background that no table has",
            "tiny-frames",
            set!("clap.background_prompts", ["wind"]),
            "`clap.background_prompts[0]` must be one of `label_embeddings.labels`, as there is no text tower, found \"wind\"",
        ),
        (
            "three inputs of a text tower",
            "tiny-tokens",
            set!("text.inputs", ["a", "b", "c"]),
            "`text.inputs` must be 1 or 2 names (ids, attention mask), found 3",
        ),
        (
            "an input without a name",
            "tiny-tokens",
            set!("encoder.input.name", ""),
            "`encoder.input.name` must be a name, found \"\"",
        ),
        (
            "a label twice",
            "tiny-clip",
            set!("label_embeddings.labels", ["a", "b", "silence", "d", "a", "f"]),
            "`label_embeddings.labels[4]` must be another than those before it, found \"a\"",
        ),
        (
            "logits without classes",
            "tiny-tagger",
            set!("tagger", null),
            "`tagger` must be there, as the encoder gives class scores, found none",
        ),
        (
            "a graph behind logits",
            "tiny-tagger",
            set!("tagger.file", "encoder.onnx"),
            "`tagger.file` must be absent, as the encoder gives class scores itself, found \"encoder.onnx\"",
        ),
        (
            "classes without a graph",
            "tiny-frames",
            |copy| copy.set("tagger", json!({"activation": "sigmoid", "labels": "encoder.onnx"})),
            "`tagger.file` must be given, as the encoder gives embeddings, found none",
        ),
        (
            "a self-test that everything passes",
            "tiny-tokens",
            set!("self_test.embedding_min_cos", 0.0),
            "`self_test.embedding_min_cos` must be above 0 and at most 1, found 0",
        ),
        (
            "a tolerance of nothing",
            "tiny-tokens",
            set!("self_test.log_mel_max_abs", 0.0),
            "`self_test.log_mel_max_abs` must be above 0, found 0",
        ),
    ]);
}
