//! One request: connection, TLS, retries, and reading the answer as it comes.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Response, Uri, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use super::key::Key;
use super::sse::{Parser, Said, event, message};
use super::{HttpError, HttpOptions};
use crate::MAX_TEXT;
use crate::error::CaptionError;

/// Most bytes of an answer that are read.
const MAX_ANSWER: usize = 1 << 20;
/// Most bytes of an error's body that are read.
const MAX_REFUSAL: usize = 16 << 10;
/// Longest pause between two tries, but for the server's own word.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(8);

/// What a request tells while it runs.
pub(super) enum Part {
    Text(String),
    Again,
    Done(Result<(String, bool), CaptionError>),
}

/// A server, ready to be asked.
pub(super) struct Client {
    options: HttpOptions,
    key: Option<Key>,
    host: String,
    port: u16,
    /// Host and port as the server is told them.
    authority: String,
    path: String,
    tls: Option<TlsConnector>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("options", &self.options)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn new(options: HttpOptions) -> Result<Client, HttpError> {
        // A password in an address is not repeated.
        let shown =
            options.url.rsplit_once('@').map_or(options.url.clone(), |(_, behind)| format!("…@{behind}"));
        let wrong = || HttpError::Url { found: shown.clone() };
        let uri: Uri = options.url.trim_end_matches('/').parse().map_err(|_| wrong())?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().filter(|a| !a.as_str().contains('@')).ok_or_else(wrong)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() || uri.query().is_some() {
            return Err(wrong());
        }
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let path = format!("{}/chat/completions", uri.path().trim_end_matches('/'));
        let key = Key::read(&options.key)?;
        let tls = if secure { Some(tls()?) } else { None };
        let authority = authority.to_string();
        Ok(Client { key, host, port, authority, path, tls, options })
    }

    pub(super) fn model(&self) -> &str {
        &self.options.model
    }

    /// Asks until there is an answer, or no more tries: its text, and whether its length ended it.
    pub(super) async fn ask(
        &self,
        body: &str,
        within: Duration,
        tell: &(dyn Fn(Part) + Sync),
    ) -> Result<(String, bool), HttpError> {
        let begun = Instant::now();
        let mut back_off = self.options.back_off;
        let mut tries = 0;
        loop {
            let mut text = String::new();
            let error = match self.once(body, &mut text, tell).await {
                Ok(by_length) => return Ok((text, by_length)),
                Err(error) => self.hide_key(error),
            };
            if !text.is_empty() {
                tell(Part::Again);
            }
            let pause = match &error {
                HttpError::Status { retry_after: Some(pause), .. } => *pause,
                _ => back_off,
            };
            let left = within.saturating_sub(begun.elapsed());
            // Waiting longer than anybody waits for the answer helps nobody.
            if tries == self.options.retries || !error.may_pass() || pause >= left {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            tries += 1;
            back_off = back_off.saturating_mul(2).min(LONGEST_BACK_OFF);
        }
    }

    /// Asks once; what was said so far is in `text`.
    async fn once(
        &self,
        body: &str,
        text: &mut String,
        tell: &(dyn Fn(Part) + Sync),
    ) -> Result<bool, HttpError> {
        let response = self.send(body).await?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let is_stream = kind.is_some_and(|kind| kind.starts_with("text/event-stream"));
        let mut body = response.into_body();
        let (mut parser, mut whole, mut read) = (Parser::default(), Vec::new(), 0);
        let mut end = None;
        while let Some(bytes) = self.next(&mut body).await? {
            read += bytes.len();
            if read > MAX_ANSWER {
                return Err(HttpError::TooLarge { limit: MAX_ANSWER });
            }
            if !is_stream {
                whole.extend_from_slice(&bytes);
                continue;
            }
            if take(parser.push(&bytes)?, text, &mut end, tell) {
                return Ok(end.unwrap_or(true));
            }
        }
        if !is_stream {
            let whole = str::from_utf8(&whole).map_err(|e| HttpError::Malformed { reason: e.to_string() })?;
            take(event(whole)?, text, &mut end, tell);
        }
        // A server that was stopped closes the connection too: only its word makes an end.
        end.ok_or_else(|| HttpError::Cut { reason: format!("the connection ended behind {} bytes", read) })
    }

    async fn send(&self, body: &str) -> Result<Response<Incoming>, HttpError> {
        let host = format!("{}:{}", self.host, self.port);
        let unreachable = |reason: String| HttpError::Connect { host: host.clone(), reason };
        let limit = self.options.connect_timeout;
        let stream = timeout(limit, TcpStream::connect((self.host.as_str(), self.port)));
        let stream = stream.await.map_err(|_| unreachable(format!("no answer within {limit:?}")))?;
        let stream = stream.map_err(|error| unreachable(error.to_string()))?;
        // The request is one write; a failure only makes it slower.
        drop(stream.set_nodelay(true));
        match &self.tls {
            None => self.speak(stream, body).await,
            Some(tls) => {
                let insecure = |reason: String| HttpError::Tls { host: host.clone(), reason };
                let name = ServerName::try_from(self.host.clone()).map_err(|e| insecure(e.to_string()))?;
                let stream = timeout(limit, tls.connect(name, stream));
                let stream = stream.await.map_err(|_| unreachable(format!("no TLS within {limit:?}")))?;
                self.speak(stream.map_err(|error| insecure(error.to_string()))?, body).await
            }
        }
    }

    async fn speak<S>(&self, stream: S, body: &str) -> Result<Response<Incoming>, HttpError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let cut = |error: hyper::Error| HttpError::Cut { reason: error.to_string() };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(cut)?;
        // It ends with the sender and the answer's body, so also when the request is dropped.
        tokio::spawn(async move { drop(connection.await) });
        let mut request = hyper::Request::post(&self.path)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "text/event-stream, application/json")
            .header(header::USER_AGENT, concat!("gst-listen/", env!("CARGO_PKG_VERSION")));
        if let Some(key) = &self.key {
            let malformed =
                |_| HttpError::Key { from: "key".to_owned(), reason: "no header can hold it".to_owned() };
            let mut value = header::HeaderValue::try_from(key.header()).map_err(malformed)?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let request = request
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .map_err(|error| HttpError::Malformed { reason: error.to_string() })?;
        self.in_time(sender.send_request(request)).await?.map_err(cut)
    }

