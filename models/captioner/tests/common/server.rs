//! A small server with faults.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What the server does with a request. The last of a script is repeated.
#[derive(Clone, Debug)]
pub enum Act {
    /// Streams these pieces.
    Say(Vec<&'static str>),
    /// Streams with a pause before each piece.
    Slowly(Duration, Vec<&'static str>),
    /// Streams a piece, and closes the connection.
    Cut(&'static str),
    /// Answers in one piece of JSON.
    Whole(&'static str),
    /// Refuses: status, header lines, body.
    Refuse(u16, &'static str, &'static str),
    /// Sends these bytes as a stream.
    Raw(&'static [u8]),
    /// Sends so many bytes of comments, as a stream or not.
    Flood(usize, bool),
    /// Never answers.
    Silent,
}

pub struct Server {
    pub port: u16,
    /// Requests so far: head and body.
    pub requests: Arc<Mutex<Vec<(String, String)>>>,
    /// Connections that ended before their answer was written.
    pub dropped: Arc<AtomicUsize>,
}

trait Connection: Read + Write + Send {}
impl<T: Read + Write + Send> Connection for T {}

impl Server {
    pub fn start(script: Vec<Act>) -> Server {
        Self::with_tls(script, None)
    }

    pub fn with_tls(script: Vec<Act>, tls: Option<Arc<ServerConfig>>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, dropped) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (seen, lost) = (requests.clone(), dropped.clone());
        thread::spawn(move || {
            for (n, stream) in listener.incoming().enumerate() {
                let act = script[n.min(script.len() - 1)].clone();
                let (seen, lost, tls) = (seen.clone(), lost.clone(), tls.clone());
                thread::spawn(move || {
                    let stream = stream.unwrap();
                    let plain = stream.try_clone().unwrap();
                    let mut connection: Box<dyn Connection> = match tls {
                        Some(config) => {
                            Box::new(StreamOwned::new(ServerConnection::new(config).unwrap(), stream))
                        }
                        None => Box::new(stream),
                    };
                    if serve(&mut connection, &plain, act, &seen).is_err() {
                        lost.fetch_add(1, Ordering::SeqCst);
                    }
                    drop(plain.shutdown(Shutdown::Both));
                });
            }
        });
        Server { port, requests, dropped }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

/// A piece of text as an event of the stream.
pub fn piece(text: &str) -> String {
    let content = text.replace('"', "\\\"").replace('\n', "\\n");
    format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{content}\"}},\"finish_reason\":null}}]}}\n\n")
}

const END: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
const JSON: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";

fn serve(
    connection: &mut Box<dyn Connection>,
    plain: &TcpStream,
    act: Act,
    seen: &Mutex<Vec<(String, String)>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = n.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    seen.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
    let out = reader.into_inner();
    match act {
        Act::Say(pieces) => {
            out.write_all(STREAM.as_bytes())?;
            pieces.iter().try_for_each(|text| out.write_all(piece(text).as_bytes()))?;
            out.write_all(END.as_bytes())?;
        }
        Act::Slowly(pause, pieces) => {
            out.write_all(STREAM.as_bytes())?;
            for text in pieces {
                thread::sleep(pause);
                out.write_all(piece(text).as_bytes())?;
                out.flush()?;
            }
            thread::sleep(pause);
            out.write_all(END.as_bytes())?;
        }
        Act::Cut(text) => {
            out.write_all(format!("{STREAM}{}", piece(text)).as_bytes())?;
        }
        Act::Whole(json) => out.write_all(format!("{JSON}{json}").as_bytes())?,
        Act::Refuse(code, headers, body) => {
            let length = body.len();
            out.write_all(
                format!("HTTP/1.1 {code} No\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
                    .as_bytes(),
            )?;
        }
        Act::Raw(bytes) => {
            out.write_all(STREAM.as_bytes())?;
            out.write_all(bytes)?;
        }
        Act::Flood(bytes, stream) => {
            out.write_all(if stream { STREAM } else { JSON }.as_bytes())?;
            let line = [b":".as_slice(), &[b'x'; 1022], b"\n"].concat();
            for _ in 0..bytes / line.len() {
                out.write_all(&line)?;
            }
        }
        Act::Silent => {
            // Until the client is gone.
            plain.set_read_timeout(Some(Duration::from_secs(30)))?;
            let mut byte = [0];
            let gone = out.read(&mut byte).map_or(true, |n| n == 0);
            if gone {
                return Err(std::io::ErrorKind::BrokenPipe.into());
            }
        }
    }
    out.flush()
}
