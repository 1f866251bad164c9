//! What a package gives once it is open.

mod common;

use std::sync::Arc;
use std::{fs, thread};

use common::{Copy, FIXTURES, fixture, manifest};
use listen_features::{FrontEnd, log_mel};
use listen_package::{Package, PackageError};
use serde_json::Value;
use sha2::{Digest, Sha256};

#[test]
fn every_small_package_opens_and_its_manifest_says_what_the_file_says() {
    for name in FIXTURES {
        let package = Package::open(&fixture(name), true).unwrap();
        assert_eq!(package.manifest().id, name);
        let written: Value = serde_json::to_value(package.manifest()).unwrap();
        assert_eq!(written, manifest(name), "{name}");
    }
}

#[test]
fn front_ends_of_the_small_packages_are_the_families_own() {
    let expected = [
        ("tiny-tokens", FrontEnd::m2d_16k()),
        ("tiny-frames", FrontEnd::byol_a()),
        ("tiny-clip", FrontEnd::laion_clap()),
        ("tiny-tagger", FrontEnd::yamnet()),
    ];
    for (name, front_end) in expected {
        assert_eq!(Package::open(&fixture(name), true).unwrap().front_end(), Some(&front_end), "{name}");
    }
}

#[test]
fn log_mel_of_each_self_test_agrees_with_float64() {
    for name in FIXTURES {
        let package = Package::open(&fixture(name), true).unwrap();
        let (_, samples) = package.tensor_f32("self_test.safetensors", "samples").unwrap();
        let (shape, expected) = package.tensor_f32("self_test.safetensors", "log_mel").unwrap();
        let found = log_mel(package.front_end().unwrap(), &samples).unwrap();
        assert_eq!(found.len(), shape.iter().product::<usize>());
        let tolerance = package.manifest().self_test.as_ref().unwrap().log_mel_max_abs;
        for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
            assert!(f64::from(a - b).abs() < tolerance, "{name}: value {i}: {a} and {b}");
        }
    }
}

#[test]
fn lengths_of_embeddings_follow_from_the_manifest() {
    for (name, frame, clip) in [
        ("tiny-tokens", Some(40), 16),
        ("tiny-frames", Some(16), 16),
        ("tiny-clip", None, 16),
        ("tiny-tagger", None, 5),
    ] {
        let package = Package::open(&fixture(name), true).unwrap();
        assert_eq!((package.manifest().frame_dim(), package.manifest().clip_dim()), (frame, clip), "{name}");
        assert_eq!(package.manifest().unit_length(), name != "tiny-tagger");
    }
}

#[test]
fn a_licence_opens_nothing_until_it_is_accepted() {
    let folder = fs::canonicalize(fixture("tiny-clip")).unwrap();
    let error = Package::open(&folder, false).unwrap_err();
    assert!(matches!(&error, PackageError::License { property: "accept-license", .. }));
    let expected = format!(
        "{0}/manifest.json: the licence `Tiny-Evaluation` of package `tiny-clip` must be accepted \
         (its text: {0}/LICENSE.txt): set `accept-license=true`",
        folder.display()
    );
    assert_eq!(error.to_string(), expected);
    assert!(Package::open(&fixture("tiny-tokens"), false).is_ok());
}

#[test]
fn a_space_is_named_by_id_and_manifest_and_found_while_it_is_open() {
    // A manifest of its own: other tests hold the others open.
    let mut copy = Copy::of("tiny-tokens");
    copy.set("family", "of this test alone");
    copy.write();
    let sum: String = Sha256::digest(fs::read(copy.path("manifest.json")).unwrap())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let space = format!("tiny-tokens-{}", &sum[..12]);

    assert!(Package::find(&space).is_none());
    let package = copy.open().unwrap();
    assert_eq!(package.space(), space);
    let again = copy.open().unwrap();
    assert!(Arc::ptr_eq(&Package::find(&space).unwrap(), &package));
    drop(package);
    assert!(Arc::ptr_eq(&Package::find(&space).unwrap(), &again));
    drop(again);
    assert!(Package::find(&space).is_none());
}

#[test]
fn many_threads_open_and_find_the_same_package() {
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let package = Package::open(&fixture("tiny-frames"), false).unwrap();
                    assert!(Package::find(package.space()).is_some());
                }
            });
        }
    });
}

#[test]
fn files_are_read_whole_and_have_a_path() {
    let package = Package::open(&fixture("tiny-tokens"), false).unwrap();
    let path = package.path("encoder.onnx").unwrap();
    assert_eq!(package.read("encoder.onnx").unwrap(), fs::read(path).unwrap());
    assert_eq!(package.path("truth.safetensors"), None);
    let error = package.read("truth.safetensors").unwrap_err().to_string();
    assert_eq!(
        error,
        "package `tiny-tokens` has no file `truth.safetensors`: its manifest's `sha256` lists \
         background.safetensors, encoder.onnx, head.onnx, self_test.safetensors, text.onnx, tokenizer.json"
    );
}

