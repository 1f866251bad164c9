//! Log-mel features from a live stream of samples.
mod front_end;

pub use front_end::{FrontEnd, Log, MelNorm, MelScale, PadMode, Spectrum, TriangleDomain, Window};
