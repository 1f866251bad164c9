//! Token after token, by a decoder that remembers what it was fed.
//!
//! The loop of a local language model: it knows neither graphs nor text. A [`Decoder`] is fed each position once.

mod sampler;

pub use sampler::{Sampler, Sampling};

use crate::cancel::Cancel;
use crate::error::CaptionError;
use crate::request::Finish;

/// A decoder with a cache of what it was fed.
pub trait Decoder {
    /// Feeds token ids behind what was fed before, and gives the logits of the token that comes next.
    ///
    /// # Errors
    /// It cannot compute them.
    fn feed(&mut self, ids: &[u32]) -> Result<Vec<f32>, CaptionError>;
}

/// Where an answer ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// Most tokens.
    pub max_tokens: usize,
    /// Tokens that end it; they are no part of it.
    pub stop: Vec<u32>,
}

/// Decodes an answer behind a prompt: `logits` are what its last position gave, `prompt` its ids.
///
/// Each token is fed once and `told` when it is chosen, so that a step costs the same however much was said. The last one
/// is not fed, as nothing comes behind it.
///
/// # Errors
/// [`CaptionError::Cancelled`] before the next step once it was given up; those of the decoder;
/// [`CaptionError::NoToken`] where no logit is a number.
pub fn generate(
    decoder: &mut impl Decoder,
    mut logits: Vec<f32>,
    prompt: &[u32],
    sampling: Sampling,
    ends: &Ends,
    cancel: &Cancel,
    mut told: impl FnMut(u32),
) -> Result<(Vec<u32>, Finish), CaptionError> {
    let mut sampler = Sampler::new(sampling);
    let mut seen = prompt.to_vec();
    while seen.len() - prompt.len() < ends.max_tokens {
        if cancel.is_cancelled() {
            return Err(CaptionError::Cancelled);
        }
        let next = sampler.next(&mut logits, &seen).ok_or(CaptionError::NoToken)?;
        if ends.stop.contains(&next) {
            return Ok((seen.split_off(prompt.len()), Finish::Stop));
        }
        seen.push(next);
        told(next);
        if seen.len() - prompt.len() < ends.max_tokens {
            logits = decoder.feed(&[next])?;
        }
    }
    Ok((seen.split_off(prompt.len()), Finish::Length))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts upwards from what it is fed last, and how many positions it was fed.
    struct Counting {
        fed: Vec<usize>,
    }

    fn after(id: u32) -> Vec<f32> {
        (0..100).map(|other| if other == id + 1 { 5.0 } else { 0.0 }).collect()
    }

    impl Decoder for Counting {
        fn feed(&mut self, ids: &[u32]) -> Result<Vec<f32>, CaptionError> {
            self.fed.push(ids.len());
            Ok(after(*ids.last().unwrap()))
        }
    }

    fn run(max_tokens: usize, stop: &[u32]) -> (Vec<u32>, Finish, Vec<usize>) {
        let mut decoder = Counting { fed: Vec::new() };
        let ends = Ends { max_tokens, stop: stop.to_vec() };
        let (ids, finish) =
            generate(&mut decoder, after(9), &[8, 9], Sampling::default(), &ends, &Cancel::new(), |_| {})
                .unwrap();
        (ids, finish, decoder.fed)
    }

    #[test]
    fn every_token_is_fed_once_however_long_the_answer() {
        let (ids, finish, fed) = run(50, &[]);
        assert_eq!(ids, (10..60).collect::<Vec<_>>());
        assert_eq!(finish, Finish::Length);
        assert_eq!(fed, [1; 49], "one position a step, and none behind the last");
    }

    #[test]
    fn a_stop_token_ends_the_answer_and_is_no_part_of_it() {
        let (ids, finish, fed) = run(50, &[77, 13]);
        assert_eq!((ids.as_slice(), finish, fed.len()), (&[10, 11, 12][..], Finish::Stop, 3));
    }

    #[test]
    fn giving_up_ends_it_before_the_next_step() {
        let cancel = Cancel::new();
        let mut decoder = Counting { fed: Vec::new() };
        let ends = Ends { max_tokens: 50, stop: Vec::new() };
        let mut said = 0;
        let done = generate(&mut decoder, after(9), &[], Sampling::default(), &ends, &cancel, |_| {
            said += 1;
            if said == 3 {
                cancel.cancel();
            }
        });
        assert!(done.is_err_and(|e| e.is_cancelled()));
        assert_eq!((said, decoder.fed.len()), (3, 3));
    }
}
