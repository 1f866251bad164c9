//! The http backend against a small server with faults.

mod common;
#[path = "common/server.rs"]
mod server;

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{ns, sound};
use listen_captioner::{
    Backend, Cancel, CaptionError, Captioner, Evidence, Finish, Guard, Http, HttpError, HttpOptions,
    KeySource, Limits, Options, Progress, Reply, Request, Template,
};
use server::{Act, Server};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto};

fn options(url: String) -> HttpOptions {
    HttpOptions { url, back_off: Duration::from_millis(10), ..HttpOptions::default() }
}

fn request() -> Request {
    let mut evidence = Evidence::new(Limits::default());
    evidence.hear(sound(1, "dog barking", 2.0, Some(3.0), 0.9));
    Request::caption(evidence.between(0, ns(10.0)))
}

/// The result, and the text that was given before.
fn ask(http: &mut Http, request: &Request) -> (Result<Reply, CaptionError>, Vec<String>) {
    let mut parts = Vec::new();
    let reply = http.reply(request, &Cancel::new(), &mut |part| {
        parts.push(match part {
            Progress::Text(text) => text.to_owned(),
            Progress::Again => "AGAIN".to_owned(),
        });
    });
    (reply, parts)
}

fn error(http: &mut Http) -> HttpError {
    match ask(http, &request()).0 {
        Err(CaptionError::Http(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn one(script: Vec<Act>) -> (Server, Http) {
    let server = Server::start(script);
    let http = Http::new(options(server.url()), &Options::default()).unwrap();
    (server, http)
}

#[test]
fn text_comes_as_it_is_said_and_the_result_is_the_whole() {
    let server = Server::start(vec![Act::Say(vec!["A dog ", "barks", ".\n"])]);
    let http = HttpOptions { model: "qwen2.5".into(), ..options(server.url()) };
    let said = Options { temperature: Some(0.2), max_tokens: Some(33), seed: Some(7), ..Options::default() };
    let (reply, parts) = ask(&mut Http::new(http, &said).unwrap(), &request());
    let reply = reply.unwrap();
    assert_eq!((reply.text.as_str(), reply.by, reply.finish), ("A dog barks.", Backend::Http, Finish::Stop));
    assert_eq!(parts, ["A dog ", "barks", ". "], "without control characters");

    let (head, body) = server.requests.lock().unwrap()[0].clone();
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
    assert!(!head.to_lowercase().contains("authorization"));
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["model"], &body["stream"]), (&"qwen2.5".into(), &true.into()));
    assert_eq!(
        (&body["temperature"], &body["max_tokens"], &body["seed"]),
        (&0.2.into(), &33.into(), &7.into())
    );
    let roles: Vec<&str> =
        body["messages"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user"]);
    assert!(body["messages"][1]["content"].as_str().unwrap().contains("dog barking"));
}

#[test]
fn an_answer_that_is_no_stream_is_taken_too() {
    let json = r#"{"choices":[{"message":{"content":"A dog."},"finish_reason":"length"}]}"#;
    let (_server, mut http) = one(vec![Act::Whole(json)]);
    let reply = ask(&mut http, &request()).0.unwrap();
    assert_eq!((reply.text.as_str(), reply.finish), ("A dog.", Finish::Length));
}

#[test]
fn a_busy_or_broken_server_is_asked_again_and_text_of_before_is_void() {
    let (server, mut http) = one(vec![
        Act::Refuse(429, "Retry-After: 0\r\n", "{}"),
        Act::Cut("half an ans"),
        Act::Say(vec!["whole"]),
    ]);
    let (reply, parts) = ask(&mut http, &request());
    assert_eq!(reply.unwrap().text, "whole");
    assert_eq!(parts, ["half an ans", "AGAIN", "whole"]);
    assert_eq!(server.count(), 3);
}

#[test]
fn tries_are_bounded_and_a_refusal_that_stays_is_not_tried_again() {
    let (server, mut http) = one(vec![Act::Refuse(500, "", r#"{"error":{"message":"out of memory"}}"#)]);
    assert_eq!(error(&mut http).to_string(), "the server answered 500: out of memory");
    assert_eq!(server.count(), 3, "the first and two more");

    let (server, mut http) = one(vec![Act::Refuse(404, "", "no such model")]);
    assert_eq!(error(&mut http).to_string(), "the server answered 404: no such model");
    assert_eq!(server.count(), 1);

    let (server, mut http) = one(vec![Act::Cut("half")]);
    assert!(matches!(error(&mut http), HttpError::Cut { .. }));
    assert_eq!(server.count(), 3);
}

#[test]
fn what_the_server_wants_to_be_waited_is_waited_unless_nobody_does() {
    let (server, mut http) = one(vec![Act::Refuse(429, "Retry-After: 1\r\n", ""), Act::Say(vec!["ok"])]);
    let begun = Instant::now();
    assert_eq!(ask(&mut http, &request()).0.unwrap().text, "ok");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.count(), 2);

    let (server, mut http) =
        one(vec![Act::Refuse(429, "Retry-After: 3600\r\n", "later"), Act::Say(vec!["ok"])]);
    let refused = error(&mut http);
    assert!(
        matches!(refused, HttpError::Status { code: 429, retry_after: Some(after), .. } if after.as_secs() == 3600)
    );
    assert_eq!(server.count(), 1);
}

#[test]
fn what_is_malformed_too_large_or_empty_is_an_error() {
    let (_server, mut http) = one(vec![Act::Raw(b"data: {oops\n\n")]);
    assert!(matches!(error(&mut http), HttpError::Malformed { .. }));
    let (_server, mut http) = one(vec![Act::Whole("<html>")]);
    assert!(matches!(error(&mut http), HttpError::Malformed { .. }));
    let (_server, mut http) = one(vec![Act::Say(vec![""])]);
    assert_eq!(error(&mut http), HttpError::Empty);
    for stream in [true, false] {
        let (server, mut http) = one(vec![Act::Flood(100 << 20, stream)]);
        assert!(matches!(error(&mut http), HttpError::TooLarge { limit: 1_048_576 }));
        wait_for(|| server.dropped.load(Ordering::SeqCst) == 1, "the server is not read to its end");
    }
}

#[test]
fn a_model_that_never_stops_is_cut_off() {
    let (_server, mut http) = one(vec![Act::Say(vec!["bark bark bark bark bark bark bark bark "; 1000])]);
    let reply = ask(&mut http, &request()).0.unwrap();
    assert_eq!(reply.finish, Finish::Length);
    assert!(reply.text.len() <= listen_captioner::MAX_TEXT);
}

#[test]
fn a_slow_server_runs_into_the_limit_of_the_request() {
    let (_server, mut http) = one(vec![Act::Slowly(Duration::from_millis(100), vec!["x"; 1000])]);
    let limit = Duration::from_millis(350);
    let begun = Instant::now();
    let (reply, parts) = ask(&mut http, &request().within(limit));
    assert!(matches!(reply, Err(CaptionError::TimedOut(l)) if l == limit), "{reply:?}");
    assert!(!parts.is_empty() && begun.elapsed() < Duration::from_secs(5));

    let server = Server::start(vec![Act::Silent]);
    let idle = HttpOptions { idle_timeout: Duration::from_millis(50), retries: 0, ..options(server.url()) };
    assert_eq!(
        error(&mut Http::new(idle, &Options::default()).unwrap()),
        HttpError::Idle(Duration::from_millis(50))
    );
}

#[test]
fn a_request_that_is_given_up_returns_at_once_and_its_connection_closes() {
    let (server, mut http) = one(vec![Act::Silent]);
    let cancel = Cancel::new();
    let other = cancel.clone();
    let asking = std::thread::spawn(move || http.reply(&request(), &cancel, &mut |_| {}));
    wait_for(|| server.count() == 1, "the request arrives");
    let begun = Instant::now();
    other.cancel();
    assert!(asking.join().unwrap().is_err_and(|e| e.is_cancelled()));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    wait_for(|| server.dropped.load(Ordering::SeqCst) == 1, "the connection closes");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{free}/v1");
    let mut http = Http::new(HttpOptions { retries: 0, ..options(url) }, &Options::default()).unwrap();
    let error = error(&mut http).to_string();
    assert!(error.starts_with(&format!("127.0.0.1:{free} cannot be reached: ")), "{error}");
}

#[test]
fn an_address_is_checked_and_its_password_not_repeated() {
    for url in ["ftp://x", "127.0.0.1:8080", "http://", "https://me:s3cret@host/v1", "http://host/v1?key=1"] {
        let error = Http::new(options(url.into()), &Options::default()).unwrap_err().to_string();
        assert!(error.contains("url must be") && !error.contains("s3cret"), "{error}");
    }
}

#[test]
fn the_key_is_sent_and_shown_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    fs::write(&path, "sk-very-secret-123\nsecond line\n").unwrap();
    let echo = r#"{"error":{"message":"Incorrect API key provided: sk-very-secret-123."}}"#;
    let server = Server::start(vec![Act::Refuse(401, "", echo)]);
    let keyed = HttpOptions { key: KeySource::File(path), ..options(server.url()) };
    let mut http = Http::new(keyed, &Options::default()).unwrap();
    assert!(!format!("{http:?} {http:#?}").contains("very-secret"), "{http:?}");
    let error = error(&mut http);
    assert_eq!(error.to_string(), "the server answered 401: Incorrect API key provided: ***.");
    assert!(!format!("{error:?}").contains("very-secret"));
    let (head, body) = server.requests.lock().unwrap()[0].clone();
    assert!(head.to_lowercase().contains("authorization: bearer sk-very-secret-123\r\n"), "{head}");
    assert!(!body.contains("very-secret"));
}

#[test]
fn a_key_that_is_not_there_is_told_by_where_it_was_looked_for() {
    let new = |key| Http::new(HttpOptions { key, ..HttpOptions::default() }, &Options::default());
    let missing = new(KeySource::Env("LISTEN_NO_SUCH_KEY".into())).unwrap_err().to_string();
    assert_eq!(missing, "environment variable LISTEN_NO_SUCH_KEY: it is not set");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    for bad in ["", "\n", "two words\n", "bad\u{1}key"] {
        fs::write(&path, bad).unwrap();
        let error = new(KeySource::File(path.clone())).unwrap_err().to_string();
        assert!(
            error.contains("a key of printable characters") && (bad.len() < 3 || !error.contains(bad.trim())),
            "{error}"
        );
    }
}

#[test]
fn behind_a_guard_every_request_has_a_result() {
    let server =
        Server::start(vec![Act::Refuse(500, "", ""), Act::Say(vec!["A dog."]), Act::Raw(b"data: x\n\n")]);
    let http = Http::new(HttpOptions { retries: 0, ..options(server.url()) }, &Options::default()).unwrap();
    let mut guard = Guard::new(http, Template::or_english("en"));
    let mut by = Vec::new();
    for _ in 0..3 {
        let reply = guard.reply(&request(), &Cancel::new(), &mut |_| {}).unwrap();
        by.push((reply.by, reply.fallback.is_some()));
    }
    assert_eq!(by, [(Backend::Template, true), (Backend::Http, false), (Backend::Template, true)]);
}

/// What a process of its own does: asks a server with TLS, and prints what came.
#[test]
#[ignore = "run by the tests below, in a process with an environment of its own"]
fn child_asks_over_tls() {
    let url = std::env::var("LISTEN_TEST_URL").unwrap();
    let http = Http::new(HttpOptions { retries: 0, ..options(url) }, &Options::default());
    match http.map(|mut http| ask(&mut http, &request()).0) {
        Ok(Ok(reply)) => println!("SAID {}", reply.text),
        Ok(Err(error)) | Err(error) => println!("ERROR {error}"),
    }
}

fn in_child(url: &str, certificates: &std::path::Path) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_asks_over_tls", "--ignored", "--nocapture"])
        .env("LISTEN_TEST_URL", url)
        .env("SSL_CERT_FILE", certificates)
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn secure() -> (Server, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (Server::with_tls(vec![Act::Say(vec!["secure"])], Some(Arc::new(config))), made.cert.pem())
}

#[test]
fn ssl_cert_file_is_honoured_and_another_certificate_or_name_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (server, pem) = secure();
    let (_, other) = secure();
    let (ours, theirs, none) =
        (folder.path().join("ours.pem"), folder.path().join("theirs.pem"), folder.path().join("none.pem"));
    fs::write(&ours, pem).unwrap();
    fs::write(&theirs, other).unwrap();
    fs::write(&none, "").unwrap();
    let url = format!("https://localhost:{}/v1", server.port);
    let said = in_child(&url, &ours);
    assert!(said.contains("SAID secure"), "{said}");
    let said = in_child(&url, &theirs);
    assert!(said.contains("ERROR localhost:") && said.contains("no secure connection"), "{said}");
    let by_number = format!("https://127.0.0.1:{}/v1", server.port);
    let said = in_child(&by_number, &ours);
    assert!(said.contains("no secure connection"), "a certificate of another name: {said}");
    let said = in_child(&url, &none);
    assert!(said.contains("ERROR no certificates of authorities"), "{said}");
}

/// Alone in its process, so that no other test's threads are counted.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn child_counts_threads() {
    let named = || {
        let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
        threads
            .filter(|t| fs::read_to_string(t.path().join("comm")).is_ok_and(|c| c.starts_with("listen-http")))
            .count()
    };
    let (_server, mut http) = one(vec![Act::Say(vec!["hm"])]);
    let (_other_server, mut other) = one(vec![Act::Silent]);
    ask(&mut http, &request()).0.unwrap();
    let limit = Duration::from_millis(50);
    assert!(ask(&mut other, &request().within(limit)).0.is_err());
    let running = named();
    drop((http, other));
    // A thread that was joined may stand in /proc a moment longer: the kernel wakes who joins it before it takes it off
    // the list.
    wait_for(|| named() == 0, "threads of the last client that stay");
    println!("THREADS {running} then 0");
}

#[test]
#[cfg(target_os = "linux")]
fn no_thread_is_left_behind_the_last_client() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_counts_threads", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("THREADS 1 then 0") || said.contains("THREADS 2 then 0"), "{said}");
}

fn wait_for(holds: impl Fn() -> bool, what: &str) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
