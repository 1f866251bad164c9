//! One stream of samples on its way to buffers of frames.

use gst::ClockTime;
use gst_audio::AudioFormat;
use gst_listen_common::caps::EdgeCaps;
use gst_listen_common::reference::References;
use gst_listen_common::timeline::{Continuity, Timeline};
use listen_features::{Conditioning, ExactWindows, FrontEndError, LogMel, Plain, from_s16le};

use crate::format::Format;

/// Samples converted at a time.
const CHUNK: usize = 4_096;

/// Everything that belongs to one run of the stream.
pub(crate) struct Stream {
    format: Format,
    conditioning: Conditioning,
    sample_format: AudioFormat,
    core: Core,
    timeline: Timeline,
    references: References,
    /// Frames (rolling) or windows (exact) given since the stream began.
    given: u64,
    /// Whether the next buffer follows on nothing.
    discont: bool,
    /// Samples on their way from bytes to the core.
    chunk: Box<[f32]>,
}

enum Core {
    Rolling(LogMel),
    Exact(ExactWindows),
    Samples(Plain),
}

impl Stream {
    pub fn new(format: Format, sample_format: AudioFormat) -> Result<Self, FrontEndError> {
        let core = match &format {
            Format::Samples(_) => Core::Samples(Plain::default()),
            Format::Mel(mel) => match mel.edge {
                EdgeCaps::Rolling => Core::Rolling(LogMel::new(&mel.front_end)?),
                EdgeCaps::Exact { window, hop, tail, fill } => {
                    let windows = ExactWindows::new(&mel.front_end, window as usize, hop as usize)?;
                    Core::Exact(windows.with_tail(tail).with_fill(fill))
                }
            },
        };
        Ok(Self {
            core,
            timeline: Timeline::new(format.sample_rate(), 1),
            references: References::default(),
            given: 0,
            discont: true,
            chunk: vec![0.0; CHUNK].into(),
            conditioning: format.conditioning(),
            sample_format,
            format,
        })
    }

    pub fn format(&self) -> &Format {
        &self.format
    }

    /// Whether it takes such samples and gives such frames.
    pub fn takes(&self, format: &Format, sample_format: AudioFormat) -> bool {
        self.format == *format && self.sample_format == sample_format
    }

    /// From a frame's PTS to when it can be given.
    pub fn latency(&self) -> ClockTime {
        let samples = match &self.core {
            Core::Rolling(mel) => mel.delay_samples(),
            Core::Exact(windows) => windows.delay_samples(),
            Core::Samples(_) => 0,
        };
        self.timeline.duration(samples as u64)
    }

    /// Samples so far that were not finite.
    pub fn bad_samples(&self) -> u64 {
        match &self.core {
            Core::Rolling(mel) => mel.bad_samples(),
            Core::Exact(windows) => windows.bad_samples(),
            Core::Samples(plain) => plain.bad_samples(),
        }
    }

    /// Takes a buffer of samples; `start` is where a stream without any times begins.
    pub fn take(
        &mut self,
        buffer: &gst::BufferRef,
        start: ClockTime,
    ) -> Result<Vec<gst::Buffer>, gst::FlowError> {
        let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        let width = if self.sample_format == AudioFormat::S16le { 2 } else { 4 };
        let samples = map.len() / width;
        let discont = buffer.flags().contains(gst::BufferFlags::DISCONT);

        let mut out = Vec::new();
        let before = self.timeline.clone();
        let missing = match self.timeline.take(buffer.pts(), samples as u64, discont, start) {
            Continuity::Follows => 0,
            Continuity::Fill(missing) => missing as usize,
            Continuity::Restart => {
                out.extend(self.drain(&before));
                0
            }
        };
        if let Some(time) = self.timeline.time(self.timeline.steps() - samples as u64) {
            self.references.observe(buffer, time);
        }
        let mut frames = self.made_by(missing + samples);
        self.push_silence(missing, &mut frames);
        for bytes in map.chunks(CHUNK * width) {
            self.push_bytes(bytes, &mut frames);
        }
        out.extend(self.stamped(frames));
        Ok(out)
    }

    /// Takes a GAP event: whether it was filled with silence, and the frames that came of it.
    pub fn gap(&mut self, pts: ClockTime, duration: Option<ClockTime>) -> (bool, Vec<gst::Buffer>) {
        let before = self.timeline.clone();
        match self.timeline.gap(pts, duration) {
            Continuity::Follows => (false, Vec::new()),
            Continuity::Fill(missing) => {
                let mut frames = self.made_by(missing as usize);
                self.push_silence(missing as usize, &mut frames);
                (true, self.stamped(frames).collect())
            }
            Continuity::Restart => (false, self.drain(&before).collect()),
        }
    }

    /// The stream has ended: the frames that its end completes. What comes next begins a new stream.
    pub fn finish(&mut self) -> Vec<gst::Buffer> {
        let before = self.timeline.clone();
        self.timeline.reset();
        self.drain(&before).collect()
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        match &mut self.core {
            Core::Rolling(mel) => mel.reset(),
            Core::Exact(windows) => windows.reset(),
            Core::Samples(_) => {}
        }
        self.timeline.reset();
        self.references.reset();
        (self.given, self.discont) = (0, true);
    }

