//! Text to token ids and back. What is data never becomes a token that means something.

use std::collections::HashSet;

use listen_package::Captioner;
use tokenizers::Tokenizer;

use super::error::LocalError;

/// A piece of the prompt that the package's manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// The package's own text, encoded.
    Ids(Vec<u32>),
    /// What the decoder is told about its task.
    System,
    /// The windows' vectors.
    Audio,
    /// What it is asked.
    Prompt,
}

/// A tokenizer with the package's own text encoded.
pub(super) struct Words {
    file: String,
    tokenizer: Tokenizer,
    layout: Vec<Piece>,
    /// Tokens that data is never made of.
    marks: HashSet<u32>,
}

impl Words {
    /// The tokenizer of a package, out of its file's content.
    pub fn new(captioner: &Captioner, json: &[u8]) -> Result<Words, LocalError> {
        let file = captioner.tokenizer.clone();
        let wrong = |what, expected: &str, found: String| LocalError::Tokenizer {
            file: file.clone(),
            what,
            expected: expected.to_owned(),
            found,
        };
        let mut tokenizer = Tokenizer::from_bytes(json)
            .map_err(|error| wrong("the file", "a Hugging Face tokenizer.json", error.to_string()))?;
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| wrong("the file", "a tokenizer that does not cut", error.to_string()))?;
        let vocab = captioner.decoder.vocab;
        if let Some(id) = tokenizer.get_vocab(true).into_values().max().filter(|&id| id >= vocab) {
            let expected = format!("below `captioner.decoder.vocab` ({vocab})");
            return Err(wrong("each id", &expected, id.to_string()));
        }
        let added = tokenizer.get_added_vocabulary().get_added_tokens_decoder();
        let marks = added.iter().filter(|(_, token)| token.special || is_mark(&token.content));
        let marks = marks.map(|(&id, _)| id).chain(captioner.begin.iter().copied());
        let marks = marks.chain(captioner.stop.iter().copied()).collect();
        let layout = layout(&tokenizer, captioner)
            .map_err(|error| wrong("the manifest's prompt", "text that it can encode", error))?;
        // From here on it only sees data.
        tokenizer.set_encode_special_tokens(true);
        Ok(Words { file, tokenizer, layout, marks })
    }

    /// The prompt as the manifest says it.
    pub fn layout(&self) -> &[Piece] {
        &self.layout
    }

    /// Tokens that data is never made of.
    #[cfg(test)]
    pub fn marks(&self) -> &HashSet<u32> {
        &self.marks
    }

    /// Ids of data: text that comes from outside. No text in it stands for a token that begins or ends anything.
    pub fn data(&self, text: &str) -> Result<Vec<u32>, LocalError> {
        let ids = ids(&self.tokenizer, text).map_err(|error| LocalError::Tokenizer {
            file: self.file.clone(),
            what: "a prompt",
            expected: "text that it can encode".to_owned(),
            found: error,
        })?;
        Ok(ids.into_iter().filter(|id| !self.marks.contains(id)).collect())
    }

    /// The text of an answer.
    pub fn text(&self, ids: &[u32]) -> Result<String, LocalError> {
        self.tokenizer.decode(ids, true).map_err(|error| LocalError::Tokenizer {
            file: self.file.clone(),
            what: "an answer",
            expected: "tokens that it can decode".to_owned(),
            found: error.to_string(),
        })
    }

    /// Tells the text of an answer while it is written: what each token adds, as far as it is known.
    pub fn stream<'a>(&'a self, mut tell: impl FnMut(&str) + 'a) -> impl FnMut(u32) + 'a {
        let mut stream = self.tokenizer.decode_stream(true);
        let mut lost = false;
        move |id| {
            if lost {
                return;
            }
            match stream.step(id) {
                Ok(Some(text)) => tell(&text),
                Ok(None) => {}
                // A decoder that changes what it said: the whole text comes with the reply.
                Err(_) => lost = true,
            }
        }
    }
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Words")
            .field("file", &self.file)
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

/// Whether an added token that is not called special looks like one all the same: `<tool_call>`, `[INST]`.
fn is_mark(token: &str) -> bool {
    let token = token.trim();
    token.starts_with('<') && token.ends_with('>') || token.starts_with('[') && token.ends_with(']')
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let encoding = tokenizer.encode_fast(text, false).map_err(|error| error.to_string())?;
    Ok(encoding.get_ids().to_vec())
}

/// The prompt of the manifest, with the package's own text encoded.
fn layout(tokenizer: &Tokenizer, captioner: &Captioner) -> Result<Vec<Piece>, String> {
    const PLACES: [(&str, Piece); 3] =
        [("{system}", Piece::System), ("{audio}", Piece::Audio), ("{prompt}", Piece::Prompt)];
    let mut layout = vec![Piece::Ids(captioner.begin.clone())];
    let mut rest = captioner.prompt.as_str();
    loop {
        let found = PLACES.iter().filter_map(|(name, piece)| Some((rest.find(name)?, *name, piece)));
        let Some((at, name, piece)) = found.min_by_key(|(at, ..)| *at) else {
            layout.push(Piece::Ids(ids(tokenizer, rest)?));
            return Ok(layout);
        };
        layout.push(Piece::Ids(ids(tokenizer, &rest[..at])?));
        layout.push(piece.clone());
        rest = &rest[at + name.len()..];
    }
}
