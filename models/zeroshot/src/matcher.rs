//! Compares embeddings with labels.

use std::sync::Arc;

use listen_package::Clap;

use crate::error::MatchError;
use crate::labels::LabelList;
use crate::mixed::Mixed;
use crate::near::{same_form, shown};
use crate::placing::Placing;
use crate::score::{Background, Defaults, Scale, ScaleError, ScoreKind, softmax, to_unit};
use crate::smoothing::Smoothing;
use crate::tagger::ClassMatch;
use crate::text::{TextError, TextTower};

/// Thresholds where a package says none: a tagger's scores are probabilities.
const PROBABILITY: (f32, f32) = (0.5, 0.35);

/// Sounds that are nearly always there, for packages that have neither calibration nor background prompts.
const COMMON_SOUNDS: [&str; 8] =
    ["silence", "background noise", "speech", "music", "wind", "rain", "traffic noise", "white noise"];

/// How labels are compared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MatchOptions {
    /// Sentences that a label is put into at `{}`; empty: the package's.
    pub prompts: Vec<String>,
    /// Sounds that the labels are told apart from, besides the package's.
    pub background: Vec<String>,
    /// What scores are.
    pub score: ScoreKind,
}

/// What a package says about the space that sound and text share.
#[derive(Debug, Clone, PartialEq)]
pub struct TextSpace {
    /// The manifest's words.
    pub clap: Clap,
    /// Embeddings of unrelated sound, where there is a calibration.
    pub background: Option<Background>,
    /// What finds onsets and offsets by calibrated scores.
    pub placing: Option<Arc<Placing>>,
}

/// Compares embeddings with labels: one embedding in, one score a label out.
///
/// A label's vector is the mean of the unit vectors of its prompts (its own, or the templates filled with it, with
/// underscores as spaces), at unit length again. What a **calibrated** score is depends on what the package knows; `z`
/// is `(cos - mean) / max(std, min_std)` over the package's embeddings of unrelated sound:
///
/// | package has | logit of a label |
/// |---|---|
/// | calibration | `a * z + b` |
/// | calibration and `logit_scale` | `min(a * z + b, logit_scale * cos + logit_bias)` |
/// | `logit_scale` and `logit_bias` | `logit_scale * cos + logit_bias` |
/// | `logit_scale` alone (trained with a softmax) | `logit_scale * (cos - highest cosine of the background labels)` |
/// | nothing | `20 * (cos - highest cosine of the background labels)` |
///
/// The score is `sigmoid(logit)`. **Background labels** are the user's and the package's `background_prompts`, embedded
/// as labels are; one that is a label as well is left out. In the first three rows a label whose logit lies below a
/// background label's loses that difference once more, `logit - max(0, background - logit)`: a background label never
/// raises a score, and does not touch a label that is clearer than itself. In the last two rows eight common sounds
/// stand in where there is no background label.
///
/// A **cosine** score is the cosine; background labels play no part. Its default thresholds are the cosines at which
/// the calibrated score would reach the package's, label by label (first three rows).
///
/// Labels that name classes of a package's classifier ([`crate::LabelSource::Both`]) have that classifier's scores and
/// thresholds, beside text labels in one list.
///
/// A **softmax** score is the softmax of `logit_scale * cos` (of the cosines where there is no `logit_scale`) over the labels and the
/// user's background labels: what papers pick one of several labels by (models.md 4.2). Something is always likely, so that it is for
/// choosing, not for noticing. Its default thresholds are a half and 0.35.
///
/// An embedding of zeros or with a value that is not finite has the lowest score with every label.
#[derive(Debug)]
pub struct Matcher {
    labels: LabelList,
    kind: ScoreKind,
    dim: usize,
    /// As the package says; of classes and words alike, so that a score does not depend on what else is in the list.
    smoothing: Smoothing,
    placing: Option<Arc<Placing>>,
    by: By,
    /// Of the last embedding: cosines of labels and background labels (classes: none).
    cosines: Vec<f32>,
    unit: Vec<f32>,
}

