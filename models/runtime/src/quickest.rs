//! Which of several ways to compute the same is quickest on this machine: measured once, and remembered in a file.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::environment::{LogLevel, log, version};
use crate::error::RuntimeError;
use crate::library::loaded_library;
use crate::provider::cache_dir;

/// Runs of one way at most, and how long they go on at most where more than [`FEWEST`] were made.
const MOST: usize = 9;
const FEWEST: usize = 3;
const LONGEST: Duration = Duration::from_millis(1_500);
/// Largest file that is read as one of ours.
const MAX_FILE: u64 = 4_096;

/// A run of one way; it is called a few times.
pub type Run<'a> = Box<dyn FnMut() -> Result<(), RuntimeError> + 'a>;

/// How long each of `names` took, in their order, for `key` on this machine; `None` where it could not be made or run.
///
/// The first time each is made by `make` with its number, run once to warm up and then a few times; its best counts,
/// which other work on the machine disturbs least. Then it is remembered: in the process, and in a file under
/// `$XDG_CACHE_HOME/gst-listen/quickest` (`~/.cache/...`), under `key`, the names, the processor, its cores, NVIDIA's
/// cards and the ONNX Runtime that is loaded. Deleting the file has it measured anew. Where no file can be written
/// each process measures for itself, and the logger is told.
///
/// One measurement runs at a time in a process.
///
/// # Errors
/// None of them could be made and run: the first one's error. That is not remembered.
pub fn measured<'a>(
    key: &str,
    names: &[&str],
    mut make: impl FnMut(usize) -> Result<Run<'a>, RuntimeError>,
) -> Result<Vec<Option<Duration>>, RuntimeError> {
    static KNOWN: Mutex<Option<HashMap<String, Vec<Option<Duration>>>>> = Mutex::new(None);
    let machine = machine()?;
    let key = format!("{key}; {}; {machine}", names.join(" ")).replace('\n', " ");
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some(times) = known.get(&key) {
        return Ok(times.clone());
    }
    let file = cache_dir("quickest").map(|folder| file(&folder, &key));
    if let Some(times) = file.as_deref().and_then(|file| read(file, &key, names)) {
        known.insert(key, times.clone());
        return Ok(times);
    }
    let mut times = Vec::with_capacity(names.len());
    let mut first_error = None;
    for (number, name) in names.iter().enumerate() {
        match make(number).and_then(|mut run| best(&mut run)) {
            Ok(time) => times.push(Some(time)),
            Err(error @ RuntimeError::Exiting) => return Err(error),
            Err(error) => {
                log(LogLevel::Info, &format!("{name} is passed over: {error}"));
                first_error.get_or_insert(error);
                times.push(None);
            }
        }
    }
    match first_error {
        Some(error) if times.iter().all(Option::is_none) => return Err(error),
        _ => {}
    }
    let text = write(&key, names, &times);
    log(LogLevel::Info, &format!("measured {}", text.replace('\n', "; ")));
    let written = match &file {
        Some(file) => store(file, &text).map_err(|error| format!("{}: {error}", file.display())),
        None => Err("neither XDG_CACHE_HOME nor HOME is set".to_owned()),
    };
    if let Err(reason) = written {
        log(LogLevel::Warning, &format!("what was measured is not remembered: {reason}"));
    }
    known.insert(key, times.clone());
    Ok(times)
}

