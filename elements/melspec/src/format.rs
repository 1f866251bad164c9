//! What flows out: log-mel frames, or the samples themselves.

use gst_listen_common::caps::{
    CapsError, EdgeCaps, MelCaps, MelFormat, WaveformCaps, mel_template, waveform_template,
};
use listen_features::Conditioning;

/// What a stream gives.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Format {
    /// Log-mel frames.
    Mel(MelFormat),
    /// The samples, so many a second, for a graph that has its front end inside. A frame is one sample.
    Samples(u32),
}

impl Format {
    /// What a receiver asks for.
    ///
    /// # Errors
    /// Caps that leave something of it open, or ask for something else.
    pub fn from_structure(structure: &gst::StructureRef) -> Result<Self, CapsError> {
        match WaveformCaps::from_structure(structure) {
            Ok(caps) => Ok(Format::Samples(caps.rate)),
            Err(_) => MelFormat::from_structure(structure).map(Format::Mel),
        }
    }

    /// The structure of caps without `dims` and `channel`.
    pub fn to_structure(&self) -> gst::Structure {
        match self {
            Format::Mel(format) => format.to_structure(),
            Format::Samples(rate) => WaveformCaps::structure(*rate),
        }
    }

    /// The caps of a stream.
    pub fn to_caps(&self, channel: i32) -> gst::Caps {
        match self {
            Format::Mel(format) => MelCaps { format: format.clone(), channel }.to_caps(),
            Format::Samples(rate) => WaveformCaps { rate: *rate, channel }.to_caps(),
        }
    }

    /// Hz.
    pub fn sample_rate(&self) -> u32 {
        match self {
            Format::Mel(format) => format.front_end.sample_rate,
            Format::Samples(rate) => *rate,
        }
    }

    /// Samples from one frame to the next.
    pub fn hop_length(&self) -> u32 {
        match self {
            Format::Mel(format) => format.front_end.hop_length,
            Format::Samples(_) => 1,
        }
    }

    /// Values in a frame.
    pub fn width(&self) -> usize {
        match self {
            Format::Mel(format) => format.front_end.n_mels as usize,
            Format::Samples(_) => 1,
        }
    }

    /// What a buffer holds.
    pub fn edge(&self) -> EdgeCaps {
        match self {
            Format::Mel(format) => format.edge,
            Format::Samples(_) => EdgeCaps::Rolling,
        }
    }

    /// What is done to samples here. A graph that takes samples has it done behind us, where its windows are made.
    pub fn conditioning(&self) -> Conditioning {
        match self {
            Format::Mel(format) => format.conditioning(),
            Format::Samples(_) => Conditioning::default(),
        }
    }
}

/// Everything that melspec can give.
pub(crate) fn template() -> gst::Caps {
    let mut caps = mel_template();
    caps.merge(waveform_template());
    caps
}
