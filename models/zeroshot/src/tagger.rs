//! Packages with fixed classes: labels choose among them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use listen_package::Activation;

use crate::error::MatchError;
use crate::labels::{Label, LabelList};
use crate::matcher::Matcher;
use crate::near::{nearest, same_form, shown};
use crate::score::{sigmoid, to_unit};

/// A graph that makes class scores of an embedding.
pub trait Classifier: Send {
    /// One value of each class, before the activation.
    fn classify(&mut self, embedding: &[f32]) -> Result<Vec<f32>, MatchError>;
}

/// A package's classes, and what makes their scores.
#[derive(Clone)]
pub struct Classes {
    names: Arc<[String]>,
    /// Length of the embeddings that are classified.
    dim: usize,
    activation: Activation,
    /// None where the embedding holds the scores already.
    graph: Option<Arc<Mutex<dyn Classifier>>>,
    /// Whether the graph takes embeddings of unit length.
    unit: bool,
}

impl fmt::Debug for Classes {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let graph = self.graph.is_some();
        f.debug_struct("Classes")
            .field("count", &self.names.len())
            .field("graph", &graph)
            .finish_non_exhaustive()
    }
}

impl Classes {
    /// Classes whose scores are the values of the embedding itself.
    pub fn new(names: Vec<String>, activation: Activation) -> Classes {
        Classes { dim: names.len(), names: names.into(), activation, graph: None, unit: false }
    }

    /// Classes whose scores a graph makes of embeddings of `dim` values.
    pub fn with_graph(
        names: Vec<String>,
        activation: Activation,
        dim: usize,
        graph: impl Classifier + 'static,
    ) -> Classes {
        let graph: Arc<Mutex<dyn Classifier>> = Arc::new(Mutex::new(graph));
        Classes { names: names.into(), dim, activation, graph: Some(graph), unit: false }
    }

    /// The same, where embeddings are brought to unit length before the graph; one of zeros has the lowest scores.
    pub fn of_unit_length(self) -> Classes {
        Classes { unit: true, ..self }
    }

    /// The classes' names, in the order of the scores.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// A matcher for the classes that labels name, or for all of them.
    ///
    /// A label names a class by its text, or by its prompts where it has some: then its score is the highest of theirs.
    /// Case, spaces and underscores make no difference; of classes that are the same then, the first counts.
    pub fn select(&self, labels: Option<LabelList>) -> Result<Matcher, MatchError> {
        let places = self.places();
        let labels = match labels {
            Some(labels) => labels,
            None => {
                let all = self.names.iter().enumerate();
                let first = all.filter(|(class, name)| places.get(&same_form(name)) == Some(class));
                LabelList::new(first.map(|(_, name)| Label::new(name.trim())).collect())?
            }
        };
        let place = |name: &String| {
            places.get(&same_form(name)).copied().ok_or_else(|| {
                let near = nearest(name, self.names.iter().map(String::as_str));
                MatchError::UnknownClass {
                    class: shown(name),
                    near: near.into_iter().map(str::to_owned).collect(),
                }
            })
        };
        let selected = labels
            .iter()
            .map(|label| match label.prompts.is_empty() {
                true => Ok(vec![place(&label.text)?]),
                false => label.prompts.iter().map(place).collect(),
            })
            .collect::<Result<Vec<Vec<usize>>, MatchError>>()?;
        let (values, unit) = (vec![0.0; self.names.len()], vec![0.0; if self.unit { self.dim } else { 0 }]);
        let classes = ClassMatch { selected, values, unit, of: self.clone() };
        Ok(Matcher::of_classes(labels, self.dim, classes))
    }

    /// Which labels name classes: by their text, or by every one of their prompts where they have some.
    pub(crate) fn named(&self, labels: &LabelList) -> Vec<bool> {
        let places = self.places();
        let known = |name: &String| places.contains_key(&same_form(name));
        let named = |label: &Label| match label.prompts.is_empty() {
            true => known(&label.text),
            false => label.prompts.iter().all(known),
        };
        labels.iter().map(|label| named(label)).collect()
    }

    /// The class that a name in the form of comparison means.
    fn places(&self) -> HashMap<String, usize> {
        let mut places = HashMap::with_capacity(self.names.len());
        for (class, name) in self.names.iter().enumerate() {
            places.entry(same_form(name)).or_insert(class);
        }
        places
    }
}

/// Which classes make the labels' scores.
#[derive(Debug)]
pub(crate) struct ClassMatch {
    of: Classes,
    selected: Vec<Vec<usize>>,
    values: Vec<f32>,
    /// The embedding at unit length, where the graph takes it so.
    unit: Vec<f32>,
}