#[derive(Debug)]
enum By {
    Text(TextMatch),
    Classes(ClassMatch),
    Mixed(Mixed),
}

#[derive(Debug)]
struct TextMatch {
    /// `[labels + background labels, dim]`, each of unit length.
    units: Vec<f32>,
    scale: Scale,
    /// Of a softmax: `logit_scale`.
    slope: f64,
    thresholds: (f64, f64),
}

impl Matcher {
    /// Embeds labels and background labels; takes as long as the tower does.
    pub fn new(
        tower: &mut dyn TextTower,
        space: &TextSpace,
        labels: LabelList,
        options: &MatchOptions,
    ) -> Result<Matcher, MatchError> {
        let clap = &space.clap;
        let dim = clap.dim as usize;
        let templates = templates(&options.prompts, &clap.prompt_templates)?;
        let mut sentences: Vec<Sentences> = Vec::with_capacity(labels.len());
        for label in &labels {
            let own = !label.prompts.is_empty();
            let prompts = if own {
                label.prompts.iter().try_for_each(|prompt| readable(tower, prompt, &label.text))?;
                label.prompts.clone()
            } else {
                readable(tower, &label.text, &label.text)?;
                fill(tower.reads_sentences(), &templates, &label.text)
            };
            sentences.push(Sentences { of: label.text.clone(), prompts });
        }
        let background = match options.score {
            ScoreKind::Calibrated => background_labels(tower, &labels, space, options)?,
            ScoreKind::Cosine => Vec::new(),
            ScoreKind::Softmax => users_background(tower, &labels, options)?,
        };
        if let (ScoreKind::Softmax, [label], []) = (options.score, &*sentences, &*background) {
            return Err(ScaleError::Alone { found: label.of.clone() }.into());
        }
        for text in background {
            let prompts = fill(tower.reads_sentences(), &templates, &text);
            sentences.push(Sentences { of: text, prompts });
        }
        let units = embed(tower, &sentences, dim)?;
        let scale = Scale::new(clap, space.background.as_ref(), &units)?;
        let thresholds = (clap.default_threshold, clap.default_offset_threshold);
        let (cosines, unit) = (vec![0.0; sentences.len()], vec![0.0; dim]);
        let by = By::Text(TextMatch { units, scale, slope: clap.logit_scale.unwrap_or(1.0), thresholds });
        let (kind, smoothing) = (options.score, Smoothing::None);
        // It learnt from calibrated scores.
        let placing = space.placing.clone().filter(|_| kind == ScoreKind::Calibrated);
        Ok(Matcher { labels, kind, dim, smoothing, placing, by, cosines, unit }.smoothed_as(clap))
    }

    pub(crate) fn of_classes(labels: LabelList, dim: usize, classes: ClassMatch) -> Matcher {
        let (kind, by) = (ScoreKind::Calibrated, By::Classes(classes));
        let smoothing = Smoothing::None;
        let (placing, cosines, unit) = (None, Vec::new(), vec![0.0; dim]);
        Matcher { labels, kind, dim, smoothing, placing, by, cosines, unit }
    }

    /// With scores smoothed as a package says.
    pub(crate) fn smoothed_as(self, clap: &Clap) -> Matcher {
        // Validated to lie between 0 and 60 s.
        let smoothing = match clap.default_smoothing.unwrap_or_default() {
            0.0 => Smoothing::None,
            seconds => Smoothing::Ema { tau: (seconds * 1e9).round() as u64 },
        };
        Matcher { smoothing, ..self }
    }

    /// A matcher whose labels are of two: `named` says of which of them each is, in the order of both.
    pub(crate) fn mixed(labels: LabelList, text: Matcher, classes: Matcher, named: Vec<bool>) -> Matcher {
        let (kind, dim, smoothing, placing) = (text.kind, text.dim, text.smoothing, text.placing.clone());
        let by = By::Mixed(Mixed::new(text, classes, named));
        Matcher { labels, kind, dim, smoothing, placing, by, cosines: Vec::new(), unit: Vec::new() }
    }

    /// What is listened for.
    pub fn labels(&self) -> &LabelList {
        &self.labels
    }

