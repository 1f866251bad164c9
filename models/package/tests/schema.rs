//! The JSON schema and the Rust types say the same.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use common::{FIXTURES, manifest};
use jsonschema::Validator;
use listen_package::{Manifest, PackageError};
use serde_json::{Value, json};

fn beside(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn schema() -> Value {
    serde_json::from_str(&beside("schema/manifest.schema.json")).unwrap()
}

fn validator() -> Validator {
    let schema = schema();
    assert!(jsonschema::draft202012::meta::is_valid(&schema), "the schema is one of draft 2020-12");
    jsonschema::draft202012::new(&schema).unwrap()
}

/// Whether the types take it (what holds between the values aside), and whether the whole check does; and why not.
fn types(instance: &Value) -> (bool, bool, String) {
    match Manifest::from_json("m", instance.to_string().as_bytes()) {
        Ok(_) => (true, true, String::new()),
        Err(e @ PackageError::Form { .. }) => (false, false, e.to_string()),
        Err(e) => (true, false, e.to_string()),
    }
}

/// Manifests that together use every key and every variant that has keys.
fn instances() -> Vec<Value> {
    let mut all: Vec<Value> = FIXTURES.iter().map(|name| manifest(name)).collect();
    let mut full = all[0].clone();
    for name in
        ["LICENSE", "encoder.data", "tagger.onnx", "classes.txt", "labels.safetensors", "bank", "placing"]
    {
        full["sha256"][name] = "0".repeat(64).into();
    }
    full["license"]["file"] = "LICENSE".into();
    full["license"]["source_url"] = "https://example.org".into();
    full["license"]["source_sha256"] = "f".repeat(64).into();
    full["normalize"] = json!({"kind": "running", "tau": 60.0, "mean": -7.0, "std": 4.0});
    full["frontend"]["log"] = json!({"kind": "ln_max", "floor": 1e-10});
    full["frontend"]["filterbank"] = "bank".into();
    let graph =
        json!({"file": "encoder.onnx", "external_data": ["encoder.data"], "cosine": 0.999, "max_batch": 1});
    full["encoder"]["graphs"] = json!({"fp32": graph, "fp16": graph, "bf16": graph, "int8": graph});
    full["clap"]["logit_scale"] = 10.0.into();
    full["clap"]["logit_bias"] = (-5.0).into();
    full["clap"]["default_smoothing"] = 0.3.into();
    full["clap"]["placing"] = json!({"file": "placing", "step_frames": 8});
    full["text"]["append"] = " <|endoftext|>".into();
    full["label_embeddings"] = json!({"file": "labels.safetensors", "labels": ["low tone"]});
    full["tagger"] = json!({"file": "tagger.onnx", "input": "embedding", "output": "scores",
        "activation": "softmax", "labels": "classes.txt"});
    for name in ["decoder.onnx", "decoder.data", "tokens.onnx", "projector.onnx"] {
        full["sha256"][name] = "0".repeat(64).into();
    }
    full["captioner"] = json!({
        "decoder": {"file": "decoder.onnx", "external_data": ["decoder.data"], "layers": 2, "kv_heads": 2, "head_dim": 8,
            "hidden": 32, "vocab": 256, "max_positions": 512, "position_ids": true},
        "embed_tokens": {"file": "tokens.onnx", "external_data": ["decoder.data"], "input": "input_ids",
            "output": "inputs_embeds"},
        "projector": {"file": "projector.onnx", "external_data": ["decoder.data"], "input": "embedding",
            "output": "prefix", "takes": "frames", "prefix": 4, "max_windows": 3},
        "tokenizer": "tokenizer.json", "prompt": "{system}{audio}{prompt}", "evidence": "compact",
        "begin": [1], "stop": [2, 3], "max_tokens": 64, "temperature": 0.5, "top_p": 0.9, "repetition_penalty": 1.5,
        "self_test": {"prompt": "dog", "tokens": [17, 4, 91]}
    });
    let mut samples = full.clone();
    samples["frontend"] = json!({"kind": "in_graph"});
    samples["encoder"]["input"]["layout"] = "BT".into();
    samples["clap"].as_object_mut().unwrap().remove("placing");
    all.extend([full, samples]);
    all
}

/// A place in a JSON value: keys and indices.
type Place = Vec<String>;

fn pointer(place: &[String]) -> String {
    place.iter().map(|k| format!("/{}", k.replace('~', "~0").replace('/', "~1"))).collect()
}

/// Every value within `value`, itself included.
fn places(value: &Value, at: Place, into: &mut Vec<Place>) {
    let below = |key: String| at.iter().cloned().chain([key]).collect();
    match value {
        Value::Object(object) => object.iter().for_each(|(k, v)| places(v, below(k.clone()), into)),
        Value::Array(array) => {
            array.iter().enumerate().for_each(|(i, v)| places(v, below(i.to_string()), into))
        }
        _ => {}
    }
    into.push(at);
}

fn with(instance: &Value, place: &[String], new: Value) -> Value {
    let mut changed = instance.clone();
    *changed.pointer_mut(&pointer(place)).unwrap() = new;
    changed
}

fn without(instance: &Value, place: &[String]) -> Option<Value> {
    let (last, parent) = place.split_last()?;
    let mut changed = instance.clone();
    changed.pointer_mut(&pointer(parent))?.as_object_mut()?.remove(last)?;
    Some(changed)
}

/// What the schema says of the value at `place`: each alternative that could stand there.
fn rules<'a>(root: &'a Value, rule: &'a Value, instance: &Value, place: &[String]) -> Vec<&'a Value> {
    if let Some(name) = rule["$ref"].as_str() {
        return rules(root, root.pointer(&name[1..]).unwrap(), instance, place);
    }
    if let Some(alternatives) = rule["oneOf"].as_array().or_else(|| rule["anyOf"].as_array()) {
        return alternatives
            .iter()
            .filter(|a| a["properties"]["kind"]["const"].as_str().is_none_or(|kind| instance["kind"] == kind))
            .flat_map(|a| rules(root, a, instance, place))
            .collect();
    }
    let Some((key, rest)) = place.split_first() else { return vec![rule] };
    let next = match instance {
        Value::Array(array) => array.get(key.parse::<usize>().unwrap()).map(|v| (&rule["items"], v)),
        _ => Some((&rule["properties"][key], &instance[key])).filter(|(rule, _)| !rule.is_null()),
    };
    next.map(|(rule, value)| rules(root, rule, value, rest)).unwrap_or_default()
}

/// The names in backticks that serde lists after `expected`.
fn expected(message: &str) -> BTreeSet<String> {
    let list = message.rsplit_once("expected").map_or("", |(_, list)| list);
    list.split('`').skip(1).step_by(2).map(String::from).collect()
}

fn strings<'a>(values: impl Iterator<Item = &'a Value>) -> BTreeSet<String> {
    values.filter_map(Value::as_str).map(String::from).collect()
}

