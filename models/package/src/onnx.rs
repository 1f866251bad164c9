//! Where an ONNX graph has its weights: as much of the file's protobuf as that takes (onnx.proto 1.2 and later).
//!
//! Tensors stand in many places of a model: initializers, constants of nodes, the bodies of `If` and `Loop`, functions.
//! What is large is skipped, not read.

use std::collections::BTreeSet;
use std::io::{self, BufRead, ErrorKind, Seek};

/// Messages in messages; protobuf itself reads 100.
const DEEPEST: u32 = 100;
/// Longest key or location that is read; of a longer one the beginning.
const LONGEST: u64 = 4_096;

/// The messages on the way to a tensor's external data, named without `Proto`.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Model,
    Training,
    Function,
    Graph,
    Node,
    Attribute,
    Tensor,
    Sparse,
}

impl Kind {
    /// The message that a field holds, if it may lead to a tensor.
    fn inside(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Model, 7) | (Self::Training, 1 | 2) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Model, 20) => Self::Training,
            (Self::Model, 25) => Self::Function,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Node, 5) | (Self::Function, 11) => Self::Attribute,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::Sparse, 1 | 2) => Self::Tensor,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::Sparse,
            _ => return None,
        })
    }
}

/// The field of a tensor that holds an entry of its external data.
const EXTERNAL_DATA: u64 = 13;

/// The files that the tensors of an ONNX model name as external data, as they name them.
///
/// A file that is no model names what it names as far as it can be read: who loads it says what is wrong with it.
///
/// # Errors
/// It cannot be read.
pub(crate) fn external_data(file: impl BufRead + Seek) -> io::Result<BTreeSet<String>> {
    let mut scan = Scan { file, at: 0, found: BTreeSet::new() };
    match scan.message(Kind::Model, u64::MAX, 0) {
        Err(Stop::Unreadable(error)) => Err(error),
        Ok(()) | Err(Stop::Malformed) => Ok(scan.found),
    }
}

enum Stop {
    Malformed,
    Unreadable(io::Error),
}

struct Scan<F> {
    file: F,
    at: u64,
    found: BTreeSet<String>,
}

impl<F: BufRead + Seek> Scan<F> {
    /// Reads the fields of a message up to `end`; the outermost one ends with the file.
    fn message(&mut self, kind: Kind, end: u64, depth: u32) -> Result<(), Stop> {
        while self.at < end && !(depth == 0 && self.at_end()?) {
            let (field, wire) = self.tag()?;
            match (wire, kind.inside(field)) {
                (2, Some(inside)) => {
                    let end = self.length(end)?;
                    if depth == DEEPEST {
                        return Err(Stop::Malformed);
                    }
                    self.message(inside, end, depth + 1)?;
                }
                (2, None) if kind == Kind::Tensor && field == EXTERNAL_DATA => {
                    let end = self.length(end)?;
                    self.entry(end)?;
                }
                _ => self.skip(field, wire, end, depth)?,
            }
        }
        if self.at == end || depth == 0 { Ok(()) } else { Err(Stop::Malformed) }
    }

    /// Reads a pair of key and value; of each the last counts.
    fn entry(&mut self, end: u64) -> Result<(), Stop> {
        let (mut key, mut value) = (String::new(), String::new());
        while self.at < end {
            match self.tag()? {
                (1, 2) => key = self.text(end)?,
                (2, 2) => value = self.text(end)?,
                (field, wire) => self.skip(field, wire, end, 0)?,
            }
        }
        if key == "location" {
            self.found.insert(value);
        }
        Ok(())
    }

