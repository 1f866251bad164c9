//! Files that are not where they must be, or not what their checksums say.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::check;
use crate::common::Copy;

#[test]
fn files_that_are_not_what_or_where_they_must_be() {
    check(&[
        (
            "a file that is not listed",
            "tiny-tokens",
            set!("encoder.graphs.fp32.file", "truth.safetensors"),
            "`encoder.graphs.fp32.file` must be a file that `sha256` lists (background.safetensors, encoder.onnx, head.onnx, self_test.safetensors, text.onnx, tokenizer.json), found \"truth.safetensors\"",
        ),
        (
            "no file listed",
            "tiny-tagger",
            set!("sha256", {}),
            "`encoder.graphs.fp32.file` must be a file that `sha256` lists (), found \"encoder.onnx\"",
        ),
        (
            "a path out of the package",
            "tiny-tokens",
            set!("text.tokenizer", "../tokenizer.json"),
            "`text.tokenizer` must be the relative name of a file within the package, found \"../tokenizer.json\"",
        ),
        (
            "an absolute path",
            "tiny-tokens",
            set!("head.file", "/etc/passwd"),
            "`head.file` must be the relative name of a file within the package, found \"/etc/passwd\"",
        ),
        (
            "a path of Windows",
            "tiny-tokens",
            set!("head.file", "C:\\head.onnx"),
            "`head.file` must be the relative name of a file within the package, found \"C:\\\\head.onnx\"",
        ),
        (
            "a listed path out of the package",
            "tiny-tokens",
            set!("sha256", {"a/../../b": ""}),
            "`sha256` must be relative names of files within the package, found \"a/../../b\"",
        ),
        (
            "a listed path with a dot",
            "tiny-tokens",
            set!("sha256", {"./b": ""}),
            "`sha256` must be relative names of files within the package, found \"./b\"",
        ),
        (
            "the manifest's own checksum",
            "tiny-tokens",
            set!("sha256", {"manifest.json": ""}),
            "`sha256` must be names of the other files, found \"manifest.json\"",
        ),
        (
            "half a checksum",
            "tiny-tagger",
            |copy| copy.manifest["sha256"]["labels.txt"] = "0123".into(),
            "`sha256.labels.txt` must be 64 of 0-9 and a-f, found \"0123\"",
        ),
        (
            "a wrong checksum",
            "tiny-tagger",
            |copy| copy.manifest["sha256"]["labels.txt"] = "0".repeat(64).into(),
            "DIR/labels.txt: its sha256 must be SHA (`sha256.labels.txt`), found SHA",
        ),
        (
            "a file cut short",
            "tiny-tokens",
            |copy| {
                let whole = fs::read(copy.path("encoder.onnx")).unwrap();
                fs::write(copy.path("encoder.onnx"), &whole[..whole.len() / 2]).unwrap();
            },
            "DIR/encoder.onnx: its sha256 must be SHA (`sha256.encoder.onnx`), found SHA",
        ),
        (
            "a file that is not there",
            "tiny-tokens",
            |copy| fs::remove_file(copy.path("head.onnx")).unwrap(),
            "DIR/head.onnx (`sha256.head.onnx`): No such file or directory (os error 2)",
        ),
        (
            "a folder in a file's place",
            "tiny-tokens",
            |copy| {
                fs::remove_file(copy.path("head.onnx")).unwrap();
                fs::create_dir(copy.path("head.onnx")).unwrap();
            },
            "DIR/head.onnx: `sha256.head.onnx` must name a regular file, found a folder",
        ),
        (
            "a pipe in a file's place",
            "tiny-tokens",
            |copy| {
                fs::remove_file(copy.path("head.onnx")).unwrap();
                assert!(Command::new("mkfifo").arg(copy.path("head.onnx")).status().unwrap().success());
            },
            "DIR/head.onnx: `sha256.head.onnx` must name a regular file, found a device, pipe or socket",
        ),
        (
            "a link out of the package",
            "tiny-tokens",
            |copy| {
                fs::remove_file(copy.path("head.onnx")).unwrap();
                symlink("/etc/passwd", copy.path("head.onnx")).unwrap();
            },
            "DIR/head.onnx: `sha256.head.onnx` must lie in DIR, found /etc/passwd",
        ),
        (
            "a folder that leads out of the package",
            "tiny-tokens",
            |copy| {
                symlink("/etc", copy.path("etc")).unwrap();
                copy.manifest["sha256"]["etc/passwd"] = "0".repeat(64).into();
            },
            "DIR/etc/passwd: `sha256.etc/passwd` must lie in DIR, found /etc/passwd",
        ),
        (
            "a link that leads nowhere",
            "tiny-tokens",
            |copy| {
                fs::remove_file(copy.path("head.onnx")).unwrap();
                symlink("nowhere.onnx", copy.path("head.onnx")).unwrap();
            },
            "DIR/head.onnx (`sha256.head.onnx`): No such file or directory (os error 2)",
        ),
        (
            "10 GB in one file",
            "tiny-tokens",
            |copy| File::create(copy.path("encoder.onnx")).unwrap().set_len(10 << 30).unwrap(),
            "DIR/encoder.onnx: a file must be at most 2147483648 bytes, found 10737418240",
        ),
        (
            "4.5 GB in three",
            "tiny-tokens",
            |copy| {
                for name in ["encoder.onnx", "head.onnx", "text.onnx"] {
                    File::create(copy.path(name)).unwrap().set_len(3 << 29).unwrap();
                }
            },
            "DIR/manifest.json: the files of a package together must be at most 4294967296 bytes, found 48…",
        ),
    ]);
}

