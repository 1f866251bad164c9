//! Which graph, and how it is run.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ort::session::builder::GraphOptimizationLevel;

use crate::error::RuntimeError;
use crate::provider::{Precision, Provider};
use crate::session::Loaded;

/// Where a graph is.
#[derive(Debug, Clone, Copy)]
pub enum GraphSource<'a> {
    /// A file; external data lies beside it.
    Path(&'a Path),
    /// The file's contents, without external data. ONNX Runtime makes its own copy of the weights.
    Bytes(&'a [u8]),
}

impl fmt::Display for GraphSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Bytes(bytes) => write!(f, "graph of {} bytes in memory", bytes.len()),
        }
    }
}

impl GraphSource<'_> {
    /// Tells two graphs apart, by path or contents.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self {
            Self::Path(path) => path.hash(&mut hasher),
            Self::Bytes(bytes) => bytes.hash(&mut hasher),
        }
        hasher.finish()
    }
}

/// How a graph is run.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Who computes.
    pub provider: Provider,
    /// Which of the provider's devices: a CUDA ordinal; for OpenVINO 0 is the CPU, n its (n-1)th GPU.
    pub device: u32,
    /// In which precision, where the provider can choose.
    pub precision: Precision,
    /// Threads of one run, the calling one among them; 0 leaves it to the provider. They do not spin.
    pub intra_op_threads: u32,
    /// How far ONNX Runtime rewrites the graph.
    pub optimization: Optimization,
    /// The copy of the weights that the sessions of one engine share.
    pub weights: Option<SharedWeights>,
    /// Where TensorRT keeps its engines; `$XDG_CACHE_HOME/gst-listen/tensorrt` where absent.
    pub cache_dir: Option<PathBuf>,
}

/// How far ONNX Runtime rewrites a graph while loading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Optimization {
    /// Not at all: the quickest load.
    None,
    /// Redundant nodes removed, constants folded.
    Basic,
    /// Nodes fused too, and the layout changed.
    #[default]
    All,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            provider: Provider::default(),
            device: 0,
            precision: Precision::default(),
            intra_op_threads: 1,
            optimization: Optimization::default(),
            weights: None,
            cache_dir: None,
        }
    }
}

/// One copy of a graph's weights for the workers of an engine.
///
/// Give clones of one value to every [`Session::load`](crate::Session::load) of **one** graph: the first loads it, the others share what
/// it loaded, as long as one of them lives. On the CPU provider that is everything (weights, thread pool, allocator);
/// on the others, which may not be run by two threads at once, every session loads its own.
#[derive(Debug, Clone)]
pub struct SharedWeights {
    /// Sessions that will run at once.
    workers: u32,
    slot: Arc<Mutex<Option<Shared>>>,
}

/// What was loaded first, while a session of it lives.
#[derive(Debug)]
struct Shared {
    graph: String,
    fingerprint: u64,
    loaded: Weak<Loaded>,
}

impl SharedWeights {
    /// For as many sessions as will run at once: their threads of one pool are `intra_op_threads` for each.
    pub fn new(workers: usize) -> Self {
        let workers = u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
        Self { workers, slot: Arc::new(Mutex::new(None)) }
    }

    /// What the first load of `graph` gave, or what `load` gives for so many threads.
    ///
    /// # Errors
    /// Those of `load`, or the graph is another than the first.
    pub(crate) fn get(
        &self,
        graph: &GraphSource<'_>,
        intra_op_threads: u32,
        load: impl FnOnce(u32) -> Result<Loaded, RuntimeError>,
    ) -> Result<Arc<Loaded>, RuntimeError> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let fingerprint = graph.fingerprint();
        if let Some(shared) = slot.as_ref()
            && let Some(loaded) = shared.loaded.upgrade()
        {
            if shared.fingerprint != fingerprint {
                let (first, second) = (shared.graph.clone(), graph.to_string());
                return Err(RuntimeError::Shared { first, second });
            }
            return Ok(loaded);
        }
        // One pool for all: the callers themselves compute too, so it holds what they lack.
        let pool = match intra_op_threads {
            0 => 0,
            each => (each - 1).saturating_mul(self.workers).saturating_add(1),
        };
        let loaded = Arc::new(load(pool)?);
        if loaded.provider().runs_concurrently() {
            let weak = Arc::downgrade(&loaded);
            *slot = Some(Shared { graph: graph.to_string(), fingerprint, loaded: weak });
        }
        Ok(loaded)
    }
}

impl From<Optimization> for GraphOptimizationLevel {
    fn from(optimization: Optimization) -> Self {
        match optimization {
            Optimization::None => Self::Disable,
            Optimization::Basic => Self::Level1,
            Optimization::All => Self::All,
        }
    }
}
