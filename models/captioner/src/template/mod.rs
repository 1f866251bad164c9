//! The template backend: sentences by rules and a message catalogue.
//!
//! The same scene gives the same sentence, at once and without any model. It is what the other backends fall back to.

pub(crate) mod phrase;
pub(crate) mod plan;
pub(crate) mod sentence;

use std::sync::Arc;

use crate::answer;
use crate::cancel::Cancel;
use crate::catalogue::Catalogue;
use crate::error::CaptionError;
use crate::request::{Backend, Captioner, Progress, Reply, Request, Task};

/// Sentences by rules, in the catalogue's language.
#[derive(Debug, Clone)]
pub struct Template {
    catalogue: Arc<Catalogue>,
}

impl Template {
    /// A backend that speaks the catalogue's language.
    pub fn new(catalogue: Arc<Catalogue>) -> Template {
        Template { catalogue }
    }

    /// A backend for a language; English where there is no catalogue of it.
    pub fn or_english(language: &str) -> Template {
        Template::new(Catalogue::of(language).unwrap_or_else(|_| Catalogue::english()))
    }

    /// The language that it speaks.
    pub fn language(&self) -> &str {
        self.catalogue.language()
    }
}

impl Captioner for Template {
    fn backend(&self) -> Backend {
        Backend::Template
    }

    fn reply(
        &mut self,
        request: &Request,
        cancel: &Cancel,
        _progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Reply, CaptionError> {
        if cancel.is_cancelled() {
            return Err(CaptionError::Cancelled);
        }
        let text = match &request.task {
            Task::Caption => sentence::caption(&request.scene, &self.catalogue),
            Task::Answer { question } => answer::answer(&request.scene, question, &self.catalogue),
        };
        Ok(Reply::whole(crate::clean::line(&text).0, Backend::Template))
    }
}
