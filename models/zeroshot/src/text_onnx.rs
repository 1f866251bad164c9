//! A text tower as an ONNX graph behind a tokenizer.

use std::collections::{BTreeMap, HashSet};

use listen_package::{Package, Text, TextPad, TextPooling};
use listen_runtime::{GraphSource, Session, SessionOptions, Tensor, TensorData, TensorRef};
use tokenizers::{Tokenizer, TruncationParams};

use crate::near::shown;
use crate::text::{TextError, TextTower};

/// Texts of one run: enough to keep a core busy, few enough for a tower of a gigabyte.
const BATCH: usize = 32;

/// A package's text tower: tokenizer, graph, pooling.
///
/// Texts of the same length in tokens are run together, so that none is padded where the package pads to the longest, and
/// a text's embedding does not depend on which other texts there are.
pub struct OnnxTextTower {
    text: Text,
    dim: usize,
    tokenizer: Tokenizer,
    /// Tokens that no text is told by: the one for what the tokenizer does not know, and the special ones.
    empty: HashSet<u32>,
    session: Session,
}

/// What the graph reads of one text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tokens {
    /// `[length]`, padded.
    ids: Vec<i64>,
    /// How many of them are not padding.
    real: usize,
}

impl std::fmt::Debug for OnnxTextTower {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let graph = &self.text.file;
        f.debug_struct("OnnxTextTower").field("graph", graph).field("dim", &self.dim).finish_non_exhaustive()
    }
}

impl OnnxTextTower {
    /// Loads tokenizer and graph of a package whose manifest has the keys `text` and `clap`.
    ///
    /// # Errors
    /// The manifest lacks a key; a file cannot be read or is not what it should be; ONNX Runtime is missing.
    pub fn open(package: &Package, options: &SessionOptions) -> Result<OnnxTextTower, TextError> {
        let manifest = package.manifest();
        let (Some(text), Some(clap)) = (&manifest.text, &manifest.clap) else {
            return Err(TextError::NoTower);
        };
        let json = package.read(&text.tokenizer)?;
        let tokenizer = tokenizer(text, &json)
            .map_err(|error| TextError::Tokenizer { file: package.shown(&text.tokenizer), error })?;
        let empty = empty_tokens(&tokenizer, &json);
        let session = load(package, &text.file, options)?;
        let inputs = text.inputs.iter().map(|name| ("text.inputs", name, session.inputs()));
        for (key, name, ports) in inputs.chain([("text.output", &text.output, session.outputs())]) {
            if !ports.iter().any(|port| port.name == *name) {
                let names: Vec<_> = ports.iter().map(|port| port.name.as_str()).collect();
                let (file, expected, found) = (package.shown(&text.file), name.clone(), names.join(", "));
                return Err(TextError::Graph { file, key, expected, found });
            }
        }
        Ok(OnnxTextTower { text: text.clone(), dim: clap.dim as usize, tokenizer, empty, session })
    }

    fn tokens(&self, text: &str) -> Result<Tokens, TextError> {
        let whole = format!("{text}{}", self.text.append);
        let encoding = self
            .tokenizer
            .encode(whole, true)
            .map_err(|error| TextError::Tokens { text: shown(text), error: error.to_string() })?;
        let mut ids: Vec<i64> = encoding.get_ids().iter().copied().map(i64::from).collect();
        let real = ids.len();
        if real == 0 {
            return Err(TextError::NoTokens { text: shown(text) });
        }
        if self.text.pad == TextPad::MaxLength {
            ids.resize(self.text.max_length as usize, i64::from(self.text.pad_id));
        }
        Ok(Tokens { ids, real })
    }