    /// The next bytes of the body; none at its end.
    async fn next(&self, body: &mut Incoming) -> Result<Option<Bytes>, HttpError> {
        loop {
            match self.in_time(body.frame()).await? {
                None => return Ok(None),
                Some(Err(error)) => return Err(HttpError::Cut { reason: error.to_string() }),
                // Trailers say nothing here.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => return Ok(Some(bytes)),
                    Err(_) => continue,
                },
            }
        }
    }

    async fn in_time<T>(&self, next: impl Future<Output = T>) -> Result<T, HttpError> {
        let limit = self.options.idle_timeout;
        timeout(limit, next).await.map_err(|_| HttpError::Idle(limit))
    }

    /// What the server says where it does not answer.
    async fn refusal(&self, response: Response<Incoming>) -> HttpError {
        let code = response.status().as_u16();
        let after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
        let (mut body, mut bytes) = (response.into_body(), Vec::new());
        while let Ok(Some(more)) = self.next(&mut body).await {
            bytes.extend_from_slice(&more[..more.len().min(MAX_REFUSAL - bytes.len())]);
            if bytes.len() == MAX_REFUSAL {
                break;
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        let words = serde_json::from_str(&text).unwrap_or_else(|_| Value::String(text.into_owned()));
        HttpError::Status { code, message: message(&words), retry_after }
    }

    fn hide_key(&self, error: HttpError) -> HttpError {
        let Some(key) = &self.key else { return error };
        match error {
            HttpError::Status { code, message, retry_after } => {
                HttpError::Status { code, message: key.hidden_in(&message), retry_after }
            }
            HttpError::Malformed { reason } => HttpError::Malformed { reason: key.hidden_in(&reason) },
            other => other,
        }
    }
}

/// Takes what was said; whether nothing more is to be read.
fn take(said: Vec<Said>, text: &mut String, end: &mut Option<bool>, tell: &(dyn Fn(Part) + Sync)) -> bool {
    for said in said {
        match said {
            // Behind the end there may still be usage and `[DONE]`.
            Said::End { length } => *end = Some(end.unwrap_or(length)),
            Said::Text(more) => {
                text.push_str(&more);
                tell(Part::Text(more));
                if text.len() > MAX_TEXT {
                    *end = Some(true);
                }
            }
        }
        if end.is_some() {
            return true;
        }
    }
    false
}

/// TLS with the system's certificates, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
fn tls() -> Result<TlsConnector, HttpError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(found.certs);
    if taken == 0 {
        let reasons: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let reason = if reasons.is_empty() { "none found".to_owned() } else { reasons.join("; ") };
        return Err(HttpError::Roots { reason });
    }
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError::Roots { reason: error.to_string() })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
