//! Server-sent events, and what a chat completion says in them.

use serde::Deserialize;
use serde_json::Value;

use super::HttpError;
use crate::words::{cut, plain};

/// Longest line of a stream, in bytes.
const MAX_LINE: usize = 256 << 10;

/// What one event of the stream says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Text(String),
    /// The text ends: whether by its length.
    End {
        length: bool,
    },
}

/// Cuts a stream of bytes into events, in whatever pieces it comes.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    data: String,
    has_data: bool,
}

impl Parser {
    /// Takes bytes, and gives the events that they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Said>, HttpError> {
        let mut said = Vec::new();
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.len() > MAX_LINE || self.data.len() > MAX_LINE {
                return Err(HttpError::TooLarge { limit: MAX_LINE });
            }
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let line = String::from_utf8(line).map_err(|_| malformed("a line is not UTF-8"))?;
                self.line_of_text(line.trim_end_matches(['\r', '\n']), &mut said)?;
            }
        }
        Ok(said)
    }

    fn line_of_text(&mut self, line: &str, said: &mut Vec<Said>) -> Result<(), HttpError> {
        if let Some(data) = line.strip_prefix("data:") {
            if std::mem::replace(&mut self.has_data, true) {
                self.data.push('\n');
            }
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
        } else if line.is_empty() && std::mem::take(&mut self.has_data) {
            let data = std::mem::take(&mut self.data);
            said.extend(event(data.trim())?);
        }
        // Comments and other fields (`event`, `id`, `retry`) say nothing here.
        Ok(())
    }
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Message>,
    message: Option<Message>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

/// What the data of one event, or a whole answer that is no stream, says.
pub(super) fn event(data: &str) -> Result<Vec<Said>, HttpError> {
    if data == "[DONE]" {
        return Ok(vec![Said::End { length: false }]);
    }
    let chunk: Chunk = serde_json::from_str(data).map_err(|error| malformed(&error.to_string()))?;
    if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
        return Err(HttpError::Status { code: 500, message: message(&error), retry_after: None });
    }
    let Some(choice) = chunk.choices.into_iter().next() else { return Ok(Vec::new()) };
    let text = choice.delta.or(choice.message).and_then(|message| message.content);
    let text = text.filter(|text| !text.is_empty()).map(Said::Text);
    let end = choice.finish_reason.map(|reason| Said::End { length: reason == "length" });
    Ok(text.into_iter().chain(end).collect())
}

/// The server's words about an error, on one line.
pub(super) fn message(error: &Value) -> String {
    let inner = error.get("error").unwrap_or(error);
    let words = inner.get("message").unwrap_or(inner);
    let words = words.as_str().map_or_else(|| words.to_string(), str::to_owned);
    cut(&plain(&words), 200)
}

fn malformed(reason: &str) -> HttpError {
    HttpError::Malformed { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\r\n\r\ndata: {\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}\n\ndata: \
        {\"choices\":[{\"delta\":{\"content\":\"Dög\"}}]}\n\nevent: x\ndata:{\"choices\":[{\"delta\":{\"content\":\" barks\"},\
        \"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n";

    #[test]
    fn a_stream_in_any_pieces_says_the_same() {
        let expected = [
            Said::Text("Dög".into()),
            Said::Text(" barks".into()),
            Said::End { length: true },
            Said::End { length: false },
        ];
        for size in [1, 2, 3, 7, 1000] {
            let mut parser = Parser::default();
            let pieces = STREAM.as_bytes().chunks(size).flat_map(|piece| parser.push(piece).unwrap());
            assert_eq!(pieces.collect::<Vec<_>>(), expected, "{size}");
        }
    }

    #[test]
    fn what_is_not_of_the_protocol_is_an_error() {
        assert!(matches!(Parser::default().push(b"data: {oops\n\n"), Err(HttpError::Malformed { .. })));
        assert!(matches!(Parser::default().push(b"data: \xff\n\n"), Err(HttpError::Malformed { .. })));
        let error =
            Parser::default().push(b"data: {\"error\":{\"message\":\"out of\\nmemory\"}}\n\n").unwrap_err();
        assert_eq!(error.to_string(), "the server answered 500: out of memory");
    }

    #[test]
    fn a_line_without_an_end_is_not_kept() {
        let mut parser = Parser::default();
        let error = (0..100).find_map(|_| parser.push(&[b'x'; 8192]).err());
        assert_eq!(error, Some(HttpError::TooLarge { limit: MAX_LINE }));
    }
}
