//! Loading a package's graphs, and comparing their ends with the manifest.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use listen_package::{CaptionDecoder, Captioner, Package, Projector};
use listen_runtime::{ElementType, GraphSource, Port, Provider, Session, SessionOptions, SharedWeights};

use super::error::LocalError;

/// Where a decoder computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalOptions {
    /// Who computes.
    pub provider: Provider,
    /// Which of the provider's devices.
    pub device: u32,
    /// Threads of one run, the calling one among them; 0 leaves it to the provider.
    pub threads: u32,
}

impl Default for LocalOptions {
    /// The CPU, with one thread.
    fn default() -> Self {
        Self { provider: Provider::Cpu, device: 0, threads: 1 }
    }
}

/// Loads graphs as the options say.
#[derive(Debug)]
pub(super) struct Loader {
    options: LocalOptions,
}

impl Loader {
    pub fn new(options: LocalOptions) -> Loader {
        Loader { options }
    }

    pub fn decoder(&self, package: &Package, block: &CaptionDecoder) -> Result<Session, LocalError> {
        let session = self.load(package, &block.file)?;
        let fixed = |size: u32| Some(size as usize);
        let cache = [Some(1), fixed(block.kv_heads), None, fixed(block.head_dim)];
        let [embeds, mask, places] = CaptionDecoder::INPUTS;
        let mut inputs = vec![
            (embeds.to_owned(), ElementType::F32, vec![Some(1), None, fixed(block.hidden)]),
            (mask.to_owned(), ElementType::I64, vec![Some(1), None]),
        ];
        if block.position_ids {
            inputs.push((places.to_owned(), ElementType::I64, vec![Some(1), None]));
        }
        inputs.extend(block.past().into_iter().map(|name| (name, ElementType::F32, cache.to_vec())));
        let mut outputs = vec![(
            CaptionDecoder::LOGITS.to_owned(),
            ElementType::F32,
            vec![Some(1), None, fixed(block.vocab)],
        )];
        outputs.extend(block.present().into_iter().map(|name| (name, ElementType::F32, cache.to_vec())));
        if let Some(port) =
            session.inputs().iter().find(|port| inputs.iter().all(|(name, ..)| *name != port.name))
        {
            let names = inputs.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(LocalError::Graph {
                file: block.file.clone(),
                what: "each input".to_owned(),
                expected: format!("one of {names}"),
                found: port.name.clone(),
            });
        }
        for (name, element, dims) in &inputs {
            same(&block.file, session.input(name)?, element, dims)?;
        }
        for (name, element, dims) in &outputs {
            same(&block.file, session.output(name)?, element, dims)?;
        }
        Ok(session)
    }

    pub fn embed_tokens(&self, package: &Package, block: &Captioner) -> Result<Session, LocalError> {
        let names = &block.embed_tokens;
        let session = self.load(package, &names.file)?;
        same(&names.file, session.input(&names.input)?, &ElementType::I64, &[Some(1), None])?;
        let hidden = Some(block.decoder.hidden as usize);
        same(&names.file, session.output(&names.output)?, &ElementType::F32, &[Some(1), None, hidden])?;
        Ok(session)
    }

    pub fn projector(
        &self,
        package: &Package,
        block: &Captioner,
        names: &Projector,
        dim: usize,
    ) -> Result<Session, LocalError> {
        let session = self.load(package, &names.file)?;
        let takes: &[Option<usize>] = match names.takes {
            listen_package::Output::Clip => &[Some(1), Some(dim)],
            listen_package::Output::Frames | listen_package::Output::Tokens => &[Some(1), None, Some(dim)],
        };
        same(&names.file, session.input(&names.input)?, &ElementType::F32, takes)?;
        let gives = [Some(1), Some(names.prefix as usize), Some(block.decoder.hidden as usize)];
        same(&names.file, session.output(&names.output)?, &ElementType::F32, &gives)?;
        Ok(session)
    }

    /// A graph of the package; all who load the same one share its weights, where the provider allows that.
    fn load(&self, package: &Package, file: &str) -> Result<Session, LocalError> {
        static SHARED: LazyLock<Mutex<HashMap<String, SharedWeights>>> = LazyLock::new(Mutex::default);
        let LocalOptions { provider, device, threads } = self.options;
        let key = format!("{} {file} {provider} {device} {threads}", package.space());
        let weights = {
            let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
            shared.entry(key).or_insert_with(|| SharedWeights::new(1)).clone()
        };
        let options = SessionOptions {
            provider,
            device,
            intra_op_threads: threads,
            weights: Some(weights),
            ..SessionOptions::default()
        };
        Ok(match package.path(file) {
            Some(path) => Session::load(&GraphSource::Path(&path), &options)?,
            None => Session::load(&GraphSource::Bytes(&package.read(file)?), &options)?,
        })
    }
}

/// Something of a graph that is not what the manifest says.
pub(super) fn wrong(file: &str, what: String, expected: String, found: &[usize]) -> LocalError {
    LocalError::Graph { file: file.to_owned(), what, expected, found: format!("{found:?}") }
}

/// Whether an end of a graph can be what the manifest says; a size that either leaves open fits.
fn same(file: &str, port: &Port, element: &ElementType, dims: &[Option<usize>]) -> Result<(), LocalError> {
    // A graph may leave the rank open too, which reads like a scalar's: then the run is the judge.
    let fits = port.dims.is_empty()
        || port.dims.len() == dims.len()
            && port.dims.iter().zip(dims).all(|(found, expected)| match (found, expected) {
                (Some(found), Some(expected)) => found == expected,
                _ => true,
            });
    if fits && port.element == *element {
        return Ok(());
    }
    let expected = Port { name: port.name.clone(), dims: dims.to_vec(), element: element.clone() };
    let shown =
        |port: &Port| port.to_string().split_once(' ').map_or_else(String::new, |(_, rest)| rest.to_owned());
    Err(LocalError::Graph {
        file: file.to_owned(),
        what: format!("`{}`", port.name),
        expected: shown(&expected),
        found: shown(port),
    })
}
