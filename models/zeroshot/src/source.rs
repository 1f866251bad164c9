//! What a package can compare its embeddings with: texts, or classes of its own.

use listen_package::Package;
use listen_runtime::{Session, SessionOptions, Tensor, TensorRef};

use crate::labels::LabelList;
use crate::matcher::{MatchError, MatchOptions, Matcher, TextSpace};
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
}

impl std::fmt::Debug for LabelSource {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            LabelSource::Text { tower, .. } => {
                f.debug_struct("Text").field("dim", &tower.dim()).finish_non_exhaustive()
            }
            LabelSource::Classes(classes) => f.debug_tuple("Classes").field(classes).finish(),
        }
    }
}

impl LabelSource {
    /// Loads what the package has: text before classes.
    pub fn open(package: &Package, options: &SessionOptions) -> Result<LabelSource, MatchError> {
        let manifest = package.manifest();
        let texts = manifest.text.is_some() || manifest.label_embeddings.is_some();
        if let Some(clap) = manifest.clap.clone().filter(|_| texts) {
            let background = match &clap.calibration {
                Some(calibration) => {
                    let (shape, data) = package.tensor_f32(&calibration.file, "background")?;
                    Some(Background::new(shape, data, clap.dim as usize)?)
                }
                None => None,
            };
            let tower = text_tower(package, options)?;
            return Ok(LabelSource::Text { tower, space: TextSpace { clap, background } });
        }
        let (Some(tagger), Some(names)) = (&manifest.tagger, package.classes()) else {
            return Err(MatchError::NoText);
        };
        let names = names.to_vec();
        let classes = match (&tagger.file, &tagger.input, &tagger.output) {
            (Some(file), Some(input), Some(output)) => {
                let session = load(package, file, options)?;
                let dim = manifest.clip_dim() as usize;
                let graph = OnnxClassifier { session, input: input.clone(), output: output.clone() };
                Classes::with_graph(names, tagger.activation, dim, graph)
            }
            _ => Classes::new(names, tagger.activation),
        };
        Ok(LabelSource::Classes(classes))
    }

    /// A matcher for labels; with fixed classes, `None` is all of them.
    pub fn matcher(
        &mut self,
        labels: Option<LabelList>,
        options: &MatchOptions,
    ) -> Result<Matcher, MatchError> {
        match self {
            LabelSource::Text { tower, space } => {
                Matcher::new(&mut **tower, space, labels.ok_or(MatchError::NoLabels)?, options)
            }
            LabelSource::Classes(_) if options.score == ScoreKind::Cosine => Err(MatchError::NoCosine),
            LabelSource::Classes(classes) => classes.select(labels),
        }
    }
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
    Ok(Box::new(Table::new(&table.file, table.labels.clone(), clap.dim as usize, rows)?))
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
