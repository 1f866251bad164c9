//! Packages that must be refused, each with its reason.

/// Sets a value of the manifest to something wrong.
macro_rules! set {
    ($key:literal, $($value:tt)+) => {
        |copy: &mut crate::common::Copy| copy.set($key, serde_json::json!($($value)+))
    };
}

mod captioner;
#[path = "../common/mod.rs"]
mod common;
mod files;
mod form;
mod streaming;
mod tables;
mod values;

use common::Copy;

/// What is done to a copy of a small package; the manifest is written afterwards.
type Spoil = fn(&mut Copy);

/// Checksums as `SHA`.
fn hide_sums(message: &str) -> String {
    let parts = message.split_inclusive(|c: char| !c.is_ascii_hexdigit());
    parts.map(|part| if part.len() >= 64 { format!("SHA{}", &part[64..]) } else { part.into() }).collect()
}

/// Each spoilt copy of `base` is refused with `says`, after `DIR/manifest.json: ` where that begins with a backtick.
fn check(cases: &[(&str, &str, Spoil, &str)]) {
    for (what, base, spoil, says) in cases {
        let mut copy = Copy::of(base);
        spoil(&mut copy);
        copy.write();
        let says =
            if says.starts_with('`') { format!("DIR/manifest.json: {says}") } else { says.to_string() };
        let found = hide_sums(&copy.refusal());
        match says.strip_suffix('…') {
            Some(begin) => assert!(found.starts_with(begin), "{what}: {found}"),
            None => assert_eq!(found, says, "{what}"),
        }
    }
}
