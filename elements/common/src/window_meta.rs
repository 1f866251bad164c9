//! What the encoder knows of a window beside its embedding, on the buffers that it pushes.
//!
//! A `GstCustomMeta` named `GstListenWindowMeta` without tags: structure `GstListenWindowMeta` with `level` (double,
//! dB relative to a full-scale 1 kHz sine through the same front end), `window-start` and `window-duration` (uint64,
//! nanoseconds): with `output=frames` a buffer holds the middle of a window only.

use gst::ClockTime;

use crate::custom_meta::Registration;

/// The meta's name.
const NAME: &str = "GstListenWindowMeta";
static REGISTRATION: Registration = Registration::of(NAME);

/// What a window was like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowMeta {
    /// Its mean mel power, in dB relative to a full-scale 1 kHz sine through the same front end.
    pub level: f64,
    /// The time of its first frame.
    pub start: ClockTime,
    /// Its length.
    pub duration: ClockTime,
}

impl WindowMeta {
    /// Puts it on a buffer.
    pub fn attach(&self, buffer: &mut gst::BufferRef) {
        REGISTRATION.ensure();
        let Ok(mut meta) = gst::meta::CustomMeta::add(buffer, NAME) else { return };
        let structure = meta.mut_structure();
        structure.set("level", self.level);
        structure.set("window-start", self.start.nseconds());
        structure.set("window-duration", self.duration.nseconds());
    }

    /// Reads it from a buffer.
    pub fn of(buffer: &gst::BufferRef) -> Option<Self> {
        REGISTRATION.ensure();
        let meta = gst::meta::CustomMeta::from_buffer(buffer, NAME).ok()?;
        let structure = meta.structure();
        Some(Self {
            level: structure.get("level").ok()?,
            start: ClockTime::from_nseconds(structure.get("window-start").ok()?),
            duration: ClockTime::from_nseconds(structure.get("window-duration").ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meta_reads_back_and_survives_a_copy() {
        gst::init().unwrap();
        let meta = WindowMeta { level: -31.5, start: ClockTime::SECOND, duration: ClockTime::SECOND * 2 };
        let mut buffer = gst::Buffer::new();
        assert_eq!(WindowMeta::of(&buffer), None);
        meta.attach(buffer.make_mut());
        let copy = buffer.copy_deep().unwrap();
        assert_eq!(WindowMeta::of(&copy), Some(meta));
    }
}