#[test]
fn a_manifest_behind_a_link_or_not_there() {
    let copy = Copy::of("tiny-tokens");
    let elsewhere = Copy::of("tiny-tokens");
    fs::remove_file(copy.path("manifest.json")).unwrap();
    let says =
        "No such file or directory (os error 2); a model package is a folder with a manifest.json in it";
    assert_eq!(copy.refusal(), format!("DIR/manifest.json: {says}"));
    symlink(elsewhere.path("manifest.json"), copy.path("manifest.json")).unwrap();
    let found = fs::canonicalize(elsewhere.path("manifest.json")).unwrap();
    let says = format!("DIR/manifest.json: `manifest.json` must lie in DIR, found {}", found.display());
    assert_eq!(copy.refusal(), says);
    let error = listen_package::Package::open(&copy.path("nowhere"), true).unwrap_err().to_string();
    let says =
        "No such file or directory (os error 2); a model package is a folder with a manifest.json in it";
    assert_eq!(error, format!("{}: {says}", copy.path("nowhere").display()));
}

/// A field of protobuf.
fn field(number: u8, inside: &[u8]) -> Vec<u8> {
    assert!(inside.len() < 128 && number < 16);
    [&[number << 3 | 2, inside.len() as u8], inside].concat()
}

/// The graph in `file`, with one more initializer that lies in `location`: messages that follow each other are merged.
fn with_external(copy: &Copy, file: &str, location: &str) -> Vec<u8> {
    let entry = [field(1, b"location"), field(2, location.as_bytes())].concat();
    let tensor = [&[8, 1, 16, 1][..], &field(8, b"more"), &field(13, &entry), &[14 << 3, 1]].concat();
    let mut bytes = fs::read(copy.path(file)).unwrap();
    bytes.extend(field(7, &field(5, &tensor)));
    bytes
}

#[test]
fn a_graph_that_takes_weights_from_a_file_that_is_not_listed_is_refused_by_name() {
    for (file, key) in [("encoder.onnx", "encoder.graphs.fp32"), ("head.onnx", "head"), ("text.onnx", "text")]
    {
        for location in ["weights.bin", "../../etc/passwd", "/dev/zero", "*/_ORT_MEM_ADDR_/*", ""] {
            let mut copy = Copy::of("tiny-tokens");
            let bytes = with_external(&copy, file, location);
            copy.file(file, bytes);
            // A file that lies there and is listed for nothing is none of its.
            copy.file("weights.bin", [0; 4]);
            copy.write();
            let error = copy.open().map(|_| ()).unwrap_err().to_string();
            let expected = format!(
                "takes weights from {location:?}; the manifest lists as external data of `{key}`: none"
            );
            assert!(error.contains(&expected) && error.contains(file), "{error}");
        }
    }
}

#[test]
fn external_data_that_is_listed_for_its_graph_is_taken_from_beside_it() {
    let open = |folder: &str, listed: &str, location: &str| {
        let mut copy = Copy::of("tiny-tokens");
        let bytes = with_external(&copy, "encoder.onnx", location);
        fs::create_dir_all(copy.path("inner")).unwrap();
        copy.file(&format!("{folder}encoder.onnx"), bytes);
        copy.file("weights.bin", [0; 4]);
        copy.file("inner/weights.bin", [0; 4]);
        copy.set("encoder.graphs.fp32.file", format!("{folder}encoder.onnx"));
        copy.manifest["encoder"]["graphs"]["fp32"]["external_data"] = serde_json::json!([listed]);
        copy.write();
        copy.open().map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(open("", "weights.bin", "weights.bin"), Ok(()));
    assert_eq!(open("inner/", "inner/weights.bin", "weights.bin"), Ok(()));
    assert_eq!(open("", "inner/weights.bin", "inner/weights.bin"), Ok(()));
    for (folder, listed, location) in [
        ("", "weights.bin", "./weights.bin"),
        ("inner/", "weights.bin", "weights.bin"),
        ("inner/", "weights.bin", "../weights.bin"),
    ] {
        let error = open(folder, listed, location).unwrap_err();
        assert!(error.contains(&format!("takes weights from {location:?}")), "{error}");
        assert!(error.ends_with(&format!("`encoder.graphs.fp32`: {listed}")), "{error}");
    }
}
