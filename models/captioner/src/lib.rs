//! Evidence to sentences, and answers to questions about it.
//!
//! [`Evidence`] keeps what was heard; a [`Scene`] is what of it a [`Request`] is about; a [`Captioner`] makes a
//! [`Reply`] of it. Three do: [`Template`] by rules, [`Local`] by a decoder in the model package, and [`Http`] by a server. Nothing here knows
//! GStreamer, and the evidence reads no clock: times are the stream's, and given.
//!
//! ```
//! use listen_captioner::{Cancel, Captioner, Evidence, Limits, Request, Sound, Template};
//!
//! let second = 1_000_000_000;
//! let mut evidence = Evidence::new(Limits::default());
//! evidence.begin(0);
//! for (id, label, onset, offset) in [(1, "dog barking", 2, 3), (2, "dog barking", 5, 6), (3, "glass breaking", 8, 9)] {
//!     evidence.hear(Sound {
//!         id,
//!         label: label.to_owned(),
//!         peak: 0.9,
//!         onset: onset * second,
//!         offset: Some(offset * second),
//!         ..Sound::default()
//!     });
//! }
//! evidence.advance(70 * second);
//!
//! let mut template = Template::or_english("en");
//! let caption = Request::caption(evidence.between(0, 10 * second));
//! let reply = template.reply(&caption, &Cancel::new(), &mut |_| {})?;
//! assert_eq!(reply.text, "You can hear a dog barking twice, then glass breaking.");
//!
//! let question = Request::answer(evidence.recent(600 * second), "How many dogs were there?");
//! let reply = template.reply(&question, &Cancel::new(), &mut |_| {})?;
//! assert_eq!(reply.text, "I heard a dog barking twice in the 70 seconds since I began to listen.");
//! # Ok::<(), listen_captioner::CaptionError>(())
//! ```

mod answer;
mod cancel;
mod catalogue;
mod clean;
pub mod decode;
mod error;
mod evidence;
mod guard;
mod http;
mod local;
mod options;
mod prompt;
mod request;
mod template;
mod words;

pub use answer::{Facts, KindFacts, MomentFacts};
pub use cancel::Cancel;
pub use catalogue::{Catalogue, CatalogueError, languages};
pub use error::CaptionError;
pub use evidence::{
    Counts, Embedding, Evidence, Label, Labels, Limits, LineError, MAX_LINE, MAX_NAME, MinEvidence, Said,
    Scene, Sound,
};
pub use guard::{Breaker, Guard};
pub use http::{Http, HttpError, HttpOptions, KeySource};
pub use listen_runtime::Provider;
pub use local::{Local, LocalError, LocalOptions};
pub use options::{MAX_PROMPT, MAX_TOKENS, Options};
pub use prompt::{MAX_EVIDENCE, MAX_QUESTION, Prompt, PromptTemplate};
pub use request::{Backend, Captioner, Finish, Notice, Progress, Reply, Request, Task};
pub use template::Template;

/// The evidence of a scene as small decoders are trained on it: labels and times alone, as EVIDENCE.md describes it.
pub fn compact_evidence(scene: &Scene, language: &str) -> String {
    evidence::compact::evidence(scene, language)
}

/// Longest text of a reply, in bytes.
pub const MAX_TEXT: usize = 4096;