    /// What scores are.
    pub fn kind(&self) -> ScoreKind {
        self.kind
    }

    /// Length of the embeddings that it takes.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// What the package says about the scores of a label.
    pub fn defaults(&self, label: usize) -> Defaults {
        let thresholds = match &self.by {
            By::Classes(_) => Some(PROBABILITY),
            By::Mixed(mixed) => return mixed.defaults(label),
            By::Text(text) if self.kind == ScoreKind::Calibrated => {
                Some((text.thresholds.0 as f32, text.thresholds.1 as f32))
            }
            By::Text(_) if self.kind == ScoreKind::Softmax => Some(PROBABILITY),
            By::Text(text) => {
                let at = |score| text.scale.cosine_at(label, score);
                at(text.thresholds.0).zip(at(text.thresholds.1))
            }
        };
        Defaults { thresholds }
    }

    /// How the package wants scores smoothed, where the user does not say.
    pub fn smoothing(&self) -> Smoothing {
        self.smoothing
    }

    /// What the package finds onsets and offsets by.
    pub fn placing(&self) -> Option<&Arc<Placing>> {
        self.placing.as_ref()
    }

    /// Whether a label's onsets and offsets are found by [`placing`](Self::placing): those of classes are not.
    pub(crate) fn is_placed(&self, label: usize) -> bool {
        match &self.by {
            By::Mixed(mixed) => self.placing.is_some() && mixed.is_text(label),
            By::Text(_) | By::Classes(_) => self.placing.is_some(),
        }
    }

    /// Scores one embedding, `[dim]` values of any length other than zero: `out` is one score a label.
    ///
    /// Allocates nothing (a classifier with a graph of its own does).
    ///
    /// # Panics
    ///
    /// If `out` is not as long as the list of labels.
    pub fn scores(&mut self, embedding: &[f32], out: &mut [f32]) -> Result<(), MatchError> {
        assert_eq!(out.len(), self.labels.len(), "one score a label");
        if embedding.len() != self.dim {
            return Err(MatchError::Dim { found: embedding.len(), expected: self.dim });
        }
        let text = match &mut self.by {
            By::Classes(classes) => return classes.scores(embedding, out),
            By::Mixed(mixed) => return mixed.scores(embedding, out),
            By::Text(text) => text,
        };
        if !to_unit(embedding, &mut self.unit) {
            self.forget_cosines();
            out.fill(self.kind.lowest());
            return Ok(());
        }
        for (cosine, row) in self.cosines.iter_mut().zip(text.units.chunks_exact(self.dim)) {
            *cosine = crate::score::dot(row, &self.unit).clamp(-1.0, 1.0);
        }
        match self.kind {
            ScoreKind::Cosine => out.copy_from_slice(&self.cosines[..out.len()]),
            ScoreKind::Calibrated => text.scale.scores(&self.cosines, out),
            ScoreKind::Softmax => softmax(text.slope, &self.cosines, out),
        }
        Ok(())
    }

    /// The cosine of a label and the last embedding; a class has none, nor has anything without an embedding.
    pub fn cosine(&self, label: usize) -> Option<f32> {
        if let By::Mixed(mixed) = &self.by {
            return mixed.cosine(label);
        }
        self.cosines.get(label).copied().filter(|cosine| label < self.labels.len() && !cosine.is_nan())
    }

    /// The last window had no embedding.
    pub(crate) fn forget_cosines(&mut self) {
        if let By::Mixed(mixed) = &mut self.by {
            mixed.forget_cosines();
        }
        self.cosines.fill(f32::NAN);
    }
}

/// What a vector is the mean of.
struct Sentences {
    of: String,
    prompts: Vec<String>,
}

fn templates(user: &[String], package: &[String]) -> Result<Vec<String>, MatchError> {
    let templates = if user.is_empty() { package } else { user };
    if let Some(template) = templates.iter().find(|template| !template.contains("{}")) {
        return Err(MatchError::Template { template: shown(template) });
    }
    Ok(if templates.is_empty() { vec!["{}".to_owned()] } else { templates.to_vec() })
}

