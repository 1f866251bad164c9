//! The streaming thread's side: frames to windows, with their times.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use gst::{ClockTime, FlowError};
use gst_listen_common::reference::References;
use gst_listen_common::timeline::{Continuity, Timeline};
use listen_encoder::{EncoderError, Preparer, Window, WindowJob, WindowStream};
use listen_features::silence_value;

use crate::model::OpenModel;
use crate::state::Ticket;

/// Where windows go: `at_end` with the stream's last one. A window that is not encoded comes back.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(WindowJob, Ticket, bool) -> Result<Option<WindowJob>, FlowError>;

/// Everything that belongs to one run of the stream.
pub(crate) struct Input {
    model: Arc<OpenModel>,
    cutter: Cutter,
    /// Counts frames.
    timeline: Timeline,
    references: References,
    /// A frame of digital silence.
    silence: f32,
    /// Values on their way from bytes to the cutter.
    values: Vec<f32>,
    /// Whether the next window follows on nothing.
    discont: bool,
    /// Windows that what has just come makes whole.
    at_once: usize,
}

enum Cutter {
    /// Frames of the continuous stream.
    Rolling(WindowStream),
    /// Windows come whole.
    Exact(Exact),
}

/// Windows that come whole.
struct Exact {
    preparer: Preparer,
    /// Whether a shorter one comes filled; then buffers count its own frames.
    filled: bool,
    /// Number of the next one.
    next: u64,
    /// The one before: its end may hold the stream's last time steps.
    before: Vec<f32>,
}

impl Input {
    pub fn new(model: Arc<OpenModel>) -> Result<Self, EncoderError> {
        let (manifest, plan) = (model.package.manifest(), &model.plan);
        let cutter = match model.comes_in_windows() {
            true => Cutter::Exact(Exact::new(Preparer::new(manifest, plan)?)),
            false => Cutter::Rolling(WindowStream::new(manifest, plan)?),
        };
        Ok(Self {
            cutter,
            timeline: Timeline::new(plan.sample_rate, plan.samples_per_frame),
            references: References::default(),
            silence: model.format.as_ref().map_or(0.0, |format| silence_value(&format.front_end)),
            values: Vec::new(),
            discont: true,
            at_once: 1,
            model,
        })
    }

    /// Says whether upstream fills a window that the stream's end cuts short.
    pub fn set_filled(&mut self, filled: bool) {
        if let Cutter::Exact(exact) = &mut self.cutter {
            exact.filled = filled;
        }
    }

    /// Whether a buffer of `bytes` bytes holds whole frames, or one window where each buffer is one.
    ///
    /// # Errors
    /// It does not; the message names what it holds and what it should.
    pub fn check(&self, bytes: usize) -> Result<(), gst::ErrorMessage> {
        let (width, window) = (self.model.plan.width, self.model.plan.window_frames);
        let frames = bytes / (width * size_of::<f32>()).max(1);
        let whole = frames * width * size_of::<f32>() == bytes;
        let expected = match &self.cutter {
            Cutter::Exact(_) if !whole || !(1..=window as usize).contains(&frames) => {
                format!("a window of 1 to {window} frames")
            }
            Cutter::Rolling(_) if !whole => "frames".into(),
            _ => return Ok(()),
        };
        Err(gst::error_msg!(
            gst::StreamError::Format,
            ("a buffer of {bytes} bytes came, expected {expected} of {width} float32 ({} bytes)", width * 4)
        ))
    }

