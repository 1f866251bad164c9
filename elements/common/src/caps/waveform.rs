//! Caps of a stream of samples, for graphs that have their front end inside.

use super::fields::{Fields, dims};
use super::{CapsError, MIXED, WAVEFORM, tensor};

/// The caps of a stream of samples: a frame is one sample, in [-1, 1].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaveformCaps {
    /// Samples per second.
    pub rate: u32,
    /// The channel that is heard, [`MIXED`] = all of them.
    pub channel: i32,
}

impl WaveformCaps {
    /// The structure that a receiver of samples at `rate` asks for: without `dims` and `channel`.
    pub fn structure(rate: u32) -> gst::Structure {
        tensor(WAVEFORM).field("rate", i32::try_from(rate).unwrap_or(i32::MAX)).build()
    }

    /// Fixed caps.
    pub fn to_caps(self) -> gst::Caps {
        let mut structure = Self::structure(self.rate);
        structure.set("dims", dims(0, 1));
        structure.set("channel", self.channel);
        gst::Caps::from(structure)
    }

    /// Reads the caps of a stream; `channel` may be missing (mixed).
    ///
    /// # Errors
    /// The first field that is missing, of another type or out of range, and `dims` that are not `<0,1>`.
    pub fn from_caps(caps: &gst::CapsRef) -> Result<Self, CapsError> {
        Self::from_structure(super::error::single(caps)?)
    }

    /// Reads a structure of caps; what a receiver asks for is read as of a stream that is mixed.
    ///
    /// # Errors
    /// As of [`from_caps`](Self::from_caps).
    pub fn from_structure(structure: &gst::StructureRef) -> Result<Self, CapsError> {
        let f = Fields(structure);
        f.expect_tensor(&[WAVEFORM])?;
        if structure.has_field("dims") && f.dims()? != (0, 1) {
            let (rows, columns) = f.dims()?;
            let expected = "<0,1> (any number of samples)".into();
            return Err(CapsError::Field { field: "dims", expected, found: format!("<{rows},{columns}>") });
        }
        let channel = if structure.has_field("channel") { f.int("channel", MIXED)? } else { MIXED };
        Ok(Self { rate: f.count("rate")?, channel })
    }
}

/// What every stream of samples has in common: a part of the caps of pad templates.
pub fn waveform_template() -> gst::Caps {
    gst::Caps::from(tensor(WAVEFORM).build())
}

#[cfg(test)]
mod tests {
    use super::super::mel_template;
    use super::*;

    #[test]
    fn samples_come_back_from_caps_and_from_their_text_and_meet_only_their_receiver() {
        gst::init().unwrap();
        for channel in [MIXED, 3] {
            let stream = WaveformCaps { rate: 16_000, channel };
            let text: gst::Caps = stream.to_caps().to_string().parse().unwrap();
            assert_eq!(WaveformCaps::from_caps(&text), Ok(stream));
            assert!(text.is_subset(&waveform_template()) && !text.can_intersect(&mel_template()));
            assert!(text.can_intersect(&gst::Caps::from(WaveformCaps::structure(16_000))));
            assert!(!text.can_intersect(&gst::Caps::from(WaveformCaps::structure(32_000))));
        }
    }

    #[test]
    fn other_dims_and_a_missing_rate_are_refused() {
        gst::init().unwrap();
        let mut caps = WaveformCaps { rate: 16_000, channel: MIXED }.to_caps();
        caps.make_mut().set("dims", dims(0, 2));
        let error = WaveformCaps::from_caps(&caps).unwrap_err().to_string();
        assert_eq!(error, "caps field dims: expected <0,1> (any number of samples), found <0,2>");
        let error = WaveformCaps::from_caps(&waveform_template()).unwrap_err().to_string();
        assert_eq!(error, "caps field rate: expected an int of at least 1, found nothing");
    }
}
