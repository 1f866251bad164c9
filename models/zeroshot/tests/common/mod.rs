//! Helpers of the tests. Each test file uses some of them.
#![allow(dead_code, reason = "each test file uses some of them")]

use listen_package::Activation;
use listen_zeroshot::{
    Change, Classes, Classifier, Detector, EventIds, LabelList, MatchError, Matcher, Settings, Span,
};

pub const SECOND: u64 = 1_000_000_000;

/// Length of the embeddings here.
pub const DIM: usize = 8;

/// Takes the first values of an embedding for the scores.
struct FirstValues(usize);

impl Classifier for FirstValues {
    fn classify(&mut self, embedding: &[f32]) -> Result<Vec<f32>, MatchError> {
        Ok(embedding[..self.0].to_vec())
    }
}

/// A matcher whose embeddings are the scores themselves, filled with zeros.
pub fn matcher(labels: &LabelList) -> Matcher {
    let names: Vec<String> = labels.texts().map(str::to_owned).collect();
    let graph = FirstValues(names.len());
    Classes::with_graph(names, Activation::None, DIM, graph).select(Some(labels.clone())).unwrap()
}

/// Scores as an embedding.
pub fn embedding(scores: &[f32]) -> [f32; DIM] {
    std::array::from_fn(|i| scores.get(i).copied().unwrap_or(0.0))
}

pub fn detector(labels: &str, settings: Settings) -> Detector {
    of_list(&LabelList::parse(labels).unwrap(), settings)
}

pub fn from_file(json: &str, settings: Settings) -> Detector {
    of_list(&LabelList::from_json(json).unwrap(), settings)
}

pub fn of_list(labels: &LabelList, settings: Settings) -> Detector {
    Detector::new(matcher(labels), settings).unwrap().with_ids(EventIds::From(1))
}

/// Window k of a stream: `window` long, every `hop`.
pub fn span(k: u64, window: u64, hop: u64) -> Span {
    Span::new(k * hop, k * hop + window, hop)
}

/// Pushes rows of scores as windows of a second without overlap, from window `from` on.
pub fn push(detector: &mut Detector, from: u64, rows: &[&[f32]]) -> Vec<Change> {
    let mut changes = Vec::new();
    for (k, row) in rows.iter().enumerate() {
        let span = span(from + k as u64, SECOND, SECOND);
        detector.push(span, -1, None, &embedding(row), &mut changes).unwrap();
    }
    changes
}

/// Changes as `+dog 3` and `-dog 5`: label, and the second of onset or offset; updates as `=dog 4`.
pub fn told(changes: &[Change]) -> Vec<String> {
    let tell = |change: &Change| {
        let event = change.event();
        let (sign, time) = match change {
            Change::Start(_) => ('+', event.onset),
            Change::Update(_) => ('=', event.at),
            Change::End(..) => ('-', event.offset.unwrap()),
        };
        format!("{sign}{} {}", event.label.text, time as f64 / SECOND as f64)
    };
    changes.iter().map(tell).collect()
}

/// xorshift64*: the same numbers everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// From 0 to `limit - 1`.
    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 11) % limit
    }

    /// From 0 to 1.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }
}
