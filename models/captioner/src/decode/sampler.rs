//! The next token of a language model: its likeliest, or one drawn by chance.

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// 0 takes the likeliest always.
    pub temperature: f32,
    /// Drawn are the likeliest tokens that together have this probability.
    pub top_p: f32,
    /// Logits of tokens that stand in prompt or answer are divided by it where positive, multiplied where negative.
    pub repetition_penalty: f32,
    /// Where drawing begins.
    pub seed: u64,
}

impl Default for Sampling {
    /// Greedy.
    fn default() -> Self {
        Self { temperature: 0.0, top_p: 1.0, repetition_penalty: 1.0, seed: 0 }
    }
}

/// Chooses tokens; the same seed and logits give the same tokens.
#[derive(Debug, Clone)]
pub struct Sampler {
    sampling: Sampling,
    state: u64,
}

impl Sampler {
    /// A sampler at its seed.
    pub fn new(sampling: Sampling) -> Sampler {
        Sampler { sampling, state: sampling.seed }
    }

    /// The next token's id; `seen` are those of prompt and answer. `None` where no logit is a number.
    ///
    /// The logits are changed.
    pub fn next(&mut self, logits: &mut [f32], seen: &[u32]) -> Option<u32> {
        let penalty = self.sampling.repetition_penalty;
        if penalty != 1.0 {
            let mut seen = seen.to_vec();
            seen.sort_unstable();
            seen.dedup();
            for id in seen {
                if let Some(logit) = logits.get_mut(id as usize) {
                    *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
                }
            }
        }
        // The first of equals, as `argmax` of torch and NumPy.
        let (mut best, mut highest) = (None, f32::NEG_INFINITY);
        for (id, &logit) in logits.iter().enumerate() {
            if logit > highest {
                (best, highest) = (Some(id), logit);
            }
        }
        let best = u32::try_from(best?).ok()?;
        if self.sampling.temperature <= 0.0 || highest == f32::INFINITY {
            return Some(best);
        }
        self.draw(logits, highest).or(Some(best))
    }

    fn draw(&mut self, logits: &[f32], highest: f32) -> Option<u32> {
        let temperature = f64::from(self.sampling.temperature);
        let weight = |logit: f32| (f64::from(logit - highest) / temperature).exp();
        let mut weights: Vec<(usize, f64)> = logits
            .iter()
            .enumerate()
            .map(|(id, &logit)| (id, weight(logit)))
            .filter(|(_, w)| *w > 0.0)
            .collect();
        weights.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
        // The likeliest is always among them; one more is while those before it have not enough together.
        let enough = f64::from(self.sampling.top_p) * total;
        let mut reached = 0.0;
        let kept = weights.iter().take_while(|(_, weight)| {
            let wanted = reached < enough;
            reached += weight;
            wanted
        });
        let kept = kept.count().max(1);
        let kept = weights.get(..kept)?;
        let mass: f64 = kept.iter().map(|(_, weight)| weight).sum();
        let mut at = self.uniform() * mass;
        let drawn = kept.iter().find(|(_, weight)| {
            at -= weight;
            at < 0.0
        });
        drawn.or(kept.last()).and_then(|(id, _)| u32::try_from(*id).ok())
    }

    /// The next number in [0, 1), by SplitMix64.
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(sampling: Sampling, logits: &[f32], n: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling);
        (0..n).map(|_| sampler.next(&mut logits.to_vec(), &[]).unwrap()).collect()
    }

    #[test]
    fn greedy_takes_the_first_of_the_likeliest_and_no_token_where_nothing_is_a_number() {
        assert_eq!(drawn(Sampling::default(), &[0.0, 2.0, f32::NAN, 2.0], 3), [1, 1, 1]);
        assert_eq!(Sampler::new(Sampling::default()).next(&mut [f32::NAN; 3], &[]), None);
        assert_eq!(Sampler::new(Sampling::default()).next(&mut [], &[]), None);
    }

    #[test]
    fn a_seed_gives_the_same_tokens_in_the_frequencies_of_the_softmax() {
        let sampling = Sampling { temperature: 2.0, seed: 5, ..Sampling::default() };
        let logits = [0.0, 2.0 * 3f32.ln(), f32::NEG_INFINITY];
        let tokens = drawn(sampling, &logits, 20_000);
        assert_eq!(tokens, drawn(sampling, &logits, 20_000));
        assert_ne!(tokens, drawn(Sampling { seed: 6, ..sampling }, &logits, 20_000));
        let ones = tokens.iter().filter(|&&token| token == 1).count() as f64 / 20_000.0;
        assert!((ones - 0.75).abs() < 0.02, "{ones}");
        assert!(!tokens.contains(&2));
    }

    #[test]
    fn top_p_leaves_out_what_the_likeliest_do_not_need() {
        // Probabilities 0.5, 0.3, 0.2.
        let logits = [0.2f32.ln(), 0.5f32.ln(), 0.3f32.ln()];
        let kept = |top_p: f32| {
            let mut tokens =
                drawn(Sampling { temperature: 1.0, top_p, ..Sampling::default() }, &logits, 2000);
            tokens.sort_unstable();
            tokens.dedup();
            tokens
        };
        assert_eq!(kept(0.45), [1]);
        assert_eq!(kept(0.6), [1, 2]);
        assert_eq!(kept(1.0), [0, 1, 2]);
    }

    #[test]
    fn what_was_said_is_less_likely_whatever_its_sign_and_once() {
        let sampling = Sampling { repetition_penalty: 2.0, ..Sampling::default() };
        let mut logits = [3.0, -1.0, 2.0];
        assert_eq!(Sampler::new(sampling).next(&mut logits, &[0, 0, 1, 99]), Some(2));
        assert_eq!(logits, [1.5, -2.0, 2.0]);
    }
}
