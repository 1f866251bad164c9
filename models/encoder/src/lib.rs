//! Log-mel frames to windows to embeddings.
//!
//! A [`Plan`] is what a package makes of the user's options. A [`WindowStream`] belongs to one stream: it cuts its frames
//! into windows, measures their level, normalises and pads them, and gives [`WindowJob`]s. [`open`] gives the engine that
//! all streams share: its [`EncoderModel`]s make an [`Embedding`] of each job, the same whatever else is in the batch.
//!
//! Nothing here knows about GStreamer, clocks or labels: the frame index is the only notion of time. Frames are counted
//! from the start of the stream (its last reset); where the front end is in the graph, frames are samples.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use listen_encoder::{EncoderOptions, Plan, WindowStream, open};
//! use listen_package::Package;
//! use listen_runtime::Limits;
//!
//! let package = Package::open("clap2025.pkg".as_ref(), true)?;
//! let options = EncoderOptions { hop_frames: Some(50), ..Default::default() };
//! let plan = Plan::new(package.manifest(), &options)?;
//! let client = open(&package, &options)?.client();
//! let mut stream = WindowStream::new(package.manifest(), &plan)?;
//!
//! # let frames = [0.0; 80];
//! stream.push(&frames, |job| {
//!     let _ = client.submit(job, Limits::default());
//! });
//! if let Some(Ok(embedding)) = client.recv_timeout(Duration::from_secs(1)) {
//!     println!("frame {}: {} dB, {:?}", embedding.start_frame, embedding.level_db, embedding.data);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Whoever keeps the frames himself (m2dencode has them in a ring) asks [`WindowGrid`] which windows are whole, takes one
//! out, and has a [`Preparer`] make the job.
//!
//! # In chunks
//! A package may promise that its time steps see no further than some context on either side (`streaming`). Then a stream is
//! encoded in chunks with those contexts, each frame once ([`WindowMode`]), and the time steps are those of the encoder run on
//! the whole stream, within 1e-5: kernels may add in another order for another length.
//! With `output=frames` or `tokens` each chunk gives its own steps. With `output=clip` a window of any number of steps is
//! pooled from the steps of its chunks, which a [`Repooler`] keeps. Beyond the stream's start and end there is no
//! context: the graph is run on the frames that there are, so that its own padding stands where it stands when it is run on
//! the whole. Only a length that the graph does not take is filled, behind the last frame.
//!
//! A package's graph may carry over what it has heard (`streaming.carry`): then each frame goes through it once, and only a
//! chunk that follows on one that was not encoded has its contexts encoded with it. For the same bits each time hand over one
//! job of a stream at a time: one that is encoded before the job before it has begun cannot know what that leaves.
//!
//! # What is given when
//! The stream's last window is given at its end when it holds a frame that no earlier window covered, or, with
//! `output=frames` or `tokens`, a time step that no earlier window gave. It is padded as [`Preparer`] says; time steps that
//! stand on padding alone are not given. Which time steps a window gives: [`StepGrid`].
mod carry;
mod chunk;
mod chunk_stream;
mod cutter;
mod error;
mod graphs;
mod grid;
mod model;
mod normalize;
mod open;
mod options;
mod plan;
mod prepare;
mod quickest;
mod recipe;
mod repool;
mod self_test;
mod tensor;
mod window_stream;

pub use carry::carries_over;
pub use chunk::ChunkGrid;
pub use cutter::{Window, WindowCutter};
pub use error::EncoderError;
pub use grid::{StepGrid, WindowGrid};
pub use model::{Embedding, EncoderModel};
pub use normalize::{Normalizer, Statistics};
pub use open::open;
pub use options::{EncoderOptions, WindowMode};
pub use plan::Plan;
pub use prepare::{Preparer, WindowJob};
pub use quickest::{MIN_COSINE, quickest};
pub use repool::{Heard, Repooler};
pub use window_stream::WindowStream;
