//! Bytes to a manifest: UTF-8, JSON without duplicate keys, the right version, the right form, in this order.

use std::fmt;

use listen_features::FrontEnd;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::{Manifest, PackageError};

/// Reads the manifest of `file`; what holds between its keys is not yet checked.
pub(crate) fn parse(file: &str, bytes: &[u8]) -> Result<Manifest, PackageError> {
    let text = str::from_utf8(bytes).map_err(|e| PackageError::NotUtf8 {
        file: file.into(),
        found: bytes.get(e.valid_up_to()).copied().unwrap_or_default(),
        position: e.valid_up_to(),
    })?;
    let form = |key: String, reason: String| {
        // `?` is a key that was not read whole; a path that long is an attempt to exhaust the stack.
        let key = match key.trim_end_matches(".?") {
            "" | "?" => ".".into(),
            key if key.len() > 256 => ".".into(),
            key => key.to_string(),
        };
        PackageError::Form { file: file.into(), key, reason }
    };

    let mut json = serde_json::Deserializer::from_str(text);
    let Unique(value) = serde_path_to_error::deserialize(&mut json)
        .map_err(|e| form(e.path().to_string(), e.into_inner().to_string()))?;
    json.end().map_err(|e| form(".".into(), e.to_string()))?;

    // Before the form, which another version may well have changed.
    expect(file, &value, "format", &Manifest::FORMAT.into())?;
    expect(file, &value, "version", &Manifest::VERSION.into())?;
    let manifest: Manifest = read(&value).map_err(|(key, reason)| {
        let (key, reason) = inside(&value, key, reason);
        form(key, reason)
    })?;
    // Serde also takes a variant's number, and a map of its name, for its name: other readers of the format do not.
    let written = serde_json::to_value(&manifest).map_err(|e| form(".".into(), e.to_string()))?;
    match differs(&value, &written) {
        Some((key, reason)) => Err(form(key, reason)),
        None => Ok(manifest),
    }
}

/// The first place where `found` is not what the format writes, and why; what may be left out may also be there empty.
fn differs(found: &Value, written: &Value) -> Option<(String, String)> {
    let within = |key: String, found, written| {
        differs(found, written).map(|(inner, reason)| match inner.as_str() {
            "." => (key, reason),
            inner => (format!("{key}.{inner}"), reason),
        })
    };
    match (found, written) {
        (Value::Object(f), Value::Object(w)) => f.iter().find_map(|(key, found)| match (found, w.get(key)) {
            (found, Some(written)) => within(key.clone(), found, written),
            (_, None) => None,
        }),
        (Value::Array(f), Value::Array(w)) if f.len() == w.len() => f
            .iter()
            .zip(w)
            .enumerate()
            .find_map(|(i, (found, written))| within(i.to_string(), found, written)),
        (found, written)
            if found == written || found.as_f64().is_some_and(|f| written.as_f64() == Some(f)) =>
        {
            None
        }
        (found, written) => Some((".".into(), format!("invalid value: {found}, expected {written}"))),
    }
}

/// Whether `key` is there and is what this program reads.
fn expect(file: &str, value: &Value, key: &str, expected: &Value) -> Result<(), PackageError> {
    match value.get(key) {
        Some(found) if found == expected => Ok(()),
        found => Err(PackageError::Value {
            file: file.into(),
            key: key.into(),
            expected: expected.to_string(),
            found: found.map_or("none".into(), Value::to_string),
        }),
    }
}

/// A value of type `T`, or the key where it fails, and why.
fn read<T: DeserializeOwned>(value: &Value) -> Result<T, (String, String)> {
    serde_path_to_error::deserialize(value).map_err(|e| (e.path().to_string(), e.into_inner().to_string()))
}

/// The failure at `key`, made more exact.
///
/// Within an object that serde reads by its `kind` it knows no keys, so what stands there is read again by itself.
fn inside(manifest: &Value, key: String, reason: String) -> (String, String) {
    let at = |path: &str| {
        path.split('.').try_fold(manifest, |value, key| value.get(key)).and_then(Value::as_object)
    };
    match (key.as_str(), at(&key)) {
        ("frontend", Some(object)) if object.get("kind").is_some_and(|kind| kind == "logmel") => {
            let front_end = object.iter().filter(|(k, _)| *k != "kind").map(|(k, v)| (k.clone(), v.clone()));
            match read::<FrontEnd>(&Value::Object(front_end.collect())) {
                Err((field, _)) if field == "log" => inside(manifest, "frontend.log".into(), reason),
                Err((field, reason)) if field == "." => (key, reason),
                Err((field, reason)) => (format!("{key}.{field}"), reason),
                Ok(_) => (key, reason),
            }
        }
        ("frontend.log" | "normalize", Some(object)) => {
            match object.iter().find(|(k, v)| *k != "kind" && !v.is_number()) {
                // An unknown key is named by the reason.
                Some((field, _)) if !reason.contains("unknown field") => (format!("{key}.{field}"), reason),
                _ => (key, reason),
            }
        }
        _ => (key, reason),
    }
}

/// JSON in which no object has a key twice.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Unique, E> {
        Ok(Unique(v.into()))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Unique, E> {
        Ok(Unique(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Unique, E> {
        Ok(Unique(v.into()))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Unique, E> {
        Ok(Unique(v.into()))
    }

    fn visit_str<E>(self, v: &str) -> Result<Unique, E> {
        Ok(Unique(v.into()))
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Unique, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Unique(values.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!(
                    "the key `{key}` must stand there once, found it twice"
                )));
            }
            let Unique(value) = map.next_value()?;
            object.insert(key, value);
        }
        Ok(Unique(object.into()))
    }
}
