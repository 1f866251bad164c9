//! Why something could not be loaded or run.

use std::fmt;

use crate::library::LibraryError;
use crate::provider::{Precision, Provider};

/// Why ONNX Runtime, a graph or a run failed.
///
/// It can be cloned: one failed run is told to everybody whose window was in its batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The library is not there: every place that was tried, and what to install.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The library is there but its environment could not be made.
    #[error("ONNX Runtime did not start: {reason}")]
    Environment {
        /// ONNX Runtime's words.
        reason: String,
    },
    /// An execution provider that was asked for by name is not there.
    #[error("execution provider {provider} cannot be used: {reason}; {install}")]
    Provider {
        /// The provider asked for.
        provider: Provider,
        /// ONNX Runtime's words.
        reason: String,
        /// What to install.
        install: &'static str,
    },
    /// An execution provider does not compute in this precision.
    #[error(
        "execution provider {provider} does not compute in {precision}; it takes {}", 
        provider.precisions().iter().map(|p| p.name()).collect::<Vec<_>>().join(", ")
    )]
    Precision {
        /// The provider asked for.
        provider: Provider,
        /// The precision asked for.
        precision: Precision,
    },
    /// A graph could not be loaded.
    #[error("{graph} cannot be loaded by execution provider {provider}: {reason}")]
    Load {
        /// The file's path, or the size of the graph in memory.
        graph: String,
        /// Who was to run it.
        provider: Provider,
        /// ONNX Runtime's words.
        reason: String,
    },
    /// Two different graphs were to share one copy of their weights.
    #[error("weights of {first} cannot be shared with {second}")]
    Shared {
        /// What was loaded first.
        first: String,
        /// What asked to share it.
        second: String,
    },
    /// A graph has no input or output of this name.
    #[error("the graph has no {side} named {name:?}; it has {}", .known.join(", "))]
    Name {
        /// Input or output.
        side: Side,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// An input of the graph was not given.
    #[error("the graph's input {name:?} was not given; given: {}", .given.join(", "))]
    Missing {
        /// The input's name.
        name: String,
        /// The names given.
        given: Vec<String>,
    },
    /// A tensor has another element type than the graph's.
    #[error("{side} {name:?} is {expected} in the graph, {found} here")]
    Type {
        /// Input or output.
        side: Side,
        /// Its name.
        name: String,
        /// The graph's element type.
        expected: String,
        /// What was given or can be read.
        found: String,
    },
    /// A tensor has another shape than the graph's.
    #[error("{side} {name:?} is {} in the graph, {found:?} here", dims(.expected))]
    Shape {
        /// Input or output.
        side: Side,
        /// Its name.
        name: String,
        /// The graph's shape; `None` is any size.
        expected: Vec<Option<usize>>,
        /// The shape given.
        found: Vec<usize>,
    },
    /// A tensor's data does not fill its shape.
    #[error("shape {shape:?} takes {expected} values, {found} are given")]
    Length {
        /// The shape.
        shape: Vec<usize>,
        /// Values that it takes.
        expected: usize,
        /// Values that there are.
        found: usize,
    },
    /// A run failed.
    #[error("inference failed: {reason}")]
    Run {
        /// ONNX Runtime's words, or the model's.
        reason: String,
    },
    /// The model's code panicked. The model stays in use.
    #[error("the model panicked: {message}")]
    Panic {
        /// The panic's message.
        message: String,
    },
    /// A model did not give one result for each window of its batch.
    #[error("the model gave {found} results for a batch of {expected}")]
    Results {
        /// Windows in the batch.
        expected: usize,
        /// Results given.
        found: usize,
    },
    /// Nothing is loaded or run any more.
    #[error("the process is exiting")]
    Exiting,
    /// A thread could not be started.
    #[error("inference thread {name} could not be started: {reason}")]
    Thread {
        /// The thread's name.
        name: String,
        /// The system's words.
        reason: String,
    },
}

/// Which end of a graph an error speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What goes in.
    Input,
    /// What comes out.
    Output,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}

/// `[?, 1, 80, 608]`: a question mark for any size.
pub(crate) fn dims(dims: &[Option<usize>]) -> String {
    let sizes: Vec<_> = dims.iter().map(|d| d.map_or_else(|| "?".to_owned(), |d| d.to_string())).collect();
    format!("[{}]", sizes.join(", "))
}

/// What `ort` says, for a run.
pub(crate) fn run_failed(error: impl fmt::Display) -> RuntimeError {
    RuntimeError::Run { reason: error.to_string() }
}
