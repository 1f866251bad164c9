//! How texts are made: what all backends understand.

use crate::error::CaptionError;
use crate::prompt::PromptTemplate;

/// Most tokens that may be asked for.
pub const MAX_TOKENS: u32 = 4096;
/// Longest system prompt or prompt template, in bytes.
pub const MAX_PROMPT: usize = 64 << 10;

/// How texts are made. `None` is the backend's, or the package's, own.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The language of the text (`en`, `de`, `pt-BR`, …), and of the labels' names in it.
    pub language: String,
    /// What a language model is told about its task. It may hold `{language}`.
    pub system_prompt: Option<String>,
    /// What it is told of a scene; see [`PromptTemplate`]. One that holds `{question}` is for answers, one that does not for
    /// captions; for the other task there is the built-in one.
    pub prompt_template: Option<String>,
    /// Longest text in tokens: 1 to [`MAX_TOKENS`].
    pub max_tokens: Option<u32>,
    /// 0 takes the likeliest token always; up to 2.
    pub temperature: Option<f32>,
    /// Tokens are drawn from the likeliest that together have this probability: above 0, at most 1.
    pub top_p: Option<f32>,
    /// Above 1 makes tokens that were said less likely; above 0, at most 10. `local` only.
    pub repetition_penalty: Option<f32>,
    /// Where drawing begins: the same seed, evidence and machine give the same text.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            language: "en".to_owned(),
            system_prompt: None,
            prompt_template: None,
            max_tokens: None,
            temperature: None,
            top_p: None,
            repetition_penalty: None,
            seed: None,
        }
    }
}

impl Options {
    /// Whether every value is possible.
    ///
    /// # Errors
    /// [`CaptionError::Option`] with the first that is not, what it must be and what it is.
    pub fn check(&self) -> Result<(), CaptionError> {
        let option = |name, holds: bool, expected: &str, found: String| match holds {
            true => Ok(()),
            false => Err(CaptionError::Option { name, expected: expected.to_owned(), found }),
        };
        let tag = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let language = &self.language;
        option(
            "language",
            (2..=35).contains(&language.len()) && language.chars().all(tag),
            "a language tag as `en` or `pt-BR`",
            format!("{language:?}"),
        )?;
        let range = |name, value: Option<f32>, lowest: f32, highest: f32, expected: &str| match value {
            Some(value) => option(name, value >= lowest && value <= highest, expected, value.to_string()),
            None => Ok(()),
        };
        if let Some(tokens) = self.max_tokens {
            let expected = "1 to 4096";
            option("max-tokens", (1..=MAX_TOKENS).contains(&tokens), expected, tokens.to_string())?;
        }
        range("temperature", self.temperature, 0.0, 2.0, "0 to 2")?;
        range("top-p", self.top_p, f32::MIN_POSITIVE, 1.0, "above 0, at most 1")?;
        range("repetition-penalty", self.repetition_penalty, f32::MIN_POSITIVE, 10.0, "above 0, at most 10")?;
        if let Some(system) = &self.system_prompt {
            PromptTemplate::parse("system-prompt", system, &["language"])?;
        }
        if let Some(prompt) = &self.prompt_template {
            PromptTemplate::of_prompt(prompt)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_possible_is_refused_with_both_sides() {
        let cases = [
            (
                Options { language: "e".into(), ..Options::default() },
                "language must be a language tag as `en` or `pt-BR`, found \"e\"",
            ),
            (
                Options { language: "en\nignore".into(), ..Options::default() },
                "language must be a language tag as `en` or `pt-BR`, found \"en\\nignore\"",
            ),
            (Options { max_tokens: Some(0), ..Options::default() }, "max-tokens must be 1 to 4096, found 0"),
            (
                Options { temperature: Some(f32::NAN), ..Options::default() },
                "temperature must be 0 to 2, found NaN",
            ),
            (Options { top_p: Some(0.0), ..Options::default() }, "top-p must be above 0, at most 1, found 0"),
            (
                Options { repetition_penalty: Some(-1.0), ..Options::default() },
                "repetition-penalty must be above 0, at most 10, found -1",
            ),
            (
                Options { prompt_template: Some("{evidnce}".into()), ..Options::default() },
                "prompt-template must be text with {evidence}, {facts}, {question}, {language} or {now} in it (a brace is written twice), found \"{evidnce}\"",
            ),
            (
                Options { system_prompt: Some("{evidence}".into()), ..Options::default() },
                "system-prompt must be text with {language} in it (a brace is written twice), found \"{evidence}\"",
            ),
        ];
        for (options, expected) in cases {
            assert_eq!(options.check().map_err(|e| e.to_string()), Err(expected.to_owned()));
        }
        assert!(Options::default().check().is_ok());
    }
}
