//! ONNX Runtime sessions, and the engine by which all streams of a process share them.
//!
//! This is the only crate that names ONNX Runtime. The library is opened when the first graph is loaded, from the
//! first of the places that [`library`] lists, and never let go.
//!
//! Two floors stand in it. Below, a [`Session`] is a loaded graph that one thread runs at a time, on one execution
//! [`Provider`]; sessions of one engine share their weights ([`SharedWeights`]). Above, an [`Engine`] owns a few
//! workers with a [`Model`] each and takes windows from any number of [`Client`]s; [`shared`] gives everybody who
//! asks for the same thing the same engine.
//!
//! ```no_run
//! use listen_runtime::{GraphSource, Session, SessionOptions, TensorRef};
//!
//! # fn main() -> Result<(), listen_runtime::RuntimeError> {
//! let graph = GraphSource::Path("encoder.onnx".as_ref());
//! let mut session = Session::load(&graph, &SessionOptions::default())?;
//! let window = vec![0.0; 80 * 608];
//! let mel = TensorRef::f32(&[1, 1, 80, 608], &window)?;
//! let tokens = session.run(&[("mel", mel)], &["tokens"])?.swap_remove(0);
//! println!("{:?} on {}", tokens.shape, session.provider());
//! # Ok(())
//! # }
//! ```

mod call;
mod engine;
mod environment;
mod error;
mod exit;
pub mod library;
mod options;
mod provider;
mod quickest;
mod session;
mod tensor;
mod value;

pub use engine::{Client, Engine, EngineOptions, Limits, Model, Stats, SubmitError, TrySubmitError, shared};
pub use environment::{LogLevel, Logger, set_log_level, set_logger, version};
pub use error::{RuntimeError, Side};
pub use library::{LibraryError, set_library_path};
pub use options::{GraphSource, Optimization, SessionOptions, SharedWeights};
pub use provider::{Precision, Provider, UnknownProvider};
pub use quickest::{Run, measured};
pub use session::{Port, Session};
pub use tensor::{ElementType, Tensor, TensorData, TensorRef};
pub use value::{Argument, Value};