    /// Takes a buffer of whole frames; `start` is where a stream without any times begins.
    pub fn take(
        &mut self,
        buffer: &gst::BufferRef,
        start: ClockTime,
        sink: Sink<'_>,
    ) -> Result<(), FlowError> {
        let map = buffer.map_readable().map_err(|_| FlowError::Error)?;
        let width = self.model.plan.width;
        let mut values = std::mem::take(&mut self.values);
        values.clear();
        values.extend(map.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
        drop(map);
        let frames = (values.len() / width) as u64;
        // An exact window moves the stream on by a hop, whatever its length.
        let steps = match &self.cutter {
            Cutter::Rolling(_) => frames,
            Cutter::Exact(_) => self.model.plan.hop_frames.into(),
        };
        let flags = buffer.flags();
        let result = self.place(buffer.pts(), steps, flags, start, sink).and_then(|()| {
            if let Some(time) = self.timeline.time(self.timeline.steps() - steps) {
                self.references.observe(buffer, time);
            }
            self.expect(steps);
            self.push(&values, buffer.offset()..buffer.offset_end(), sink)
        });
        self.values = values;
        result
    }

    /// Moves the timeline to a buffer, with silence or a new beginning where that is needed.
    fn place(
        &mut self,
        pts: Option<ClockTime>,
        steps: u64,
        flags: gst::BufferFlags,
        start: ClockTime,
        sink: Sink<'_>,
    ) -> Result<(), FlowError> {
        let before = self.timeline.clone();
        if flags.contains(gst::BufferFlags::RESYNC) && self.timeline.steps() > 0 {
            self.timeline.reset();
        }
        let reset = self.timeline.steps() == 0 && before.steps() > 0;
        let discont = flags.contains(gst::BufferFlags::DISCONT);
        match self.timeline.take(pts, steps, discont, start) {
            Continuity::Follows if !reset => Ok(()),
            Continuity::Fill(missing) if matches!(self.cutter, Cutter::Rolling(_)) => {
                self.expect(missing + steps);
                self.push_silence(missing, sink)
            }
            Continuity::Fill(_) => {
                // Windows are missing: no silence can stand for them.
                self.end_at(before, sink)?;
                self.timeline.reset();
                self.timeline.take(pts, steps, discont, start);
                Ok(())
            }
            Continuity::Follows | Continuity::Restart => self.end_at(before, sink),
        }
    }

    /// Takes a GAP event: whether it is part of the stream now (it lies behind, or was filled with silence).
    pub fn gap(
        &mut self,
        pts: ClockTime,
        duration: Option<ClockTime>,
        sink: Sink<'_>,
    ) -> Result<bool, FlowError> {
        let before = self.timeline.clone();
        match self.timeline.gap(pts, duration) {
            Continuity::Follows => Ok(self.timeline.steps() > 0),
            Continuity::Fill(missing) if matches!(self.cutter, Cutter::Rolling(_)) => {
                self.expect(missing);
                self.push_silence(missing, sink).map(|()| true)
            }
            Continuity::Fill(_) | Continuity::Restart => {
                self.end_at(before, sink)?;
                self.timeline.reset();
                Ok(false)
            }
        }
    }

    /// The stream has ended: its last window. What comes next begins a new stream.
    pub fn finish(&mut self, sink: Sink<'_>) -> Result<(), FlowError> {
        let before = self.timeline.clone();
        self.timeline.reset();
        self.end_at(before, sink)
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        match &mut self.cutter {
            Cutter::Rolling(stream) => stream.reset(),
            Cutter::Exact(exact) => exact.reset(),
        }
        self.timeline.reset();
        self.references.reset();
        self.discont = true;
    }

    fn end_at(&mut self, timeline: Timeline, sink: Sink<'_>) -> Result<(), FlowError> {
        let plan = &self.model.plan;
        let (window, hop, width, steps) =
            (plan.window_frames, plan.hop_frames, plan.width, plan.steps.is_some());
        // Several are left where chunks waited for what would have come after them.
        loop {
            let last = match &mut self.cutter {
                Cutter::Rolling(stream) => stream.finish(),
                Cutter::Exact(exact) => exact.finish(window, hop, width, steps),
            };
            let Some(job) = last else { break };
            let ticket = self.ticket(&job, &timeline);
            let back = sink(job, ticket, true)?;
            self.keep(back);
        }
        self.references.reset();
        self.discont = true;
        Ok(())
    }

    /// Counts the windows that `frames` frames will make whole.
    fn expect(&mut self, frames: u64) {
        self.at_once = match &self.cutter {
            Cutter::Rolling(stream) => usize::try_from(stream.windows_after(frames)).unwrap_or(usize::MAX),
            Cutter::Exact(_) => 1,
        };
    }

    fn push_silence(&mut self, frames: u64, sink: Sink<'_>) -> Result<(), FlowError> {
        // The longest fill is a second: a hundred frames or so.
        let silence = vec![self.silence; frames as usize * self.model.plan.width];
        self.push(&silence, 0..0, sink)
    }

    /// Cuts frames into windows; each goes on before the next is made. `sound`: the frames of real sound,
    /// counted from the stream's start, where buffers say it.
    fn push(&mut self, values: &[f32], sound: Range<u64>, sink: Sink<'_>) -> Result<(), FlowError> {
        let plan = &self.model.plan;
        let width = plan.width;
        if let Cutter::Exact(exact) = &mut self.cutter {
            let job = exact.take(values, sound, width, plan.hop_frames, plan.window_frames);
            let ticket = self.ticket(&job, &self.timeline.clone());
            return sink(job, ticket, false).map(drop);
        }
        let mut rest = values;
        while let Cutter::Rolling(stream) = &mut self.cutter
            && let Some(job) = stream.take(&mut rest)
        {
            let ticket = self.ticket(&job, &self.timeline.clone());
            let back = sink(job, ticket, false)?;
            self.keep(back);
        }
        Ok(())
    }

    /// What later windows need of one that is not encoded stays.
    fn keep(&mut self, job: Option<WindowJob>) {
        if let (Cutter::Rolling(stream), Some(job)) = (&mut self.cutter, job) {
            stream.keep(job);
        }
    }

    fn ticket(&mut self, job: &WindowJob, timeline: &Timeline) -> Ticket {
        let time = |frame: u64| timeline.time(frame).unwrap_or(ClockTime::ZERO);
        let lead = if job.first { 0 } else { self.model.lead() };
        let (from, to) =
            (job.start_frame + lead, job.start_frame + lead + u64::from(self.model.plan.hop_frames));
        Ticket {
            start: time(job.start_frame),
            references: self.references.at(time(job.start_frame)),
            gap: (time(from), time(to).saturating_sub(time(from))),
            discont: std::mem::take(&mut self.discont),
            at_once: self.at_once,
            came: Instant::now(),
        }
    }
}

impl Exact {
    fn new(preparer: Preparer) -> Self {
        Self { preparer, filled: false, next: 0, before: Vec::new() }
    }

