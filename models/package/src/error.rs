//! Why a package cannot be used.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use listen_features::FrontEndError;

/// A package that cannot be used.
///
/// `file` is the file's path, or its name after `default package:` where it is compiled in; `key` is the place in the
/// manifest, as in `encoder.graphs.fp32.file`. Each message names both sides.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// A file that is not there or cannot be read.
    #[error("{file} (`{key}`): {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// Where the manifest names it.
        key: String,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// A folder that is not there, or whose manifest cannot be read.
    #[error("{file}: {source}; a model package is a folder with a manifest.json in it")]
    NoManifest {
        /// The folder or the manifest.
        file: String,
        /// What the system says.
        source: Arc<io::Error>,
    },
    /// A file of the manifest's list that is a directory, a device, ...
    #[error("{file}: `{key}` must name a regular file, found {found}")]
    NotAFile {
        /// The file.
        file: String,
        /// Where it is named.
        key: String,
        /// What it is.
        found: &'static str,
    },
    /// A file that a link leads out of the package.
    #[error("{file}: `{key}` must lie in {package}, found {found}")]
    Outside {
        /// The file.
        file: String,
        /// Where it is named.
        key: String,
        /// The package's folder.
        package: PathBuf,
        /// Where the link leads.
        found: PathBuf,
    },
    /// A file, or something in it, that claims more than is read.
    #[error("{file}: {what} must be at most {limit} bytes, found {found}")]
    TooLarge {
        /// The file, or the package.
        file: String,
        /// What is too large.
        what: &'static str,
        /// Bytes allowed.
        limit: u64,
        /// Bytes claimed.
        found: u64,
    },
    /// Text that is not UTF-8.
    #[error("{file}: must be UTF-8, found the byte {found:#04x} at {position}")]
    NotUtf8 {
        /// The file.
        file: String,
        /// The first byte that is none.
        found: u8,
        /// Its position.
        position: usize,
    },
    /// A manifest that is no JSON, or does not have the form of one.
    #[error("{file}: `{key}`: {reason}")]
    Form {
        /// The manifest.
        file: String,
        /// Where; `.` for the whole.
        key: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// A value that is wrong by itself or disagrees with another.
    #[error("{file}: `{key}` must be {expected}, found {found}")]
    Value {
        /// The manifest.
        file: String,
        /// Where.
        key: String,
        /// What must stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A front end that cannot be built.
    #[error("{file}: `frontend`: {source}")]
    FrontEnd {
        /// The manifest.
        file: String,
        /// The fields that disagree.
        source: FrontEndError,
    },
    /// Terms that have not been accepted.
    #[error(
        "{file}: the licence `{license}` of package `{id}` must be accepted{}: set `{property}=true`",
        text.as_ref().map(|t| format!(" (its text: {t})")).unwrap_or_default()
    )]
    License {
        /// The manifest.
        file: String,
        /// The package's id.
        id: String,
        /// The licence.
        license: String,
        /// The file or address that holds its text.
        text: Option<String>,
        /// The property that accepts it.
        property: &'static str,
    },
    /// A file whose content is not what the manifest says.
    #[error("{file}: its sha256 must be {expected} (`{key}`), found {found}")]
    Checksum {
        /// The file.
        file: String,
        /// Where the manifest says what it is.
        key: String,
        /// The manifest's.
        expected: String,
        /// The file's.
        found: String,
    },
    /// A graph that takes weights from a file which the manifest does not list for it.
    #[error("{file}: takes weights from {found:?}; the manifest lists as external data of `{key}`: {listed}")]
    ExternalData {
        /// The graph's file.
        file: String,
        /// Where the manifest names it.
        key: String,
        /// What the graph names.
        found: String,
        /// What the manifest lists for it.
        listed: String,
    },
    /// A safetensors file that is none.
    #[error("{file}: not a safetensors file: {reason}")]
    Safetensors {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A tensor that is missing, or has another type, shape or values.
    #[error("{file}: tensor `{tensor}` must be {expected}, found {found}")]
    Tensor {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Classes that are not as they must be.
    #[error("{file}: {what} must be {expected}, found {found}")]
    Labels {
        /// The file.
        file: String,
        /// What of them.
        what: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A file that is asked for but not of the package.
    #[error("package `{id}` has no file `{name}`: its manifest's `sha256` lists {listed}")]
    NotListed {
        /// The package's id.
        id: String,
        /// The file's name.
        name: String,
        /// The files that it has.
        listed: String,
    },
    /// No package was compiled in.
    #[error(
        "there is no default package: models/packages/default had no manifest.json when this was built; name a package"
    )]
    NoDefault,
}
