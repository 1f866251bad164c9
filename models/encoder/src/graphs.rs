//! The package's graphs, loaded and compared with the manifest.

use listen_package::{Carry, Graph as GraphFile, Head, HeadInput, Layout, Manifest, Package, Precision};
use listen_runtime::{
    ElementType, GraphSource, Port, Provider, RuntimeError, Session, SessionOptions, SharedWeights,
    TensorRef, Value,
};

use crate::carry::carries_over;
use crate::recipe::Recipe;
use crate::{EncoderError, EncoderOptions, Plan};

mod part;

pub(crate) use part::Part;

/// The weights that the sessions of one engine share.
#[derive(Debug, Clone)]
pub(crate) struct Weights {
    encoder: SharedWeights,
    head: SharedWeights,
    tagger: SharedWeights,
}

impl Weights {
    pub(crate) fn new(workers: usize) -> Self {
        let new = || SharedWeights::new(workers);
        Self { encoder: new(), head: new(), tagger: new() }
    }
}

/// The graphs of one worker.
#[derive(Debug)]
pub(crate) struct Graphs {
    encoder: Graph,
    /// What the encoder carries over.
    carry: Option<Carry>,
    head: Option<Graph>,
    tagger: Option<Graph>,
    classes: usize,
}

/// A graph that needs one input and gives one output, and what else it carries over.
#[derive(Debug)]
struct Graph {
    session: Session,
    file: String,
    input: String,
    output: String,
    /// Largest batch that it takes.
    batch: usize,
    /// Dimensions of what stands behind a stream's end, where it carries over.
    tail_rank: usize,
}

/// What a graph must look like; shapes without the batch.
struct Ends<'a> {
    file: &'a str,
    /// The manifest's keys of the input's and the output's name.
    keys: [&'static str; 2],
    input: &'a str,
    takes: Vec<Size>,
    output: &'a str,
    gives: Vec<Size>,
}

/// What a dimension must be.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Size {
    /// Open, or fixed at this.
    Is(usize),
    /// Open: the manifest allows several.
    Open,
    /// Open or fixed; checked at each run.
    Any,
}

impl Graphs {
    /// Loads what the package needs for `options`.
    pub(crate) fn load(
        package: &Package,
        plan: &Plan,
        recipe: &Recipe,
        options: &EncoderOptions,
        weights: &Weights,
    ) -> Result<Self, EncoderError> {
        let manifest = package.manifest();
        let session = |precision, weights: &SharedWeights| SessionOptions {
            provider: options.provider,
            device: options.device,
            precision,
            intra_op_threads: options.intra_op_threads,
            weights: Some(weights.clone()),
            ..SessionOptions::default()
        };
        let file = manifest.encoder.graphs.get(&plan.precision).map_or("", |GraphFile { file, .. }| file);
        let inside = match plan.precision {
            // Its graph is float32; the provider computes in bfloat16.
            Precision::Bf16 => listen_runtime::Precision::Bf16,
            Precision::Fp32 | Precision::Fp16 | Precision::Int8 => listen_runtime::Precision::Graph,
        };
        let exact = listen_runtime::Precision::Graph;
        let mut encoder =
            Graph::load(package, &encoder_ends(manifest, recipe, file), &session(inside, &weights.encoder))?;
        encoder.batch = encoder.batch.min(plan.max_batch.map_or(usize::MAX, |n| n.max(1) as usize));
        let carry = manifest.carry().cloned();
        carry.as_ref().map_or(Ok(()), |carry| encoder.check_carry(carry))?;
        let head = match &manifest.head {
            Some(head) => Some(Graph::load(
                package,
                &head_ends(manifest, recipe, head),
                &session(exact, &weights.head),
            )?),
            None => None,
        };
        let classes = package.classes().map_or(0, <[String]>::len);
        let tagger = match &manifest.tagger {
            Some(listen_package::Tagger {
                file: Some(file),
                input: Some(input),
                output: Some(output),
                ..
            }) => {
                let (takes, gives) = (vec![Size::Is(manifest.clip_dim() as usize)], vec![Size::Is(classes)]);
                Some(Graph::load(
                    package,
                    &Ends { file, keys: ["tagger.input", "tagger.output"], input, takes, output, gives },
                    &session(exact, &weights.tagger),
                )?)
            }
            _ => None,
        };
        Ok(Self { encoder, carry, head, tagger, classes })
    }

    /// What runs the encoder.
    pub(crate) fn provider(&self) -> Provider {
        self.encoder.session.provider()
    }

    /// Number of the classifier's classes.
    pub(crate) fn classes(&self) -> usize {
        self.classes
    }

