//! One stream from frames to jobs, whole windows or chunks.

use listen_package::Manifest;

use crate::chunk_stream::ChunkStream;
use crate::prepare::{Preparer, WindowJob};
use crate::{EncoderError, Plan, WindowCutter, WindowGrid};

/// One stream from frames to jobs: a cutter and what prepares its windows.
#[derive(Debug)]
pub struct WindowStream {
    cut: Cut,
    preparer: Preparer,
}

#[derive(Debug)]
enum Cut {
    Whole(WindowCutter),
    Chunks(Box<ChunkStream>),
}

impl WindowStream {
    /// For one stream of windows as `plan` has them.
    ///
    /// # Errors
    /// A front end that cannot be built.
    pub fn new(manifest: &Manifest, plan: &Plan) -> Result<Self, EncoderError> {
        let preparer = Preparer::new(manifest, plan)?;
        let cut = match plan.chunks {
            Some(chunks) => Cut::Chunks(Box::new(ChunkStream::new(plan, chunks))),
            None => Cut::Whole(WindowCutter::new(plan.grid(), plan.width)),
        };
        Ok(Self { cut, preparer })
    }

    /// The windows that it cuts; its chunks where those are given one by one.
    pub fn grid(&self) -> WindowGrid {
        match &self.cut {
            Cut::Whole(cutter) => cutter.grid(),
            Cut::Chunks(chunks) => chunks.grid(),
        }
    }

    /// Takes what the next window needs from the front of `values`; gives the window once it is whole.
    ///
    /// Call it again until it gives `None`: then `values` is used up.
    pub fn take(&mut self, values: &mut &[f32]) -> Option<WindowJob> {
        match &mut self.cut {
            Cut::Whole(cutter) => cutter.take(values).map(|window| self.preparer.prepare(&window)),
            Cut::Chunks(chunks) => chunks.take(&mut self.preparer, values),
        }
    }

    /// Takes frames in any cut; calls `job` with each window that they make whole.
    pub fn push(&mut self, mut values: &[f32], mut job: impl FnMut(WindowJob)) {
        while let Some(window) = self.take(&mut values) {
            job(window);
        }
    }

    /// Takes back a job that is not to be encoded (its window is silent, or there is no room for it): what later windows
    /// need of it is kept.
    ///
    /// Say it before the next [`take`](Self::take) or [`finish`](Self::finish). Where a job is dropped only when others
    /// came after it, the next of them takes its chunks over ([`WindowJob::take_over`]). A job that is lost otherwise takes
    /// windows with it that need its chunks ([`Repooler`](crate::Repooler)).
    pub fn keep(&mut self, job: WindowJob) {
        if let Cut::Chunks(chunks) = &mut self.cut {
            chunks.keep(job);
        }
    }

    /// How many windows the next `frames` frames make whole.
    pub fn windows_after(&self, frames: u64) -> u64 {
        match &self.cut {
            Cut::Whole(cutter) => cutter.windows_after(frames),
            Cut::Chunks(chunks) => chunks.jobs_after(frames),
        }
    }

    /// The stream has ended: the windows that are left, one a call; then `None`, and a new stream begins.
    ///
    /// That is the window that its end cut short, if that one is due, and where it is encoded in chunks also those that
    /// waited for what would have come after them.
    pub fn finish(&mut self) -> Option<WindowJob> {
        let job = match &mut self.cut {
            Cut::Whole(cutter) => cutter.finish().map(|window| self.preparer.prepare(&window)),
            Cut::Chunks(chunks) => chunks.finish(&mut self.preparer),
        };
        if job.is_none() || matches!(self.cut, Cut::Whole(_)) {
            self.preparer.reset();
        }
        job
    }

    /// Forgets all frames: the next one is frame 0 of a new stream.
    pub fn reset(&mut self) {
        match &mut self.cut {
            Cut::Whole(cutter) => cutter.reset(),
            Cut::Chunks(chunks) => chunks.reset(),
        }
        self.preparer.reset();
    }

    /// How many values were not finite.
    pub fn bad_values(&self) -> u64 {
        self.preparer.bad_values()
    }
}
