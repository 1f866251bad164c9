//! How cosines become scores in [0, 1].

use listen_package::{Calibration, Clap};

/// What a score is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ScoreKind {
    /// In [0, 1], made to mean the same for every label: see [`crate::Matcher`].
    #[default]
    Calibrated,
    /// The cosine as it is, in [-1, 1].
    Cosine,
    /// In [0, 1], of all labels together 1: the softmax of `logit_scale * cos` (of the cosines as they are where the package has
    /// no `logit_scale`), as papers pick one of several labels. One of them is always likely, whatever is heard.
    Softmax,
}

impl ScoreKind {
    /// The lowest score: what is given where nothing is heard.
    pub fn lowest(self) -> f32 {
        match self {
            ScoreKind::Calibrated | ScoreKind::Softmax => 0.0,
            ScoreKind::Cosine => -1.0,
        }
    }

    /// Its name: `calibrated`, `cosine` or `softmax`.
    pub fn as_str(self) -> &'static str {
        match self {
            ScoreKind::Calibrated => "calibrated",
            ScoreKind::Cosine => "cosine",
            ScoreKind::Softmax => "softmax",
        }
    }
}

/// What a package says about a label's scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defaults {
    /// Onset and offset threshold, where they are known.
    pub thresholds: Option<(f32, f32)>,
}

/// A package whose numbers make no scores.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScaleError {
    /// Background embeddings of another length.
    #[error(
        "the calibration's background embeddings are {found:?}, expected [N, {dim}] with N of at least 2"
    )]
    Background {
        /// Their shape.
        found: Vec<usize>,
        /// Length of the text embeddings.
        dim: usize,
    },
    /// A number that turns scores around or flattens them.
    #[error("{name} is {found}, expected a number above 0")]
    NotPositive {
        /// Which number.
        name: &'static str,
        /// Its value.
        found: f64,
    },
    /// A number that is none.
    #[error("{name} is {found}, expected a finite number")]
    NotFinite {
        /// Which number.
        name: &'static str,
        /// Its value.
        found: f64,
    },
    /// A softmax of a single label, which is always 1.
    #[error(
        "score=softmax compares labels with each other, found {found:?} alone: give more labels, or background= labels"
    )]
    Alone {
        /// The label.
        found: String,
    },
    /// Nothing to compare a label with.
    #[error(
        "the package has no calibration, and none of its background prompts can be embedded: give background= labels \
         to compare with, or score=cosine"
    )]
    NoBackground,
}

/// Embeddings of unrelated sound, unit length.
#[derive(Debug, Clone, PartialEq)]
pub struct Background {
    /// `[N, dim]`, row-major.
    pub data: Vec<f32>,
    /// Length of a row.
    pub dim: usize,
}

impl Background {
    /// Checks a tensor of the package; `dim` is the length of the text embeddings.
    pub fn new(shape: Vec<usize>, data: Vec<f32>, dim: usize) -> Result<Background, ScaleError> {
        let [rows, columns] = shape[..] else { return Err(ScaleError::Background { found: shape, dim }) };
        let whole = rows.checked_mul(columns) == Some(data.len());
        if rows < 2 || columns != dim || !whole || data.iter().any(|value| !value.is_finite()) {
            return Err(ScaleError::Background { found: shape, dim });
        }
        Ok(Background { data, dim })
    }

    /// Mean and deviation (over all N) of the cosines to a unit vector.
    pub(crate) fn cosines(&self, unit: &[f32]) -> (f64, f64) {
        let rows = self.data.chunks_exact(self.dim);
        let count = rows.len() as f64;
        let cosines: Vec<f64> = rows.map(|row| f64::from(dot(row, unit))).collect();
        let mean = cosines.iter().sum::<f64>() / count;
        let variance = cosines.iter().map(|cosine| (cosine - mean).powi(2)).sum::<f64>() / count;
        (mean, variance.sqrt())
    }
}

/// `slope * cos + shift`
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    pub slope: f64,
    pub shift: f64,
}

impl Line {
    fn at(self, cosine: f32) -> f64 {
        self.slope * f64::from(cosine) + self.shift
    }

    fn cosine_at(self, logit: f64) -> f64 {
        (logit - self.shift) / self.slope
    }
}

/// The logit of a score, by what the package knows about its cosines.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scale {
    /// `a * z + b` of each row, and with a `logit_scale` not above `logit_scale * cos + logit_bias`.
    ZScore { rows: Vec<Line>, model: Option<Line> },
    /// `logit_scale * cos + logit_bias`: trained to say for each label by itself whether it is heard.
    Sigmoid(Line),
    /// `slope * (cos - the highest cosine of the background labels)`.
    Margin { slope: f64 },
}

/// Logits per unit of cosine where a package says nothing at all: a label is half certain where it is as near as the
/// nearest background label, and 95% certain 0.15 above (M2D-CLAP 2025's mean distance of matched to unmatched pairs,
/// models.md 2.4).
const PLAIN_SLOPE: f64 = 20.0;

impl Scale {
    /// The scale for `units`: unit vectors `[labels + background labels, dim]`.
    pub(crate) fn new(
        clap: &Clap,
        background: Option<&Background>,
        units: &[f32],
    ) -> Result<Scale, ScaleError> {
        let slope = clap.logit_scale.map(|scale| positive("logit_scale", scale)).transpose()?;
        let bias = clap.logit_bias.map(|bias| finite("logit_bias", bias)).transpose()?;
        Ok(match (&clap.calibration, background, slope, bias) {
            (Some(calibration), Some(background), slope, bias) => Scale::ZScore {
                rows: z_lines(calibration, background, units)?,
                model: slope.map(|slope| Line { slope, shift: bias.unwrap_or(0.0) }),
            },
            (_, _, Some(slope), Some(shift)) => Scale::Sigmoid(Line { slope, shift }),
            // A scale without a bias was trained with a softmax over alternatives; that of a label and the nearest
            // background label is the sigmoid of their scaled difference.
            (_, _, Some(slope), None) => Scale::Margin { slope },
            (_, _, None, _) => Scale::Margin { slope: PLAIN_SLOPE },
        })
    }

