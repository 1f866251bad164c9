//! Which channels are listened to, and how one is taken out of a buffer.

use gst::prelude::*;

/// Property `channel-mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// All channels mixed into one.
    #[default]
    Downmix,
    /// Each by itself.
    Each,
    /// One of them, counted from 0.
    One(u32),
}

impl Mode {
    /// Reads `downmix`, `first`, `each` or a number.
    pub fn parse(text: &str) -> Option<Mode> {
        match text.trim() {
            "downmix" => Some(Mode::Downmix),
            "first" => Some(Mode::One(0)),
            "each" => Some(Mode::Each),
            number => number.parse().ok().map(Mode::One),
        }
    }
}

/// What of a buffer an analysis is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// Everything; `audioconvert` mixes it.
    All,
    /// One channel, counted from 0.
    Channel(u32),
}

impl Pick {
    /// The channel's number as events tell it: -1 for all.
    pub fn number(self) -> i32 {
        match self {
            Pick::All => -1,
            Pick::Channel(number) => i32::try_from(number).unwrap_or(i32::MAX),
        }
    }

    /// The caps of what is picked out of a stream.
    pub fn caps(self, caps: &gst::CapsRef) -> gst::Caps {
        let mut caps = caps.to_owned();
        if self != Pick::All {
            for structure in caps.make_mut().iter_mut() {
                structure.set("channels", 1);
                structure.set("layout", "interleaved");
                structure.remove_field("channel-mask");
            }
        }
        caps
    }

    /// A copy of its own, with times, flags and metas, so that the buffer that passes stays writable downstream.
    ///
    /// `None` where the buffer cannot be read, or is not what the caps say.
    pub fn copy(self, buffer: &gst::Buffer, info: &gst_audio::AudioInfo) -> Option<gst::Buffer> {
        let Pick::Channel(number) = self else { return buffer.copy_deep().ok() };
        let (channels, width) = (info.channels() as usize, info.width() as usize / 8);
        let number = number as usize;
        if number >= channels || width == 0 {
            return None;
        }
        let samples = match info.layout() {
            gst_audio::AudioLayout::Interleaved => {
                let map = buffer.map_readable().ok()?;
                let frames = map.chunks_exact(channels * width);
                frames.flat_map(|frame| &frame[number * width..(number + 1) * width]).copied().collect()
            }
            _ => plane(buffer, info, number, channels, width)?,
        };
        let mut copy = gst::Buffer::from_mut_slice::<Vec<u8>>(samples);
        let writable = copy.get_mut()?;
        let what = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
        buffer.copy_into(writable, what, ..).ok()?;
        for meta in buffer.iter_meta::<gst::ReferenceTimestampMeta>() {
            gst::ReferenceTimestampMeta::add(
                writable,
                &meta.reference_owned(),
                meta.timestamp(),
                meta.duration(),
            );
        }
        Some(copy)
    }
}

/// The samples of one channel where channels lie one after the other.
fn plane(
    buffer: &gst::BufferRef,
    info: &gst_audio::AudioInfo,
    number: usize,
    channels: usize,
    width: usize,
) -> Option<Vec<u8>> {
    let map = buffer.map_readable().ok()?;
    let meta = buffer.meta::<gst_audio::AudioMeta>();
    let (samples, start) = match &meta {
        Some(meta) => (meta.samples(), *meta.offsets().get(number)?),
        // Without the meta the planes fill the buffer.
        None => {
            let samples = map.len() / info.bpf().max(1) as usize;
            (samples, samples * width * number)
        }
    };
    debug_assert!(channels > number);
    map.get(start..start.checked_add(samples.checked_mul(width)?)?).map(<[u8]>::to_vec)
}

/// The mixing matrix that `audioconvert` is told: empty where its own is right.
///
/// Channels without positions it does not mix by itself; each is given the same weight.
pub fn mix_matrix(info: &gst_audio::AudioInfo) -> gst::Array {
    let channels = info.channels();
    if !info.is_unpositioned() || channels < 2 {
        return gst::Array::default();
    }
    let weight = 1.0 / channels as f32;
    gst::Array::new([gst::Array::new((0..channels).map(|_| weight)).to_send_value()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_as_they_are_written() {
        for (text, mode) in [
            ("downmix", Some(Mode::Downmix)),
            ("first", Some(Mode::One(0))),
            ("each", Some(Mode::Each)),
            (" 3 ", Some(Mode::One(3))),
            ("-1", None),
            ("left", None),
            ("", None),
        ] {
            assert_eq!(Mode::parse(text), mode, "{text:?}");
        }
    }

    #[test]
    fn a_channel_is_taken_out_of_either_layout() {
        gst::init().unwrap();
        for (layout, bytes) in [
            (gst_audio::AudioLayout::Interleaved, [1u8, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]),
            (gst_audio::AudioLayout::NonInterleaved, [1u8, 1, 3, 3, 5, 5, 2, 2, 4, 4, 6, 6]),
        ] {
            let info = gst_audio::AudioInfo::builder(gst_audio::AudioFormat::S16le, 8_000, 2)
                .layout(layout)
                .build()
                .unwrap();
            let mut buffer = gst::Buffer::from_slice(bytes);
            buffer.get_mut().unwrap().set_pts(gst::ClockTime::SECOND);
            let second = Pick::Channel(1).copy(&buffer, &info).unwrap();
            assert_eq!(second.map_readable().unwrap().as_slice(), [2, 2, 4, 4, 6, 6]);
            assert_eq!(second.pts(), Some(gst::ClockTime::SECOND));
            assert!(Pick::Channel(2).copy(&buffer, &info).is_none());
            assert_eq!(Pick::All.copy(&buffer, &info).unwrap().size(), 12);
        }
    }
}
