//! Texts to embeddings.

use std::collections::HashMap;

use crate::near::{hint, nearest, same_form, shown};

/// Makes embeddings of texts.
pub trait TextTower: Send {
    /// Length of an embedding.
    fn dim(&self) -> usize;

    /// One embedding of each text, in their order, of any length other than zero.
    fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, TextError>;

    /// Whether it can embed a text, and that embedding depends on the text.
    fn knows(&self, _text: &str) -> bool {
        true
    }

    /// Whether it reads sentences, so that labels are put into prompt templates. One that looks labels up does not.
    fn reads_sentences(&self) -> bool {
        true
    }
}

impl<T: TextTower + ?Sized> TextTower for Box<T> {
    fn dim(&self) -> usize {
        (**self).dim()
    }

    fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, TextError> {
        (**self).embed(texts)
    }

    fn knows(&self, text: &str) -> bool {
        (**self).knows(text)
    }

    fn reads_sentences(&self) -> bool {
        (**self).reads_sentences()
    }
}

/// A text that could not be embedded, or a text tower that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// A table without this label.
    #[error(
        "the package cannot embed {label:?}: it has no text tower, and its table of labels lacks it{}",
        hint(near)
    )]
    Unknown {
        /// The label.
        label: String,
        /// Labels of the table that are like it.
        near: Vec<String>,
    },
    /// A table whose shape is not what its labels and the embeddings ask for.
    #[error("{file}: embeddings are {found:?}, expected [{rows}, {dim}]")]
    TableShape {
        /// The file.
        file: String,
        /// Shape found.
        found: Vec<usize>,
        /// Labels of the table.
        rows: usize,
        /// Length of the embeddings.
        dim: usize,
    },
    /// A package without text.
    #[error(
        "the package has neither a text tower (key text) nor a table (key label_embeddings), or no key clap"
    )]
    NoTower,
    /// A graph that is not what the manifest says.
    #[error("{file}: {key}: the manifest says {expected}, the graph has {found}")]
    Graph {
        /// The graph's file.
        file: String,
        /// The manifest's key.
        key: &'static str,
        /// The manifest's.
        expected: String,
        /// The graph's.
        found: String,
    },
    /// A tokenizer that cannot be used.
    #[error(
        "{file} (text.tokenizer): expected a tokenizer as the `tokenizers` library writes it, found: {error}"
    )]
    Tokenizer {
        /// The file.
        file: String,
        /// What is wrong with it.
        error: String,
    },
    /// A text that the tokenizer refuses.
    #[error("{text:?} cannot be cut into tokens: {error}")]
    Tokens {
        /// The text.
        text: String,
        /// The tokenizer's words.
        error: String,
    },
    /// A text of which nothing is left.
    #[error("{text:?} has no tokens")]
    NoTokens {
        /// The text.
        text: String,
    },
    /// A text that says nothing to the tower: each of its tokens stands for "unknown", or for no text at all.
    #[error("the package cannot embed {text:?}: its tokenizer knows no part of it")]
    Unreadable {
        /// The text.
        text: String,
    },
    /// A graph that gives something else than the package says.
    #[error("the text graph gives {found:?}, expected {expected} of float32")]
    Shape {
        /// Shape found.
        found: Vec<usize>,
        /// Shape expected.
        expected: String,
    },
    /// A file of the package.
    #[error(transparent)]
    Package(#[from] listen_package::PackageError),
    /// ONNX Runtime, or the graph.
    #[error(transparent)]
    Runtime(#[from] listen_runtime::RuntimeError),
}

/// Embeddings that were computed beforehand, by label.
///
/// Case, spaces and underscores make no difference. Of labels that are the same then, the first counts.
#[derive(Debug, Clone)]
pub struct Table {
    labels: Vec<String>,
    rows: HashMap<String, usize>,
    dim: usize,
    data: Vec<f32>,
}

impl Table {
    /// A table of `labels` with the tensor `[labels, dim]` of `file`, which errors name.
    pub fn new(
        file: &str,
        labels: Vec<String>,
        dim: usize,
        (shape, data): (Vec<usize>, Vec<f32>),
    ) -> Result<Table, TextError> {
        if shape[..] != [labels.len(), dim] || Some(data.len()) != labels.len().checked_mul(dim) {
            return Err(TextError::TableShape {
                file: file.to_owned(),
                found: shape,
                rows: labels.len(),
                dim,
            });
        }
        let mut rows = HashMap::with_capacity(labels.len());
        for (row, label) in labels.iter().enumerate() {
            rows.entry(same_form(label)).or_insert(row);
        }
        Ok(Table { labels, rows, dim, data })
    }

    /// The embedding of a label, if the table has it.
    pub fn get(&self, label: &str) -> Option<&[f32]> {
        let row = *self.rows.get(&same_form(label))?;
        self.data.get(row * self.dim..(row + 1) * self.dim)
    }

    /// The labels that it has.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }
}

impl TextTower for Table {
    fn dim(&self) -> usize {
        self.dim
    }

    fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, TextError> {
        let row = |text: &String| {
            self.get(text).map(<[f32]>::to_vec).ok_or_else(|| {
                let near = nearest(text, self.labels.iter().map(String::as_str));
                TextError::Unknown { label: shown(text), near: near.into_iter().map(str::to_owned).collect() }
            })
        };
        texts.iter().map(row).collect()
    }

    fn knows(&self, text: &str) -> bool {
        self.get(text).is_some()
    }

    fn reads_sentences(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let labels = vec!["Dog barking".to_owned(), "siren".to_owned(), "DOG BARKING".to_owned()];
        Table::new("t.safetensors", labels, 2, (vec![3, 2], vec![1.0, 0.0, 0.0, 1.0, 5.0, 5.0])).unwrap()
    }

    #[test]
    fn a_label_is_found_in_any_case_and_spacing() {
        let mut table = table();
        let texts = ["dog  barking", "Dog_Barking", " SIREN"].map(str::to_owned);
        assert_eq!(table.embed(&texts).unwrap(), [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]);
        assert!(table.knows("Siren") && !table.knows("sirens"));
    }

    #[test]
    fn a_label_that_is_missing_is_named_with_its_neighbours() {
        let error = table().embed(&["dog braking".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("\"dog braking\"") && error.ends_with("near it: \"Dog barking\""), "{error}");
    }

    #[test]
    fn a_table_of_the_wrong_shape_is_refused_with_both_shapes() {
        for (shape, values) in [(vec![2, 2], 4), (vec![3], 3), (vec![3, 2], 5), (vec![2, 3], 6)] {
            let labels = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
            let error =
                Table::new("t.safetensors", labels, 2, (shape.clone(), vec![0.0; values])).unwrap_err();
            let said = error.to_string();
            assert!(said.contains(&format!("{shape:?}, expected [3, 2]")), "{said}");
        }
    }
}
