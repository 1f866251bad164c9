//! When an event begins and ends: the user's settings, and what becomes of them for one label.

use crate::labels::{Label, MAX_SPAN};
use crate::near::shown;
use crate::score::{Defaults, ScoreKind};
use crate::smoothing::Smoothing;

/// How events are made of scores, for all labels that say nothing else.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// Score from which on an event begins; `None`: the package's.
    pub threshold: Option<f32>,
    /// Score below which an event ends; `None`: as far below `threshold` as the package has it.
    pub offset_threshold: Option<f32>,
    /// Shortest event that is announced, in nanoseconds.
    pub min_duration: u64,
    /// How long a pause may last before the event ends, in nanoseconds.
    pub hold_time: u64,
    /// How scores are smoothed; `None`: as the package says.
    pub smoothing: Option<Smoothing>,
    /// An active event is told of again after so long, in nanoseconds; `None`: never.
    pub update_interval: Option<u64>,
    /// Only so many labels of a window may begin an event, and stand in its scores; `None`: all.
    pub top_k: Option<usize>,
}

/// When an event of one label begins and ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Score from which on it begins.
    pub onset: f32,
    /// Score below which it ends; not above `onset`.
    pub offset: f32,
    /// Shortest that is announced, in nanoseconds.
    pub min_duration: u64,
    /// How long a pause may last, in nanoseconds.
    pub hold_time: u64,
}

/// Settings that no event can be made with.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// A threshold that no score can have.
    #[error("{name} {found} is outside of {low}..1, the range of {kind} scores{}", of_label(label))]
    ThresholdRange {
        /// `threshold` or `offset-threshold`.
        name: &'static str,
        /// What it is.
        found: f32,
        /// The lowest score.
        low: f32,
        /// The kind of score.
        kind: &'static str,
        /// The label that says it, if one does.
        label: Option<String>,
    },
    /// An event would end where it begins.
    #[error("offset-threshold {offset} is above threshold {onset}{}", of_label(label))]
    ThresholdOrder {
        /// Onset threshold.
        onset: f32,
        /// Offset threshold.
        offset: f32,
        /// The label that says it, if one does.
        label: Option<String>,
    },
    /// Raw cosines of a package that does not say which are high.
    #[error(
        "score=cosine needs a threshold, because the package does not say which cosines are high{}",
        of_label(label)
    )]
    NoCosineThreshold {
        /// The label that has none.
        label: Option<String>,
    },
    /// A time that is too long.
    #[error("{name} {found} ns is longer than {MAX_SPAN} ns, a day")]
    TooLong {
        /// Which setting.
        name: &'static str,
        /// Its value.
        found: u64,
    },
    /// Smoothing over too long a time.
    #[error("smoothing over {found} ns is longer than {limit} ns")]
    SmoothingTooLong {
        /// Its value.
        found: u64,
        /// The longest.
        limit: u64,
    },
    /// No label could ever begin.
    #[error("top-k 0 lets no label begin")]
    NoTopK,
}

fn of_label(label: &Option<String>) -> String {
    label.as_ref().map_or(String::new(), |label| format!(" (label {:?})", shown(label)))
}

impl Settings {
    /// Checks what holds for all labels.
    pub(crate) fn validate(&self) -> Result<(), SettingsError> {
        for (name, found) in [("min-duration", self.min_duration), ("hold-time", self.hold_time)] {
            if found > MAX_SPAN {
                return Err(SettingsError::TooLong { name, found });
            }
        }
        if self.top_k == Some(0) {
            return Err(SettingsError::NoTopK);
        }
        self.smoothing.unwrap_or_default().validate()
    }

    /// What they mean for one label, whose own values come first.
    ///
    /// Whoever gives a threshold without an offset threshold gets one that lies below it as the next more general pair
    /// has it: in proportion for calibrated scores, at the same distance for cosines. So `threshold=0.8` with a package
    /// that has 0.5 and 0.35 gives 0.8 and 0.56.
    pub fn rule(&self, label: &Label, kind: ScoreKind, defaults: Defaults) -> Result<Rule, SettingsError> {
        let package = defaults.thresholds;
        let common = pair(package, (self.threshold, self.offset_threshold), kind, None)?;
        let text = || Some(label.text.clone());
        let own = pair(common, (label.threshold, label.offset_threshold), kind, text())?;
        let (onset, offset) = own.ok_or_else(|| SettingsError::NoCosineThreshold { label: text() })?;
        Ok(Rule {
            onset,
            offset,
            min_duration: label.min_duration.unwrap_or(self.min_duration),
            hold_time: label.hold_time.unwrap_or(self.hold_time),
        })
    }
}

