//! Promises about encoding in chunks that the rest of the manifest belies.

use serde_json::json;

use crate::check;

#[test]
fn chunks_that_the_encoder_cannot_be_run_in() {
    check(&[
        (
            "a chunk of nothing",
            "tiny-stream",
            set!("streaming.chunk_frames", 0),
            "`streaming.chunk_frames` must be above 0, found 0",
        ),
        (
            "a chunk that ends between time steps",
            "tiny-stream",
            set!("streaming.chunk_frames", 36),
            "`streaming.chunk_frames` must be a multiple of `encoder.output.frames_per_column` (8), found 36",
        ),
        (
            "a context that begins between time steps",
            "tiny-stream",
            set!("streaming.left_context", 12),
            "`streaming.left_context` must be a multiple of `encoder.output.frames_per_column` (8), found 12",
        ),
        (
            "a context of a length that the encoder does not take",
            "tiny-stream",
            |copy| {
                copy.set("window.multiple_of", 16);
                copy.set("streaming.right_context", 24);
            },
            "`streaming.right_context` must be a multiple of `window.multiple_of` (16), found 24",
        ),
        (
            "more than the encoder takes",
            "tiny-stream",
            set!("streaming.left_context", 88),
            "`streaming` must be `window.min_frames` to `window.max_frames` (16 to 128) frames with both contexts, found 136",
        ),
        (
            "lengths that no number holds together",
            "tiny-stream",
            set!("streaming", {"chunk_frames": 4_294_967_288_u32, "left_context": 4_294_967_288_u32, "right_context": 8}),
            "`streaming` must be `window.min_frames` to `window.max_frames` (16 to 128) frames with both contexts, found 8589934584",
        ),
        (
            "less than the encoder takes",
            "tiny-stream",
            set!("streaming", {"chunk_frames": 8, "left_context": 0, "right_context": 0}),
            "`streaming` must be `window.min_frames` to `window.max_frames` (16 to 128) frames with both contexts, found 8",
        ),
        (
            "a key that is missing",
            "tiny-stream",
            set!("streaming", {"chunk_frames": 8, "left_context": 0}),
            "`streaming`: missing field `right_context`…",
        ),
        (
            "a key of nobody's",
            "tiny-stream",
            set!("streaming.look_ahead", 8),
            "`streaming.look_ahead`: unknown field `look_ahead`…",
        ),
        (
            "half a frame",
            "tiny-stream",
            set!("streaming.chunk_frames", 8.5),
            "`streaming.chunk_frames`: invalid type: floating point…",
        ),
    ]);
}

#[test]
fn what_is_carried_over_has_a_name_for_each_end() {
    check(&[
        (
            "nothing is carried over",
            "tiny-carry",
            set!("streaming.carry.states", []),
            "`streaming.carry.states` must be 1 to 1024, found 0",
        ),
        (
            "a tail without a name",
            "tiny-carry",
            set!("streaming.carry.tail", ""),
            "`streaming.carry.tail` must be the name of an end of the graph that nothing else has, found \"\"",
        ),
        (
            "a tail that is the frames",
            "tiny-carry",
            set!("streaming.carry.tail", "lms"),
            "`streaming.carry.tail` must be the name of an end of the graph that nothing else has, found \"lms\"",
        ),
        (
            "a state that goes in where another does",
            "tiny-carry",
            set!("streaming.carry.states.1.input", "before_0"),
            "`streaming.carry.states[1].input` must be the name of an end of the graph that nothing else has, found \"before_0\"",
        ),
        (
            "a state that is the time steps",
            "tiny-carry",
            set!("streaming.carry.states.0.output", "tokens"),
            "`streaming.carry.states[0].output` must be the name of an end of the graph that nothing else has, found \"tokens\"",
        ),
        (
            "a state of nobody's",
            "tiny-carry",
            set!("streaming.carry.states.0.shape", [1]),
            "`streaming.carry.states[0].shape`: unknown field `shape`…",
        ),
    ]);
}

#[test]
fn chunks_where_the_whole_would_be_another() {
    let streaming = json!({"chunk_frames": 32, "left_context": 0, "right_context": 0});
    let found = "found {\"chunk_frames\":32,\"left_context\":0,\"right_context\":0}";
    let cases: [(&str, crate::Spoil, &str); 5] = [
        ("tiny-clip", |_| (), "the encoder gives no time steps but \"clip\""),
        ("tiny-tagger", |_| (), "the encoder gives no time steps but \"logits\""),
        ("tiny-tokens", |_| (), "`window.edge` is exact: each window is a recording of its own"),
        (
            "tiny-frames",
            set!("normalize", {"kind": "per_window"}),
            "`normalize` follows the sound: a chunk would be normalised otherwise than the whole",
        ),
        (
            "tiny-frames",
            set!("normalize", {"kind": "running", "tau": 2.0, "mean": -7.0, "std": 4.0}),
            "`normalize` follows the sound: a chunk would be normalised otherwise than the whole",
        ),
    ];
    for (base, spoil, why) in cases {
        let mut copy = crate::Copy::of(base);
        spoil(&mut copy);
        copy.set("streaming", streaming.clone());
        copy.write();
        assert_eq!(
            copy.refusal(),
            format!("DIR/manifest.json: `streaming` must be absent, as {why}, {found}"),
            "{base}"
        );
    }
}

#[test]
fn chunks_where_the_graph_takes_samples() {
    let mut copy = crate::Copy::of("tiny-frames");
    copy.set("frontend", json!({"kind": "in_graph"}));
    copy.set("encoder.input.layout", "BT");
    copy.set("streaming", json!({"chunk_frames": 32, "left_context": 0, "right_context": 0}));
    copy.write();
    let refusal = copy.refusal();
    assert!(refusal.contains("`streaming` must be absent, as the graph takes samples"), "{refusal}");
}