    /// The encoder's output and its shape.
    pub(crate) fn encode(
        &mut self,
        shape: &[usize],
        data: &[f32],
    ) -> Result<(Vec<usize>, Vec<f32>), RuntimeError> {
        self.encoder.run(shape, data)
    }

    /// Whether the encoder carries over what it has heard.
    pub(crate) fn carries(&self) -> bool {
        self.carry.is_some() && carries_over(self.provider())
    }

    /// The encoder run on the next part of a stream, which may be its last one (`ends`). Without `states` the part begins a stream.
    pub(crate) fn encode_part(
        &mut self,
        shape: &[usize],
        data: &[f32],
        states: Option<&[Value]>,
        ends: bool,
    ) -> Result<Part, RuntimeError> {
        match &self.carry {
            Some(carry) => self.encoder.part(carry, shape, data, states, ends),
            None => Err(self.broken("`streaming.carry` in the manifest, found none".into())),
        }
    }

    /// The head's output, `dim` values for each of `shape[0]` inputs.
    pub(crate) fn map(
        &mut self,
        shape: &[usize],
        data: Vec<f32>,
        dim: usize,
    ) -> Result<Vec<f32>, RuntimeError> {
        match &mut self.head {
            Some(head) => head.rows(shape, &data, dim),
            None => Ok(data),
        }
    }

    /// The classifier's output, a value for each class for each of `shape[0]` inputs.
    pub(crate) fn classify(&mut self, shape: &[usize], data: Vec<f32>) -> Result<Vec<f32>, RuntimeError> {
        match &mut self.tagger {
            Some(tagger) => tagger.rows(shape, &data, self.classes),
            None => Ok(data),
        }
    }

    /// A run that did not give what the manifest says.
    pub(crate) fn broken(&self, expected: String) -> RuntimeError {
        self.encoder.broken(expected)
    }
}

impl Graph {
    fn load(package: &Package, ends: &Ends<'_>, options: &SessionOptions) -> Result<Self, EncoderError> {
        let session = match package.path(ends.file) {
            Some(path) => Session::load(&GraphSource::Path(&path), options)?,
            None => Session::load(&GraphSource::Bytes(&package.read(ends.file)?), options)?,
        };
        let wrong = |what: String, expected: String, found: String| EncoderError::Graph {
            file: package.shown(ends.file),
            what,
            expected,
            found,
        };
        let (inputs, outputs) = (session.inputs(), session.outputs());
        let [input] = inputs else {
            return Err(wrong(ends.keys[0].into(), ends.input.into(), names(inputs)));
        };
        if input.name != ends.input {
            return Err(wrong(ends.keys[0].into(), ends.input.into(), input.name.clone()));
        }
        let Some(output) = outputs.iter().find(|port| port.name == ends.output) else {
            return Err(wrong(ends.keys[1].into(), ends.output.into(), names(outputs)));
        };
        for (key, port, dims) in [(ends.keys[0], input, &ends.takes), (ends.keys[1], output, &ends.gives)] {
            if !fits(port, dims) {
                let what = format!("{key} `{}`", port.name);
                return Err(wrong(
                    what,
                    format!("float32 {}", show(dims)),
                    format!("{} {}", port.element, shown(port)),
                ));
            }
        }
        let batch = input.dims.first().copied().flatten().unwrap_or(usize::MAX);
        Ok(Self {
            file: package.shown(ends.file),
            input: ends.input.into(),
            output: ends.output.into(),
            batch,
            tail_rank: 0,
            session,
        })
    }

    /// Runs a batch, in parts where the graph takes only smaller ones; gives the output's shape and values.
    fn run(&mut self, shape: &[usize], data: &[f32]) -> Result<(Vec<usize>, Vec<f32>), RuntimeError> {
        let rows = shape.first().copied().unwrap_or(0);
        if rows <= self.batch {
            return self.once(shape, data);
        }
        let (mut total, mut values, mut of_one) = (0, Vec::new(), Vec::new());
        for part in data.chunks(data.len() / rows * self.batch) {
            let mut shape = shape.to_vec();
            shape[0] = part.len() * rows / data.len();
            let (found, more) = self.once(&shape, part)?;
            total += found.first().copied().unwrap_or(0);
            of_one = found.get(1..).unwrap_or_default().to_vec();
            values.extend(more);
        }
        of_one.insert(0, total);
        Ok((of_one, values))
    }

    /// Runs a batch whose output is a vector of `dim` values for each input.
    fn rows(&mut self, shape: &[usize], data: &[f32], dim: usize) -> Result<Vec<f32>, RuntimeError> {
        let (found, values) = self.run(shape, data)?;
        if found != [shape[0], dim] {
            return Err(self.broken(format!("an output of {:?}, found {found:?}", [shape[0], dim])));
        }
        Ok(values)
    }