/// The best of a few runs.
fn best(run: &mut Run<'_>) -> Result<Duration, RuntimeError> {
    run()?;
    let begin = Instant::now();
    let mut best = Duration::MAX;
    for number in 0..MOST {
        if number >= FEWEST && begin.elapsed() > LONGEST {
            break;
        }
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

/// What makes this machine another than others, as far as speed goes.
fn machine() -> Result<String, RuntimeError> {
    let mut machine = version()?.to_owned();
    if let Some(library) = loaded_library() {
        // Wheels of the same version differ in their providers.
        let _ = write!(machine, "; {}", library.display());
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let _ = write!(machine, "; {} of {cores} cores", std::env::consts::ARCH);
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = |name: &str| processor.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    let mut hasher = DefaultHasher::new();
    // What it can do may differ between virtual machines of one model.
    line("flags").hash(&mut hasher);
    line("Features").hash(&mut hasher);
    let model = line("model name").split_once(':').map_or("", |(_, model)| model.trim());
    let _ = write!(machine, "; {model} {:016x}", hasher.finish());
    let cards = fs::read_dir("/proc/driver/nvidia/gpus").into_iter().flatten().flatten();
    let mut cards: Vec<_> = cards
        .filter_map(|card| fs::read_to_string(card.path().join("information")).ok())
        .filter_map(|text| Some(text.lines().next()?.split_once(':')?.1.trim().to_owned()))
        .collect();
    cards.sort();
    cards.iter().for_each(|card| machine.extend(["; ", card]));
    Ok(machine)
}

fn file(folder: &Path, key: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    folder.join(format!("{:016x}.txt", hasher.finish()))
}

/// The key, then a line for each way: `int8 1234567 ns`, or `bf16 none`.
fn write(key: &str, names: &[&str], times: &[Option<Duration>]) -> String {
    let line = |(name, time): (&&str, &Option<Duration>)| match time {
        Some(time) => format!("{name} {} ns", time.as_nanos()),
        None => format!("{name} none"),
    };
    std::iter::once(key.to_owned()).chain(names.iter().zip(times).map(line)).collect::<Vec<_>>().join("\n")
}

/// What [`write`] wrote for this key and these names; `None` of anything else.
fn read(file: &Path, key: &str, names: &[&str]) -> Option<Vec<Option<Duration>>> {
    if fs::metadata(file).ok()?.len() > MAX_FILE {
        return None;
    }
    let text = fs::read_to_string(file).ok()?;
    let mut lines = text.lines();
    if lines.next()? != key {
        return None;
    }
    let time = |name: &&str| {
        let rest = lines.next()?.strip_prefix(name)?.strip_prefix(' ')?;
        match rest.strip_suffix(" ns") {
            Some(ns) => Some(Some(Duration::from_nanos(ns.parse().ok()?))),
            None => (rest == "none").then_some(None),
        }
    };
    let times: Vec<_> = names.iter().map(time).collect::<Option<_>>()?;
    (lines.next().is_none() && times.iter().any(Option::is_some)).then_some(times)
}

/// Writes a file that others see whole or not at all.
fn store(file: &Path, text: &str) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let own = file.with_extension(format!("{}.part", std::process::id()));
    fs::write(&own, text)?;
    fs::rename(&own, file).inspect_err(|_| {
        // Nobody would ever find it.
        let _ = fs::remove_file(&own);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["fp32", "bf16", "int8"];

    #[test]
    fn what_is_written_is_read_back_and_anything_else_is_not() {
        let folder = std::env::temp_dir().join(format!("listen-quickest-{}", std::process::id()));
        let times = [Some(Duration::from_nanos(1_234)), None, Some(Duration::from_millis(7))];
        let path = file(&folder, "a key");
        let text = write("a key", &NAMES, &times);
        store(&path, &text).unwrap();
        assert_eq!(read(&path, "a key", &NAMES), Some(times.to_vec()));
        assert_eq!(read(&path, "another key", &NAMES), None);
        assert_eq!(read(&path, "a key", &NAMES[..2]), None);
        assert_eq!(read(&path, "a key", &["fp32", "int8", "bf16"]), None);
        let none = write("a key", &NAMES, &[None, None, None]);
        for broken in ["", "a key", "a key\nfp32 1 ns", &text[..text.len() - 1], &none, &"x".repeat(5_000)] {
            fs::write(&path, broken).unwrap();
            assert_eq!(read(&path, "a key", &NAMES), None, "{broken:?}");
        }
        let left = fs::read_dir(&folder).unwrap().count();
        assert_eq!(left, 1, "nothing lies about");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_few_runs_are_made_and_an_error_ends_them() {
        let mut count = 0;
        let mut run: Run<'_> = Box::new(|| {
            count += 1;
            Ok(())
        });
        assert!(best(&mut run).unwrap() < Duration::MAX);
        drop(run);
        assert!((FEWEST + 1..=MOST + 1).contains(&count), "{count} runs");
        let mut broken: Run<'_> = Box::new(|| Err(RuntimeError::Run { reason: "broken".into() }));
        assert_eq!(best(&mut broken), Err(RuntimeError::Run { reason: "broken".into() }));
    }
}
