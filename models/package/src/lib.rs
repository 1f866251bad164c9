//! The model package: a folder with `manifest.json` and the files that it names.
//!
//! ```no_run
//! use listen_package::Package;
//!
//! let package = Package::open("clap2025.pkg".as_ref(), true)?;
//! println!("{}: {} values per window", package.space(), package.manifest().clip_dim());
//! # Ok::<(), listen_package::PackageError>(())
//! ```
//!
//! Nothing in a package is trusted. What is opened is whole: each file is the one that the manifest means, and the
//! manifest agrees with itself and with the tables beside it. `FORMAT.md` describes the format.
mod contents;
mod error;
mod external;
mod files;
mod manifest;
mod onnx;
mod package;
mod parse;
mod tensors;
mod validation;

pub use error::PackageError;
pub use manifest::*;
pub use package::Package;

impl Manifest {
    /// Reads and checks a manifest; `file` is what errors call it.
    ///
    /// # Errors
    /// As [`Package::open`], as far as the manifest alone shows it.
    pub fn from_json(file: &str, bytes: &[u8]) -> Result<Self, PackageError> {
        let manifest = parse::parse(file, bytes)?;
        manifest.validate(file)?;
        Ok(manifest)
    }
}