#[test]
fn both_take_every_instance() {
    let validator = validator();
    for instance in instances() {
        let whole = types(&instance);
        assert!(whole.1, "{}: {}", instance["id"], whole.2);
        if let Err(e) = validator.validate(&instance) {
            panic!("{}: {}: {e}", instance["id"], e.instance_path());
        }
        let manifest = Manifest::from_json("m", instance.to_string().as_bytes()).unwrap();
        let written = serde_json::to_value(&manifest).unwrap();
        assert_eq!(written, instance, "what the types write is what they read");
    }
}

#[test]
fn both_refuse_the_same_changes() {
    let (validator, mut compared) = (validator(), 0);
    let values = json!([null, true, -1, 0, 1, 0.5, 1e10, "", "bogus", [], {}, ["bogus"], {"bogus": 1}]);
    for instance in instances() {
        let mut all = Vec::new();
        places(&instance, Vec::new(), &mut all);
        let changes = all.iter().flat_map(|place| {
            let added = match instance.pointer(&pointer(place)) {
                Some(Value::Object(object)) => {
                    let mut object = object.clone();
                    object.insert("bogus".into(), json!(1));
                    Some(with(&instance, place, object.into()))
                }
                _ => None,
            };
            let replaced = values.as_array().unwrap().iter().map(|v| with(&instance, place, v.clone()));
            // Serde would take `{"exact": null}` for `"exact"`.
            let word = instance.pointer(&pointer(place)).and_then(Value::as_str);
            let replaced = replaced.chain(word.map(|w| with(&instance, place, json!({w: null}))));
            replaced.chain(added).chain(without(&instance, place)).map(move |changed| (place, changed))
        });
        for (place, changed) in changes {
            let (form, whole, reason) = types(&changed);
            let schema = validator.is_valid(&changed);
            let what = || {
                format!(
                    "{}: {}: {reason}",
                    pointer(place),
                    changed.pointer(&pointer(place)).unwrap_or(&Value::Null)
                )
            };
            assert!(form || !schema, "the types refuse what the schema takes: {}", what());
            assert!(schema || !whole, "the schema refuses what the types take: {}", what());
            compared += 1;
        }
    }
    assert!(compared > 5_000, "{compared}");
}

