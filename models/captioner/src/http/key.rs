//! The key: read from where it lies, sent to the server, and shown to nobody.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use super::HttpError;

/// Largest file of a key.
const MAX_FILE: u64 = 16 << 10;

/// Where the key lies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum KeySource {
    /// The server asks for none.
    #[default]
    None,
    /// In an environment variable of this name.
    Env(String),
    /// In the first line of a file.
    File(PathBuf),
}

/// A key. Neither `Debug` nor any error shows it.
#[derive(Clone)]
pub(super) struct Key(String);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(***)")
    }
}

impl Key {
    /// Reads the key.
    pub(super) fn read(source: &KeySource) -> Result<Option<Key>, HttpError> {
        let (from, text) = match source {
            KeySource::None => return Ok(None),
            KeySource::Env(name) => {
                let from = format!("environment variable {name}");
                let text = std::env::var(name).map_err(|error| HttpError::Key {
                    from: from.clone(),
                    reason: match error {
                        std::env::VarError::NotPresent => "it is not set".to_owned(),
                        // Its own words would show the value.
                        std::env::VarError::NotUnicode(_) => "it is not UTF-8".to_owned(),
                    },
                })?;
                (from, text)
            }
            KeySource::File(path) => {
                let from = path.display().to_string();
                let mut text = String::new();
                let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
                read.map_err(|error| HttpError::Key { from: from.clone(), reason: error.to_string() })?;
                (from, text)
            }
        };
        let key = text.lines().next().unwrap_or_default().trim();
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_graphic()) {
            let reason = "a key of printable characters without spaces was expected, found none".to_owned();
            return Err(HttpError::Key { from, reason });
        }
        Ok(Some(Key(key.to_owned())))
    }

    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// A text of somebody else's without the key in it: servers repeat what they refuse.
    pub(super) fn hidden_in(&self, text: &str) -> String {
        text.replace(&self.0, "***")
    }
}