    /// Embeddings of texts with the same number of tokens.
    fn run(&mut self, batch: &[&Tokens]) -> Result<Vec<Vec<f32>>, TextError> {
        let length = batch.first().map_or(0, |tokens| tokens.ids.len());
        let shape = [batch.len(), length];
        let ids: Vec<i64> = batch.iter().flat_map(|tokens| tokens.ids.iter().copied()).collect();
        let mask: Vec<i64> =
            batch.iter().flat_map(|tokens| (0..length).map(|place| i64::from(place < tokens.real))).collect();
        let values = [TensorRef::i64(&shape, &ids)?, TensorRef::i64(&shape, &mask)?];
        let inputs: Vec<(&str, TensorRef)> =
            self.text.inputs.iter().map(String::as_str).zip(values).collect();
        let outputs = self.session.run(&inputs, &[&self.text.output])?;
        let real: Vec<usize> = batch.iter().map(|tokens| tokens.real).collect();
        match outputs.into_iter().next() {
            Some(output) => pool(&output, self.text.pooling, &real, self.dim),
            None => {
                Err(TextError::Shape { found: Vec::new(), expected: format!("[{}, {}]", shape[0], self.dim) })
            }
        }
    }
}

impl TextTower for OnnxTextTower {
    fn dim(&self) -> usize {
        self.dim
    }

    fn embed(&mut self, texts: &[String]) -> Result<Vec<Vec<f32>>, TextError> {
        let tokens = texts.iter().map(|text| self.tokens(text)).collect::<Result<Vec<_>, _>>()?;
        let mut by_length: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, tokens) in tokens.iter().enumerate() {
            by_length.entry(tokens.ids.len()).or_default().push(place);
        }
        let mut embeddings = vec![Vec::new(); texts.len()];
        for places in by_length.values().flat_map(|places| places.chunks(BATCH)) {
            let batch: Vec<&Tokens> = places.iter().map(|&place| &tokens[place]).collect();
            for (&place, embedding) in places.iter().zip(self.run(&batch)?) {
                embeddings[place] = embedding;
            }
        }
        Ok(embeddings)
    }

    fn knows(&self, text: &str) -> bool {
        // Without what the package appends, which says nothing about the text.
        let encoding = self.tokenizer.encode_fast(text, false);
        encoding.is_ok_and(|encoding| encoding.get_ids().iter().any(|id| !self.empty.contains(id)))
    }
}

/// Loads a graph of a package, from its file or from memory where the package is compiled in.
pub(crate) fn load(package: &Package, file: &str, options: &SessionOptions) -> Result<Session, GraphError> {
    Ok(match package.path(file) {
        Some(path) => Session::load(&GraphSource::Path(&path), options)?,
        None => Session::load(&GraphSource::Bytes(&package.read(file)?), options)?,
    })
}