#[test]
fn both_list_the_same_keys_in_every_object() {
    let (schema, mut compared) = (schema(), 0);
    for instance in instances() {
        let mut all = Vec::new();
        places(&instance, Vec::new(), &mut all);
        for place in &all {
            let Some(Value::Object(object)) = instance.pointer(&pointer(place)) else { continue };
            let found = rules(&schema, &schema, &instance, place);
            let Some(properties) = found.iter().find_map(|rule| rule["properties"].as_object()) else {
                assert_eq!(place, &["sha256"], "the only object with free keys");
                continue;
            };
            let mut with_bogus = object.clone();
            with_bogus.insert("bogus".into(), json!(1));
            let (_, _, reason) = types(&with(&instance, place, with_bogus.into()));
            let mut ours = expected(&reason);
            // Serde does not count the key that it reads the variant by.
            if properties.get("kind").is_some_and(|kind| kind.get("const").is_some()) {
                ours.insert("kind".into());
            }
            let theirs: BTreeSet<_> = properties.keys().cloned().collect();
            assert_eq!(ours, theirs, "{}: {reason}", pointer(place));
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
}

#[test]
fn both_list_the_same_words_for_every_enumeration() {
    let (schema, mut seen) = (schema(), BTreeMap::new());
    for instance in instances() {
        let mut all = Vec::new();
        places(&instance, Vec::new(), &mut all);
        for place in &all {
            let found = rules(&schema, &schema, &instance, place);
            let mut theirs = strings(found.iter().filter_map(|rule| rule["enum"].as_array()).flatten());
            if place.last().is_some_and(|key| key == "kind") && theirs.is_empty() {
                // The words that an object is read by stand one in each alternative.
                let name = place[place.len() - 2].as_str();
                theirs = strings(
                    schema["$defs"][name]["oneOf"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|a| &a["properties"]["kind"]["const"]),
                );
            }
            if !theirs.is_empty() {
                let (form, _, reason) = types(&with(&instance, place, "bogus".into()));
                assert!(!form, "{}", pointer(place));
                assert_eq!(expected(&reason), theirs, "{}: {reason}", pointer(place));
                seen.insert(pointer(place), theirs.len());
            }
        }
    }
    let words: usize = seen.values().sum();
    assert_eq!((seen.len(), words), (23, 63), "{seen:?}");
}

#[test]
fn every_key_of_the_schema_is_used_described_and_in_the_table() {
    fn keys(rule: &Value, into: &mut BTreeSet<String>) {
        match rule {
            Value::Object(object) => {
                if let Some(properties) = object.get("properties").and_then(Value::as_object) {
                    for (key, rule) in properties {
                        into.insert(key.clone());
                        let plain = rule.get("const").is_some()
                            || rule.get("$ref").is_some()
                            || rule.get("anyOf").is_some();
                        assert!(plain || rule["description"].is_string(), "`{key}` has a description");
                    }
                }
                object.values().for_each(|rule| keys(rule, into));
            }
            Value::Array(array) => array.iter().for_each(|rule| keys(rule, into)),
            _ => {}
        }
    }
    let mut all = BTreeSet::new();
    keys(&schema(), &mut all);
    assert!(all.len() > 80, "{}", all.len());

    let mut used = Vec::new();
    instances().iter().for_each(|instance| places(instance, Vec::new(), &mut used));
    let used: BTreeSet<_> = used.into_iter().flatten().collect();
    let table = beside("FORMAT.md");
    for key in &all {
        assert!(used.contains(key), "no instance of this test has `{key}`");
        let named = [format!("`{key}`"), format!(".{key}`"), format!("`{key}.")];
        assert!(named.iter().any(|name| table.contains(name)), "FORMAT.md does not name `{key}`");
    }
}
