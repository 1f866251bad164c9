//! Why a package's decoder cannot be used, or gives no text.

use listen_package::PackageError;
use listen_runtime::RuntimeError;

/// What is wrong with a decoder, or with what it was given.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// A package without one.
    #[error("package `{id}` has no decoder: `captioner` must be in its manifest, found none")]
    NoDecoder {
        /// The package.
        id: String,
    },
    /// A file of the package.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A tokenizer that is none, or not this decoder's.
    #[error("{file}: {what} must be {expected}, found {found}")]
    Tokenizer {
        /// The file.
        file: String,
        /// What of it.
        what: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A graph that is not what the manifest says.
    #[error("{file}: {what} must be {expected}, as the manifest's `captioner` says, found {found}")]
    Graph {
        /// The file.
        file: String,
        /// What of it.
        what: String,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The self-test's answer is another.
    #[error("the decoder's self-test must begin with the tokens {expected:?}, found {found:?}")]
    SelfTest {
        /// The manifest's.
        expected: Vec<u32>,
        /// The decoder's.
        found: Vec<u32>,
    },
    /// A prompt without room for an answer.
    #[error("a prompt must leave room for an answer in the decoder's {most} positions, found {found}")]
    TooLong {
        /// The decoder's positions.
        most: usize,
        /// The prompt's.
        found: usize,
    },
    /// Embeddings that the projector does not take.
    #[error("the decoder's projector takes {expected}, found {found}: set `output` of m2dencode")]
    Embedding {
        /// What it takes.
        expected: String,
        /// What was heard.
        found: String,
    },
    /// A scene without embeddings for a decoder that hears.
    #[error("the decoder's projector takes embeddings, found none in what was heard")]
    NoEmbeddings,
    /// An answer of nothing.
    #[error("the decoder must say something, found an empty answer")]
    Empty,
}
