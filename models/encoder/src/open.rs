//! A package's encoder as an engine that all streams share.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use listen_package::Package;
use listen_runtime::{Engine, EngineOptions, Provider, RuntimeError, shared};

use crate::error::{output_name, precision_name};
use crate::graphs::{Graphs, Weights};
use crate::recipe::Recipe;
use crate::{EncoderError, EncoderModel, EncoderOptions, Plan, self_test};

/// Windows of all streams that may wait for a worker. The queue holds only tickets, so it costs nothing to be long enough
/// for the two or so of each stream of a large installation.
const QUEUE: usize = 1024;

/// The process's engine for a package and options: loaded, compared with the manifest, and self-tested.
///
/// It is shared by all who ask for the same package, provider, device, precision, threads, workers and output while
/// anybody holds it. Window and hop are each stream's own. The self-test runs once per engine.
///
/// It may take seconds (TensorRT: minutes).
///
/// # Errors
/// What the plan refuses, a graph that cannot be loaded or is not what the manifest says, a failed self-test.
pub fn open(
    package: &Arc<Package>,
    options: &EncoderOptions,
) -> Result<Arc<Engine<EncoderModel>>, EncoderError> {
    let plan = Plan::new(package.manifest(), options)?;
    let key = format!(
        "{} {} {} {} {} {} {}",
        package.space(),
        options.provider,
        options.device,
        precision_name(Some(plan.precision)),
        options.intra_op_threads,
        options.workers,
        if plan.repools() { "clip-in-chunks" } else { output_name(plan.output) },
    );
    // The engine's own errors are the runtime's: this keeps ours whole. Whoever waited for a failed load tries it again
    // and has an error of its own.
    let failure = Mutex::new(None);
    let kept = |error: EncoderError| match error {
        EncoderError::Runtime(error) => error,
        error => {
            let reason = error.to_string();
            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            RuntimeError::Run { reason }
        }
    };
    shared(&key, || start(package, &plan, options, &kept)).map_err(|error| {
        let ours = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        ours.unwrap_or(EncoderError::Runtime(error))
    })
}

fn start(
    package: &Package,
    plan: &Plan,
    options: &EncoderOptions,
    kept: &impl Fn(EncoderError) -> RuntimeError,
) -> Result<Arc<Engine<EncoderModel>>, RuntimeError> {
    let mut workers = workers(options);
    let weights = Weights::new(workers);
    let first = EncoderModel::tested(package, plan, options, &weights).map_err(kept)?;
    if options.workers == 0 && first.provider() != Provider::Cpu {
        workers = 1; // every session would load its own weights, for one device that runs one thing at a time
    }
    let first = Mutex::new(Some(first));
    Engine::new(EngineOptions { workers, queue: QUEUE }, |_| {
        let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        first.map_or_else(|| EncoderModel::with(package, plan, options, &weights).map_err(kept), Ok)
    })
}

/// Sessions that run at once: as asked, or as many as the cores can run.
fn workers(options: &EncoderOptions) -> usize {
    match (options.workers, options.intra_op_threads as usize) {
        (0, 0) => 1, // one run takes all cores
        (0, threads) => (thread::available_parallelism().map_or(1, usize::from) / threads).max(1),
        (asked, _) => asked,
    }
}

impl EncoderModel {
    /// Loads a model of one's own, without an engine, and runs the self-test.
    ///
    /// # Errors
    /// As [`open`].
    pub fn load(package: &Package, options: &EncoderOptions) -> Result<Self, EncoderError> {
        let plan = Plan::new(package.manifest(), options)?;
        Self::tested(package, &plan, options, &Weights::new(1))
    }

    fn tested(
        package: &Package,
        plan: &Plan,
        options: &EncoderOptions,
        weights: &Weights,
    ) -> Result<Self, EncoderError> {
        let mut model = Self::with(package, plan, options, weights)?;
        self_test::run(package, plan.precision, &mut model)?;
        Ok(model)
    }

    fn with(
        package: &Package,
        plan: &Plan,
        options: &EncoderOptions,
        weights: &Weights,
    ) -> Result<Self, EncoderError> {
        let recipe = Recipe::new(package.manifest());
        let graphs = Graphs::load(package, plan, &recipe, options, weights)?;
        Ok(Self::new(recipe, graphs, plan.output))
    }
}