/// Onset and offset threshold of one level, from those of the more general one.
fn pair(
    general: Option<(f32, f32)>,
    (onset, offset): (Option<f32>, Option<f32>),
    kind: ScoreKind,
    label: Option<String>,
) -> Result<Option<(f32, f32)>, SettingsError> {
    for (name, value) in [("threshold", onset), ("offset-threshold", offset)] {
        if let Some(found) = value
            && !(kind.lowest()..=1.0).contains(&found)
        {
            let (low, kind) = (kind.lowest(), kind.as_str());
            return Err(SettingsError::ThresholdRange { name, found, low, kind, label });
        }
    }
    let pair = match (onset, offset, general) {
        (None, None, general) => return Ok(general),
        (Some(onset), Some(offset), _) => (onset, offset),
        (Some(onset), None, general) => (onset, below(onset, general, kind)),
        (None, Some(offset), Some((onset, _))) => (onset, offset),
        (None, Some(_), None) => return Err(SettingsError::NoCosineThreshold { label }),
    };
    let (onset, offset) = pair;
    if offset > onset {
        return Err(SettingsError::ThresholdOrder { onset, offset, label });
    }
    Ok(Some(pair))
}

/// The offset threshold that belongs to an onset threshold.
fn below(onset: f32, general: Option<(f32, f32)>, kind: ScoreKind) -> f32 {
    /// How far below the onset an event ends where nothing says it, in cosines: half of what M2D-CLAP's unrelated
    /// pairs of sound and text spread by (models.md 2.4).
    const COSINE_STEP: f32 = 0.025;
    let offset = match (general, kind) {
        (Some((on, off)), ScoreKind::Calibrated | ScoreKind::Softmax) if on > 0.0 => onset * (off / on),
        (Some((on, off)), ScoreKind::Cosine) => onset - (on - off),
        (Some(_), ScoreKind::Calibrated | ScoreKind::Softmax) => onset,
        (None, _) => onset - COSINE_STEP,
    };
    offset.clamp(kind.lowest(), onset)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKAGE: Defaults = Defaults { thresholds: Some((0.5, 0.25)) };
    const NONE: Defaults = Defaults { thresholds: None };

    fn label(onset: Option<f32>, offset: Option<f32>) -> Label {
        Label { threshold: onset, offset_threshold: offset, ..Label::new("dog") }
    }

    fn settings(onset: Option<f32>, offset: Option<f32>) -> Settings {
        Settings { threshold: onset, offset_threshold: offset, ..Settings::default() }
    }

    #[test]
    fn the_label_comes_before_the_settings_and_they_before_the_package() {
        for (user, own, expected) in [
            ((None, None), (None, None), (0.5, 0.25)),
            ((Some(0.8), None), (None, None), (0.8, 0.4)),
            ((Some(0.8), Some(0.6)), (None, None), (0.8, 0.6)),
            ((None, Some(0.1)), (None, None), (0.5, 0.1)),
            ((Some(0.8), Some(0.6)), (Some(0.4), None), (0.4, 0.3)),
            ((Some(0.8), Some(0.6)), (None, Some(0.7)), (0.8, 0.7)),
            ((Some(0.8), Some(0.6)), (Some(0.1), Some(0.1)), (0.1, 0.1)),
            ((Some(0.0), None), (None, None), (0.0, 0.0)),
        ] {
            let rule =
                settings(user.0, user.1).rule(&label(own.0, own.1), ScoreKind::Calibrated, PACKAGE).unwrap();
            assert!((rule.onset - expected.0).abs() < 1e-6, "{user:?} {own:?}: {rule:?}");
            assert!((rule.offset - expected.1).abs() < 1e-6, "{user:?} {own:?}: {rule:?}");
        }
    }

    #[test]
    fn cosines_keep_their_distance() {
        let rule = |defaults, user: Option<f32>| {
            settings(user, None).rule(&label(None, None), ScoreKind::Cosine, defaults).unwrap()
        };
        let rule_a = rule(Defaults { thresholds: Some((0.3, 0.2)) }, Some(0.1));
        assert!((rule_a.onset - 0.1).abs() < 1e-6 && rule_a.offset.abs() < 1e-6);
        assert!((rule(NONE, Some(0.3)).offset - 0.275).abs() < 1e-6);
        assert_eq!(rule(NONE, Some(-1.0)).offset, -1.0);
    }

    #[test]
    fn thresholds_that_make_no_sense_are_told_with_their_label() {
        let calibrated = |user: (Option<f32>, Option<f32>), own: (Option<f32>, Option<f32>)| {
            settings(user.0, user.1)
                .rule(&label(own.0, own.1), ScoreKind::Calibrated, PACKAGE)
                .unwrap_err()
                .to_string()
        };
        for (user, own, message) in [
            (
                (Some(1.5), None),
                (None, None),
                "threshold 1.5 is outside of 0..1, the range of calibrated scores",
            ),
            (
                (Some(f32::NAN), None),
                (None, None),
                "threshold NaN is outside of 0..1, the range of calibrated scores",
            ),
            (
                (None, None),
                (Some(-0.5), None),
                "threshold -0.5 is outside of 0..1, the range of calibrated scores (label \"dog\")",
            ),
            ((None, Some(0.6)), (None, None), "offset-threshold 0.6 is above threshold 0.5"),
            (
                (None, None),
                (Some(0.3), Some(0.4)),
                "offset-threshold 0.4 is above threshold 0.3 (label \"dog\")",
            ),
        ] {
            assert_eq!(calibrated(user, own), message);
        }
        for user in [settings(None, None), settings(None, Some(0.1))] {
            let error = user.rule(&label(None, None), ScoreKind::Cosine, NONE).unwrap_err().to_string();
            assert!(error.starts_with("score=cosine needs a threshold"), "{error}");
        }
    }
}
