//! `backend=local`: the decoder of a package, loaded in the background and waited for by the worker.

use std::panic::catch_unwind;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gst_listen_common::progress::Progress;
use listen_captioner::{
    Backend, Cancel, CaptionError, Captioner, Guard, Local, Notice, Reply, Request, Template,
};
use listen_package::{Output, Package, PackageError};

use crate::imp::CAT;
use crate::input::Input;
use crate::writer::Writer;

/// How often somebody who waits for a decoder looks whether the request was given up.
const LOOK: Duration = Duration::from_millis(10);

/// Why a question before any stream is not answered by the decoder.
pub const NO_STREAM: &str = "no stream has come yet";

/// What the stream carries, as far as a decoder asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stream {
    /// Events alone.
    Lines,
    /// Embeddings of a space, and what a row of them stands for.
    Embeddings { space: String, output: Output },
}

/// Why a package's decoder cannot write.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No element has the package open.
    #[error(
        "embeddings of space {0} came, but no element of this process has that package open; name its folder with model="
    )]
    NotOpen(String),
    /// Lines name no package.
    #[error("lines of JSON came, which name no package; name its folder with model=")]
    NoName,
    /// A decoder that hears, and nothing to hear.
    #[error("the projector of package {space} takes embeddings (output={takes}), but lines of JSON came")]
    Deaf { space: String, takes: &'static str },
    /// Embeddings of another package.
    #[error("embeddings of space {found} came, but the package {} has space {expected}", model.display())]
    OtherSpace { expected: String, model: PathBuf, found: String },
    /// Embeddings that stand for something else.
    #[error("the projector of package {space} takes output={takes} of m2dencode, but output={found} came")]
    OtherOutput { space: String, takes: &'static str, found: &'static str },
    /// The package.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// Its decoder.
    #[error(transparent)]
    Decoder(#[from] CaptionError),
    /// The code that loads it.
    #[error("loading the decoder panicked; this is a bug")]
    Panic,
}

/// Loads the decoder that the properties name for what the stream carries, once for each kind of stream.
pub struct Loader {
    writer: Writer,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    wanted: Option<Stream>,
    /// Which load is under way, or was the last.
    number: u64,
    loaded: Option<Result<Local, Arc<str>>>,
    progress: Option<Arc<Progress>>,
}

impl Loader {
    /// Loads nothing yet.
    pub fn new(writer: &Writer) -> Loader {
        Loader { writer: writer.clone(), state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to load what a stream like this needs, unless that was begun before. It keeps nothing alive: a load that
    /// nobody wants any more goes on by itself, and what it loads is dropped.
    pub fn begin(self: &Arc<Self>, element: &super::LlmCaption, input: &Input) {
        let stream = match input {
            Input::Json => Stream::Lines,
            Input::Embedding(caps) => Stream::Embeddings { space: caps.space.clone(), output: caps.output },
        };
        let (number, before) = {
            let mut state = self.lock();
            if state.wanted.as_ref() == Some(&stream) {
                return;
            }
            state.wanted = Some(stream.clone());
            state.number += 1;
            state.loaded = None;
            (state.number, state.progress.take())
        };
        if let Some(before) = before {
            before.cancel("Another stream came");
        }
        let progress = Arc::new(Progress::start(element, "loading", "Loading the decoder"));
        {
            let mut state = self.lock();
            if state.number != number {
                // It was stopped in between.
                drop(state);
                progress.cancel("Stopped");
                return;
            }
            state.progress = Some(Arc::clone(&progress));
        }
        let (weak, writer) = (Arc::downgrade(self), self.writer.clone());
        let job = move || {
            let began = Instant::now();
            // Whoever waits would wait for ever.
            let loaded = catch_unwind(|| load(&writer, &stream)).unwrap_or(Err(LoadError::Panic));
            let loaded = loaded.map_err(|error| Arc::from(error.to_string()));
            let Some(loader) = weak.upgrade() else { return };
            let failure = loaded.as_ref().err().cloned();
            if !loader.finish(number, loaded) {
                return;
            }
            match failure {
                None => {
                    gst::info!(CAT, "The decoder was loaded in {:?}", began.elapsed());
                    progress.complete("Loaded the decoder")
                }
                Some(reason) => progress.fail(&reason),
            };
        };
        if let Err(error) = std::thread::Builder::new().name("listen-load".into()).spawn(job) {
            self.finish(number, Err(format!("no thread to load the decoder: {error}").into()));
        }
    }

    /// A load has ended; whether anybody still wants it.
    fn finish(&self, number: u64, loaded: Result<Local, Arc<str>>) -> bool {
        let mut state = self.lock();
        if state.number != number {
            return false;
        }
        state.loaded = Some(loaded);
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Nobody wants a decoder any more.
    pub fn stop(&self) {
        let progress = {
            let mut state = self.lock();
            state.number += 1;
            (state.wanted, state.loaded) = (None, None);
            state.progress.take()
        };
        if let Some(progress) = progress {
            progress.cancel("Stopped");
        }
    }

    /// Which load is under way, or was the last; `None` while it is not known what the stream carries.
    fn number(&self) -> Option<u64> {
        let state = self.lock();
        state.wanted.as_ref().map(|_| state.number)
    }

    /// Waits for what is being loaded, and takes it: with the number of the load.
    fn wait(
        &self,
        cancel: &Cancel,
        timeout: Option<Duration>,
    ) -> Result<(u64, Result<Local, Arc<str>>), CaptionError> {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.lock();
        loop {
            if cancel.is_cancelled() {
                return Err(CaptionError::Cancelled);
            }
            if let Some(loaded) = state.loaded.take() {
                return Ok((state.number, loaded));
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(CaptionError::TimedOut(timeout.unwrap_or_default()));
            }
            state = self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Loads a decoder. It may take seconds.
fn load(writer: &Writer, stream: &Stream) -> Result<Local, LoadError> {
    let package = match (&writer.model, stream) {
        (Some(folder), _) => Package::open(folder, writer.accept_license)?,
        (None, Stream::Embeddings { space, .. }) => {
            Package::find(space).ok_or_else(|| LoadError::NotOpen(space.clone()))?
        }
        (None, Stream::Lines) => return Err(LoadError::NoName),
    };
    let projector = package.manifest().captioner.as_ref().and_then(|captioner| captioner.projector.as_ref());
    if let Some(projector) = projector {
        let (own, takes) = (package.space().to_owned(), word(projector.takes));
        match stream {
            Stream::Lines => return Err(LoadError::Deaf { space: own, takes }),
            Stream::Embeddings { space, .. } if *space != own => {
                let model = writer.model.clone().unwrap_or_default();
                return Err(LoadError::OtherSpace { expected: own, model, found: space.clone() });
            }
            Stream::Embeddings { output, .. } if *output != projector.takes => {
                return Err(LoadError::OtherOutput { space: own, takes, found: word(*output) });
            }
            Stream::Embeddings { .. } => {}
        }
    }
    Ok(Local::open(&package, writer.local_options(), &writer.options())?)
}

fn word(output: Output) -> &'static str {
    match output {
        Output::Clip => "clip",
        Output::Frames => "frames",
        Output::Tokens => "tokens",
    }
}

/// A package's decoder as a captioner: it waits for the decoder, and leaves everything to the template where there is
/// none.
pub struct Decoder {
    loader: Arc<Loader>,
    template: Template,
    have: Have,
}

enum Have {
    Nothing,
    Writer(u64, Box<Guard<Local>>),
    /// It cannot be had, and whether that was told.
    Lost(u64, Arc<str>, bool),
}

impl Decoder {
    /// Writes with what the loader loads.
    pub fn new(loader: Arc<Loader>, template: Template) -> Decoder {
        Decoder { loader, template, have: Have::Nothing }
    }
}

impl Captioner for Decoder {
    fn backend(&self) -> Backend {
        Backend::Local
    }

    fn reply(
        &mut self,
        request: &Request,
        cancel: &Cancel,
        progress: &mut dyn FnMut(listen_captioner::Progress<'_>),
    ) -> Result<Reply, CaptionError> {
        let began = Instant::now();
        let Some(latest) = self.loader.number() else {
            let reply = self.template.reply(request, cancel, progress)?;
            return Ok(Reply { fallback: Some(NO_STREAM.to_owned()), ..reply });
        };
        let up_to_date = match &self.have {
            Have::Nothing => false,
            Have::Writer(number, _) | Have::Lost(number, ..) => *number == latest,
        };
        if !up_to_date {
            // First what there was: two large decoders at once may not fit.
            self.have = Have::Nothing;
            self.have = match self.loader.wait(cancel, request.timeout)? {
                (number, Ok(local)) => {
                    Have::Writer(number, Box::new(Guard::new(local, self.template.clone())))
                }
                (number, Err(reason)) => Have::Lost(number, reason, false),
            };
        }
        match &mut self.have {
            Have::Writer(_, writer) => {
                let left = request.timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
                writer.reply(&Request { timeout: left, ..request.clone() }, cancel, progress)
            }
            Have::Lost(_, reason, told) => {
                let reply = self.template.reply(request, cancel, progress)?;
                let first = !std::mem::replace(told, true);
                let notice = first.then(|| Notice::Lost { reason: reason.to_string() });
                Ok(Reply { fallback: Some(reason.to_string()), notice, ..reply })
            }
            Have::Nothing => Err(CaptionError::Cancelled),
        }
    }
}
