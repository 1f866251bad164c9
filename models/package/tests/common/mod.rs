//! Copies of the small packages, to be spoilt.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use listen_package::{Package, PackageError};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub const FIXTURES: [&str; 6] =
    ["tiny-tokens", "tiny-frames", "tiny-clip", "tiny-tagger", "tiny-stream", "tiny-carry"];

/// The folder of a small package.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// The manifest of a small package.
pub fn manifest(name: &str) -> Value {
    let path = fixture(name).join("manifest.json");
    let bytes =
        fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; run fixtures/make_tiny.py", path.display()));
    serde_json::from_slice(&bytes).unwrap()
}

/// A safetensors file with one float32 tensor.
pub fn tensor(name: &str, shape: &[usize], values: &[f32]) -> Vec<u8> {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, shape.to_vec(), &bytes).unwrap();
    safetensors::serialize(HashMap::from([(name, view)]), None).unwrap()
}

/// A copy of a small package in a folder of its own.
pub struct Copy {
    pub folder: TempDir,
    pub manifest: Value,
}

impl Copy {
    pub fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(fixture(name)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
        Self { folder, manifest: manifest(name) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Sets a value of the manifest; `key` as in error messages. `null` takes it away.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        let (parent, last) = key.rsplit_once('.').unwrap_or(("", key));
        let pointer: String = parent.split('.').filter(|k| !k.is_empty()).map(|k| format!("/{k}")).collect();
        let object = self.manifest.pointer_mut(&pointer).and_then(Value::as_object_mut).expect(key);
        match value.into() {
            Value::Null => assert!(object.remove(last).is_some(), "{key}"),
            value => drop(object.insert(last.into(), value)),
        }
    }

    /// Writes a file and lists it with its checksum.
    pub fn file(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        let sum: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        fs::write(self.path(name), bytes).unwrap();
        self.manifest["sha256"][name] = sum.into();
    }

    pub fn write(&self) {
        fs::write(self.path("manifest.json"), serde_json::to_vec_pretty(&self.manifest).unwrap()).unwrap();
    }

    pub fn open(&self) -> Result<Arc<Package>, PackageError> {
        Package::open(self.folder.path(), true)
    }

    /// Why it does not open, with `DIR` for its folder.
    pub fn refusal(&self) -> String {
        let error = self.open().expect_err("the package must be refused").to_string();
        let canonical = fs::canonicalize(self.folder.path()).unwrap();
        error.replace(canonical.to_str().unwrap(), "DIR")
    }
}