    /// Whether scores are differences to background labels, which there must be then.
    pub(crate) fn is_margin(clap: &Clap, background: Option<&Background>) -> bool {
        let calibrated = clap.calibration.is_some() && background.is_some();
        !calibrated && (clap.logit_scale.is_none() || clap.logit_bias.is_none())
    }

    /// Makes logits of the cosines of all rows, labels first, then background labels; only the labels' matter.
    ///
    /// Where each row has a logit of its own, a label with a lower logit than a background label's loses what it lies
    /// below it: `logit - max(0, background - logit)`.
    pub(crate) fn scores(&self, cosines: &[f32], out: &mut [f32]) {
        let labels = out.len();
        match self {
            Scale::Margin { slope } => {
                let nearest = cosines[labels..].iter().copied().fold(f32::NEG_INFINITY, f32::max);
                for (score, cosine) in out.iter_mut().zip(cosines) {
                    *score = sigmoid(slope * (f64::from(*cosine) - f64::from(nearest)));
                }
            }
            Scale::ZScore { .. } | Scale::Sigmoid(_) => {
                let logit = |row: usize| self.own_logit(row, cosines[row]);
                let background = (labels..cosines.len()).map(logit).fold(f64::NEG_INFINITY, f64::max);
                for (row, score) in out.iter_mut().enumerate() {
                    let logit = logit(row);
                    *score = sigmoid(logit - (background - logit).max(0.0));
                }
            }
        }
    }

    /// The cosine at which a label's score is `score`, background labels aside; `None` where only those decide.
    pub(crate) fn cosine_at(&self, row: usize, score: f64) -> Option<f32> {
        // Beyond it lies certainty, which no threshold asks for.
        let score = score.clamp(1e-6, 1.0 - 1e-6);
        let logit = (score / (1.0 - score)).ln();
        let cosine = match self {
            Scale::Margin { .. } => return None,
            Scale::Sigmoid(line) => line.cosine_at(logit),
            Scale::ZScore { rows, model } => {
                let model = model.map_or(f64::NEG_INFINITY, |line| line.cosine_at(logit));
                rows[row].cosine_at(logit).max(model)
            }
        };
        Some(cosine.clamp(-1.0, 1.0) as f32)
    }

    fn own_logit(&self, row: usize, cosine: f32) -> f64 {
        match self {
            Scale::Sigmoid(line) => line.at(cosine),
            Scale::ZScore { rows, model } => {
                rows[row].at(cosine).min(model.map_or(f64::INFINITY, |line| line.at(cosine)))
            }
            Scale::Margin { slope } => slope * f64::from(cosine),
        }
    }
}

fn z_lines(
    calibration: &Calibration,
    background: &Background,
    units: &[f32],
) -> Result<Vec<Line>, ScaleError> {
    let a = positive("calibration.a", calibration.a)?;
    let b = finite("calibration.b", calibration.b)?;
    let min_std = positive("calibration.min_std", calibration.min_std)?;
    let line = |unit: &[f32]| {
        let (mean, std) = background.cosines(unit);
        let slope = a / std.max(min_std);
        Line { slope, shift: b - slope * mean }
    };
    Ok(units.chunks_exact(background.dim).map(line).collect())
}

fn positive(name: &'static str, found: f64) -> Result<f64, ScaleError> {
    if found.is_finite() && found > 0.0 { Ok(found) } else { Err(ScaleError::NotPositive { name, found }) }
}

fn finite(name: &'static str, found: f64) -> Result<f64, ScaleError> {
    if found.is_finite() { Ok(found) } else { Err(ScaleError::NotFinite { name, found }) }
}

/// The softmax of `slope * cos` over all rows, of which the first are `out`'s.
pub(crate) fn softmax(slope: f64, cosines: &[f32], out: &mut [f32]) {
    let highest = f64::from(cosines.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let weight = |cosine: f32| (slope * (f64::from(cosine) - highest)).exp();
    let sum: f64 = cosines.iter().map(|&cosine| weight(cosine)).sum();
    out.iter_mut().zip(cosines).for_each(|(score, &cosine)| *score = (weight(cosine) / sum) as f32);
}

/// `1 / (1 + exp(-logit))`; 0 where the logit is not a number.
pub(crate) fn sigmoid(logit: f64) -> f32 {
    if logit.is_nan() { 0.0 } else { (1.0 / (1.0 + (-logit).exp())) as f32 }
}

/// Scalar product, in eight sums that the compiler keeps in one register.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    let mut sums = [0.0f32; 8];
    for (x, y) in a8.zip(b8) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// Writes `vector` at unit length; false where it has none (zeros, or a value that is not finite).
pub(crate) fn to_unit(vector: &[f32], unit: &mut [f32]) -> bool {
    let square: f64 = vector.iter().map(|value| f64::from(*value).powi(2)).sum();
    if !square.is_finite() || square <= 0.0 {
        return false;
    }
    let factor = 1.0 / square.sqrt();
    unit.iter_mut().zip(vector).for_each(|(unit, value)| *unit = (f64::from(*value) * factor) as f32);
    true
}
