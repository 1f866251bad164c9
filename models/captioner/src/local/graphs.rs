//! The package's three graphs: words to vectors, sound to vectors, and the decoder with what it remembers.

use listen_package::{CaptionDecoder, Captioner, Manifest, Output, Package};
use listen_runtime::{Argument, Session, Tensor, TensorRef, Value};

use super::error::LocalError;
use super::load::{Loader, wrong};
use crate::evidence::Embedding;

/// Positions of one run: a long prompt is fed in several, so that it can be given up in between and its logits need not
/// all be kept at once.
pub(super) const MOST_POSITIONS: usize = 64;

/// The graphs, loaded and compared with the manifest.
#[derive(Debug)]
pub(super) struct Graphs {
    block: Captioner,
    decoder: Session,
    embed: Session,
    project: Option<Session>,
    /// Values of an embedding that the projector takes.
    dim: usize,
    /// Names of the cache's inputs and outputs.
    past: Vec<String>,
    present: Vec<String>,
}

/// What a decoder was fed: keys and values, kept where ONNX Runtime made them.
#[derive(Debug, Default)]
pub(super) struct Cache {
    values: Vec<Value>,
    positions: usize,
    /// Positions of each run so far.
    pub runs: Vec<usize>,
}

impl Cache {
    /// Positions that it was fed.
    pub fn positions(&self) -> usize {
        self.positions
    }
}

impl Graphs {
    /// Loads the graphs of a package.
    pub fn load(package: &Package, block: &Captioner, loader: &Loader) -> Result<Graphs, LocalError> {
        let decoder = loader.decoder(package, &block.decoder)?;
        let embed = loader.embed_tokens(package, block)?;
        let dim = block.projector.as_ref().map_or(0, |projector| dim(package.manifest(), projector.takes));
        let project = match &block.projector {
            Some(projector) => Some(loader.projector(package, block, projector, dim)?),
            None => None,
        };
        let (past, present) = (block.decoder.past(), block.decoder.present());
        Ok(Graphs { block: block.clone(), decoder, embed, project, dim, past, present })
    }

