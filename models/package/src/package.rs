//! A package that has been opened.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, Weak};

use listen_features::FrontEnd;
use sha2::{Digest, Sha256};

use crate::files::{Files, MANIFEST, hex};
use crate::tensors::Tensors;
use crate::{Frontend, Manifest, PackageError, contents, external, parse};

mod compiled {
    include!(concat!(env!("OUT_DIR"), "/default_package.rs"));
}

/// The property that accepts a licence, named in [`PackageError::License`].
const ACCEPT_LICENSE: &str = "accept-license";

/// A package that has been opened: its manifest keeps all rules and its files are those that the manifest means.
///
/// The graphs have not been loaded and the self-test has not been run: `listen-encoder` does both.
#[derive(Debug)]
pub struct Package {
    manifest: Manifest,
    space: String,
    files: Files,
    classes: Option<Vec<String>>,
}

impl Package {
    /// Opens the package in the folder `dir`; `accept_license` says that the user agrees to its terms, should it ask.
    ///
    /// It reads every file once, piece by piece, to compare its sha256.
    ///
    /// # Errors
    /// The first thing that is wrong, in this order: the manifest's size, encoding, JSON, format and version, form and values;
    /// the licence; the files' places, kinds and sizes; their checksums; tables, classes and self-test against the manifest; files that a graph takes weights from.
    pub fn open(dir: &Path, accept_license: bool) -> Result<Arc<Self>, PackageError> {
        Self::of(Files::folder(dir)?, accept_license)
    }

    /// The package that is compiled in; opened once per process and never dropped.
    ///
    /// # Errors
    /// [`PackageError::NoDefault`] where none was there at build time, else what is wrong with it.
    pub fn default_package() -> Result<Arc<Self>, PackageError> {
        static DEFAULT: OnceLock<Result<Arc<Package>, PackageError>> = OnceLock::new();
        DEFAULT
            .get_or_init(|| match compiled::FILES {
                Some(files) => Self::of(Files::Compiled(files), true),
                None => Err(PackageError::NoDefault),
            })
            .clone()
    }

    /// The package of an embedding `space` among those open in this process.
    ///
    /// Where several are open under it they have the same manifest, so the same files; the one opened first is given.
    pub fn find(space: &str) -> Option<Arc<Self>> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let packages = open.get_mut(space)?;
        packages.retain(|package| package.strong_count() > 0);
        packages.iter().find_map(Weak::upgrade)
    }

    fn of(files: Files, accept_license: bool) -> Result<Arc<Self>, PackageError> {
        let (file, bytes) = (files.label(MANIFEST), files.manifest()?);
        let manifest = parse::parse(&file, &bytes)?;
        manifest.validate(&file)?;
        let license = &manifest.license;
        if license.accept_required && !accept_license {
            let text =
                license.file.as_ref().map(|text| files.label(text)).or_else(|| license.source_url.clone());
            let (id, license) = (manifest.id.clone(), license.id.clone());
            return Err(PackageError::License { file, id, license, text, property: ACCEPT_LICENSE });
        }
        files.verify(&manifest)?;

        let sum = hex(Sha256::new_with_prefix(&bytes));
        let space = format!("{}-{}", manifest.id, &sum[..12]);
        let mut package = Self { manifest, space, files, classes: None };
        if let Some(bank) = contents::filterbank(&package.manifest, &package)?
            && let Frontend::Logmel(front_end) = &mut package.manifest.frontend
        {
            front_end.filterbank = Some(bank);
        }
        package.classes = contents::check(&package.manifest, &package)?;
        external::check(&package.manifest, &package)?;
        let package = Arc::new(package);

        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, packages| packages.iter().any(|package| package.strong_count() > 0));
        open.entry(package.space.clone()).or_default().push(Arc::downgrade(&package));
        Ok(package)
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Names the space of the package's embeddings: its id, `-`, and the first 12 hex digits of the manifest's sha256.
    ///
    /// As the manifest holds the checksum of every file, packages with the same name of space are the same.
    pub fn space(&self) -> &str {
        &self.space
    }

    /// The front end; `None` where the graph takes samples.
    pub fn front_end(&self) -> Option<&FrontEnd> {
        self.manifest.front_end()
    }

    /// The tagger's classes, in the order of its scores.
    pub fn classes(&self) -> Option<&[String]> {
        self.classes.as_deref()
    }

    /// The content of one of its files, compared with its checksum once more.
    ///
    /// # Errors
    /// A file that the manifest does not list, or that has changed or gone since the package was opened.
    pub fn read(&self, name: &str) -> Result<Cow<'_, [u8]>, PackageError> {
        match self.manifest.sha256.get(name) {
            Some(expected) => self.files.read(name, expected),
            None => Err(self.not_listed(name)),
        }
    }

    /// Where one of its files lies; `None` where the package is compiled in, or lists no such file.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        match &self.files {
            Files::Folder(folder) if self.manifest.sha256.contains_key(name) => Some(folder.join(name)),
            _ => None,
        }
    }

    /// One of its files as an error names it: where it lies, or that it is compiled in.
    pub fn shown(&self, name: &str) -> String {
        self.path(name).map_or_else(|| format!("{name} (compiled in)"), |path| path.display().to_string())
    }

    /// The shape and values (the last dimension running fastest) of a tensor in one of its safetensors files; float64,
    /// float16 and bfloat16 are converted.
    ///
    /// # Errors
    /// As [`read`](Self::read); a file that is no safetensors file; a tensor that is missing, of another type, or not finite.
    pub fn tensor_f32(&self, file: &str, tensor: &str) -> Result<(Vec<usize>, Vec<f32>), PackageError> {
        let bytes = self.read(file)?;
        Tensors::new(self.files.label(file), &bytes)?.get(tensor)
    }

    fn not_listed(&self, name: &str) -> PackageError {
        let listed = self.manifest.sha256.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        PackageError::NotListed { id: self.manifest.id.clone(), name: name.into(), listed }
    }
}

impl contents::Read for Package {
    fn label(&self, name: &str) -> String {
        self.files.label(name)
    }

    fn read(&self, name: &str) -> Result<Cow<'_, [u8]>, PackageError> {
        Package::read(self, name)
    }

    fn external_data(&self, name: &str) -> Result<BTreeSet<String>, PackageError> {
        self.files.external_data(name)
    }
}

/// The packages open in this process, by their space.
static OPEN: LazyLock<Mutex<HashMap<String, Vec<Weak<Package>>>>> = LazyLock::new(Mutex::default);
