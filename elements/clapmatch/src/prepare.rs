//! From the words that the user wrote to a matcher. It can take seconds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use listen_package::{Activation, Package, PackageError};
use listen_runtime::{Provider, SessionOptions};
use listen_zeroshot::{Classes, LabelError, LabelList, LabelSource, MatchError, MatchOptions, Matcher};

use crate::settings::Listen;

/// Labels that cannot be listened for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Nobody has the package open.
    #[error(
        "embeddings of space {space} came, but no element of this process has that package open; name its folder with \
         model="
    )]
    NoPackage {
        /// The stream's space.
        space: String,
    },
    /// The package named is another.
    #[error("embeddings of space {expected} came, but the package {model} has space {found}")]
    OtherPackage {
        /// The stream's space.
        expected: String,
        /// Folder of the package named.
        model: String,
        /// Its space.
        found: String,
    },
    /// The package named cannot be opened.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The file of labels cannot be read.
    #[error("labels-file {path}: {source}")]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file of labels is too large to be one.
    #[error("labels-file {path} has {found} bytes, at most {limit} are read")]
    FileSize {
        /// Its path.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// Most that is read.
        limit: u64,
    },
    /// A list is not one.
    #[error("{property}: {source}")]
    List {
        /// The property that holds it.
        property: &'static str,
        /// What is wrong with it.
        source: LabelError,
    },
    /// The file of labels holds no list of them.
    #[error("labels-file {path}: {}", without_place(source))]
    ListFile {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        source: LabelError,
    },
    /// The lists of labels and labels-file do not go together.
    #[error("labels-file {path} and labels together: {source}")]
    Together {
        /// Path of the file, whose labels come first.
        path: PathBuf,
        /// What is wrong with both.
        source: LabelError,
    },
    /// The package cannot compare with it.
    #[error(transparent)]
    Match(#[from] MatchError),
    /// Embeddings of another length.
    #[error("embeddings of {found} values came, the package {space} compares those of {expected}")]
    Dim {
        /// The stream's space.
        space: String,
        /// Length in the package.
        expected: usize,
        /// Length in the caps.
        found: usize,
    },
    /// The thread could not be started.
    #[error("no thread for the labels: {0}")]
    Thread(std::io::Error),
    /// The code that reads labels panicked.
    #[error("reading the labels panicked; this is a bug")]
    Panic,
}

