//! The local backend: the decoder that a package carries, by ONNX Runtime.
//!
//! Windows' embeddings become vectors that stand in front of the words (`projector`), as in M2D2's audio-prefixed
//! language models; the decoder continues them, token by token, and remembers what it was fed. The layout is what Hugging
//! Face optimum exports, so that a package's own little decoder and a large language model run by the same code.
//! `models/package/FORMAT.md` describes it.

mod error;
mod graphs;
mod load;
mod model;
#[cfg(test)]
mod tests;
mod words;

pub use error::LocalError;
pub use load::LocalOptions;

use listen_package::{EvidenceForm, Output, Package};

use crate::cancel::Cancel;
use crate::clean;
use crate::decode::{Ends, Sampling};
use crate::error::CaptionError;
use crate::evidence::{Embedding, Scene};
use crate::options::Options;
use crate::prompt::{Form, MAX_EVIDENCE, Prompt, own_template};
use crate::request::{Backend, Captioner, Finish, Progress, Reply, Request, Task};
use crate::template::Template;
use model::{Limit, Model, Part};

/// The smallest evidence block that is tried where a decoder has few positions.
const LEAST_EVIDENCE: usize = 256;

/// A package's decoder.
#[derive(Debug)]
pub struct Local {
    model: Model,
    options: Options,
    template: Template,
}

impl Local {
    /// Loads the decoder of a package, compares its graphs with the manifest, and computes its self-test. It may take
    /// seconds.
    ///
    /// What `options` leave open is the package's.
    ///
    /// # Errors
    /// [`LocalError::NoDecoder`] for a package without one; a file that is not what the manifest says; a self-test with another
    /// answer; options that are not possible.
    pub fn open(package: &Package, local: LocalOptions, options: &Options) -> Result<Local, CaptionError> {
        options.check()?;
        let model = Model::open(package, local)?;
        let template = Template::or_english(&options.language);
        Ok(Local { model, options: options.clone(), template })
    }

    /// The kind of embeddings that it takes; `None`: it is told everything in words.
    pub fn takes(&self) -> Option<Output> {
        self.model.block.projector.as_ref().map(|projector| projector.takes)
    }

    /// The latest windows of a scene, as many as the decoder takes.
    fn windows<'a>(&self, scene: &'a Scene) -> Result<Vec<&'a Embedding>, LocalError> {
        let Some(projector) = &self.model.block.projector else { return Ok(Vec::new()) };
        if scene.embeddings.is_empty() {
            return Err(LocalError::NoEmbeddings);
        }
        let first = scene.embeddings.len().saturating_sub(projector.max_windows as usize);
        Ok(scene.embeddings.iter().skip(first).map(|embedding| &**embedding).collect())
    }

    /// The prompt of a request and how long its answer may be: with as much evidence as leaves room for it.
    fn prompt(&self, request: &Request, windows: usize) -> Result<(Vec<Part>, usize), CaptionError> {
        let block = &self.model.block;
        let longest = block.decoder.max_positions as usize;
        let max_tokens = self.options.max_tokens.unwrap_or(block.max_tokens) as usize;
        let mut form = Form { form: block.evidence, most: MAX_EVIDENCE };
        loop {
            let prompt = Prompt::of(&request.scene, &request.task, &self.options, form)?;
            let parts = self.model.parts(&prompt.system, &prompt.user)?;
            let found = self.model.positions(&parts, windows);
            if found.saturating_add(max_tokens) <= longest {
                return Ok((parts, max_tokens));
            }
            if form.most > LEAST_EVIDENCE && form.form == EvidenceForm::Json {
                form.most /= 2;
            } else if found < longest {
                return Ok((parts, longest - found));
            } else {
                return Err(LocalError::TooLong { most: longest, found }.into());
            }
        }
    }

    fn sampling(&self) -> Sampling {
        let (block, options) = (&self.model.block, &self.options);
        Sampling {
            temperature: options.temperature.unwrap_or(block.temperature as f32),
            top_p: options.top_p.unwrap_or(block.top_p as f32),
            repetition_penalty: options.repetition_penalty.unwrap_or(block.repetition_penalty as f32),
            seed: options.seed.unwrap_or_default(),
        }
    }

    /// Whether the decoder has never been told a question: then the template answers.
    fn only_captions(&self) -> Result<bool, CaptionError> {
        let compact = self.model.block.evidence == EvidenceForm::Compact;
        Ok(compact && own_template(&self.options, true)?.is_none())
    }
}

impl Captioner for Local {
    fn backend(&self) -> Backend {
        Backend::Local
    }

    fn reply(
        &mut self,
        request: &Request,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Reply, CaptionError> {
        let limit = Limit::new(cancel, request.timeout);
        if matches!(request.task, Task::Answer { .. }) && self.only_captions()? {
            let why = "the package's decoder writes captions only".to_owned();
            let reply = self.template.reply(request, cancel, progress)?;
            return Ok(Reply { fallback: Some(why), ..reply });
        }
        let deaf = self.model.block.projector.is_none();
        if deaf && request.task == Task::Caption && request.scene.sounds.is_empty() {
            // There is nothing to tell it, so it has nothing to say.
            return Ok(Reply::whole(String::new(), Backend::Local));
        }
        let windows = self.windows(&request.scene)?;
        let (parts, max_tokens) = self.prompt(request, windows.len())?;
        let ends = Ends { max_tokens, stop: self.model.block.stop.clone() };
        let sampling = self.sampling();
        let tell = |text: &str| progress(Progress::Text(&clean::part(text)));
        let answer = self.model.answer(&parts, &windows, (sampling, &ends), &limit, tell)?;
        let (text, whole) = clean::answer(&self.model.words.text(&answer.ids)?);
        if text.is_empty() {
            return Err(LocalError::Empty.into());
        }
        let finish = if whole { answer.finish } else { Finish::Length };
        Ok(Reply { finish, ..Reply::whole(text, Backend::Local) })
    }
}