/// The sentences of one label; a table of labels has its row under the label alone.
fn fill(sentences: bool, templates: &[String], label: &str) -> Vec<String> {
    if !sentences {
        return vec![label.to_owned()];
    }
    let spoken = label.replace('_', " ");
    templates.iter().map(|template| template.replace("{}", &spoken)).collect()
}

/// The user's background labels, then those of the package's that the tower knows, none twice and none that is a label.
fn background_labels(
    tower: &dyn TextTower,
    labels: &LabelList,
    space: &TextSpace,
    options: &MatchOptions,
) -> Result<Vec<String>, MatchError> {
    let mut background = users_background(tower, labels, options)?;
    let not_asked_for = |text: &&str| !is_label(labels, text) && tower.knows(text);
    let package = space.clap.background_prompts.iter().map(String::as_str);
    package.filter(not_asked_for).for_each(|text| add(&mut background, text));
    if background.is_empty() && Scale::is_margin(&space.clap, space.background.as_ref()) {
        COMMON_SOUNDS.into_iter().filter(not_asked_for).for_each(|text| add(&mut background, text));
        if background.is_empty() {
            return Err(ScaleError::NoBackground.into());
        }
    }
    Ok(background)
}

/// The user's background labels, none twice.
fn users_background(
    tower: &dyn TextTower,
    labels: &LabelList,
    options: &MatchOptions,
) -> Result<Vec<String>, MatchError> {
    if let Some(label) = options.background.iter().find(|text| is_label(labels, text)) {
        return Err(MatchError::BackgroundIsLabel { label: shown(label) });
    }
    options.background.iter().try_for_each(|text| readable(tower, text, text))?;
    let mut background = Vec::new();
    options.background.iter().for_each(|text| add(&mut background, text));
    Ok(background)
}

/// Adds a text that is not there yet, in whatever spelling.
fn add(background: &mut Vec<String>, text: &str) {
    if !background.iter().any(|have| same_form(have) == same_form(text)) {
        background.push(text.to_owned());
    }
}

/// Refuses a text that is nothing to the tower: its templates would be embedded all the same, as those of any such text.
///
/// A table of labels says itself what it lacks, and what is near.
fn readable(tower: &dyn TextTower, text: &str, label: &str) -> Result<(), MatchError> {
    if !tower.reads_sentences() || tower.knows(text) {
        return Ok(());
    }
    let (text, label) = (shown(text), shown(label));
    Err(if text == label {
        TextError::Unreadable { text }.into()
    } else {
        MatchError::Prompt { label, prompt: text }
    })
}

/// Whether a text is a label or one of its prompts.
fn is_label(labels: &LabelList, text: &str) -> bool {
    let form = same_form(text);
    let same = |other: &String| same_form(other) == form;
    labels.iter().any(|label| same(&label.text) || label.prompts.iter().any(same))
}

/// Unit vectors `[sentences, dim]`.
fn embed(tower: &mut dyn TextTower, all: &[Sentences], dim: usize) -> Result<Vec<f32>, MatchError> {
    let texts: Vec<String> = all.iter().flat_map(|one| one.prompts.iter().cloned()).collect();
    let mut vectors = tower.embed(&texts)?.into_iter().zip(&texts);
    let mut units = Vec::with_capacity(all.len() * dim);
    let mut unit = vec![0.0; dim];
    for one in all {
        let mut sum = vec![0.0f32; dim];
        for (vector, text) in vectors.by_ref().take(one.prompts.len()) {
            if vector.len() != dim {
                let (found, expected) = (vector.len(), dim);
                return Err(MatchError::TextDim { text: shown(text), found, expected });
            }
            if !to_unit(&vector, &mut unit) {
                return Err(MatchError::NoDirection { text: shown(text) });
            }
            sum.iter_mut().zip(&unit).for_each(|(sum, value)| *sum += value);
        }
        if !to_unit(&sum, &mut unit) {
            return Err(MatchError::NoDirection { text: shown(&one.of) });
        }
        units.extend_from_slice(&unit);
    }
    Ok(units)
}
