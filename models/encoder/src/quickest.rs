//! Which of a package's graphs to run where the user does not say.

use std::time::Duration;

use listen_package::{Graph, Manifest, Package, Precision};
use listen_runtime::{Model, RuntimeError, measured};

use crate::error::precision_name;
use crate::{EncoderError, EncoderModel, EncoderOptions, Plan, Preparer, Window, WindowMode};

/// Least cosine of a graph's embeddings to the float32 graph's, as the manifest has it, for a graph that nobody asked
/// for by name.
pub const MIN_COSINE: f64 = 0.995;

/// The precision of the graph that is quickest on this machine, among those that the package holds and whose cosine in
/// the manifest is at least [`MIN_COSINE`]; the float32 graph is what they are compared with, so it always counts.
///
/// Where there is only one it is that, and nothing is loaded. Where there is none (no graph says how near it is) it is
/// the most exact there is. Otherwise each is loaded and timed for a window of the package, in as many threads as
/// `options` say, one window at a time: once on each machine, some seconds, then it is remembered
/// ([`listen_runtime::measured`]). A graph that cannot be loaded here, or that fails the self-test, is passed over;
/// where none can be loaded it is the most exact one, whose error [`open`](crate::open) tells.
///
/// `options.precision` is not looked at.
///
/// # Errors
/// Those of the [`Plan`] that `options` make.
pub fn quickest(package: &Package, options: &EncoderOptions) -> Result<Precision, EncoderError> {
    let manifest = package.manifest();
    let fallback = Plan::new(manifest, &EncoderOptions { precision: None, ..options.clone() })?.precision;
    let candidates = candidates(manifest);
    let [_, _, ..] = candidates[..] else {
        return Ok(candidates.first().copied().unwrap_or(fallback));
    };
    let names: Vec<&str> = candidates.iter().map(|&precision| precision_name(Some(precision))).collect();
    let key = format!(
        "{} {}:{} {} threads",
        package.space(),
        options.provider,
        options.device,
        options.intra_op_threads
    );
    let times = measured(&key, &names, |number| {
        let mut model = Timed::load(package, options, candidates[number])
            .map_err(|error| RuntimeError::Run { reason: error.to_string() })?;
        Ok(Box::new(move || model.run()))
    });
    // The first of equals is the more exact.
    let least = |times: Vec<Option<Duration>>| {
        let timed = candidates.iter().zip(times).filter_map(|(&precision, time)| Some((time?, precision)));
        timed.min_by_key(|(time, _)| *time).map(|(_, precision)| precision)
    };
    match times {
        Ok(times) => Ok(least(times).unwrap_or(fallback)),
        Err(RuntimeError::Exiting) => Err(RuntimeError::Exiting.into()),
        Err(_) => Ok(fallback),
    }
}

/// The graphs that may be taken unasked, the most exact first.
fn candidates(manifest: &Manifest) -> Vec<Precision> {
    let near = |graph: &Graph| graph.cosine.is_some_and(|cosine| cosine >= MIN_COSINE);
    let graphs = manifest.encoder.graphs.iter();
    graphs.filter(|(p, graph)| **p == Precision::Fp32 || near(graph)).map(|(&p, _)| p).collect()
}

/// A graph with a window to run it on.
struct Timed {
    model: EncoderModel,
    job: crate::WindowJob,
}

impl Timed {
    fn load(package: &Package, options: &EncoderOptions, precision: Precision) -> Result<Self, EncoderError> {
        // The package's own window: what a user's takes is in proportion.
        let options = EncoderOptions {
            precision: Some(precision),
            window_frames: None,
            hop_frames: None,
            edge: None,
            window_mode: WindowMode::Whole,
            ..options.clone()
        };
        let manifest = package.manifest();
        let plan = Plan::new(manifest, &options)?;
        let values = 0..plan.window_frames as usize * plan.width;
        // Sound of some kind: nothing but zeros may be quicker than what is real.
        let frames: Vec<f32> = values.map(|n| (n as f32 * 0.37).sin() - 5.0).collect();
        let window = Window { start_frame: 0, frames: &frames, first: true, last: false };
        let job = Preparer::new(manifest, &plan)?.prepare(&window);
        Ok(Self { model: EncoderModel::load(package, &options)?, job })
    }

    fn run(&mut self) -> Result<(), RuntimeError> {
        let results = self.model.run(&mut vec![self.job.clone()]);
        results.into_iter().try_for_each(|result| result.map(drop))
    }
}
