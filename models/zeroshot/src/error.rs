//! What goes wrong between a list of labels and a package.

use crate::score::ScaleError;
use crate::text::TextError;

/// Labels that cannot be compared with a package's embeddings, or an embedding that is of another kind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MatchError {
    /// The text tower said no.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The package's numbers make no scores.
    #[error(transparent)]
    Scale(#[from] ScaleError),
    /// A prompt template without a place for the label.
    #[error("prompt {template:?} has no {{}} that the label could be put into")]
    Template {
        /// The template.
        template: String,
    },
    /// A label's own prompt that says nothing to the tower.
    #[error(
        "label {label:?}: the package cannot embed its prompt {prompt:?}: its tokenizer knows no part of it"
    )]
    Prompt {
        /// The label.
        label: String,
        /// The prompt.
        prompt: String,
    },
    /// A sound is both listened for and told apart from.
    #[error("{label:?} is both label and background")]
    BackgroundIsLabel {
        /// The sound.
        label: String,
    },
    /// Text embeddings of another length than the package says.
    #[error("the text tower gives {found} values for {text:?}, the package says {expected}")]
    TextDim {
        /// The text.
        text: String,
        /// Length found.
        found: usize,
        /// Length expected.
        expected: usize,
    },
    /// A text embedding without direction.
    #[error("the embedding of {text:?} is zero or not finite")]
    NoDirection {
        /// The text.
        text: String,
    },
    /// A sound embedding of another length.
    #[error("an embedding of {found} values came, the labels were embedded with {expected}")]
    Dim {
        /// Length found.
        found: usize,
        /// Length expected.
        expected: usize,
    },
    /// A tagger has no cosines.
    #[error("score=cosine and score=softmax: the package has fixed classes, which have no cosine")]
    NoCosine,
    /// There is no list of classes to fall back to.
    #[error("labels must be given: the package has a text tower and no classes of its own")]
    NoLabels,
    /// The package has nothing that labels could be compared with.
    #[error(
        "the package has neither text (keys clap with text or label_embeddings) nor classes (key tagger)"
    )]
    NoText,
    /// The package's classes are no list of labels.
    #[error("the package's classes: {0}")]
    ClassNames(#[from] crate::labels::LabelError),
    /// A file of the package could not be read.
    #[error(transparent)]
    Package(#[from] listen_package::PackageError),
    /// A graph of the package failed.
    #[error(transparent)]
    Runtime(#[from] listen_runtime::RuntimeError),
    /// A class that the package does not have.
    #[error("the package has no class {class:?}{}", crate::near::hint(near))]
    UnknownClass {
        /// The class.
        class: String,
        /// Classes like it.
        near: Vec<String>,
    },
    /// A classifier's graph gave another number of scores.
    #[error("the classifier gives {found} scores for {expected} classes")]
    ClassCount {
        /// Scores found.
        found: usize,
        /// Classes expected.
        expected: usize,
    },
}
