//! When something begins and ends in the sound that embeddings stand for, on the buffers that the encoder pushes.
//!
//! A `GstCustomMeta` named `GstListenStrengthMeta` without tags: structure `GstListenStrengthMeta` with `start` and `duration`
//! (uint64, nanoseconds), and `onset` and `offset` (GValueArray of float): onset and offset strengths of the mel frames of
//! that time, which are equally long, in nats ([`listen_features::Strengths`]).

use gst::ClockTime;
use gst::glib;
use listen_features::Strength;

use crate::custom_meta::Registration;
use crate::values::value_array;

/// The meta's name.
const NAME: &str = "GstListenStrengthMeta";
static REGISTRATION: Registration = Registration::of(NAME);

/// How strongly sound begins and ends in a stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub struct StrengthMeta {
    /// The time of its first frame.
    pub start: ClockTime,
    /// Its length.
    pub duration: ClockTime,
    /// Of each frame.
    pub strengths: Vec<Strength>,
}

impl StrengthMeta {
    /// Puts it on a buffer.
    pub fn attach(&self, buffer: &mut gst::BufferRef) {
        REGISTRATION.ensure();
        let Ok(mut meta) = gst::meta::CustomMeta::add(buffer, NAME) else { return };
        let structure = meta.mut_structure();
        structure.set("start", self.start.nseconds());
        structure.set("duration", self.duration.nseconds());
        structure.set_value("onset", value_array(self.strengths.iter().map(|strength| strength.onset)));
        structure.set_value("offset", value_array(self.strengths.iter().map(|strength| strength.offset)));
    }

    /// Reads it from a buffer; `None` where there is none, or its fields do not fit together.
    pub fn of(buffer: &gst::BufferRef) -> Option<Self> {
        REGISTRATION.ensure();
        let meta = gst::meta::CustomMeta::from_buffer(buffer, NAME).ok()?;
        let structure = meta.structure();
        let (onsets, offsets) = (floats(structure, "onset")?, floats(structure, "offset")?);
        let strengths = onsets.iter().zip(&offsets).map(|(&onset, &offset)| Strength { onset, offset });
        (onsets.len() == offsets.len()).then_some(Self {
            start: ClockTime::from_nseconds(structure.get("start").ok()?),
            duration: ClockTime::from_nseconds(structure.get("duration").ok()?),
            strengths: strengths.collect(),
        })
    }

    /// The time of each frame, with its strength.
    pub fn timed(&self) -> impl Iterator<Item = (ClockTime, Strength)> + '_ {
        let count = self.strengths.len().max(1) as u128;
        let at = move |index: usize| {
            let after = u128::from(self.duration.nseconds()) * index as u128 / count;
            self.start.saturating_add(ClockTime::from_nseconds(u64::try_from(after).unwrap_or(u64::MAX)))
        };
        self.strengths.iter().enumerate().map(move |(index, &strength)| (at(index), strength))
    }
}

fn floats(structure: &gst::StructureRef, field: &str) -> Option<Vec<f32>> {
    let array = structure.get::<glib::ValueArray>(field).ok()?;
    array.iter().map(|value| value.get::<f32>().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> StrengthMeta {
        let strengths = vec![
            Strength { onset: 1.5, offset: 0.0 },
            Strength { onset: 0.0, offset: 0.25 },
            Strength::default(),
        ];
        StrengthMeta { start: ClockTime::SECOND, duration: ClockTime::from_mseconds(30), strengths }
    }

    #[test]
    fn the_meta_reads_back_and_survives_a_copy() {
        gst::init().unwrap();
        let meta = meta();
        let mut buffer = gst::Buffer::new();
        assert_eq!(StrengthMeta::of(&buffer), None);
        meta.attach(buffer.make_mut());
        let copy = buffer.copy_deep().unwrap();
        assert_eq!(StrengthMeta::of(&copy), Some(meta));
    }

    #[test]
    fn what_does_not_fit_together_is_none() {
        gst::init().unwrap();
        let mut buffer = gst::Buffer::new();
        meta().attach(buffer.make_mut());
        let mut meta = gst::meta::CustomMeta::from_mut_buffer(buffer.make_mut(), NAME).unwrap();
        meta.mut_structure().set_value("offset", value_array([0.5_f32]));
        assert_eq!(StrengthMeta::of(&buffer), None);
    }

    #[test]
    fn frames_are_equally_long() {
        let times: Vec<u64> = meta().timed().map(|(at, _)| at.mseconds()).collect();
        assert_eq!(times, [1000, 1010, 1020]);
        let none = StrengthMeta { strengths: Vec::new(), ..meta() };
        assert_eq!(none.timed().count(), 0);
    }
}
