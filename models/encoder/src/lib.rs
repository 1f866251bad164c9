//! Log-mel frames to windows to embeddings.
mod cutter;
mod grid;
mod normalize;
mod tensor;
pub use cutter::{Window, WindowCutter};
pub use grid::{StepGrid, WindowGrid};
pub use normalize::{Normalizer, Statistics};
