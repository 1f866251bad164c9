//! What the schema of the labels file allows is what the reader takes.

use listen_zeroshot::LabelList;

fn schema() -> jsonschema::Validator {
    let text = include_str!("../schema/labels.schema.json");
    jsonschema::validator_for(&serde_json::from_str(text).unwrap()).unwrap()
}

/// File, and what the reader's message must contain (nothing: the file is good).
const FILES: &[(&str, &str)] = &[
    (r#"["dog barking"]"#, ""),
    (r#"["dog barking", {"label": "siren"}]"#, ""),
    (
        r#"[{"label": "dog", "name": {"en": "Dog", "de": "Hund"}, "prompts": ["a dog barks", "barking"],
            "threshold": 0.6, "offset_threshold": 0.4, "min_duration": 0.5, "hold_time": 2, "group": "animals"}]"#,
        "",
    ),
    (r#"[{"label": "🐕 \"x\"\n{}", "threshold": -1, "hold_time": 86400}]"#, ""),
    ("[]", "no label is given"),
    ("{}", "expected a list of labels, found an object"),
    ("[1]", "entry 1: expected a string or an object, found a number"),
    (r#"["a", [], "b"]"#, "entry 2: expected a string or an object, found a list"),
    (r#"["a", null]"#, "entry 2: expected a string or an object, found null"),
    (r#"[""]"#, "label 1 is empty"),
    (r#"["a", " _ "]"#, "label 2 is empty"),
    (r#"[{}]"#, "entry 1: key \"label\" is missing"),
    (r#"[{"label": "a", "treshold": 1}]"#, "entry 1: unknown key \"treshold\"; near it: \"threshold\""),
    (r#"[{"label": "a", "Threshold": 1}]"#, "unknown key \"Threshold\""),
    (r#"["a", {"label": 3}]"#, "entry 2: key \"label\": expected a text that is not empty, found 3"),
    (
        r#"[{"label": "a", "threshold": "0.5"}]"#,
        "key \"threshold\": expected a number from -1 to 1, found \"0.5\"",
    ),
    (r#"[{"label": "a", "threshold": 1.5}]"#, "expected a number from -1 to 1, found 1.5"),
    (r#"[{"label": "a", "threshold": null}]"#, "expected a number from -1 to 1, found null"),
    (r#"[{"label": "a", "offset_threshold": -2}]"#, "key \"offset_threshold\""),
    (
        r#"[{"label": "a", "min_duration": -1}]"#,
        "key \"min_duration\": expected seconds from 0 to 86400, found -1",
    ),
    (r#"[{"label": "a", "hold_time": 1e9}]"#, "key \"hold_time\": expected seconds"),
    (
        r#"[{"label": "a", "prompts": []}]"#,
        "key \"prompts\": expected a list of 1 to 100 texts, found a list of 0",
    ),
    (r#"[{"label": "a", "prompts": "x"}]"#, "expected a list of 1 to 100 texts, found \"x\""),
    (r#"[{"label": "a", "prompts": ["x", " "]}]"#, "key \"prompts\": expected a text that is not empty"),
    (
        r#"[{"label": "a", "name": "Dog"}]"#,
        "key \"name\": expected an object of texts by language, found \"Dog\"",
    ),
    (r#"[{"label": "a", "name": {"": "Dog"}}]"#, "language \"\" empty or twice"),
    (r#"[{"label": "a", "name": {"de": 1}}]"#, "key \"name\": expected a text that is not empty, found 1"),
    (
        r#"[{"label": "a", "group": true}]"#,
        "key \"group\": expected a text that is not empty, found a truth value",
    ),
    (r#"["a\u0000b"]"#, "label 1: label contains a NUL character"),
];

/// What JSON itself or a schema cannot say.
const BEYOND_THE_SCHEMA: &[(&str, &str)] = &[
    ("", "not JSON"),
    ("[\"a\"", "not JSON"),
    (r#"["a", "A"]"#, "label 2 (\"A\") is label 1 again"),
    (r#"[{"label": "a", "label": "b"}]"#, "entry 1: key \"label\" comes twice"),
    (r#"[{"label": "a", "name": {"de": "x", "de": "y"}}]"#, "language \"de\" empty or twice"),
];

#[test]
fn the_schema_and_the_reader_agree() {
    let schema = schema();
    for (file, message) in FILES {
        let json = serde_json::from_str(file).unwrap();
        assert_eq!(schema.is_valid(&json), message.is_empty(), "schema on {file}");
        match LabelList::from_json(file) {
            Ok(_) => assert!(message.is_empty(), "{file} was taken"),
            Err(error) => {
                let said = error.to_string();
                assert!(!message.is_empty() && said.contains(message), "{file}: {said}");
            }
        }
    }
}

#[test]
fn limits_are_the_same_in_both() {
    let schema = schema();
    for (labels, characters, good) in
        [(1_000, 4, true), (1_001, 4, false), (1, 1_024, true), (1, 1_025, false)]
    {
        let list: Vec<String> = (0..labels).map(|i| format!("{i:0characters$}")).collect();
        let json = serde_json::json!(list);
        assert_eq!(schema.is_valid(&json), good, "schema on {labels} labels of {characters} characters");
        assert_eq!(LabelList::from_json(&json.to_string()).is_ok(), good);
    }
}

#[test]
fn what_no_schema_can_say_is_said_by_the_reader() {
    for (file, message) in BEYOND_THE_SCHEMA {
        let said = LabelList::from_json(file).unwrap_err().to_string();
        assert!(said.contains(message), "{file}: {said}");
    }
}

#[test]
fn every_key_arrives_where_it_belongs() {
    let (file, _) = FILES[2];
    let list = LabelList::from_json(&format!("\u{feff}{file}")).unwrap();
    let label = &list.as_slice()[0];
    assert_eq!(label.text, "dog");
    assert_eq!(label.display_name("de"), "Hund");
    assert_eq!(label.prompts, ["a dog barks", "barking"]);
    assert_eq!((label.threshold, label.offset_threshold), (Some(0.6), Some(0.4)));
    assert_eq!((label.min_duration, label.hold_time), (Some(500_000_000), Some(2_000_000_000)));
    assert_eq!(label.group.as_deref(), Some("animals"));
}

#[test]
fn a_file_that_is_no_labels_file_is_named_with_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.json");
    let said = |path: &std::path::Path| LabelList::from_file(path).unwrap_err().to_string();
    assert!(said(&path).contains("labels.json: No such file"), "{}", said(&path));
    assert!(said(folder.path()).contains("Is a directory"), "{}", said(folder.path()));
    for (content, message) in [
        (b"[\"a\", \"\xff\"]".to_vec(), "labels.json: not UTF-8 at byte 7"),
        (vec![b' '; (4 << 20) + 1], "labels.json: more than 4194304 bytes"),
        (b"[".repeat(1 << 20), "not JSON: recursion limit exceeded"),
        (b"[{\"label\": \"a\", \"threshold\": 1e999}]".to_vec(), "not JSON: number out of range"),
    ] {
        std::fs::write(&path, content).unwrap();
        assert!(said(&path).contains(message), "{}", said(&path));
    }
    std::fs::write(&path, "[\"a\"]").unwrap();
    assert_eq!(LabelList::from_file(&path).unwrap().len(), 1);
}
