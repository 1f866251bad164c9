//! The element: pads and state.
#![allow(
    missing_docs,
    reason = "the getters and setters that the properties make; their blurbs say what they are"
)]

use std::sync::{LazyLock, Mutex, MutexGuard};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_audio::AudioInfo;
use gst_listen_common::LONGEST_TIME;
use gst_listen_common::refusal::Refusal;

use crate::format;
use crate::settings::{Edge, Log, MelNorm, MelScale, Preset, Settings, Spectrum, Switch, Triangles};
use crate::stream::Stream;

pub(crate) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("melspec", gst::DebugColorFlags::empty(), Some("Samples to log-mel frames"))
});

/// `melspec`.
#[derive(glib::Properties)]
#[properties(wrapper_type = super::MelSpec)]
pub struct MelSpec {
    pub(crate) sinkpad: gst::Pad,
    pub(crate) srcpad: gst::Pad,
    #[property(name = "preset", type = Preset, member = preset, get, set, mutable_ready, nick = "Preset",
        blurb = "The front end of a family of models. With auto it is what downstream asks for.",
        builder(Settings::default().preset))]
    #[property(name = "n-fft", type = u32, member = n_fft, get, set, mutable_ready, maximum = 65_536, nick = "FFT length",
        blurb = "Length of the Fourier transform in samples, an even number. 0 leaves it to the preset.")]
    #[property(name = "win-length", type = u32, member = win_length, get, set, mutable_ready, maximum = 65_536,
        nick = "Window length",
        blurb = "Length of the analysis window in samples. 0 leaves it to the preset.")]
    #[property(name = "hop-length", type = u32, member = hop_length, get, set, mutable_ready, maximum = 65_536,
        nick = "Hop length",
        blurb = "Distance between frames in samples. 0 leaves it to the preset.")]
    #[property(name = "n-mels", type = u32, member = n_mels, get, set, mutable_ready, maximum = 4_096, nick = "Mel bands",
        blurb = "Number of mel bands. 0 leaves it to the preset.")]
    #[property(name = "f-min", type = f64, member = f_min, get, set, mutable_ready, minimum = -1.0, maximum = 500_000.0,
        default = Settings::default().f_min, nick = "Lowest frequency",
        blurb = "Lower edge of the first band in Hz. -1 leaves it to the preset.")]
    #[property(name = "f-max", type = f64, member = f_max, get, set, mutable_ready, minimum = -1.0, maximum = 500_000.0,
        default = Settings::default().f_max, nick = "Highest frequency",
        blurb = "Upper edge of the last band in Hz, at most half the sample rate. -1 leaves it to the preset.")]
    #[property(name = "center", type = Switch, member = center, get, set, mutable_ready, nick = "Centred frames",
        blurb = "Whether frame t is centred on sample t × hop-length, with reflection at the ends, or begins there.",
        builder(Settings::default().center))]
    #[property(name = "spectrum", type = Spectrum, member = spectrum, get, set, mutable_ready, nick = "Spectrum",
        blurb = "What of the spectrum is summed in the bands.",
        builder(Settings::default().spectrum))]
    #[property(name = "mel-scale", type = MelScale, member = mel_scale, get, set, mutable_ready, nick = "Mel scale",
        blurb = "The mel scale.",
        builder(Settings::default().mel_scale))]
    #[property(name = "mel-norm", type = MelNorm, member = mel_norm, get, set, mutable_ready, nick = "Mel norm",
        blurb = "The norm of the bands' triangles.",
        builder(Settings::default().mel_norm))]
    #[property(name = "triangles", type = Triangles, member = triangles, get, set, mutable_ready, nick = "Triangles",
        blurb = "Over what the sides of the bands' triangles are straight.",
        builder(Settings::default().triangles))]
    #[property(name = "zero-dc", type = Switch, member = zero_dc, get, set, mutable_ready, nick = "Leave out 0 Hz",
        blurb = "Whether the bin of 0 Hz is left out.",
        builder(Settings::default().zero_dc))]
    #[property(name = "log", type = Log, member = log, get, set, mutable_ready, nick = "Logarithm",
        blurb = "The logarithm taken of the bands' sums S.",
        builder(Settings::default().log))]
    #[property(name = "log-floor", type = f64, member = log_floor, get, set, mutable_ready, minimum = 0.0, maximum = 1e6,
        nick = "Logarithm's constant",
        blurb = "What the logarithm adds to S, or the smallest S that it takes. 0 leaves it to the preset.")]
    #[property(name = "edge", type = Edge, member = edge, get, set, mutable_ready, nick = "Edge",
        blurb = "What a buffer holds: frames of the continuous stream, or one whole window.",
        builder(Settings::default().edge))]
    #[property(name = "window", type = u64, member = window, get, set, mutable_ready, maximum = LONGEST_TIME, nick = "Window",
        blurb = "Length of an exact window in nanoseconds, rounded to whole frames. 0 leaves it to downstream, else one second.")]
    #[property(name = "hop", type = u64, member = hop, get, set, mutable_ready, maximum = LONGEST_TIME, nick = "Hop",
        blurb = "Nanoseconds from one exact window's start to the next one's, rounded to whole frames. 0 leaves it to downstream, else the window.")]
    #[property(name = "channel", type = i32, member = channel, get, set, mutable_ready, minimum = -1,
        default = Settings::default().channel, nick = "Channel",
        blurb = "Number of the channel that is heard, carried in the caps and in all events. -1 means that all channels are mixed, or what the field channel of the audio's caps says.")]
    settings: Mutex<Settings>,
    #[property(name = "bad-samples", type = u64, get = Self::bad_samples, nick = "Bad samples",
        blurb = "How many samples were not finite and taken as 0 since the stream started.")]
    state: Mutex<State>,
    /// Why the last CAPS or SEGMENT did not fit.
    pub(crate) refusal: Refusal,
}

