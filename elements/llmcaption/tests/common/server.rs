//! A small server of the OpenAI chat-completions protocol, with faults.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A stream of these words.
    Words(String),
    /// An error of the server.
    Status(u16),
    /// The connection breaks off in the middle of the stream.
    Cut,
    /// Nothing, for so long.
    Silence(Duration),
    /// The connection is closed without a byte.
    Drop,
    /// A word each time that so long has passed, without an end.
    Trickle(Duration),
}

pub struct Server {
    pub url: String,
    /// The bodies of the requests that came.
    pub bodies: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// `answer` gets the number of the request, from 0, and its body.
    pub fn new(answer: impl Fn(usize, &str) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (bodies, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (seen, stopped, answer) = (bodies.clone(), stop.clone(), Arc::new(answer));
        let thread = std::thread::spawn(move || {
            let mut connections = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                // A thread that was not joined keeps its stack.
                connections.retain(|connection: &JoinHandle<()>| !connection.is_finished());
                let (seen, answer, stopped) = (seen.clone(), answer.clone(), stopped.clone());
                connections.push(std::thread::spawn(move || {
                    // A client that has gone away is no fault.
                    let _ = serve(stream, &seen, &*answer, &stopped);
                }));
            }
            connections.into_iter().for_each(|connection| connection.join().unwrap());
        });
        Server { url: format!("http://{address}/v1"), bodies, stop, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let address = self.url.trim_start_matches("http://").trim_end_matches("/v1");
        let _ = TcpStream::connect(address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn serve(
    stream: TcpStream,
    seen: &Mutex<Vec<String>>,
    answer: &(dyn Fn(usize, &str) -> Answer + Send + Sync),
    stopped: &AtomicBool,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(50)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    // Connections are kept alive, as servers do.
    while let Some(body) = read(&mut reader, stopped)? {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(body.clone());
            seen.len() - 1
        };
        match answer(number, &body) {
            Answer::Words(text) => {
                head(&mut writer)?;
                for word in text.split_inclusive(' ') {
                    chunk(&mut writer, &delta(word))?;
                }
                chunk(
                    &mut writer,
                    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
                )?;
                chunk(&mut writer, "data: [DONE]\n\n")?;
                writer.write_all(b"0\r\n\r\n")?;
            }
            Answer::Status(status) => {
                write!(writer, "HTTP/1.1 {status} Fault\r\ncontent-length: 2\r\n\r\n{{}}")?;
            }
            Answer::Cut => {
                head(&mut writer)?;
                chunk(&mut writer, &delta("A dog "))?;
                return Ok(());
            }
            Answer::Drop => return Ok(()),
            Answer::Trickle(pause) => {
                head(&mut writer)?;
                while !stopped.load(Ordering::SeqCst) {
                    // It fails once the client has given up.
                    chunk(&mut writer, &delta("and "))?;
                    std::thread::sleep(pause);
                }
                return Ok(());
            }
            Answer::Silence(time) => {
                let until = std::time::Instant::now() + time;
                while std::time::Instant::now() < until && !stopped.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(10));
                }
                return Ok(());
            }
        }
    }
    Ok(())
}

fn head(writer: &mut impl Write) -> std::io::Result<()> {
    writer.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    )
}

fn chunk(writer: &mut impl Write, text: &str) -> std::io::Result<()> {
    write!(writer, "{:x}\r\n{text}\r\n", text.len())
}

fn delta(text: &str) -> String {
    let choice = serde_json::json!({"choices": [{"index": 0, "delta": {"content": text}}]});
    format!("data: {choice}\n\n")
}

/// The body of the next request; `None` where the client has gone, or the server stops.
fn read(reader: &mut BufReader<TcpStream>, stopped: &AtomicBool) -> std::io::Result<Option<String>> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        match reader.read_line(&mut line) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                if stopped.load(Ordering::SeqCst) {
                    return Ok(None);
                }
                continue;
            }
            Err(error) => return Err(error),
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.get_ref().set_read_timeout(Some(Duration::from_secs(5)))?;
    reader.read_exact(&mut body)?;
    reader.get_ref().set_read_timeout(Some(Duration::from_millis(50)))?;
    Ok(Some(String::from_utf8(body).unwrap()))
}
