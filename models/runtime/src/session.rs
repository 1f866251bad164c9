//! A graph, loaded: what goes in, what comes out, and a run.

use std::fmt;
use std::sync::Arc;

use ort::value::{DynValue, Outlet, TensorElementType, ValueType};

use crate::call::Callable;
use crate::environment::{LogLevel, environment, log};
use crate::error::{RuntimeError, Side, dims, run_failed};
use crate::exit::{self, Pass};
use crate::options::{GraphSource, SessionOptions};
use crate::provider::{Provider, Setup, registrations};
use crate::tensor::{DataRef, ElementType, Tensor, TensorData, TensorRef};

/// One end of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Size of each dimension; `None` is any.
    pub dims: Vec<Option<usize>>,
    /// Type of its elements.
    pub element: ElementType,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.element, dims(&self.dims))
    }
}

/// What sessions share.
pub(crate) struct Loaded {
    pub(crate) callable: Callable,
    provider: Provider,
    /// The first `needed` of them have no default.
    pub(crate) inputs: Vec<Port>,
    needed: usize,
    pub(crate) outputs: Vec<Port>,
}

impl Loaded {
    pub(crate) fn provider(&self) -> Provider {
        self.provider
    }

    /// The inputs without a default.
    pub(crate) fn needed(&self) -> &[Port] {
        &self.inputs[..self.needed]
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("provider", &self.provider)
            .field("inputs", &self.inputs)
            .field("outputs", &self.outputs)
            .finish_non_exhaustive()
    }
}

/// A loaded graph, for one thread at a time.
#[derive(Debug)]
pub struct Session {
    pub(crate) loaded: Arc<Loaded>,
}

impl Session {
    /// Loads ONNX Runtime, if this is the first, and the graph. It may take seconds (TensorRT: minutes).
    ///
    /// # Errors
    /// No library; the provider asked for by name is not there or cannot compute in the precision; the file is not
    /// there or no graph. With [`Provider::Auto`] a provider that is missing or fails to load the graph is passed
    /// over for the next, and the logger is told. The process is exiting.
    pub fn load(graph: &GraphSource<'_>, options: &SessionOptions) -> Result<Self, RuntimeError> {
        let loaded = match &options.weights {
            None => Arc::new(load(graph, options, options.intra_op_threads)?),
            Some(weights) => {
                weights.get(graph, options.intra_op_threads, |threads| load(graph, options, threads))?
            }
        };
        Ok(Self { loaded })
    }

    /// Who computes; never [`Provider::Auto`].
    pub fn provider(&self) -> Provider {
        self.loaded.provider
    }

    /// What the graph must be given.
    pub fn inputs(&self) -> &[Port] {
        self.loaded.needed()
    }

    /// What it can be given besides: inputs that have a default (initializers that are inputs too).
    pub fn optional_inputs(&self) -> &[Port] {
        &self.loaded.inputs[self.loaded.needed..]
    }

    /// What the graph gives.
    pub fn outputs(&self) -> &[Port] {
        &self.loaded.outputs
    }

    /// The input of this name.
    ///
    /// # Errors
    /// There is none: its name and those there are.
    pub fn input(&self, name: &str) -> Result<&Port, RuntimeError> {
        index(Side::Input, &self.loaded.inputs, name).map(|i| &self.loaded.inputs[i])
    }

    /// The output of this name.
    ///
    /// # Errors
    /// There is none: its name and those there are.
    pub fn output(&self, name: &str) -> Result<&Port, RuntimeError> {
        index(Side::Output, &self.loaded.outputs, name).map(|i| &self.loaded.outputs[i])
    }