/// What belongs to one run, from READY to READY.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    /// The audio's caps, from CAPS on.
    pub(crate) audio: Option<Audio>,
    /// `Some` where frames can be made of it.
    pub(crate) stream: Option<Stream>,
    /// Samples that were not finite, of streams before this one.
    pub(crate) bad_before: u64,
    warned: bool,
    /// From a frame's PTS to when it can be given.
    pub(crate) latency: gst::ClockTime,
}

#[derive(Clone)]
pub(crate) struct Audio {
    pub(crate) info: AudioInfo,
    /// The channel named in its caps.
    pub(crate) channel: i32,
}

impl State {
    pub(crate) fn bad_samples(&self) -> u64 {
        self.bad_before + self.stream.as_ref().map_or(0, Stream::bad_samples)
    }

    fn runs_backwards(&self) -> bool {
        self.segment.as_ref().is_some_and(|segment| segment.rate() < 0.0)
    }

    pub(crate) fn drain(&mut self) -> Vec<gst::Buffer> {
        self.stream.as_mut().map(Stream::finish).unwrap_or_default()
    }
}

impl MelSpec {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn settings(&self) -> Settings {
        *self.settings.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn bad_samples(&self) -> u64 {
        self.state().bad_samples()
    }

    fn sink_chain(&self, pad: &gst::Pad, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        gst::trace!(CAT, obj = pad, "Handling {buffer:?}");
        if self.srcpad.check_reconfigure() && !self.negotiate() {
            self.srcpad.mark_reconfigure();
            return Err(if self.srcpad.pad_flags().contains(gst::PadFlags::FLUSHING) {
                gst::FlowError::Flushing
            } else {
                gst::FlowError::NotNegotiated
            });
        }
        let mut state = self.state();
        if state.runs_backwards() {
            drop(state);
            if let Some(pts) = buffer.pts() {
                self.srcpad.push_event(gst::event::Gap::new(pts, buffer.duration()));
            }
            return Ok(gst::FlowSuccess::Ok);
        }
        let (Some(segment), Some(audio)) = (state.segment.clone(), state.audio.clone()) else {
            return Err(gst::FlowError::NotNegotiated);
        };
        let (rate, width) = (audio.info.rate(), audio.info.bpf());
        if !buffer.size().is_multiple_of(width.max(1) as usize) {
            drop(state);
            let (bytes, format) = (buffer.size(), audio.info.format());
            let why = format!(
                "a buffer of {bytes} bytes came, expected whole samples of {format} ({width} bytes each)"
            );
            self.refusal.post(&*self.obj(), gst::error_msg!(gst::StreamError::Format, ("{why}")));
            return Err(gst::FlowError::Error);
        }
        let Some(buffer) = gst_audio::audio_buffer_clip(buffer, segment.upcast_ref(), rate, width) else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let start = segment.start().unwrap_or(gst::ClockTime::ZERO);
        let out = state.stream.as_mut().ok_or(gst::FlowError::NotNegotiated)?.take(&buffer, start)?;
        let bad = state.bad_samples();
        let warn = bad > 0 && !state.warned;
        state.warned |= warn;
        drop(state);

        if warn {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Decode,
                ("{bad} samples of a buffer are not finite (NaN or infinite); such samples are taken as 0")
            );
        }
        self.push(out)
    }

    pub(crate) fn push(&self, buffers: Vec<gst::Buffer>) -> Result<gst::FlowSuccess, gst::FlowError> {
        buffers.into_iter().try_fold(gst::FlowSuccess::Ok, |_, buffer| self.srcpad.push(buffer))
    }