    /// What is still inside, at the times of `timeline`; then a new stream begins.
    fn drain(&mut self, timeline: &Timeline) -> impl Iterator<Item = gst::Buffer> + use<> {
        let mut frames = match &self.core {
            Core::Rolling(mel) => Frames::rolling(mel.frames_at_finish() * self.bytes_per_frame()),
            Core::Exact(windows) => {
                Frames { sound: Some(windows.frames_at_finish() as u64), ..Frames::exact(1) }
            }
            Core::Samples(_) => Frames::rolling(0),
        };
        match &mut self.core {
            Core::Rolling(mel) => mel.finish(|frame| frames.add(frame)),
            Core::Exact(windows) => windows.finish(|window| frames.add(window)),
            Core::Samples(_) => {}
        }
        let buffers = self.stamp(frames, timeline);
        self.references.reset();
        (self.given, self.discont) = (0, true);
        buffers.into_iter()
    }

    /// Room for what so many samples complete.
    fn made_by(&self, samples: usize) -> Frames {
        match &self.core {
            Core::Rolling(mel) => Frames::rolling(mel.frames_after(samples) * self.bytes_per_frame()),
            Core::Exact(windows) => Frames::exact(windows.windows_after(samples)),
            Core::Samples(_) => Frames::rolling(samples * self.bytes_per_frame()),
        }
    }

    fn push_silence(&mut self, mut samples: usize, frames: &mut Frames) {
        while samples > 0 {
            let count = samples.min(CHUNK);
            self.chunk[..count].fill(0.0);
            self.push_chunk(count, frames);
            samples -= count;
        }
    }

    /// Takes up to [`CHUNK`] samples as they lie in a buffer.
    fn push_bytes(&mut self, bytes: &[u8], frames: &mut Frames) {
        let count = match self.sample_format {
            AudioFormat::S16le => from_s16le(bytes, &mut self.chunk),
            _ => {
                let (samples, _) = bytes.as_chunks();
                for (sample, bytes) in self.chunk.iter_mut().zip(samples) {
                    *sample = f32::from_le_bytes(*bytes);
                }
                samples.len()
            }
        };
        self.conditioning.apply_to(&mut self.chunk[..count]);
        self.push_chunk(count, frames);
    }

    fn push_chunk(&mut self, count: usize, frames: &mut Frames) {
        match &mut self.core {
            Core::Rolling(mel) => mel.push(&self.chunk[..count], |frame| frames.add(frame)),
            Core::Exact(windows) => windows.push(&self.chunk[..count], |window| frames.add(window)),
            Core::Samples(plain) => {
                plain.mend(&mut self.chunk[..count]);
                frames.add(&self.chunk[..count]);
            }
        }
    }

    fn bytes_per_frame(&self) -> usize {
        self.format.width() * size_of::<f32>()
    }

    fn stamped(&mut self, frames: Frames) -> impl Iterator<Item = gst::Buffer> + use<> {
        let timeline = self.timeline.clone();
        self.stamp(frames, &timeline).into_iter()
    }

    /// Makes buffers of what was given, with the times of `timeline`.
    fn stamp(&mut self, frames: Frames, timeline: &Timeline) -> Vec<gst::Buffer> {
        let hop = u64::from(self.format.hop_length());
        let per_frame = self.bytes_per_frame();
        let sound = frames.sound;
        let buffers = frames.buffers.into_iter().filter(|bytes| !bytes.is_empty());
        buffers
            .map(|bytes| {
                let count = sound.unwrap_or((bytes.len() / per_frame) as u64);
                let first = match self.format.edge() {
                    EdgeCaps::Rolling => self.given,
                    EdgeCaps::Exact { hop, .. } => self.given * u64::from(hop),
                };
                self.given += if self.format.edge() == EdgeCaps::Rolling { count } else { 1 };
                let mut buffer = gst::Buffer::from_mut_slice(bytes);
                // A buffer that was just made is not shared.
                if let Some(buffer) = buffer.get_mut() {
                    let (start, end) = (timeline.time(first * hop), timeline.time((first + count) * hop));
                    let duration = end.zip(start).map(|(end, start)| end.saturating_sub(start));
                    buffer.set_pts(start);
                    buffer.set_duration(duration);
                    buffer.set_offset(first);
                    buffer.set_offset_end(first + count);
                    if std::mem::take(&mut self.discont) {
                        // RESYNC tells a new stream from a hole in this one.
                        buffer.set_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::RESYNC);
                    }
                    if let Some(start) = start {
                        self.references.attach(buffer, start, duration);
                    }
                }
                buffer
            })
            .collect()
    }
}

/// Frames on their way into buffers.
struct Frames {
    buffers: Vec<Vec<u8>>,
    /// Whether all go into one buffer.
    rolling: bool,
    /// How many frames of sound there are in the one window that the stream's end cut short, which may be filled.
    sound: Option<u64>,
}

impl Frames {
    fn rolling(bytes: usize) -> Self {
        Self { buffers: vec![Vec::with_capacity(bytes)], rolling: true, sound: None }
    }

    fn exact(windows: usize) -> Self {
        Self { buffers: Vec::with_capacity(windows), rolling: false, sound: None }
    }

    /// Adds frames (rolling) or a window (exact).
    fn add(&mut self, values: &[f32]) {
        if !self.rolling {
            self.buffers.push(Vec::with_capacity(size_of_val(values)));
        }
        if let Some(bytes) = self.buffers.last_mut() {
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
    }
}
