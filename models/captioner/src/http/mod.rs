//! A server of the OpenAI chat-completions protocol: llama.cpp, Ollama, vLLM, or one in the cloud.
//!
//! Every request has a connection of its own, which ends with it: giving a request up closes it at once. Redirects are
//! not followed and proxies not used.

mod client;
mod error;
mod key;
mod runtime;
mod sse;

use std::sync::{Arc, mpsc};
use std::time::Duration;

pub use error::HttpError;
pub use key::KeySource;

use crate::cancel::Cancel;
use crate::clean;
use crate::error::CaptionError;
use crate::options::Options;
use crate::prompt::Prompt;
use crate::request::{Backend, Captioner, Finish, Progress, Reply, Request};
use client::{Client, Part};
use runtime::Shared;

/// Tokens asked for where nobody says how many.
const MAX_TOKENS: u32 = 200;

/// Which server, and how patiently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpOptions {
    /// Up to and with the version: `http://127.0.0.1:8080/v1`.
    pub url: String,
    /// The model's name as the server knows it; empty leaves it to the server.
    pub model: String,
    /// Where the key lies.
    pub key: KeySource,
    /// For a request in all, where it does not say itself.
    pub timeout: Duration,
    /// To reach the server.
    pub connect_timeout: Duration,
    /// Longest time without any bytes.
    pub idle_timeout: Duration,
    /// How often a request is tried again.
    pub retries: u32,
    /// What is waited before the first of them; twice as long each time, or as long as the server says.
    pub back_off: Duration,
}

impl Default for HttpOptions {
    /// llama.cpp on this machine; 60 s in all, 5 s to connect, 30 s without bytes, two retries from 0.5 s on.
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8080/v1".to_owned(),
            model: String::new(),
            key: KeySource::None,
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            retries: 2,
            back_off: Duration::from_millis(500),
        }
    }
}

/// A server that is asked for text.
#[derive(Debug)]
pub struct Http {
    client: Arc<Client>,
    options: Options,
    timeout: Duration,
    runtime: Arc<Shared>,
}

impl Http {
    /// A client; the server is not asked before the first request.
    ///
    /// # Errors
    /// An address that is none, a key that is not there, options that are not possible, no certificates for `https`.
    pub fn new(http: HttpOptions, options: &Options) -> Result<Http, CaptionError> {
        options.check()?;
        let timeout = http.timeout;
        let client = Arc::new(Client::new(http)?);
        Ok(Http { client, options: options.clone(), timeout, runtime: Shared::get()? })
    }

    /// The body of a request.
    fn body(&self, request: &Request) -> Result<String, CaptionError> {
        let Prompt { system, user } = Prompt::new(&request.scene, &request.task, &self.options)?;
        let mut body = serde_json::json!({
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
            "stream": true,
            "max_tokens": self.options.max_tokens.unwrap_or(MAX_TOKENS),
        });
        if !self.client.model().is_empty() {
            body["model"] = self.client.model().into();
        }
        // To the decimals that were typed: as float64 0.2 would be 0.20000000298.
        let decimal = |value: f32| (f64::from(value) * 1e4).round() / 1e4;
        if let Some(temperature) = self.options.temperature {
            body["temperature"] = decimal(temperature).into();
        }
        if let Some(top_p) = self.options.top_p {
            body["top_p"] = decimal(top_p).into();
        }
        if let Some(seed) = self.options.seed {
            body["seed"] = seed.into();
        }
        Ok(body.to_string())
    }
}

impl Captioner for Http {
    fn backend(&self) -> Backend {
        Backend::Http
    }

    fn reply(
        &mut self,
        request: &Request,
        cancel: &Cancel,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Reply, CaptionError> {
        if cancel.is_cancelled() {
            return Err(CaptionError::Cancelled);
        }
        let body = self.body(request)?;
        let timeout = request.timeout.unwrap_or(self.timeout);
        let (send, parts) = mpsc::channel();
        let (client, cancel) = (self.client.clone(), cancel.clone());
        let gone = || HttpError::Runtime { reason: "it has ended".to_owned() };
        let handle = self.runtime.handle().ok_or_else(gone)?;
        handle.spawn(async move {
            let told = send.clone();
            let tell = |part| drop(told.send(part));
            // What loses is dropped, and its connection with it.
            let done = tokio::select! {
                biased;
                () = cancel.cancelled() => Err(CaptionError::Cancelled),
                () = tokio::time::sleep(timeout) => Err(CaptionError::TimedOut(timeout)),
                done = client.ask(&body, timeout, &tell) => done.map_err(CaptionError::from),
            };
            // Nobody listens only where the caller is gone.
            drop(send.send(Part::Done(done)));
        });
        loop {
            match parts.recv() {
                Ok(Part::Text(text)) => progress(Progress::Text(&clean::part(&text))),
                Ok(Part::Again) => progress(Progress::Again),
                Ok(Part::Done(done)) => {
                    let (text, by_length) = done?;
                    let (text, whole) = clean::answer(&text);
                    if text.is_empty() {
                        return Err(HttpError::Empty.into());
                    }
                    let finish = if by_length || !whole { Finish::Length } else { Finish::Stop };
                    return Ok(Reply { finish, ..Reply::whole(text, Backend::Http) });
                }
                Err(mpsc::RecvError) => return Err(gone().into()),
            }
        }
    }
}
