//! The model package: a manifest and the files it names.
mod manifest;

pub use manifest::*;
