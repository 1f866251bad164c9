//! What a package can compare its embeddings with: texts, or classes of its own.

use std::sync::Arc;

use listen_package::Package;
use listen_runtime::{Session, SessionOptions, Tensor, TensorRef};

use crate::error::MatchError;
use crate::labels::LabelList;
use crate::matcher::{MatchOptions, Matcher, TextSpace};
use crate::placing::Placing;
use crate::score::{Background, ScoreKind};
use crate::tagger::{Classes, Classifier};
use crate::text::{Table, TextError, TextTower};
use crate::text_onnx::{GraphError, OnnxTextTower, load};

/// What a package can compare its embeddings with.
///
/// Opening one loads the text tower, which may take seconds; it makes any number of matchers.
pub enum LabelSource {
    /// Any text (with a tower), or any of a table's labels.
    Text {
        /// Makes embeddings of the labels.
        tower: Box<dyn TextTower>,
        /// What makes scores of cosines.
        space: TextSpace,
    },
    /// The classes of a tagger.
    Classes(Classes),
    /// A classifier on embeddings that are compared with text as well: a label that names a class is that class, any other
    /// is text.
    Both {
        /// Makes embeddings of the labels.
        tower: Box<dyn TextTower>,
        /// What makes scores of cosines.
        space: TextSpace,
        /// The classifier.
        classes: Classes,
    },
}

impl std::fmt::Debug for LabelSource {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            LabelSource::Text { tower, .. } => {
                f.debug_struct("Text").field("dim", &tower.dim()).finish_non_exhaustive()
            }
            LabelSource::Classes(classes) => f.debug_tuple("Classes").field(classes).finish(),
            LabelSource::Both { tower, classes, .. } => f
                .debug_struct("Both")
                .field("dim", &tower.dim())
                .field("classes", classes)
                .finish_non_exhaustive(),
        }
    }
}

impl LabelSource {
    /// Loads what the package has: text, classes, or both.
    pub fn open(package: &Package, options: &SessionOptions) -> Result<LabelSource, MatchError> {
        let manifest = package.manifest();
        let classes = classes(package, options)?;
        let texts = manifest.text.is_some() || manifest.label_embeddings.is_some();
        let Some(clap) = manifest.clap.clone().filter(|_| texts) else {
            return classes.map(LabelSource::Classes).ok_or(MatchError::NoText);
        };
        let background = match &clap.calibration {
            Some(calibration) => {
                let (shape, data) = package.tensor_f32(&calibration.file, "background")?;
                Some(Background::new(shape, data, clap.dim as usize)?)
            }
            None => None,
        };
        let placing = Placing::open(package)?.map(Arc::new);
        let (tower, space) = (text_tower(package, options)?, TextSpace { clap, background, placing });
        Ok(match classes {
            Some(classes) => LabelSource::Both { tower, space, classes },
            None => LabelSource::Text { tower, space },
        })
    }

    /// A matcher for labels; with fixed classes, `None` is all of them.
    ///
    /// Of a package with both, a label is a class where its text names one and it has no prompts of its own, or all its
    /// prompts name classes; any other label is text. A class has no cosine: with another score than [`ScoreKind::Calibrated`] every label is text.
    pub fn matcher(
        &mut self,
        labels: Option<LabelList>,
        options: &MatchOptions,
    ) -> Result<Matcher, MatchError> {
        let cosine = options.score != ScoreKind::Calibrated;
        match self {
            LabelSource::Text { tower, space } => {
                Matcher::new(&mut **tower, space, labels.ok_or(MatchError::NoLabels)?, options)
            }
            LabelSource::Classes(_) if cosine => Err(MatchError::NoCosine),
            LabelSource::Classes(classes) => classes.select(labels),
            LabelSource::Both { tower, space, .. } if cosine => {
                Matcher::new(&mut **tower, space, labels.ok_or(MatchError::NoCosine)?, options)
            }
            LabelSource::Both { tower, space, classes } => {
                let Some(labels) = labels else {
                    return Ok(classes.select(None)?.smoothed_as(&space.clap));
                };
                let named = classes.named(&labels);
                if named.iter().all(|&named| named) {
                    return Ok(classes.select(Some(labels))?.smoothed_as(&space.clap));
                }
                if !named.contains(&true) {
                    return Matcher::new(&mut **tower, space, labels, options);
                }
                let part = |wanted: bool| {
                    let chosen = labels.iter().zip(&named).filter(|(_, named)| **named == wanted);
                    LabelList::new(chosen.map(|(label, _)| (**label).clone()).collect())
                };
                let text = Matcher::new(&mut **tower, space, part(false)?, options)?;
                let classes = classes.select(Some(part(true)?))?;
                Ok(Matcher::mixed(labels, text, classes, named))
            }
        }
    }
}

/// The classifier of a package, if it has one.
fn classes(package: &Package, options: &SessionOptions) -> Result<Option<Classes>, MatchError> {
    let manifest = package.manifest();
    let (Some(tagger), Some(names)) = (&manifest.tagger, package.classes()) else { return Ok(None) };
    let names = names.to_vec();
    let (Some(file), Some(input), Some(output)) = (&tagger.file, &tagger.input, &tagger.output) else {
        return Ok(Some(Classes::new(names, tagger.activation)));
    };
    let session = load(package, file, options)?;
    let dim = manifest.clip_dim() as usize;
    let graph = OnnxClassifier { session, input: input.clone(), output: output.clone() };
    let classes = Classes::with_graph(names, tagger.activation, dim, graph);
    // As the encoder's side gives it what it classifies.
    Ok(Some(if manifest.clap.is_some() { classes.of_unit_length() } else { classes }))
}

/// The text tower of a package: its graph, or its table of labels where it has no graph.
pub fn text_tower(package: &Package, options: &SessionOptions) -> Result<Box<dyn TextTower>, TextError> {
    let manifest = package.manifest();
    if manifest.text.is_some() {
        return Ok(Box::new(OnnxTextTower::open(package, options)?));
    }
    let (Some(table), Some(clap)) = (&manifest.label_embeddings, &manifest.clap) else {
        return Err(TextError::NoTower);
    };
    let rows = package.tensor_f32(&table.file, "embeddings")?;
    Ok(Box::new(Table::new(&package.shown(&table.file), table.labels.clone(), clap.dim as usize, rows)?))
}

/// A tagger's graph.
struct OnnxClassifier {
    session: Session,
    input: String,
    output: String,
}

impl Classifier for OnnxClassifier {
    fn classify(&mut self, embedding: &[f32]) -> Result<Vec<f32>, MatchError> {
        let shape = [1, embedding.len()];
        let input = (self.input.as_str(), TensorRef::f32(&shape, embedding)?);
        let outputs = self.session.run(&[input], &[&self.output])?;
        let first = outputs.into_iter().next().and_then(Tensor::into_f32);
        // An output of another type is an error of `run`; none at all counts as no scores.
        Ok(first.unwrap_or_default())
    }
}

impl From<GraphError> for MatchError {
    fn from(error: GraphError) -> MatchError {
        match error {
            GraphError::Package(error) => MatchError::Package(error),
            GraphError::Runtime(error) => MatchError::Runtime(error),
        }
    }
}
