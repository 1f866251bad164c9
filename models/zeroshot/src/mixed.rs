//! Labels of which some are classes of a package's classifier and the others text.

use crate::error::MatchError;
use crate::matcher::Matcher;
use crate::score::Defaults;

/// A matcher for each kind; every label is at a place of one of them.
#[derive(Debug)]
pub(crate) struct Mixed {
    text: Box<Matcher>,
    classes: Box<Matcher>,
    places: Vec<Place>,
    /// Scores of the one and the other.
    scratch: [Vec<f32>; 2],
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Text(usize),
    Class(usize),
}

impl Mixed {
    /// `named` says of each label whether it is the next of `classes`, or else the next of `text`.
    pub(crate) fn new(text: Matcher, classes: Matcher, named: Vec<bool>) -> Mixed {
        let (mut texts, mut names) = (0.., 0..);
        let next = |named: bool| match named {
            true => names.next().map(Place::Class),
            false => texts.next().map(Place::Text),
        };
        let places = named.into_iter().filter_map(next).collect();
        let scratch = [&text, &classes].map(|matcher| vec![0.0; matcher.labels().len()]);
        Mixed { text: Box::new(text), classes: Box::new(classes), places, scratch }
    }

    /// Whether a label is text.
    pub(crate) fn is_text(&self, label: usize) -> bool {
        matches!(self.places.get(label), Some(Place::Text(_)))
    }

    pub(crate) fn scores(&mut self, embedding: &[f32], out: &mut [f32]) -> Result<(), MatchError> {
        let [text, classes] = &mut self.scratch;
        self.text.scores(embedding, text)?;
        self.classes.scores(embedding, classes)?;
        for (score, place) in out.iter_mut().zip(&self.places) {
            *score = match *place {
                Place::Text(i) => text[i],
                Place::Class(i) => classes[i],
            };
        }
        Ok(())
    }

    pub(crate) fn defaults(&self, label: usize) -> Defaults {
        match self.places[label] {
            Place::Text(i) => self.text.defaults(i),
            Place::Class(i) => self.classes.defaults(i),
        }
    }

    pub(crate) fn cosine(&self, label: usize) -> Option<f32> {
        match *self.places.get(label)? {
            Place::Text(i) => self.text.cosine(i),
            Place::Class(_) => None,
        }
    }

    pub(crate) fn forget_cosines(&mut self) {
        self.text.forget_cosines();
    }
}
