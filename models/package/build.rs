//! Compiles the default package in: every file that `models/packages/default/manifest.json` lists.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let folder = Path::new(&root).join("../packages/default");
    let manifest = folder.join("manifest.json");
    // Also where there is no manifest yet: the folder's own time then changes when one comes.
    for watched in [&folder, &manifest].into_iter().filter(|path| path.exists()) {
        println!("cargo:rerun-if-changed={}", watched.display());
    }
    if !folder.exists() {
        println!("cargo:rerun-if-changed={}", folder.with_file_name("").display());
    }
    println!("cargo:rerun-if-changed=build.rs");

    let mut code = String::from("pub(super) const FILES: Option<&[(&str, &[u8])]> = ");
    match fs::read(&manifest) {
        Err(_) => code.push_str("None;\n"),
        Ok(bytes) => {
            let json: serde_json::Value =
                serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{}: {e}", manifest.display()));
            let listed =
                json["sha256"].as_object().unwrap_or_else(|| panic!("{}: no `sha256`", manifest.display()));
            code.push_str("Some(&[\n");
            for name in [&"manifest.json".to_string()].into_iter().chain(listed.keys()) {
                let file = fs::canonicalize(folder.join(name))
                    .unwrap_or_else(|e| panic!("{}: {e}", folder.join(name).display()));
                println!("cargo:rerun-if-changed={}", file.display());
                writeln!(code, "    ({name:?}, include_bytes!({:?})),", file.display().to_string())
                    .expect("to a string");
            }
            code.push_str("]);\n");
        }
    }
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("default_package.rs");
    fs::write(&out, code).unwrap_or_else(|e| panic!("{}: {e}", out.display()));
}