    fn once(&mut self, shape: &[usize], data: &[f32]) -> Result<(Vec<usize>, Vec<f32>), RuntimeError> {
        let input = TensorRef::f32(shape, data)?;
        let output = self.session.run(&[(&self.input, input)], &[&self.output])?.pop();
        let tensor = output.ok_or_else(|| self.broken("an output, found none".into()))?;
        let shape = tensor.shape.clone();
        match tensor.into_f32() {
            Some(values) => Ok((shape, values)),
            None => Err(self.broken("float32, found int64".into())),
        }
    }

    fn broken(&self, expected: String) -> RuntimeError {
        RuntimeError::Run { reason: format!("{}: expected {expected}", self.file) }
    }
}

/// The names of a graph's ends.
fn names(ports: &[Port]) -> String {
    match ports {
        [] => "none".into(),
        ports => ports.iter().map(|port| port.name.as_str()).collect::<Vec<_>>().join(", "),
    }
}

/// The encoder's ends. A length of time that a graph fixes must be the only one that the manifest allows.
fn encoder_ends<'a>(manifest: &'a Manifest, recipe: &Recipe, file: &'a str) -> Ends<'a> {
    let (time, bands) =
        (fixed_frames(manifest).map_or(Size::Open, |n| Size::Is(n as usize)), Size::Is(recipe.width));
    let takes = match manifest.encoder.input.layout {
        Layout::B1FT => vec![Size::Is(1), bands, time],
        Layout::B1TF => vec![Size::Is(1), time, bands],
        Layout::BFT => vec![bands, time],
        Layout::BTF => vec![time, bands],
        Layout::BT => vec![time],
    };
    let dim = Size::Is(recipe.dim);
    let gives = if recipe.in_time() { vec![vectors(manifest, recipe), dim] } else { vec![dim] };
    Ends {
        file,
        keys: ["encoder.input.name", "encoder.output.name"],
        input: &manifest.encoder.input.name,
        takes,
        output: &manifest.encoder.output.name,
        gives,
    }
}

fn head_ends<'a>(manifest: &'a Manifest, recipe: &Recipe, head: &'a Head) -> Ends<'a> {
    let takes = match head.takes {
        HeadInput::All => vec![vectors(manifest, recipe), Size::Is(recipe.dim)],
        HeadInput::Pooled => vec![Size::Is(manifest.frame_dim().map_or(recipe.dim, |dim| dim as usize))],
    };
    let gives = vec![Size::Is(head.dim as usize)];
    let keys = ["head.input", "head.output"];
    Ends { file: &head.file, keys, input: &head.input, takes, output: &head.output, gives }
}

/// The only length that the encoder takes, if there is only one. Parts of a stream have others.
fn fixed_frames(manifest: &Manifest) -> Option<u32> {
    let window = &manifest.window;
    (window.min_frames == window.max_frames && manifest.carry().is_none()).then_some(window.frames)
}

/// Vectors of a window, over time and frequency.
fn vectors(manifest: &Manifest, recipe: &Recipe) -> Size {
    match fixed_frames(manifest) {
        _ if recipe.in_graph => Size::Any, // there may be those of one step more
        Some(frames) => Size::Is(recipe.output_shape(frames)[0]),
        None => Size::Open,
    }
}

/// Whether one end of a graph takes a batch (any, or one at a time) of `sizes`.
fn fits(port: &Port, sizes: &[Size]) -> bool {
    let Some((batch, found)) = port.dims.split_first() else { return false };
    let size_fits = |(found, size): (&Option<usize>, &Size)| match size {
        Size::Is(n) => found.is_none_or(|found| found == *n),
        Size::Open => found.is_none(),
        Size::Any => true,
    };
    port.element == ElementType::F32
        && batch.is_none_or(|batch| batch == 1)
        && found.len() == sizes.len()
        && found.iter().zip(sizes).all(size_fits)
}

/// `[any, 1, 80, any]`: what the manifest says.
fn show(sizes: &[Size]) -> String {
    let sizes = sizes.iter().map(|size| match size {
        Size::Is(n) => n.to_string(),
        Size::Open | Size::Any => "any".into(),
    });
    format!("[{}]", std::iter::once("any".into()).chain(sizes).collect::<Vec<String>>().join(", "))
}

/// The same of a graph's end.
fn shown(port: &Port) -> String {
    let sizes = port.dims.iter().map(|d| d.map_or_else(|| "any".into(), |n| n.to_string()));
    format!("[{}]", sizes.collect::<Vec<String>>().join(", "))
}
