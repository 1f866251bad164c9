//! What a captioner is asked, and what it gives.

use std::fmt;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::error::CaptionError;
use crate::evidence::Scene;

/// Makes sentences of evidence, and answers questions about it.
///
/// # For implementations
/// One request gives one result. A call returns soon after its token is cancelled ([`CaptionError::Cancelled`]) and
/// within the request's `timeout`, if it has one ([`CaptionError::TimedOut`]). It never panics on what stands in a
/// request. Whatever text was given to `progress` is void after [`Progress::Again`], and the result's text is what counts.
pub trait Captioner: Send {
    /// Who it is, in [`Reply::by`] and in messages.
    fn backend(&self) -> Backend;

    /// Answers one request; it blocks as long as that takes.
    ///
    /// # Errors
    /// Why there is no answer. The next request may well get one.
    fn reply(
        &mut self,
        request: &Request,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Reply, CaptionError>;
}

impl<C: Captioner + ?Sized> Captioner for Box<C> {
    fn backend(&self) -> Backend {
        (**self).backend()
    }

    fn reply(
        &mut self,
        request: &Request,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Reply, CaptionError> {
        (**self).reply(request, cancel, progress)
    }
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What was heard, and when it is now.
    pub scene: Scene,
    /// What is to be done with it.
    pub task: Task,
    /// How long it may take in all, retries included; `None` is as long as the backend's own limits allow.
    pub timeout: Option<Duration>,
}

/// What is to be done with a scene.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Say what is heard, in a sentence.
    Caption,
    /// Answer a question about it.
    Answer {
        /// The question, as a person typed it.
        question: String,
    },
}

/// Text that a backend gives before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// More text, behind what there was; without control characters.
    Text(&'a str),
    /// What was given so far is void: the request was begun again, or somebody else answers it.
    Again,
}

/// The result of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// One line of text, without control characters, at most [`MAX_TEXT`](crate::MAX_TEXT) bytes. Empty where there is
    /// nothing to say: a caption of a scene without evidence.
    pub text: String,
    /// Who said it.
    pub by: Backend,
    /// Whether the text is whole.
    pub finish: Finish,
    /// Why it was not the backend that was asked, where it was another.
    pub fallback: Option<String>,
    /// What is to be told once, behind a [`Guard`](crate::Guard).
    pub notice: Option<Notice>,
}

/// Who makes the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    /// Rules and a message catalogue.
    Template,
    /// A decoder in the model package.
    Local,
    /// A server.
    Http,
}

/// Why a text ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It is whole.
    Stop,
    /// `max-tokens` were reached, or [`MAX_TEXT`](crate::MAX_TEXT).
    Length,
}

/// What changed about a backend, told once each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It failed too often and is left alone for a while; the fallback answers.
    Open {
        /// The last failure.
        reason: String,
        /// How long it is left alone.
        pause: Duration,
    },
    /// It answers again.
    Closed,
    /// It cannot be used at all; the fallback answers from here on.
    Lost {
        /// Why.
        reason: String,
    },
}

impl Backend {
    /// Its name in properties and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Backend::Template => "template",
            Backend::Local => "local",
            Backend::Http => "http",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Request {
    /// A caption of a scene, without a limit of time.
    pub fn caption(scene: Scene) -> Request {
        Request { scene, task: Task::Caption, timeout: None }
    }

    /// An answer to a question about a scene, without a limit of time.
    pub fn answer(scene: Scene, question: impl Into<String>) -> Request {
        Request { scene, task: Task::Answer { question: question.into() }, timeout: None }
    }

    /// The same within so much time.
    pub fn within(self, timeout: Duration) -> Request {
        Request { timeout: Some(timeout), ..self }
    }
}

impl Reply {
    /// A whole text by `by`.
    pub(crate) fn whole(text: String, by: Backend) -> Reply {
        Reply { text, by, finish: Finish::Stop, fallback: None, notice: None }
    }
}
