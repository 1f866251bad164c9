//! Log-mel features from a live stream of samples.
//!
//! Samples of one channel go in, frames come out, and the frame index is the only notion of time: nothing here knows
//! about GStreamer, clocks or models. Frames are those of the batch formula (models.md 1.1) in float64, rounded to
//! float32 once at the end, and they do not depend on how the stream was cut: each frame is transformed by itself,
//! always by the same arithmetic, so any chunking gives the same bits on one machine (the transform's last bits differ
//! between processors, far below float32's).
//!
//! ```
//! use listen_features::{FrontEnd, LogMel, log_mel};
//!
//! let front_end = FrontEnd::m2d_16k();
//! let samples: Vec<f32> = (0..16_000).map(|n| (n as f32 * 0.17).sin()).collect();
//!
//! let mut mel = LogMel::new(&front_end)?;
//! let mut frames = Vec::new();
//! for chunk in samples.chunks(441) {
//!     mel.push(chunk, |frame| frames.extend_from_slice(frame));
//! }
//! assert_eq!(frames.len(), 99 * 80); // a frame is given as soon as its samples are there
//! mel.finish(|frame| frames.extend_from_slice(frame));
//!
//! assert_eq!(frames.len() as u64, front_end.frames_in(16_000) * 80);
//! assert_eq!(frames, log_mel(&front_end, &samples)?);
//! # Ok::<(), listen_features::FrontEndError>(())
//! ```
//!
//! * [`LogMel`]: the continuous stream (`edge=rolling`), [`log_mel`]: a whole recording at once.
//! * [`ExactWindows`]: windows whose frames are those of the window cut out of the recording (`edge=exact`).
//! * [`FrontEnd`]: every number that frames depend on, with those of published models as presets.
//! * [`Plain`]: samples as they are, for models that have their front end inside.
//! * [`Conditioning`]: what a model wants done to samples before.
//! * [`Level`]: how loud a window of frames is; [`silence_value`]: the frames' value for digital silence.
//! * [`Strengths`]: how strongly sound begins and ends at each frame.
mod analysis;
mod bank;
mod condition;
mod error;
mod exact;
mod exp;
mod filterbank;
mod front_end;
mod level;
mod ln;
mod plain;
mod preset;
mod samples;
mod stream;
mod strength;

pub use bank::Bank;
pub use condition::{Conditioning, from_s16le};
pub use error::FrontEndError;
pub use exact::{ExactWindows, Fill};
pub use filterbank::{Filterbank, hz_to_mel, mel_to_hz};
pub use front_end::{FrontEnd, Log, MelNorm, MelScale, PadMode, Spectrum, TriangleDomain, Window};
pub use level::{Level, silence_value};
pub use plain::Plain;
pub use stream::{LogMel, log_mel};
pub use strength::{Strength, Strengths};
