//! The package's self-test: its sound, through our front end and its graphs.

use listen_features::log_mel;
use listen_package::{Output, Package, PackageError, Precision, SelfTest};

use crate::{
    EncoderError, EncoderModel, EncoderOptions, Plan, Preparer, Window, WindowMode, WindowStream, prepare,
};

/// Smallest cosine where the graph has not the full precision. Exporters refuse a mean below 0.995; one window may be
/// a little below the mean.
const MIN_COSINE_REDUCED: f64 = 0.99;

/// Computes the package's test sound and compares it with what the package says.
///
/// `samples` go through the front end as a recording of their own; the frames, one default window, become the clip
/// embedding. In a precision below float32 the cosine may be down to 0.99.
///
/// # Errors
/// A log-mel or an embedding that differs by more than the package allows, with both numbers.
pub(crate) fn run(
    package: &Package,
    precision: Precision,
    model: &mut EncoderModel,
) -> Result<(), EncoderError> {
    let Some(test) = &package.manifest().self_test else { return Ok(()) };
    let (_, samples) = package.tensor_f32(&test.file, "samples")?;
    let frames = match package.front_end() {
        Some(front_end) => {
            let mut samples = samples;
            prepare::conditioning(&package.manifest().audio).apply_to(&mut samples);
            let frames = log_mel(front_end, &samples)?;
            if let Some(expected) = optional(package, test, "log_mel")? {
                compare_log_mel(package, test, &frames, &expected, front_end.n_mels as usize)?;
            }
            frames
        }
        None => samples,
    };
    if let Some(expected) = optional(package, test, "embedding")? {
        compare_embedding(package, test, precision, model, &frames, &expected)?;
    }
    match model.carries() {
        true => compare_parts(package, test, precision, model, &frames),
        false => Ok(()),
    }
}

/// Part by part the time steps must be those of the whole, but for what kernels round.
fn compare_parts(
    package: &Package,
    test: &SelfTest,
    precision: Precision,
    model: &mut EncoderModel,
    frames: &[f32],
) -> Result<(), EncoderError> {
    let manifest = package.manifest();
    let width = manifest.front_end().map_or(1, |front_end| front_end.n_mels as usize).max(1);
    let count = (frames.len() / width) as u32;
    let right = manifest.streaming.as_ref().map_or(0, |streaming| streaming.right_context);
    // A part that begins, some that go on, and one that ends.
    let hop = count.saturating_sub(right) / 4;
    let unit =
        prepare::lcm(manifest.encoder.output.frames_per_column.max(1), manifest.window.multiple_of.max(1));
    let plan = |window_mode, hop_frames| {
        let options = EncoderOptions {
            output: Some(Output::Tokens),
            precision: Some(precision),
            window_mode,
            hop_frames: Some(hop_frames),
            ..EncoderOptions::default()
        };
        Plan::new(manifest, &options)
    };
    let whole = plan(WindowMode::Whole, manifest.window.frames)?;
    let window = Window { start_frame: 0, frames, first: true, last: true };
    let expected = model.steps_of(&Preparer::new(manifest, &whole)?.prepare(&window))?;
    let chunked = plan(WindowMode::Auto, (hop / unit * unit).max(unit))?;
    let mut stream = WindowStream::new(manifest, &chunked)?;
    let mut jobs = Vec::new();
    stream.push(frames, |job| jobs.push(job));
    jobs.extend(std::iter::from_fn(|| stream.finish()));
    let mut found = Vec::new();
    for job in &jobs {
        found.extend(model.steps_of(job)?);
    }
    let allowed = match precision {
        Precision::Fp32 => test.embedding_min_cos,
        Precision::Fp16 | Precision::Bf16 | Precision::Int8 => test.embedding_min_cos.min(MIN_COSINE_REDUCED),
    };
    let size = model.step_size();
    let cosines =
        found.chunks(size).zip(expected.chunks(size)).map(|(found, expected)| cosine(found, expected));
    let least = cosines.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
    match least {
        Some((step, found)) if found < allowed => {
            Err(EncoderError::SelfTestCarry { file: package.shown(&test.file), step, found, allowed })
        }
        _ => Ok(()),
    }
}

/// A tensor that the test may leave out.
fn optional(package: &Package, test: &SelfTest, tensor: &str) -> Result<Option<Vec<f32>>, EncoderError> {
    match package.tensor_f32(&test.file, tensor) {
        Ok((_, values)) => Ok(Some(values)),
        // Its type and shape were checked when the package was opened: it can only be absent.
        Err(PackageError::Tensor { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn compare_log_mel(
    package: &Package,
    test: &SelfTest,
    found: &[f32],
    expected: &[f32],
    bands: usize,
) -> Result<(), EncoderError> {
    let difference = |(found, expected): (&f32, &f32)| (f64::from(*found) - f64::from(*expected)).abs();
    let differences = found.iter().zip(expected).map(difference).enumerate();
    let (at, worst) = differences.fold((0, 0.0), |most, next| if next.1 > most.1 { next } else { most });
    if worst <= test.log_mel_max_abs && found.len() == expected.len() {
        return Ok(());
    }
    Err(EncoderError::SelfTestLogMel {
        file: package.shown(&test.file),
        found: worst,
        allowed: test.log_mel_max_abs,
        frame: at / bands.max(1),
        band: at % bands.max(1),
    })
}

fn compare_embedding(
    package: &Package,
    test: &SelfTest,
    precision: Precision,
    model: &mut EncoderModel,
    frames: &[f32],
    expected: &[f32],
) -> Result<(), EncoderError> {
    let manifest = package.manifest();
    // Whatever the stream's window and output: the default window as a clip, encoded whole.
    let clip = EncoderOptions {
        output: Some(Output::Clip),
        precision: Some(precision),
        window_mode: WindowMode::Whole,
        ..EncoderOptions::default()
    };
    let plan = Plan::new(manifest, &clip)?;
    let window = Window { start_frame: 0, frames, first: true, last: true };
    let job = Preparer::new(manifest, &plan)?.prepare(&window);
    let embeddings = model.encode(&[&job], Output::Clip)?;
    let found = embeddings.first().map_or(0.0, |embedding| cosine(&embedding.data, expected));
    let allowed = match precision {
        Precision::Fp32 => test.embedding_min_cos,
        Precision::Fp16 | Precision::Bf16 | Precision::Int8 => test.embedding_min_cos.min(MIN_COSINE_REDUCED),
    };
    if found >= allowed {
        return Ok(());
    }
    Err(EncoderError::SelfTestEmbedding { file: package.shown(&test.file), found, allowed, precision })
}

/// Cosine of the angle between two vectors; 0 where one is of zeros.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(&p, &q)| f64::from(p) * f64::from(q)).sum::<f64>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}
