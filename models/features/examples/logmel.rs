//! The log-mel of a file of raw float32 samples, once for every line on standard input.
//!
//!     logmel m2d_16k samples.f32 [frames.f32]
//!
//! Each line is answered with the number of frames and the sum of their values. `benches/compare.py` drives it beside
//! other implementations; with a third argument the frames `[frames, n_mels]` are written there, for NumPy.
use std::{
    env,
    error::Error,
    fs,
    io::{self, BufRead, Write},
};

use listen_features::{FrontEnd, LogMel};

/// Samples pushed at a time, as a pipeline's buffers are.
const CHUNK: usize = 4_096;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(name), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: logmel m2d_16k|m2d_32k|byol_a|laion_clap|yamnet SAMPLES.f32 [FRAMES.f32]".into());
    };
    let front_end = match name.as_str() {
        "m2d_16k" => FrontEnd::m2d_16k(),
        "m2d_32k" => FrontEnd::m2d_32k(),
        "byol_a" => FrontEnd::byol_a(),
        "laion_clap" => FrontEnd::laion_clap(),
        "yamnet" => FrontEnd::yamnet(),
        other => return Err(format!("no front end is called {other}").into()),
    };
    let samples: Vec<f32> =
        fs::read(path)?.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect();
    let mut mel = LogMel::new(&front_end)?;
    let count = front_end.frames_in(samples.len() as u64);
    let mut frames = Vec::with_capacity(count as usize * front_end.n_mels as usize);

    for line in io::stdin().lock().lines() {
        line?;
        frames.clear();
        for chunk in samples.chunks(CHUNK) {
            mel.push(chunk, |frame| frames.extend_from_slice(frame));
        }
        mel.finish(|frame| frames.extend_from_slice(frame));
        println!("{count} {}", sum(&frames));
        io::stdout().flush()?;
    }
    if let Some(path) = arguments.next() {
        fs::write(path, frames.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
    }
    Ok(())
}

/// The sum of values, eight side by side: one after the other it would take as long as a quarter of a transform.
fn sum(values: &[f32]) -> f64 {
    let (rows, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for row in rows {
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&value| f64::from(value)).sum::<f64>()
}