    fn text(&mut self, end: u64) -> Result<String, Stop> {
        let end = self.length(end)?;
        let mut bytes = Vec::new();
        for _ in 0..(end - self.at).min(LONGEST) {
            bytes.push(self.byte()?);
        }
        self.move_to(end)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn skip(&mut self, field: u64, wire: u64, end: u64, depth: u32) -> Result<(), Stop> {
        match wire {
            0 => self.varint().map(drop),
            1 => self.move_within(8, end),
            2 => {
                let end = self.length(end)?;
                self.move_to(end)
            }
            3 => self.group(field, end, depth),
            5 => self.move_within(4, end),
            _ => Err(Stop::Malformed),
        }
    }

    /// Skips an unknown group: protobuf does the same.
    fn group(&mut self, started: u64, end: u64, depth: u32) -> Result<(), Stop> {
        if depth == DEEPEST {
            return Err(Stop::Malformed);
        }
        loop {
            match self.tag()? {
                (field, 4) if field == started => return Ok(()),
                (_, 4) => return Err(Stop::Malformed),
                (field, wire) => self.skip(field, wire, end, depth + 1)?,
            }
        }
    }

    fn tag(&mut self) -> Result<(u64, u64), Stop> {
        let tag = self.varint()?;
        if tag >> 3 == 0 { Err(Stop::Malformed) } else { Ok((tag >> 3, tag & 7)) }
    }

    /// Where what is so long ends; not behind `end`.
    fn length(&mut self, end: u64) -> Result<u64, Stop> {
        let length = self.varint()?;
        self.at.checked_add(length).filter(|&inner| inner <= end).ok_or(Stop::Malformed)
    }

    fn varint(&mut self) -> Result<u64, Stop> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Stop::Malformed)
    }

    fn byte(&mut self) -> Result<u8, Stop> {
        let byte = *self.fill()?.first().ok_or(Stop::Malformed)?;
        self.file.consume(1);
        self.at += 1;
        Ok(byte)
    }

    fn at_end(&mut self) -> Result<bool, Stop> {
        Ok(self.fill()?.is_empty())
    }

    fn fill(&mut self) -> Result<&[u8], Stop> {
        while let Err(error) = self.file.fill_buf() {
            if error.kind() != ErrorKind::Interrupted {
                return Err(Stop::Unreadable(error));
            }
        }
        self.file.fill_buf().map_err(Stop::Unreadable)
    }

    fn move_within(&mut self, by: u64, end: u64) -> Result<(), Stop> {
        self.move_to(self.at.checked_add(by).filter(|&to| to <= end).ok_or(Stop::Malformed)?)
    }

    /// It may lead behind the file's end, where the next read fails.
    fn move_to(&mut self, to: u64) -> Result<(), Stop> {
        let by = i64::try_from(to - self.at).map_err(|_| Stop::Malformed)?;
        self.file.seek_relative(by).map_err(Stop::Unreadable)?;
        self.at = to;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    fn field(number: u64, inside: &[u8]) -> Vec<u8> {
        [&varint(number << 3 | 2), &varint(inside.len() as u64), inside].concat()
    }

    /// A tensor with raw data, a name and external data.
    fn tensor(location: &str) -> Vec<u8> {
        let entry = |key: &str, value: &str| {
            field(13, &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat())
        };
        let parts = [
            vec![8, 3],
            field(8, b"weights"),
            field(9, &[7; 300]),
            entry("offset", "0"),
            entry("location", location),
            vec![14 << 3, 1],
        ];
        parts.concat()
    }

    fn found(model: &[u8]) -> Vec<String> {
        external_data(Cursor::new(model)).unwrap().into_iter().collect()
    }

    #[test]
    fn external_data_is_found_wherever_a_tensor_may_stand() {
        let node = |attribute: &[u8]| field(1, &field(5, attribute));
        let graph = |inside: &[u8]| field(7, inside);
        let t = tensor("there");
        let places = [
            graph(&field(5, &t)),
            graph(&field(15, &field(1, &t))),
            graph(&field(15, &field(2, &t))),
            graph(&node(&field(5, &t))),
            graph(&node(&field(10, &t))),
            graph(&node(&field(22, &field(1, &t)))),
            graph(&node(&field(23, &field(2, &t)))),
            // The bodies of If, and of something with several.
            graph(&node(&field(6, &field(5, &t)))),
            graph(&node(&field(11, &node(&field(6, &field(5, &t)))))),
            field(20, &field(1, &field(5, &t))),
            field(20, &field(2, &field(5, &t))),
            field(25, &field(7, &field(5, &field(5, &t)))),
            field(25, &field(11, &field(5, &t))),
            // Behind fields of every other kind, a group among them.
            [
                vec![8, 8],
                vec![0x99, 6],
                vec![1; 8],
                vec![0x9d, 6],
                vec![1; 4],
                vec![0xab, 6, 8, 1, 0xac, 6],
                graph(&field(5, &t)),
            ]
            .concat(),
        ];
        for (number, place) in places.iter().enumerate() {
            assert_eq!(found(place), ["there"], "place {number}");
        }
        let two = [graph(&field(5, &tensor("b"))), graph(&field(5, &tensor("a")))].concat();
        assert_eq!(found(&two), ["a", "b"]);
    }

    #[test]
    fn no_bytes_are_a_panic_and_what_is_cut_short_names_what_it_has() {
        let whole = [field(7, &field(5, &tensor("one"))), field(7, &field(5, &tensor("two")))].concat();
        for end in 0..whole.len() {
            let expected: &[&str] = if end < whole.len() / 2 { &[] } else { &["one"] };
            assert!(found(&whole[..end]).iter().take(1).all(|first| first == "one"), "{end}");
            assert!(found(&whole[..end]).len() >= expected.len(), "{end}");
        }
        let mut state = 1_u32;
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..4 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let at = (state >> 16) as usize % bytes.len();
                bytes[at] = state as u8;
            }
            found(&bytes);
        }
        // Bodies in bodies: as deep as protobuf reads, and no deeper.
        let mut deep = field(5, &tensor("deep"));
        for _ in 0..200 {
            deep = field(1, &field(5, &field(6, &deep)));
        }
        assert!(found(&field(7, &deep)).is_empty());
        assert_eq!(found(&field(7, &field(5, &tensor(&"x".repeat(9_000)))))[0].len(), 4_096);
    }
}