impl ClassMatch {
    /// The labels' scores in [0, 1]; a value that is not a number scores 0.
    pub(crate) fn scores(&mut self, embedding: &[f32], out: &mut [f32]) -> Result<(), MatchError> {
        let expected = self.values.len();
        match &self.of.graph {
            None => self.values.copy_from_slice(embedding),
            Some(graph) => {
                let embedding = match self.of.unit {
                    true if !to_unit(embedding, &mut self.unit) => {
                        out.fill(0.0);
                        return Ok(());
                    }
                    true => &self.unit,
                    false => embedding,
                };
                // A classifier that panicked is asked again: it holds no state of ours.
                let mut graph = graph.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let values = graph.classify(embedding)?;
                if values.len() != expected {
                    return Err(MatchError::ClassCount { found: values.len(), expected });
                }
                self.values.copy_from_slice(&values);
            }
        }
        activate(self.of.activation, &mut self.values);
        for (score, classes) in out.iter_mut().zip(&self.selected) {
            *score = classes.iter().map(|&class| self.values[class]).fold(0.0, f32::max);
        }
        Ok(())
    }
}

fn activate(activation: Activation, values: &mut [f32]) {
    match activation {
        Activation::Sigmoid => values.iter_mut().for_each(|value| *value = sigmoid(f64::from(*value))),
        Activation::None => values.iter_mut().for_each(|value| {
            *value = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
        }),
        Activation::Softmax => {
            // f32::max ignores NaN.
            let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            if !highest.is_finite() {
                return values.fill(0.0);
            }
            let weight = |value: f32| {
                if value.is_nan() { 0.0 } else { f64::from(value - highest).exp() }
            };
            let sum: f64 = values.iter().map(|value| weight(*value)).sum();
            values.iter_mut().for_each(|value| *value = (weight(*value) / sum) as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(activation: Activation) -> Classes {
        Classes::new(["Dog", "Siren", "Glass breaking", "dog"].map(str::to_owned).to_vec(), activation)
    }

    fn scores(matcher: &mut Matcher, embedding: &[f32]) -> Vec<f32> {
        let mut out = vec![f32::NAN; matcher.labels().len()];
        matcher.scores(embedding, &mut out).unwrap();
        out
    }

    #[test]
    fn labels_choose_classes_by_name() {
        let labels = LabelList::parse("glass_breaking;DOG").unwrap();
        let mut matcher = classes(Activation::None).select(Some(labels)).unwrap();
        assert_eq!(scores(&mut matcher, &[0.1, 0.2, 0.3, 0.4]), [0.3, 0.1]);
        assert_eq!(matcher.cosine(0), None);
    }

    #[test]
    fn without_labels_every_class_counts_once() {
        let mut matcher = classes(Activation::None).select(None).unwrap();
        assert_eq!(matcher.labels().texts().collect::<Vec<_>>(), ["Dog", "Siren", "Glass breaking"]);
        assert_eq!(scores(&mut matcher, &[0.1, 0.2, 0.3, 0.4]), [0.1, 0.2, 0.3]);
    }

    #[test]
    fn prompts_name_classes_and_the_highest_counts() {
        let file = r#"[{"label": "Lärm", "prompts": ["siren", "glass breaking"]}]"#;
        let labels = LabelList::from_json(file).unwrap();
        let mut matcher = classes(Activation::None).select(Some(labels)).unwrap();
        assert_eq!(scores(&mut matcher, &[0.9, 0.2, 0.3, 0.9]), [0.3]);
    }

    #[test]
    fn a_class_that_is_not_there_is_named_with_its_neighbours() {
        let labels = LabelList::parse("dog;sirene").unwrap();
        let error = classes(Activation::None).select(Some(labels)).unwrap_err();
        assert_eq!(error.to_string(), "the package has no class \"sirene\"; near it: \"Siren\"");
    }

    #[test]
    fn scores_are_probabilities_whatever_the_graph_gives() {
        for activation in [Activation::Sigmoid, Activation::Softmax, Activation::None] {
            let mut matcher = classes(activation).select(None).unwrap();
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, -1e30] {
                let scores = scores(&mut matcher, &[bad, 0.0, 1.0, bad]);
                assert!(
                    scores.iter().all(|score| (0.0..=1.0).contains(score)),
                    "{activation:?} {bad}: {scores:?}"
                );
            }
        }
        let mut matcher = classes(Activation::Softmax).select(None).unwrap();
        let sum: f32 = scores(&mut matcher, &[1.0, 2.0, 3.0, f32::NEG_INFINITY]).iter().sum();
        assert!((sum - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_graph_that_gives_another_number_of_classes_is_told_both() {
        struct Two;
        impl Classifier for Two {
            fn classify(&mut self, _: &[f32]) -> Result<Vec<f32>, MatchError> {
                Ok(vec![0.0; 2])
            }
        }
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        let mut matcher = Classes::with_graph(names, Activation::Sigmoid, 5, Two).select(None).unwrap();
        let error = matcher.scores(&[0.0; 5], &mut [0.0; 3]).unwrap_err().to_string();
        assert_eq!(error, "the classifier gives 2 scores for 3 classes");
        let error = matcher.scores(&[0.0; 4], &mut [0.0; 3]).unwrap_err().to_string();
        assert_eq!(error, "an embedding of 4 values came, the labels were embedded with 5");
    }
}
