//! Where a package's files lie, and reading them without trusting them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::onnx::external_data;
use crate::{Manifest, PackageError};

/// The manifest's name.
pub(crate) const MANIFEST: &str = "manifest.json";
/// Largest manifest.
const MAX_MANIFEST: u64 = 4 << 20;
/// Largest file.
const MAX_FILE: u64 = 2 << 30;
/// Largest package.
const MAX_PACKAGE: u64 = 4 << 30;

/// Where the files lie.
#[derive(Debug, Clone)]
pub(crate) enum Files {
    /// In a folder; its canonical path.
    Folder(PathBuf),
    /// In this program: name and content.
    Compiled(&'static [(&'static str, &'static [u8])]),
}

impl Files {
    /// The files of a folder.
    pub(crate) fn folder(folder: &Path) -> Result<Self, PackageError> {
        let canonical = fs::canonicalize(folder).map_err(|e| unreadable(folder.display(), MANIFEST, e))?;
        Ok(Self::Folder(canonical))
    }

    /// What errors call a file.
    pub(crate) fn label(&self, name: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(name).display().to_string(),
            Self::Compiled(_) => format!("default package: {name}"),
        }
    }

    /// The manifest, whole.
    pub(crate) fn manifest(&self) -> Result<Cow<'static, [u8]>, PackageError> {
        let size = self.size(MANIFEST, MANIFEST)?;
        let label = self.label(MANIFEST);
        at_most(&label, "a manifest", MAX_MANIFEST, size)?;
        let mut bytes = Vec::new();
        match self {
            Self::Compiled(files) => return compiled(files, MANIFEST, &label).map(Cow::Borrowed),
            Self::Folder(folder) => File::open(folder.join(MANIFEST))
                // One more than allowed, should it have grown since.
                .and_then(|file| file.take(MAX_MANIFEST + 1).read_to_end(&mut bytes))
                .map_err(|e| unreadable(&label, MANIFEST, e))?,
        };
        at_most(&label, "a manifest", MAX_MANIFEST, bytes.len() as u64)?;
        Ok(bytes.into())
    }

    /// Compares every file that the manifest lists with what it says; all sizes first, before anything is read.
    pub(crate) fn verify(&self, manifest: &Manifest) -> Result<(), PackageError> {
        let mut total = 0_u64;
        for name in manifest.sha256.keys() {
            let size = self.size(name, &format!("sha256.{name}"))?;
            at_most(&self.label(name), "a file", MAX_FILE, size)?;
            total = total.saturating_add(size);
        }
        at_most(&self.label(MANIFEST), "the files of a package together", MAX_PACKAGE, total)?;
        manifest.sha256.iter().try_for_each(|(name, expected)| {
            let mut hash = Sha256::new();
            self.stream(name, |bytes| hash.update(bytes))?;
            self.compare(name, expected, hash)
        })
    }

    /// A file, whole, compared again with its checksum: it may have changed since the package was opened.
    pub(crate) fn read(&self, name: &str, expected: &str) -> Result<Cow<'static, [u8]>, PackageError> {
        let bytes = match self {
            Self::Compiled(files) => Cow::Borrowed(compiled(files, name, &self.label(name))?),
            Self::Folder(_) => {
                let size = self.size(name, &format!("sha256.{name}"))?;
                at_most(&self.label(name), "a file", MAX_FILE, size)?;
                let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
                self.stream(name, |part| bytes.extend_from_slice(part))?;
                Cow::Owned(bytes)
            }
        };
        self.compare(name, expected, Sha256::new_with_prefix(&bytes))?;
        Ok(bytes)
    }

    /// The files that a graph names as external data; only what is around its weights is read.
    pub(crate) fn external_data(&self, name: &str) -> Result<BTreeSet<String>, PackageError> {
        let label = self.label(name);
        let found = match self {
            Self::Compiled(files) => external_data(io::Cursor::new(compiled(files, name, &label)?)),
            Self::Folder(folder) => {
                File::open(folder.join(name)).and_then(|file| external_data(io::BufReader::new(file)))
            }
        };
        found.map_err(|e| unreadable(&label, name, e))
    }

    /// The size of a file that may be read: a regular one, in the folder.
    fn size(&self, name: &str, key: &str) -> Result<u64, PackageError> {
        let label = self.label(name);
        let folder = match self {
            Self::Compiled(files) => return Ok(compiled(files, name, &label)?.len() as u64),
            Self::Folder(folder) => folder,
        };
        let found = fs::canonicalize(folder.join(name)).map_err(|e| unreadable(&label, name, e))?;
        if !found.starts_with(folder) {
            let (key, package) = (key.into(), folder.clone());
            return Err(PackageError::Outside { file: label, key, package, found });
        }
        // Asked before the file is opened: a pipe would not come back from that.
        let metadata = fs::metadata(&found).map_err(|e| unreadable(&label, name, e))?;
        if metadata.is_file() {
            return Ok(metadata.len());
        }
        let found = if metadata.is_dir() { "a folder" } else { "a device, pipe or socket" };
        Err(PackageError::NotAFile { file: label, key: key.into(), found })
    }

    /// Gives a file's content piece by piece, never more than the largest file.
    fn stream(&self, name: &str, mut take: impl FnMut(&[u8])) -> Result<(), PackageError> {
        let label = self.label(name);
        let folder = match self {
            Self::Compiled(files) => {
                take(compiled(files, name, &label)?);
                return Ok(());
            }
            Self::Folder(folder) => folder,
        };
        let file = File::open(folder.join(name)).map_err(|e| unreadable(&label, name, e))?;
        let (mut file, mut buffer, mut read) = (file.take(MAX_FILE + 1), vec![0; 1 << 16], 0);
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return at_most(&label, "a file", MAX_FILE, read),
                Ok(n) => {
                    take(&buffer[..n]);
                    read += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(unreadable(&label, name, e)),
            }
        }
    }

    fn compare(&self, name: &str, expected: &str, hash: Sha256) -> Result<(), PackageError> {
        let found = hex(hash);
        if found == expected {
            return Ok(());
        }
        let key = format!("sha256.{name}");
        Err(PackageError::Checksum { file: self.label(name), key, expected: expected.into(), found })
    }
}

/// A checksum in lower-case hex.
pub(crate) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn compiled(files: &'static [(&str, &[u8])], name: &str, label: &str) -> Result<&'static [u8], PackageError> {
    let found = files.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes);
    found.ok_or_else(|| unreadable(label, name, io::ErrorKind::NotFound.into()))
}

fn unreadable(file: impl ToString, name: &str, source: io::Error) -> PackageError {
    let (file, source) = (file.to_string(), Arc::new(source));
    if name == MANIFEST {
        return PackageError::NoManifest { file, source };
    }
    PackageError::Unreadable { file, key: format!("sha256.{name}"), source }
}

fn at_most(file: &str, what: &'static str, limit: u64, found: u64) -> Result<(), PackageError> {
    if found <= limit {
        return Ok(());
    }
    Err(PackageError::TooLarge { file: file.into(), what, limit, found })
}