    /// Pushes what the stream's end completes; a flow error comes again with the next buffer or event.
    fn drain(&self) {
        let out = self.state().drain();
        if let Err(error) = self.push(out) {
            gst::debug!(CAT, imp = self, "Drained into {error:?}");
        }
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        gst::debug!(CAT, obj = pad, "Handling {event:?}");
        match event.view() {
            gst::EventView::Caps(caps) => return self.take_caps(caps.caps()),
            gst::EventView::Segment(segment) => return self.take_segment(segment, &event),
            gst::EventView::Gap(gap) => return self.take_gap(gap, &event),
            gst::EventView::Eos(_) | gst::EventView::SegmentDone(_) | gst::EventView::StreamStart(_) => {
                self.drain()
            }
            gst::EventView::FlushStop(_) => {
                let mut state = self.state();
                state.segment = None;
                state.stream.iter_mut().for_each(Stream::reset);
            }
            _ => {}
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    fn take_segment(&self, event: &gst::event::Segment, whole: &gst::Event) -> bool {
        let Some(segment) = event.segment().downcast_ref::<gst::ClockTime>() else {
            let found = event.segment().format();
            let why =
                gst::error_msg!(gst::StreamError::Format, ("expected a segment in time, found {found:?}"));
            self.refusal.post(&*self.obj(), why);
            return false;
        };
        // A segment that only moves on (its position) continues the stream.
        let mut moved = segment.clone();
        let before = self.state().segment.clone();
        moved.set_position(before.as_ref().and_then(|before| before.position()));
        if before.is_some_and(|before| before != moved) {
            self.drain();
        }
        self.state().segment = Some(segment.clone());
        self.srcpad.push_event(whole.clone())
    }

    fn take_gap(&self, gap: &gst::event::Gap, whole: &gst::Event) -> bool {
        let (pts, duration) = gap.get();
        let mut state = self.state();
        let backwards = state.runs_backwards();
        let (filled, out) = match &mut state.stream {
            Some(stream) if !backwards => stream.gap(pts, duration),
            _ => (false, Vec::new()),
        };
        drop(state);
        let pushed = self.push(out);
        // Silence stands for the hole: to tell of it too would make it twice as long.
        if filled { pushed.is_ok() } else { self.srcpad.push_event(whole.clone()) }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for MelSpec {
    const NAME: &'static str = "GstMelSpec";
    type Type = super::MelSpec;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let templ = |name| class.pad_template(name).expect("class_init adds the pad templates");
        let sinkpad = gst::Pad::builder_from_template(&templ("sink"))
            .chain_function(|pad, parent, buffer| {
                let failed = || Err(gst::FlowError::Error);
                Self::catch_panic_pad_function(parent, failed, |imp| imp.sink_chain(pad, buffer))
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_query(pad, query))
            })
            .build();
        let srcpad = gst::Pad::builder_from_template(&templ("src"))
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_query(pad, query))
            })
            .flags(gst::PadFlags::FIXED_CAPS)
            .build();
        Self {
            sinkpad,
            srcpad,
            settings: Mutex::default(),
            state: Mutex::default(),
            refusal: Refusal::default(),
        }
    }
}

#[glib::derived_properties]
impl ObjectImpl for MelSpec {
    fn constructed(&self) {
        self.parent_constructed();
        let element = self.obj();
        for pad in [&self.sinkpad, &self.srcpad] {
            element.add_pad(pad).expect("a new element has no pad of that name");
        }
    }
}

impl GstObjectImpl for MelSpec {}

impl ElementImpl for MelSpec {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Log-mel spectrogram",
                "Filter/Analyzer/Audio",
                "Turns audio into log-mel frames, or hands on its samples, as the encoder downstream asks for it",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let audio = gst_audio::AudioCapsBuilder::new_interleaved()
                .format_list([gst_audio::AudioFormat::F32le, gst_audio::AudioFormat::S16le])
                .channels(1)
                .build();
            let always = gst::PadPresence::Always;
            let template = |name, direction, caps: &gst::Caps| {
                gst::PadTemplate::new(name, direction, always, caps)
                    .expect("a name without % and caps are valid")
            };
            vec![
                template("sink", gst::PadDirection::Sink, &audio),
                template("src", gst::PadDirection::Src, &format::template()),
            ]
        });
        TEMPLATES.as_ref()
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::ReadyToPaused {
            *self.state() = State::default();
        }
        let success = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            self.refusal.forget();
            let mut state = self.state();
            let bad_before = state.bad_samples();
            *state = State { bad_before, ..State::default() };
        }
        Ok(success)
    }
}