#[test]
fn a_file_that_changes_after_opening_is_not_read() {
    let copy = Copy::of("tiny-tokens");
    let package = copy.open().unwrap();
    fs::write(copy.path("tokenizer.json"), "{}").unwrap();
    assert!(matches!(package.read("tokenizer.json"), Err(PackageError::Checksum { .. })));
    fs::remove_file(copy.path("tokenizer.json")).unwrap();
    assert!(matches!(package.read("tokenizer.json"), Err(PackageError::Unreadable { .. })));
}

#[test]
fn files_in_subfolders_and_links_within_the_package_are_fine() {
    let mut copy = Copy::of("tiny-tokens");
    fs::create_dir(copy.path("text")).unwrap();
    fs::rename(copy.path("text.onnx"), copy.path("text/real.onnx")).unwrap();
    std::os::unix::fs::symlink("real.onnx", copy.path("text/tower.onnx")).unwrap();
    let sum = copy.manifest["sha256"]["text.onnx"].clone();
    copy.manifest["sha256"].as_object_mut().unwrap().remove("text.onnx");
    copy.manifest["sha256"]["text/tower.onnx"] = sum;
    copy.set("text.file", "text/tower.onnx");
    copy.write();
    assert!(copy.open().unwrap().read("text/tower.onnx").unwrap().len() > 1_000);
}

#[test]
fn a_table_may_be_float16() {
    let mut copy = Copy::of("tiny-clip");
    let ones: Vec<u8> = [0x00, 0x3c].repeat(6 * 16);
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F16, vec![6, 16], &ones).unwrap();
    copy.file("labels.safetensors", safetensors::serialize([("embeddings", view)], None).unwrap());
    copy.write();
    let table = copy.open().unwrap().tensor_f32("labels.safetensors", "embeddings").unwrap();
    assert_eq!(table, (vec![6, 16], vec![1.0; 96]));
}

#[test]
fn classes_come_in_the_order_of_the_scores() {
    let package = Package::open(&fixture("tiny-tagger"), false).unwrap();
    assert_eq!(package.classes().unwrap(), ["silence", "low tone", "mid tone", "high tone", "noise"]);
    assert!(Package::open(&fixture("tiny-tokens"), false).unwrap().classes().is_none());
}

#[test]
fn optional_keys_may_be_null() {
    let mut copy = Copy::of("tiny-tagger");
    for key in ["description", "head", "clap", "text", "label_embeddings"] {
        copy.manifest[key] = Value::Null;
    }
    copy.write();
    assert!(copy.open().is_ok());
}

#[test]
fn the_default_package_is_compiled_in_or_said_to_be_missing() {
    let manifest = fixture("").join("../../packages/default/manifest.json");
    match Package::default_package() {
        Ok(package) => {
            assert!(Arc::ptr_eq(&package, &Package::default_package().unwrap()), "it is opened once");
            assert!(Arc::ptr_eq(&package, &Package::find(package.space()).unwrap()));
            let sum: String =
                Sha256::digest(fs::read(&manifest).unwrap()).iter().map(|b| format!("{b:02x}")).collect();
            assert!(package.space().ends_with(&sum[..12]), "it is the one in models/packages/default");
            for name in package.manifest().sha256.keys() {
                assert_eq!(package.path(name), None);
                assert_eq!(package.read(name).unwrap(), fs::read(manifest.with_file_name(name)).unwrap());
            }
        }
        Err(error) => {
            assert!(matches!(error, PackageError::NoDefault), "{error}");
            assert!(!manifest.exists(), "there is one, but it was not compiled in");
        }
    }
}

#[test]
fn a_filterbank_is_read_with_the_package_and_refused_where_it_does_not_fit() {
    let mut copy = Copy::of("tiny-tokens");
    copy.set("frontend.filterbank", "bank.safetensors");
    let weights: Vec<f32> = (0..80 * 201).map(|n| n as f32 * 1e-4).collect();
    copy.file("bank.safetensors", common::tensor("filterbank", &[80, 201], &weights));
    copy.write();
    let package = copy.open().unwrap();
    let bank = package.front_end().unwrap().filterbank.as_ref().unwrap();
    assert_eq!((bank.file(), bank.weights()), ("bank.safetensors", Some(&weights[..])));

    let negative: Vec<f32> = weights.iter().map(|w| -w).collect();
    let wrong = [
        (common::tensor("filterbank", &[201, 80], &weights), "of shape [80, 201], found [201, 80]"),
        (common::tensor("melW", &[80, 201], &weights), "there, found only [melW]"),
        (common::tensor("filterbank", &[80, 201], &negative), "weights of at least 0, found -0.0001"),
    ];
    for (bytes, expected) in wrong {
        copy.file("bank.safetensors", bytes);
        copy.write();
        let refusal = copy.refusal();
        assert!(refusal.contains("bank.safetensors") && refusal.contains(expected), "{refusal}");
    }
}