    fn take(&mut self, frames: &[f32], sound: Range<u64>, width: usize, hop: u32, whole: u32) -> WindowJob {
        let (there, start_frame) = ((frames.len() / width.max(1)) as u32, self.next * u64::from(hop));
        let valid = match u32::try_from(sound.end.saturating_sub(sound.start)) {
            // Others' offsets may count anything: only those that count this stream's frames are believed.
            Ok(valid) if self.filled && sound.start == start_frame && (1..=there).contains(&valid) => valid,
            _ => there,
        };
        let window = Window { start_frame, frames, first: self.next == 0, last: valid < whole };
        let job = self.preparer.prepare_filled(&window, valid);
        self.next += 1;
        self.before.clear();
        if !window.last {
            self.before.extend_from_slice(frames);
        }
        job
    }

    /// Where a window gives its middle only, the end of the last whole one holds time steps that nobody has given. Upstream
    /// makes a short window of its own of them; where that was lost, or would have no sample of its own, they come with
    /// the frames of the last window.
    fn finish(&mut self, window: u32, hop: u32, width: usize, steps: bool) -> Option<WindowJob> {
        let rest =
            self.before.get(hop as usize * width..).filter(|rest| steps && hop < window && !rest.is_empty());
        let start_frame = self.next * u64::from(hop);
        let job = rest
            .map(|frames| Window { start_frame, frames, first: false, last: true })
            .map(|window| self.preparer.prepare(&window));
        self.reset();
        job
    }

    fn reset(&mut self) {
        self.next = 0;
        self.before.clear();
        self.preparer.reset();
    }
}
