//! Who writes: the captioner that the properties name.

use std::sync::Arc;

use listen_captioner::{
    CaptionError, Captioner, Catalogue, CatalogueError, Guard, Http, HttpOptions, KeySource, Options,
    Template,
};

use crate::local::{Decoder, Loader};
use crate::writer::{Backend, Writer};

/// Makes a captioner of properties.
pub type Open = Arc<dyn Fn(&Writer) -> Result<Opened, OpenError> + Send + Sync>;

/// Who writes, and who does in its place.
pub struct Opened {
    /// Who is asked.
    pub captioner: Box<dyn Captioner>,
    /// Who needs nothing and never waits.
    pub template: Box<dyn Captioner>,
    /// What is to be said about them.
    pub note: Option<String>,
}

/// Why nobody writes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A property is missing.
    #[error("backend={backend} needs {property}, found none")]
    Missing {
        /// What was asked for.
        backend: &'static str,
        /// What it needs.
        property: &'static str,
    },
    /// It cannot write as it is asked to.
    #[error(transparent)]
    Captioner(#[from] CaptionError),
    /// There are no messages in the language.
    #[error(transparent)]
    Language(#[from] CatalogueError),
}

impl OpenError {
    /// As an element's error.
    pub fn message(&self) -> gst::ErrorMessage {
        gst::error_msg!(gst::ResourceError::Settings, ("{self}"))
    }
}

/// Opens the backend that the properties name; `loader` loads the decoder of `backend=local`.
pub fn open(writer: &Writer, loader: &Arc<Loader>) -> Result<Opened, OpenError> {
    let options = writer.options();
    options.check()?;
    let (template, note) = template(writer)?;
    let template = || template.clone();
    let captioner: Box<dyn Captioner> = match writer.backend {
        Backend::Template => Box::new(template()),
        Backend::Local => Box::new(Decoder::new(loader.clone(), template())),
        Backend::Http => Box::new(Guard::new(http(writer, options)?, template())),
    };
    Ok(Opened { captioner, template: Box::new(template()), note })
}

/// Who writes where the backend does not. A model can write any language; the template those that it has messages in.
fn template(writer: &Writer) -> Result<(Template, Option<String>), OpenError> {
    match Catalogue::of(&writer.language) {
        Ok(catalogue) => Ok((Template::new(catalogue), None)),
        Err(error) if writer.backend == Backend::Template => Err(error.into()),
        Err(error) => {
            let template = Template::or_english(&writer.language);
            let note = format!("{error}: what the template writes is in {:?}", template.language());
            Ok((template, Some(note)))
        }
    }
}

fn http(writer: &Writer, options: Options) -> Result<Http, OpenError> {
    let missing = |property| OpenError::Missing { backend: "http", property };
    let key = match (&writer.key_env, &writer.key_file) {
        (Some(name), _) => KeySource::Env(name.clone()),
        (None, Some(path)) => KeySource::File(path.clone()),
        (None, None) => KeySource::None,
    };
    let http = HttpOptions {
        url: writer.url.clone().ok_or(missing("url"))?,
        model: writer.model_name.clone().unwrap_or_default(),
        key,
        ..HttpOptions::default()
    };
    // A package has defaults of its own, a server is told ours.
    let options = Options {
        max_tokens: options.max_tokens.or(Some(Writer::MAX_TOKENS)),
        temperature: options.temperature.or(Some(0.0)),
        ..options
    };
    Ok(Http::new(http, &options)?)
}