    /// Vectors of token ids, `[ids, hidden]`.
    pub fn words(&mut self, ids: &[u32]) -> Result<Vec<f32>, LocalError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let names = &self.block.embed_tokens;
        let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let shape = [1, ids.len()];
        let outputs = self.embed.run(&[(&names.input, TensorRef::i64(&shape, &ids)?)], &[&names.output])?;
        only(outputs, &names.file, &names.output, [1, ids.len(), self.hidden()])
    }

    /// Vectors of a window's embedding, `[prefix, hidden]`.
    pub fn window(&mut self, embedding: &Embedding) -> Result<Vec<f32>, LocalError> {
        let (Some(session), Some(names)) = (&mut self.project, &self.block.projector) else {
            return Ok(Vec::new());
        };
        let (rows, values) = (embedding.rows, &embedding.values);
        let one = names.takes == Output::Clip;
        if rows == 0 || (one && rows != 1) || values.len() != rows * self.dim {
            let rows = if one { "1 vector" } else { "vectors" };
            return Err(LocalError::Embedding {
                expected: format!("{rows} of {} values a window ({})", self.dim, output_name(names.takes)),
                found: format!("{} of {}", embedding.rows, values.len() / embedding.rows.max(1)),
            });
        }
        let shape: &[usize] = if one { &[1, self.dim] } else { &[1, rows, self.dim] };
        let outputs = session.run(&[(&names.input, TensorRef::f32(shape, values)?)], &[&names.output])?;
        let expected = [1, names.prefix as usize, self.block.decoder.hidden as usize];
        only(outputs, &names.file, &names.output, expected)
    }

    /// Feeds `vectors` `[positions, hidden]` behind what the cache holds, and gives the logits of the token that comes next.
    ///
    /// One run computes these positions and no other: the past is looked at, not computed again.
    pub fn feed(&mut self, cache: &mut Cache, vectors: &[f32]) -> Result<Vec<f32>, LocalError> {
        let hidden = self.hidden();
        let CaptionDecoder { ref file, kv_heads, head_dim, vocab, position_ids, .. } = self.block.decoder;
        let (before, new) = (cache.positions, vectors.len() / hidden);
        let all = before + new;
        let nothing = [1, kv_heads as usize, 0, head_dim as usize];
        let (shape, row, whole) = ([1, new, hidden], [1, new], [1, all]);
        let mask = vec![1_i64; all];
        let places: Vec<i64> = (before..all).map(|place| i64::try_from(place).unwrap_or(i64::MAX)).collect();

        let [embeds, attention, position] = CaptionDecoder::INPUTS;
        let mut inputs: Vec<(&str, Argument<'_>)> = vec![
            (embeds, Argument::Tensor(TensorRef::f32(&shape, vectors)?)),
            (attention, Argument::Tensor(TensorRef::i64(&whole, &mask)?)),
        ];
        if position_ids {
            inputs.push((position, Argument::Tensor(TensorRef::i64(&row, &places)?)));
        }
        for (i, name) in self.past.iter().enumerate() {
            let kept = match cache.values.get(i) {
                Some(value) => Argument::Value(value),
                None => Argument::Tensor(TensorRef::f32(&nothing, &[])?),
            };
            inputs.push((name, kept));
        }
        let mut names = vec![CaptionDecoder::LOGITS];
        names.extend(self.present.iter().map(String::as_str));
        let mut outputs = self.decoder.run_values(&inputs, &names)?.into_iter();

        let Some(logits) = outputs.next() else { return Ok(Vec::new()) };
        let expected = [1, new, vocab as usize];
        if logits.shape() != expected && logits.shape() != [1, 1, vocab as usize] {
            let expected = format!("{expected:?} or [1, 1, {vocab}]");
            return Err(wrong(file, format!("`{}`", names[0]), expected, logits.shape()));
        }
        let grown: Vec<Value> = outputs.collect();
        let expected = [1, kv_heads as usize, all, head_dim as usize];
        if let Some((value, name)) =
            grown.iter().zip(&self.present).find(|(value, _)| value.shape() != expected)
        {
            return Err(wrong(file, format!("`{name}`"), format!("{expected:?}"), value.shape()));
        }
        let values = logits.f32()?;
        let last = values.len().saturating_sub(vocab as usize);
        let last = values.get(last..).unwrap_or_default().to_vec();
        drop(inputs);
        (cache.values, cache.positions) = (grown, all);
        cache.runs.push(new);
        Ok(last)
    }

    /// Length of the decoder's vectors.
    pub fn hidden(&self) -> usize {
        self.block.decoder.hidden as usize
    }

    /// Values of an embedding that the projector takes; 0 where there is none.
    pub fn dim(&self) -> usize {
        self.dim
    }
}

/// Length of a vector of `m2dencode` with this `output`; the manifest was checked to give it.
fn dim(manifest: &Manifest, output: Output) -> usize {
    let dim = match (output, &manifest.head) {
        (Output::Clip, _) => manifest.clip_dim(),
        (Output::Frames, Some(head)) if head.frames => head.dim,
        (Output::Frames, _) => manifest.frame_dim().unwrap_or_default(),
        (Output::Tokens, _) => manifest.encoder.output.dim,
    };
    dim as usize
}

fn output_name(output: Output) -> &'static str {
    match output {
        Output::Clip => "output=clip",
        Output::Frames => "output=frames",
        Output::Tokens => "output=tokens",
    }
}

/// The values of a graph's one output, which must be of this shape.
fn only(outputs: Vec<Tensor>, file: &str, name: &str, expected: [usize; 3]) -> Result<Vec<f32>, LocalError> {
    let Some(output) = outputs.into_iter().next() else { return Ok(Vec::new()) };
    if output.shape != expected {
        return Err(wrong(file, format!("`{name}`"), format!("{expected:?}"), &output.shape));
    }
    Ok(output.into_f32().unwrap_or_default())
}