    /// Runs the graph on named inputs, which are not copied, and gives the named outputs, in their order.
    ///
    /// It takes `&mut self` though the weights may be shared: a session is what one thread runs at a time.
    ///
    /// # Errors
    /// A name that the graph has not, an input that is missing or has another type or shape than the graph's, an
    /// output that is neither float32 nor int64, whatever ONNX Runtime says, or the process is exiting.
    pub fn run(
        &mut self,
        inputs: &[(&str, TensorRef<'_>)],
        outputs: &[&str],
    ) -> Result<Vec<Tensor>, RuntimeError> {
        let loaded = &*self.loaded;
        let mut values = Vec::with_capacity(inputs.len());
        for (name, tensor) in inputs {
            let i = index(Side::Input, &loaded.inputs, name)?;
            check(&loaded.inputs[i], &tensor.element(), tensor.shape)?;
            if tensor.len() == 0 {
                return Err(run_failed(format_args!("input {name:?} is empty: {:?}", tensor.shape)));
            }
            values.push((i, *tensor));
        }
        all_given(loaded.needed(), inputs.iter().map(|(name, _)| *name))?;
        let wanted: Vec<usize> = outputs
            .iter()
            .map(|name| index(Side::Output, &loaded.outputs, name))
            .collect::<Result<_, _>>()?;
        let _pass = Pass::get()?;
        with_values(&values, |values| {
            let results = loaded.callable.run(values, &wanted)?;
            exit::register_again();
            results.iter().zip(&wanted).map(|(value, &i)| extract(value, &loaded.outputs[i])).collect()
        })
    }
}

/// Calls `run` with the tensors as ONNX Runtime's values, which borrow them.
///
/// The values do not leave this function: `DynValue` has no lifetime that would keep the data alive.
pub(crate) fn with_values<R>(
    tensors: &[(usize, TensorRef<'_>)],
    run: impl FnOnce(&[(usize, &DynValue)]) -> Result<R, RuntimeError>,
) -> Result<R, RuntimeError> {
    let views: Vec<_> = tensors
        .iter()
        .map(|(i, tensor)| {
            let view =
                match tensor.data {
                    DataRef::F32(data) => ort::value::TensorRef::from_array_view((tensor.shape, data))
                        .map(|view| view.into_dyn()),
                    DataRef::I64(data) => ort::value::TensorRef::from_array_view((tensor.shape, data))
                        .map(|view| view.into_dyn()),
                };
            view.map(|view| (*i, view)).map_err(run_failed)
        })
        .collect::<Result<_, _>>()?;
    let values: Vec<(usize, &DynValue)> = views.iter().map(|(i, view)| (*i, &**view)).collect();
    run(&values)
}

/// Whether every input is among the names given.
pub(crate) fn all_given<'a>(
    ports: &[Port],
    given: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), RuntimeError> {
    match ports.iter().find(|port| !given.clone().any(|name| name == port.name)) {
        Some(port) => {
            let given = given.map(str::to_owned).collect();
            Err(RuntimeError::Missing { name: port.name.clone(), given })
        }
        None => Ok(()),
    }
}

/// Which of `ports` has this name.
pub(crate) fn index(side: Side, ports: &[Port], name: &str) -> Result<usize, RuntimeError> {
    ports.iter().position(|port| port.name == name).ok_or_else(|| RuntimeError::Name {
        side,
        name: name.to_owned(),
        known: ports.iter().map(|port| port.name.clone()).collect(),
    })
}

/// Whether a tensor fits an input.
pub(crate) fn check(port: &Port, found: &ElementType, shape: &[usize]) -> Result<(), RuntimeError> {
    if port.element != *found {
        return Err(RuntimeError::Type {
            side: Side::Input,
            name: port.name.clone(),
            expected: port.element.to_string(),
            found: found.to_string(),
        });
    }
    // A graph may leave an input's rank open, which reads like a scalar's: then ONNX Runtime is the judge.
    let fits = port.dims.is_empty()
        || port.dims.len() == shape.len()
            && port.dims.iter().zip(shape).all(|(dim, &size)| dim.is_none_or(|dim| dim == size));
    if !fits {
        return Err(RuntimeError::Shape {
            side: Side::Input,
            name: port.name.clone(),
            expected: port.dims.clone(),
            found: shape.to_vec(),
        });
    }
    Ok(())
}

/// Copies an output out of ONNX Runtime.
fn extract(value: &DynValue, port: &Port) -> Result<Tensor, RuntimeError> {
    let sizes = |shape: &ort::value::Shape| shape.iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect();
    match port.element {
        ElementType::F32 => {
            let (shape, data) = value.try_extract_tensor::<f32>().map_err(run_failed)?;
            Ok(Tensor { shape: sizes(shape), data: TensorData::F32(data.to_vec()) })
        }
        ElementType::I64 => {
            let (shape, data) = value.try_extract_tensor::<i64>().map_err(run_failed)?;
            Ok(Tensor { shape: sizes(shape), data: TensorData::I64(data.to_vec()) })
        }
        ElementType::Other(ref found) => Err(RuntimeError::Type {
            side: Side::Output,
            name: port.name.clone(),
            expected: found.clone(),
            found: "float32 or int64".to_owned(),
        }),
    }
}

/// Integer products as they are, on x86 processors without VNNI too. Their quickest instruction adds two products in 16
/// bits, which large weights overflow, and ONNX Runtime uses it unless this says otherwise.
const EXACT_INT8: &str = "session.x64quantprecision";

/// Whether int8 needs [`EXACT_INT8`]. VNNI adds in 32 bits; where it is there, the setting takes a kernel of half its speed.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn may_overflow() -> bool {
    use std::arch::is_x86_feature_detected;
    !(is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni"))
}

/// Only x86 has that instruction.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
fn may_overflow() -> bool {
    false
}

/// Loads with the first provider that can.
fn load(graph: &GraphSource<'_>, options: &SessionOptions, threads: u32) -> Result<Loaded, RuntimeError> {
    let mut candidates = options.provider.candidates(options.precision).into_iter().peekable();
    loop {
        let Some(provider) = candidates.next() else {
            return Err(RuntimeError::Precision { provider: options.provider, precision: options.precision });
        };
        match load_with(provider, graph, options, threads) {
            Err(error) if error != RuntimeError::Exiting && candidates.peek().is_some() => {
                log(LogLevel::Info, &format!("{graph}: {provider} is passed over: {error}"));
            }
            done => return done,
        }
    }
}

fn load_with(
    provider: Provider,
    graph: &GraphSource<'_>,
    options: &SessionOptions,
    threads: u32,
) -> Result<Loaded, RuntimeError> {
    let _pass = Pass::get()?;
    let environment = environment()?;
    exit::check()?;
    let setup = Setup {
        device: options.device,
        precision: options.precision,
        threads: options.intra_op_threads,
        cache_dir: options.cache_dir.as_deref(),
    };
    let providers = registrations(provider, &setup)?;
    let failed = |error: &dyn fmt::Display| RuntimeError::Load {
        graph: graph.to_string(),
        provider,
        reason: match provider {
            Provider::Cpu => error.to_string(),
            // Only now does it open its device, so this may be the graph's fault or the machine's.
            other => format!("{error}; if it is {other} that is missing: {}", other.install()),
        },
    };
    let build = |exact_int8: bool| {
        let mut builder = ort::session::Session::builder(environment)
            .and_then(|b| Ok(b.with_intra_threads(threads as usize)?))
            .and_then(|b| Ok(b.with_inter_threads(1)?))
            .and_then(|b| Ok(b.with_intra_op_spinning(false)?))
            .and_then(|b| Ok(b.with_optimization_level(options.optimization.into())?))
            .map_err(|error| failed(&error))?;
        if exact_int8 {
            builder = builder.with_config_entry(EXACT_INT8, "1").map_err(|error| failed(&error))?;
        }
        if !providers.is_empty() {
            builder = builder
                .with_execution_providers(providers.clone())
                .map_err(|error| provider.missing(error))?;
        }
        match graph {
            GraphSource::Path(path) => builder.commit_from_file(path),
            GraphSource::Bytes(bytes) => builder.commit_from_memory(bytes),
        }
        .map_err(|error| failed(&error))
    };
    let session = match build(provider == Provider::Cpu && may_overflow()) {
        // ONNX Runtime cannot do it where two matrices share the tensor of their zero point.
        Err(error) if provider == Provider::Cpu && may_overflow() => match build(false) {
            Ok(session) => {
                let text = format!("{graph}: int8 may overflow on processors without VNNI: {error}");
                log(LogLevel::Warning, &text);
                session
            }
            Err(_) => return Err(error),
        },
        built => built?,
    };
    let mut inputs: Vec<Port> = session.inputs().iter().map(port).collect();
    let needed = inputs.len();
    let optional = session.overridable_initializers();
    inputs.extend(optional.iter().map(|initializer| named_port(initializer.name(), initializer.dtype())));
    let outputs: Vec<Port> = session.outputs().iter().map(port).collect();
    let names = |ports: &[Port]| -> Vec<String> { ports.iter().map(|port| port.name.clone()).collect() };
    let callable = Callable::new(session, names(&inputs), names(&outputs)).map_err(|error| failed(&error))?;
    exit::register_again();
    Ok(Loaded { callable, provider, inputs, needed, outputs })
}

/// An end of a graph as ONNX Runtime tells it.
fn port(outlet: &Outlet) -> Port {
    named_port(outlet.name(), outlet.dtype())
}

fn named_port(name: &str, dtype: &ValueType) -> Port {
    let (element, dims) = match dtype {
        ValueType::Tensor { ty, shape, .. } => {
            let element = match ty {
                TensorElementType::Float32 => ElementType::F32,
                TensorElementType::Int64 => ElementType::I64,
                other => ElementType::Other(other.to_string()),
            };
            (element, shape.iter().map(|&size| usize::try_from(size).ok()).collect())
        }
        other => (ElementType::Other(other.to_string()), Vec::new()),
    };
    Port { name: name.to_owned(), dims, element }
}