/// The error without `labels file: `, where the file's path stands before it.
fn without_place(error: &LabelError) -> String {
    match error {
        LabelError::File(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// The stream whose embeddings are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its space.
    pub space: String,
    /// Values in an embedding.
    pub dim: usize,
    /// Whether they are scores of the package's classes already, in [0, 1].
    pub scores: bool,
}

/// Labels that are ready to be listened for.
#[derive(Debug)]
pub struct Prepared {
    /// Scores embeddings by them.
    pub matcher: Matcher,
    /// The package that it is of.
    pub package: Arc<Package>,
    /// How long it took.
    pub took: Duration,
    /// What the user may have meant otherwise.
    pub doubts: Vec<String>,
}

/// A package and what labels are made of in it.
pub struct Open {
    package: Arc<Package>,
    source: Arc<Mutex<LabelSource>>,
}

/// Makes a matcher of what is listened for. What is `open` stays so between lists.
pub fn prepare(target: &Target, listen: &Listen, open: &mut Option<Open>) -> Result<Prepared, ListenError> {
    let began = Instant::now();
    if open.as_ref().is_none_or(|open| open.package.space() != target.space) {
        let package = package(target, listen)?;
        let source = source(&package)?;
        *open = Some(Open { package, source });
    }
    // It is `Some` by the lines above.
    let Some(Open { package, source }) = open else { return Err(ListenError::Panic) };
    let labels = labels(listen, package)?;
    let options = MatchOptions {
        prompts: list("prompt", listen.prompt.as_deref())?,
        background: list("background", listen.background.as_deref())?,
        score: listen.score.into(),
    };
    let matcher = match package.classes().filter(|_| target.scores) {
        // The encoder's side ran the tagger and its activation: neither is run again.
        Some(names) => {
            LabelSource::Classes(Classes::new(names.to_vec(), Activation::None)).matcher(labels, &options)?
        }
        None => source.lock().unwrap_or_else(PoisonError::into_inner).matcher(labels, &options)?,
    };
    if matcher.dim() != target.dim {
        let (space, expected, found) = (target.space.clone(), matcher.dim(), target.dim);
        return Err(ListenError::Dim { space, expected, found });
    }
    let lists = [("labels", &listen.labels), ("background", &listen.background)];
    let doubts = lists.into_iter().filter_map(|(property, text)| commas(property, text.as_deref()?, package));
    let doubts = doubts.collect();
    Ok(Prepared { matcher, package: package.clone(), took: began.elapsed(), doubts })
}

/// The package of the stream: one that is open in this process, else the one that the user names.
fn package(target: &Target, listen: &Listen) -> Result<Arc<Package>, ListenError> {
    if let Some(package) = Package::find(&target.space) {
        return Ok(package);
    }
    let Some(model) = &listen.model else {
        return Err(ListenError::NoPackage { space: target.space.clone() });
    };
    let package = Package::open(model, listen.accept_license)?;
    if package.space() != target.space {
        let (expected, found) = (target.space.clone(), package.space().to_owned());
        return Err(ListenError::OtherPackage { expected, model: model.display().to_string(), found });
    }
    Ok(package)
}

/// One text tower per space in the process, while anybody holds it.
fn source(package: &Package) -> Result<Arc<Mutex<LabelSource>>, ListenError> {
    static OPEN: LazyLock<Mutex<HashMap<String, Weak<Mutex<LabelSource>>>>> = LazyLock::new(Mutex::default);
    let find =
        |open: &HashMap<String, Weak<Mutex<LabelSource>>>| open.get(package.space()).and_then(Weak::upgrade);
    if let Some(source) = find(&OPEN.lock().unwrap_or_else(PoisonError::into_inner)) {
        return Ok(source);
    }
    let options = SessionOptions { provider: Provider::Cpu, ..SessionOptions::default() };
    let source = Arc::new(Mutex::new(LabelSource::open(package, &options)?));
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    // Whoever was first while this one loaded is kept.
    if let Some(first) = find(&open) {
        return Ok(first);
    }
    open.retain(|_, source| source.strong_count() > 0);
    open.insert(package.space().to_owned(), Arc::downgrade(&source));
    Ok(source)
}

/// The labels of `labels` and `labels-file` together; without either the package's own: `None` where it has classes, else
/// its table of labels.
fn labels(listen: &Listen, package: &Package) -> Result<Option<LabelList>, ListenError> {
    let of = |property| move |source| ListenError::List { property, source };
    let written = listen.labels.as_deref().map(LabelList::parse).transpose().map_err(of("labels"))?;
    let read = match &listen.labels_file {
        Some(path) => {
            let of_file = |source| ListenError::ListFile { path: path.clone(), source };
            Some(LabelList::from_json(&read(path)?).map_err(of_file)?)
        }
        None => None,
    };
    Ok(match (read, written) {
        (Some(read), Some(written)) => {
            let both = read.iter().chain(written.iter()).map(|label| (**label).clone()).collect();
            let path = listen.labels_file.clone().unwrap_or_default();
            Some(LabelList::new(both).map_err(|source| ListenError::Together { path, source })?)
        }
        (None, None) => match &package.manifest().label_embeddings {
            // A class has no cosine: the table is what can be compared then.
            Some(table)
                if package.manifest().clap.is_some()
                    && (package.classes().is_none()
                        || listen.score != crate::settings::Score::Calibrated) =>
            {
                let all = table.labels.iter().map(listen_zeroshot::Label::new).collect();
                Some(LabelList::new(all).map_err(of("the package's label_embeddings"))?)
            }
            _ => None,
        },
        (one, other) => one.or(other),
    })
}

/// The file's text.
fn read(path: &Path) -> Result<String, ListenError> {
    /// A thousand labels with a hundred prompts each fit in.
    const LIMIT: u64 = 16 << 20;
    let failed = |source| ListenError::File { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        // A pipe would hold the thread for as long as nobody writes to it.
        return Err(failed(std::io::Error::other("not a regular file")));
    }
    if metadata.len() > LIMIT {
        return Err(ListenError::FileSize { path: path.to_owned(), found: metadata.len(), limit: LIMIT });
    }
    std::fs::read_to_string(path).map_err(failed)
}

/// What to say of a list that has commas and no semicolon. It is one label all the same: a sentence may have a comma.
fn commas(property: &str, text: &str, package: &Package) -> Option<String> {
    if text.contains(';') || !text.contains(',') {
        return None;
    }
    // Classes of AudioSet are called so.
    let table = package.manifest().label_embeddings.iter().flat_map(|table| &table.labels);
    let mut known = package.classes().into_iter().flatten().chain(table);
    if known.any(|known| known.eq_ignore_ascii_case(text.trim())) {
        return None;
    }
    let meant: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    let meant = meant.join(";");
    Some(format!("{property}={text:?} is one label; several have ; between them: {property}={meant:?}"))
}

/// A list of texts with `;` between them.
fn list(property: &'static str, text: Option<&str>) -> Result<Vec<String>, ListenError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let list = LabelList::parse(text).map_err(|source| ListenError::List { property, source })?;
    Ok(list.texts().map(str::to_owned).collect())
}
