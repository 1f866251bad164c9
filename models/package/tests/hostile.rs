//! Bytes that somebody else made: whatever they are, they are refused or read, and nothing panics.

mod common;

use std::fs;

use common::{Copy, FIXTURES, fixture};
use listen_package::Manifest;

#[test]
fn a_manifest_cut_anywhere_is_refused() {
    for name in &FIXTURES[..1] {
        let bytes = fs::read(fixture(name).join("manifest.json")).unwrap();
        // Without the newline at its end it is whole.
        for end in 0..bytes.len() - 1 {
            assert!(Manifest::from_json("m", &bytes[..end]).is_err(), "{name}: {end}");
        }
    }
}

#[test]
fn a_manifest_with_a_byte_changed_does_not_panic() {
    let bytes = fs::read(fixture("tiny-tokens").join("manifest.json")).unwrap();
    let (mut taken, mut refused) = (0, 0);
    for at in (0..bytes.len()).step_by(3) {
        for new in [b'0', b'9', b'-', b'"', b'{', b']', b',', b'\\', 0, 0xff] {
            let mut changed = bytes.clone();
            changed[at] = new;
            match Manifest::from_json("m", &changed) {
                Ok(_) => taken += 1,
                Err(_) => refused += 1,
            }
        }
    }
    assert!(taken > 300 && refused > 300, "{taken} taken, {refused} refused");
}

#[test]
fn a_table_cut_or_changed_anywhere_does_not_panic() {
    let whole = fs::read(fixture("tiny-clip").join("labels.safetensors")).unwrap();
    let mut copy = Copy::of("tiny-clip");
    let mut open = |bytes: &[u8]| {
        copy.file("labels.safetensors", bytes);
        copy.write();
        copy.open().is_ok()
    };
    assert!(open(&whole));
    let header = 8 + usize::from(whole[0]) + 256 * usize::from(whole[1]);
    for end in (0..header).chain([header + 1, whole.len() - 1]) {
        assert!(!open(&whole[..end]), "cut at {end}");
    }
    for at in 0..header {
        for new in [b'9', b'-', b'"', 0xff] {
            let mut changed = whole.clone();
            changed[at] = new;
            open(&changed);
        }
    }
}
