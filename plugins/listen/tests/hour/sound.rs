//! As much sound as one likes: pieces of the recording in an order that a seed decides.

use gst::prelude::*;

/// Samples per second.
pub const RATE: usize = 16_000;
/// A piece of the recording (`examples/ATTRIBUTION.md`), in seconds.
struct Piece {
    from: f64,
    to: f64,
    /// Where in the recording a sound begins, and which.
    sound: Option<(f64, &'static str)>,
}

/// A dog (the default package takes it for a saw), applause, rain, and the street alone.
const PIECES: [Piece; 4] = [
    Piece { from: 6.5, to: 9.5, sound: None },
    Piece { from: 10.5, to: 15.0, sound: Some((11.0, "applause")) },
    Piece { from: 23.5, to: 29.5, sound: Some((24.0, "rain")) },
    Piece { from: 15.0, to: 16.8, sound: None },
];

/// A number for each number, the same in every run.
pub fn hash(seed: u64, number: u64) -> u64 {
    // SplitMix64.
    let mut x =
        seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The recording, mono.
pub fn recording() -> Vec<f32> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/street.flac");
    let line = format!(
        "filesrc location={file} ! flacparse ! flacdec ! audioconvert ! audioresample \
         ! audio/x-raw,format=F32LE,channels=1,rate={RATE} ! appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
    let out = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut samples = Vec::new();
    while let Ok(sample) = out.pull_sample() {
        let map = sample.buffer().unwrap().map_readable().unwrap();
        samples.extend(map.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())));
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(samples.len() > 30 * RATE);
    samples
}

/// Pieces of a recording without an end, as little-endian float32.
pub struct Endless {
    /// Where each sound has begun so far: seconds of this stream, and what it is.
    pub begun: Vec<(f64, &'static str)>,
    samples: usize,
    recording: Vec<f32>,
    seed: u64,
    number: u64,
    piece: std::ops::Range<usize>,
}

impl Endless {
    pub fn new(recording: Vec<f32>, seed: u64) -> Endless {
        Endless { begun: Vec::new(), samples: 0, recording, seed, number: 0, piece: 0..0 }
    }

    /// The next so many samples.
    pub fn next(&mut self, samples: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 * samples);
        while bytes.len() < 4 * samples {
            if self.piece.is_empty() {
                // The street alone between two pieces, so that each event ends.
                let choice = match self.number % 2 {
                    0 => PIECES.len() - 1,
                    _ => (hash(self.seed, self.number) % (PIECES.len() as u64 - 1)) as usize,
                };
                let Piece { from, to, sound } = &PIECES[choice];
                let now = (self.samples + bytes.len() / 4) as f64 / RATE as f64;
                self.begun.extend(sound.map(|(at, label)| (now + at - from, label)));
                self.number += 1;
                self.piece = (from * RATE as f64) as usize..(to * RATE as f64) as usize;
            }
            let left = samples - bytes.len() / 4;
            let end = self.piece.end.min(self.piece.start + left);
            let cut = &self.recording[self.piece.start..end];
            bytes.extend(cut.iter().flat_map(|sample| sample.to_le_bytes()));
            self.piece.start = end;
        }
        self.samples += samples;
        bytes
    }
}
