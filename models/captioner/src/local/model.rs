//! A package's decoder, whole: prompts go in as pieces, tokens come out.

use std::time::{Duration, Instant};

use listen_package::{Captioner, Package};

use super::error::LocalError;
use super::graphs::{Cache, Graphs, MOST_POSITIONS};
use super::load::{Loader, LocalOptions};
use super::words::{Piece, Words};
use crate::cancel::Cancel;
use crate::decode::{Decoder, Ends, Sampling, generate};
use crate::error::CaptionError;
use crate::evidence::Embedding;
use crate::request::Finish;

/// Tokenizer and graphs of a package.
#[derive(Debug)]
pub(super) struct Model {
    pub block: Captioner,
    pub words: Words,
    graphs: Graphs,
}

/// A part of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Ids(Vec<u32>),
    Audio,
}

/// When a request is over.
#[derive(Debug, Clone)]
pub(super) struct Limit {
    cancel: Cancel,
    until: Option<(Instant, Duration)>,
}

impl Limit {
    /// From now on.
    pub fn new(cancel: &Cancel, timeout: Option<Duration>) -> Limit {
        let until = timeout.and_then(|timeout| Some((Instant::now().checked_add(timeout)?, timeout)));
        Limit { cancel: cancel.clone(), until }
    }

    fn check(&self) -> Result<(), CaptionError> {
        if self.cancel.is_cancelled() {
            return Err(CaptionError::Cancelled);
        }
        match self.until {
            Some((until, timeout)) if Instant::now() >= until => Err(CaptionError::TimedOut(timeout)),
            _ => Ok(()),
        }
    }
}

/// A decoder on its way through one request.
struct Running<'a> {
    graphs: &'a mut Graphs,
    cache: Cache,
    limit: &'a Limit,
}

impl Running<'_> {
    /// Feeds vectors, a bounded number of positions at a time.
    fn vectors(&mut self, vectors: &[f32]) -> Result<Vec<f32>, CaptionError> {
        let mut logits = Vec::new();
        for some in vectors.chunks(MOST_POSITIONS * self.graphs.hidden().max(1)) {
            self.limit.check()?;
            logits = self.graphs.feed(&mut self.cache, some)?;
        }
        Ok(logits)
    }
}

impl Decoder for Running<'_> {
    fn feed(&mut self, ids: &[u32]) -> Result<Vec<f32>, CaptionError> {
        let vectors = self.graphs.words(ids)?;
        self.vectors(&vectors)
    }
}

/// What a decoder answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub ids: Vec<u32>,
    pub finish: Finish,
    /// Positions of each run of the decoder.
    #[cfg_attr(not(test), allow(dead_code, reason = "tests count them"))]
    pub runs: Vec<usize>,
}

impl Model {
    /// Loads a package's decoder and computes its self-test.
    pub fn open(package: &Package, options: LocalOptions) -> Result<Model, CaptionError> {
        let Some(block) = package.manifest().captioner.clone() else {
            return Err(LocalError::NoDecoder { id: package.manifest().id.clone() }.into());
        };
        let json = package.read(&block.tokenizer).map_err(LocalError::from)?;
        let words = Words::new(&block, &json)?;
        let graphs = Graphs::load(package, &block, &Loader::new(options))?;
        let mut model = Model { block, words, graphs };
        model.self_test()?;
        Ok(model)
    }

    /// The parts of a prompt: `begin` and what the manifest's prompt says, with data in its places.
    pub fn parts(&self, system: &str, prompt: &str) -> Result<Vec<Part>, LocalError> {
        let mut parts = Vec::new();
        for piece in self.words.layout() {
            let ids = match piece {
                Piece::Ids(ids) => ids.clone(),
                Piece::System => self.words.data(system)?,
                Piece::Prompt => self.words.data(prompt)?,
                Piece::Audio => {
                    parts.push(Part::Audio);
                    continue;
                }
            };
            match parts.last_mut() {
                Some(Part::Ids(before)) => before.extend(ids),
                _ => parts.push(Part::Ids(ids)),
            }
        }
        Ok(parts)
    }

    /// Positions that parts take with so many windows.
    pub fn positions(&self, parts: &[Part], windows: usize) -> usize {
        let prefix = self.block.projector.as_ref().map_or(0, |projector| projector.prefix as usize);
        let positions = |part: &Part| match part {
            Part::Ids(ids) => ids.len(),
            Part::Audio => windows * prefix,
        };
        parts.iter().map(positions).sum()
    }

    /// Decodes the answer to a prompt with these windows' embeddings at its place for audio; its text is told while it is
    /// written.
    pub fn answer(
        &mut self,
        parts: &[Part],
        windows: &[&Embedding],
        (sampling, ends): (Sampling, &Ends),
        limit: &Limit,
        tell: impl FnMut(&str),
    ) -> Result<Answer, CaptionError> {
        let Model { words, graphs, .. } = self;
        let (mut vectors, mut seen) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                Part::Ids(ids) => {
                    seen.extend_from_slice(ids);
                    vectors.extend(graphs.words(ids)?);
                }
                Part::Audio => {
                    for window in windows {
                        vectors.extend(graphs.window(window)?);
                    }
                }
            }
        }
        let mut running = Running { graphs, cache: Cache::default(), limit };
        let logits = running.vectors(&vectors)?;
        let told = words.stream(tell);
        let (ids, finish) = generate(&mut running, logits, &seen, sampling, ends, &limit.cancel, told)?;
        debug_assert_eq!(running.cache.positions(), running.cache.runs.iter().sum::<usize>());
        Ok(Answer { ids, finish, runs: running.cache.runs })
    }

    /// The vectors of a window.
    #[cfg(test)]
    pub fn prefix(&mut self, window: &Embedding) -> Result<Vec<f32>, LocalError> {
        self.graphs.window(window)
    }

    /// The logits behind ids that are fed as many at a time as one run takes, and behind the same fed one at a time.
    #[cfg(test)]
    pub fn both_ways(&mut self, ids: &[u32]) -> (Vec<f32>, Vec<f32>) {
        let limit = Limit::new(&Cancel::new(), None);
        let mut running = Running { graphs: &mut self.graphs, cache: Cache::default(), limit: &limit };
        let pieces = running.feed(ids).unwrap();
        running.cache = Cache::default();
        let one_by_one = ids.iter().map(|id| running.feed(&[*id]).unwrap()).last().unwrap();
        (pieces, one_by_one)
    }

    /// Whether the manifest's prompt has the manifest's answer.
    fn self_test(&mut self) -> Result<(), CaptionError> {
        let Some(test) = self.block.self_test.clone() else { return Ok(()) };
        let parts = self.parts("", &test.prompt)?;
        let dim = self.graphs.dim();
        let window = Embedding {
            start: 0,
            end: 0,
            channel: -1,
            level: None,
            rows: 1,
            values: vec![(1.0 / (dim.max(1) as f64).sqrt()) as f32; dim].into(),
        };
        // Without an end, so that a wrong one shows.
        let ends = Ends { max_tokens: test.tokens.len(), stop: Vec::new() };
        let limit = Limit::new(&Cancel::new(), None);
        let answer = self.answer(&parts, &[&window], (Sampling::default(), &ends), &limit, |_| {})?;
        if answer.ids == test.tokens {
            return Ok(());
        }
        Err(LocalError::SelfTest { expected: test.tokens, found: answer.ids }.into())
    }
}