/// A graph of a package that could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GraphError {
    #[error(transparent)]
    Package(#[from] listen_package::PackageError),
    #[error(transparent)]
    Runtime(#[from] listen_runtime::RuntimeError),
}

impl From<GraphError> for TextError {
    fn from(error: GraphError) -> TextError {
        match error {
            GraphError::Package(error) => TextError::Package(error),
            GraphError::Runtime(error) => TextError::Runtime(error),
        }
    }
}

/// A tokenizer that cuts texts at the package's length, and leaves padding to us.
fn tokenizer(text: &Text, json: &[u8]) -> Result<Tokenizer, String> {
    let mut tokenizer = Tokenizer::from_bytes(json).map_err(|error| error.to_string())?;
    let max_length = text.max_length as usize;
    let added = tokenizers::PostProcessor::added_tokens;
    let special = tokenizer.get_post_processor().map_or(0, |processor| added(processor, false));
    // Below, `with_truncation` subtracts the one from the other.
    if max_length <= special {
        return Err(format!("it adds {special} tokens to every text, text.max_length is {max_length}"));
    }
    let truncation = TruncationParams { max_length, ..TruncationParams::default() };
    tokenizer.with_truncation(Some(truncation)).map_err(|error| error.to_string())?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

/// Tokens that say nothing about a text.
///
/// `tokenizers` has no call for the unknown one. Its file names it, under one of two keys: `unk_token` is the token's
/// text (WordPiece, WordLevel, BPE), `unk_id` its number (Unigram).
fn empty_tokens(tokenizer: &Tokenizer, json: &[u8]) -> HashSet<u32> {
    #[derive(Default, serde::Deserialize)]
    struct File {
        model: Model,
    }
    #[derive(Default, serde::Deserialize)]
    struct Model {
        unk_token: Option<String>,
        unk_id: Option<u32>,
    }
    // The tokenizer was made of the same bytes, so that another shape than this is one without either key.
    let model = serde_json::from_slice(json).unwrap_or_else(|_| File::default()).model;
    let unknown = model.unk_token.and_then(|token| tokenizer.token_to_id(&token)).or(model.unk_id);
    let added = tokenizer.get_added_vocabulary().get_added_tokens_decoder();
    added.iter().filter(|(_, token)| token.special).map(|(&id, _)| id).chain(unknown).collect()
}

/// One vector of each text: `real` is how many of its tokens are not padding (at least 1).
fn pool(
    output: &Tensor,
    pooling: TextPooling,
    real: &[usize],
    dim: usize,
) -> Result<Vec<Vec<f32>>, TextError> {
    let shape = &output.shape;
    let (expected, fits) = match pooling {
        TextPooling::InGraph => (format!("[{}, {dim}]", real.len()), shape[..] == [real.len(), dim]),
        TextPooling::MeanMask | TextPooling::Cls | TextPooling::LastToken => {
            let longest = real.iter().copied().max().unwrap_or(0);
            let fits = shape.len() == 3 && shape[0] == real.len() && shape[1] >= longest && shape[2] == dim;
            (format!("[{}, at least {longest}, {dim}]", real.len()), fits)
        }
    };
    let wrong = || TextError::Shape { found: shape.clone(), expected: expected.clone() };
    let TensorData::F32(values) = &output.data else { return Err(wrong()) };
    if !fits || dim == 0 {
        return Err(wrong());
    }
    let length = values.len() / real.len().max(1);
    let texts = values.chunks_exact(length.max(1)).zip(real);
    Ok(texts
        .map(|(values, &real)| {
            let token = |place: usize| values[place * dim..(place + 1) * dim].to_vec();
            match pooling {
                TextPooling::InGraph | TextPooling::Cls => token(0),
                TextPooling::LastToken => token(real - 1),
                TextPooling::MeanMask => {
                    let mut sum = vec![0.0f64; dim];
                    for token in values.chunks_exact(dim).take(real) {
                        sum.iter_mut().zip(token).for_each(|(sum, value)| *sum += f64::from(*value));
                    }
                    sum.iter().map(|sum| (sum / real as f64) as f32).collect()
                }
            }
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two texts of two tokens each, of which the second's last is padding.
    fn output() -> Tensor {
        let data = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 9.0, 9.0];
        Tensor { shape: vec![2, 2, 2], data: TensorData::F32(data) }
    }

    #[test]
    fn padding_counts_in_no_pooling() {
        for (pooling, expected) in [
            (TextPooling::MeanMask, [[2.0, 3.0], [5.0, 6.0]]),
            (TextPooling::Cls, [[1.0, 2.0], [5.0, 6.0]]),
            (TextPooling::LastToken, [[3.0, 4.0], [5.0, 6.0]]),
        ] {
            assert_eq!(pool(&output(), pooling, &[2, 1], 2).unwrap(), expected, "{pooling:?}");
        }
    }

    #[test]
    fn an_output_of_another_shape_is_told_both() {
        for (pooling, dim, said) in [
            (TextPooling::InGraph, 2, "[2, 2, 2], expected [2, 2]"),
            (TextPooling::Cls, 3, "[2, 2, 2], expected [2, at least 2, 3]"),
        ] {
            let error = pool(&output(), pooling, &[2, 1], dim).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
