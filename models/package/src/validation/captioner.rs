//! The decoder of captions: sizes, places of the prompt, tokens.

use std::collections::HashSet;

use super::{Check, MAX_DIM, must, named, within, word};
use crate::{CaptionDecoder, Captioner, EncoderKind, Manifest, Output, Projector};

/// Most layers of a decoder.
const MAX_LAYERS: u32 = 1 << 10;
/// Most positions of a decoder.
const MAX_POSITIONS: u32 = 1 << 22;
/// Most values of the cache at its longest (8 GiB as float32).
const MAX_CACHE: u64 = 1 << 31;
/// Most tokens of an answer, as `llmcaption` asks for them.
const MAX_TOKENS: u32 = 4096;
/// Longest prompt, in bytes.
const MAX_PROMPT: usize = 64 << 10;

impl Manifest {
    pub(super) fn check_captioner(&self) -> Check {
        let Some(captioner) = &self.captioner else { return Ok(()) };
        check_decoder(&captioner.decoder)?;
        named("captioner.embed_tokens.input", &captioner.embed_tokens.input)?;
        named("captioner.embed_tokens.output", &captioner.embed_tokens.output)?;
        if let Some(projector) = &captioner.projector {
            self.check_projector(projector, &captioner.decoder)?;
        }
        check_prompt(captioner)?;
        check_tokens(captioner)?;
        check_sampling(captioner)
    }

    fn check_projector(&self, projector: &Projector, decoder: &CaptionDecoder) -> Check {
        named("captioner.projector.input", &projector.input)?;
        named("captioner.projector.output", &projector.output)?;
        let kind = self.encoder.output.kind;
        let given = match projector.takes {
            Output::Clip => true,
            Output::Frames => matches!(kind, EncoderKind::Tokens | EncoderKind::Frames),
            Output::Tokens => kind == EncoderKind::Tokens,
        };
        let expected = format_args!("what an encoder of kind {} gives", word(kind));
        must(given, "captioner.projector.takes", expected, word(projector.takes))?;
        let most = decoder.max_positions;
        within("captioner.projector.prefix", 1, most, projector.prefix)?;
        within("captioner.projector.max_windows", 1, most, projector.max_windows)?;
        let positions = u64::from(projector.prefix) * u64::from(projector.max_windows);
        must(
            positions < u64::from(most),
            "captioner.projector.max_windows",
            format_args!(
                "windows whose `prefix` vectors leave room in `captioner.decoder.max_positions` ({most})"
            ),
            format_args!("{} of {} vectors each", projector.max_windows, projector.prefix),
        )
    }
}

fn check_decoder(decoder: &CaptionDecoder) -> Check {
    within("captioner.decoder.layers", 1, MAX_LAYERS, decoder.layers)?;
    within("captioner.decoder.kv_heads", 1, MAX_DIM, decoder.kv_heads)?;
    within("captioner.decoder.head_dim", 1, MAX_DIM, decoder.head_dim)?;
    within("captioner.decoder.hidden", 1, MAX_DIM, decoder.hidden)?;
    within("captioner.decoder.vocab", 2, MAX_POSITIONS, decoder.vocab)?;
    within("captioner.decoder.max_positions", 2, MAX_POSITIONS, decoder.max_positions)?;
    let sizes = [2, decoder.layers, decoder.kv_heads, decoder.head_dim, decoder.max_positions];
    let cache = sizes.iter().fold(1_u64, |product, &size| product.saturating_mul(size.into()));
    must(
        cache <= MAX_CACHE,
        "captioner.decoder.max_positions",
        format_args!("a number whose keys and values are at most {MAX_CACHE}"),
        format_args!("{} ({cache} keys and values)", decoder.max_positions),
    )
}

fn check_prompt(captioner: &Captioner) -> Check {
    let (key, prompt) = ("captioner.prompt", &captioner.prompt);
    must(prompt.len() <= MAX_PROMPT, key, format_args!("at most {MAX_PROMPT} bytes"), prompt.len())?;
    let places = |place: &str| prompt.matches(place).count();
    let found = |place: &str| format!("{} in {prompt:?}", places(place));
    must(places("{prompt}") == 1, key, "text with one `{prompt}`", found("{prompt}"))?;
    must(places("{system}") <= 1, key, "text with at most one `{system}`", found("{system}"))?;
    let (wanted, why) = match captioner.projector {
        Some(_) => (1, "is a projector"),
        None => (0, "is no projector"),
    };
    let expected = format_args!("text with {wanted} `{{audio}}`, as there {why}");
    must(places("{audio}") == wanted, key, expected, found("{audio}"))
}

fn check_tokens(captioner: &Captioner) -> Check {
    let vocab = captioner.decoder.vocab;
    let known = |key: &str, ids: &[u32]| {
        ids.iter().enumerate().try_for_each(|(i, &id)| {
            let expected = format_args!("below `captioner.decoder.vocab` ({vocab})");
            must(id < vocab, format_args!("{key}[{i}]"), expected, id)
        })
    };
    known("captioner.begin", &captioner.begin)?;
    must(!captioner.stop.is_empty(), "captioner.stop", "at least one token", "none")?;
    known("captioner.stop", &captioner.stop)?;
    let mut seen = HashSet::new();
    for (i, id) in captioner.stop.iter().enumerate() {
        let expected = "another than those before it";
        must(seen.insert(id), format_args!("captioner.stop[{i}]"), expected, id)?;
    }
    let Some(test) = &captioner.self_test else { return Ok(()) };
    must(!test.tokens.is_empty(), "captioner.self_test.tokens", "at least one token", "none")?;
    known("captioner.self_test.tokens", &test.tokens)?;
    for (i, id) in test.tokens.iter().enumerate() {
        let key = format_args!("captioner.self_test.tokens[{i}]");
        must(!captioner.stop.contains(id), key, "none of `captioner.stop`", id)?;
    }
    Ok(())
}

fn check_sampling(captioner: &Captioner) -> Check {
    let most = MAX_TOKENS.min(captioner.decoder.max_positions);
    within("captioner.max_tokens", 1, most, captioner.max_tokens)?;
    let (temperature, top_p) = (captioner.temperature, captioner.top_p);
    must((0.0..=2.0).contains(&temperature), "captioner.temperature", "0 to 2", temperature)?;
    must(top_p > 0.0 && top_p <= 1.0, "captioner.top_p", "above 0, at most 1", top_p)?;
    let penalty = captioner.repetition_penalty;
    must(penalty > 0.0 && penalty <= 10.0, "captioner.repetition_penalty", "above 0, at most 10", penalty)
}
