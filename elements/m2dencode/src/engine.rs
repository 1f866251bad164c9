//! The seam between the element and whatever encodes.

use std::sync::Arc;
use std::time::Duration;

use listen_encoder::{Embedding, EncoderError, EncoderOptions, Heard, Plan, Repooler, WindowJob};
use listen_package::Package;
use listen_runtime::{Client, Limits, Model, RuntimeError, Stats, SubmitError, TrySubmitError};

/// An element's access to an engine: [`listen_runtime::Client`], whatever its model.
pub trait Windows: Send + Sync {
    /// Hands over a window if there is room for it now.
    ///
    /// # Errors
    /// There is none, and the window comes back.
    #[expect(clippy::result_large_err, reason = "the window itself comes back")]
    fn try_submit(&self, job: WindowJob, limits: Limits) -> Result<(), TrySubmitError<WindowJob>>;
    /// Hands over a window when there is room for it.
    ///
    /// # Errors
    /// It was flushed meanwhile.
    fn submit(&self, job: WindowJob, limits: Limits) -> Result<(), SubmitError>;
    /// What became of the oldest window that was handed over; `None` after `timeout`, or where nothing is under way any
    /// more: a flush that came before this call is not missed.
    fn recv_under_way(&self, timeout: Duration) -> Option<Result<Heard, RuntimeError>>;
    /// Cancels everything that was handed over.
    fn flush(&self) -> usize;
    /// Windows that the engine runs at the same time.
    fn workers(&self) -> usize;
    /// What the engine has done.
    fn stats(&self) -> Stats;
}

impl<M: Model<Input = WindowJob, Output = Embedding>> Windows for Client<M> {
    fn try_submit(&self, job: WindowJob, limits: Limits) -> Result<(), TrySubmitError<WindowJob>> {
        Client::try_submit(self, job, limits)
    }

    fn submit(&self, job: WindowJob, limits: Limits) -> Result<(), SubmitError> {
        Client::submit(self, job, limits)
    }

    fn recv_under_way(&self, timeout: Duration) -> Option<Result<Heard, RuntimeError>> {
        Some(Client::recv_under_way(self, timeout)?.map(Heard::Embedding))
    }

    fn flush(&self) -> usize {
        Client::flush(self)
    }

    fn workers(&self) -> usize {
        self.engine().workers()
    }

    fn stats(&self) -> Stats {
        self.engine().stats()
    }
}

impl Windows for Repooler {
    fn try_submit(&self, job: WindowJob, limits: Limits) -> Result<(), TrySubmitError<WindowJob>> {
        Repooler::try_submit(self, job, limits)
    }

    fn submit(&self, job: WindowJob, limits: Limits) -> Result<(), SubmitError> {
        Repooler::submit(self, job, limits)
    }

    fn recv_under_way(&self, timeout: Duration) -> Option<Result<Heard, RuntimeError>> {
        Repooler::recv_under_way(self, timeout)
    }

    fn flush(&self) -> usize {
        Repooler::flush(self)
    }

    fn workers(&self) -> usize {
        Repooler::workers(self)
    }

    fn stats(&self) -> Stats {
        Repooler::stats(self)
    }
}

/// Loads an engine; it may take minutes.
pub type Open =
    Arc<dyn Fn(&Arc<Package>, &EncoderOptions) -> Result<Arc<dyn Windows>, EncoderError> + Send + Sync>;

/// The process's engine for a package and options.
pub(crate) fn open(
    package: &Arc<Package>,
    options: &EncoderOptions,
) -> Result<Arc<dyn Windows>, EncoderError> {
    Ok(match Plan::new(package.manifest(), options)?.repools() {
        true => Arc::new(Repooler::open(package, options)?),
        false => Arc::new(listen_encoder::open(package, options)?.client()),
    })
}
