//! Where ONNX Runtime's library is looked for.
//!
//! It is opened when the first model is loaded, never before: a plugin on this crate loads, and can be inspected, on
//! a machine without it. The order of the search, first hit wins:
//!
//! 1. the environment variable `GST_LISTEN_ONNXRUNTIME`,
//! 2. the environment variable `ORT_DYLIB_PATH`,
//! 3. what [`set_library_path`] was given (a property of the elements),
//! 4. `gst-listen/onnxruntime/` in `$XDG_DATA_HOME` (or `~/.local/share`), where `./run install` puts it,
//! 5. by name, where the dynamic linker looks (`LD_LIBRARY_PATH`, ld.so's cache, the system's directories):
//!    `libonnxruntime.so.1`, then `libonnxruntime.so.1.40` down to `.so.1.17` (Debian's names), `libonnxruntime.so`,
//! 6. in `/usr/local/lib`, `/usr/lib/<machine>-linux-gnu`, `/usr/lib64` and `/usr/lib`, for a linker whose cache is
//!    out of date.
//!
//! The first three are somebody's word: each may be a file or a directory, and if what it names cannot be used the
//! search ends there, so that no other library silently takes its place. Relative ones are taken from the working
//! directory. In a directory `libonnxruntime.so.1` goes first, then the newest version.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Newest and oldest minor version whose soname is tried. 1.17 is the oldest that this crate can use.
const MINORS: (u32, u32) = (40, 17);

/// Who may name the library, in the order of the search.
const NAMED: [&str; 3] = ["GST_LISTEN_ONNXRUNTIME", "ORT_DYLIB_PATH", "property onnxruntime"];

/// The path that a property gave.
static PROPERTY: Mutex<Option<PathBuf>> = Mutex::new(None);

/// The library in use.
static LOADED: OnceLock<PathBuf> = OnceLock::new();

/// No usable ONNX Runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LibraryError {
    /// Every place tried, in order.
    pub tried: Vec<Attempt>,
}

/// One place and why nothing was loaded from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Who named the place: an environment variable, a property, a convention.
    pub origin: &'static str,
    /// A path, or the name given to the dynamic linker.
    pub place: PathBuf,
    /// Why it could not be used.
    pub reason: String,
}

impl std::error::Error for LibraryError {}

impl fmt::Display for LibraryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ONNX Runtime (libonnxruntime 1.17 or newer) was not found. Tried:")?;
        if !self.tried.iter().any(|attempt| NAMED.contains(&attempt.origin)) {
            write!(f, "\n  {}: not set", NAMED.join(", "))?;
        }
        let mut attempts = self.tried.iter().peekable();
        while let Some(first) = attempts.next() {
            // 25 names in a row that the linker does not know are one line; each folder has its own.
            let bare = |attempt: &Attempt| attempt.place.components().count() == 1;
            let mut last = None;
            let mut count = 1;
            while let Some(next) = attempts
                .next_if(|n| bare(n) && bare(first) && n.origin == first.origin && n.reason == first.reason)
            {
                last = Some(&next.place);
                count += 1;
            }
            write!(f, "\n  {}: {}", first.origin, first.place.display())?;
            if let Some(last) = last {
                write!(f, " … {} ({count} names)", last.display())?;
            }
            write!(f, ": {}", first.reason)?;
        }
        f.write_str(
            "\nInstall it with `./run install` (fetches PyPI's wheel, no root), or `pip install onnxruntime` and set \
             GST_LISTEN_ONNXRUNTIME to its onnxruntime/capi, or your distribution's package \
             (Debian 13: apt install libonnxruntime1.21; Fedora: dnf install onnxruntime)",
        )
    }
}

/// Names a library (or a directory with it) for the third place of the search; `None` takes the name back.
///
/// It has an effect until ONNX Runtime is loaded, which happens once in a process.
pub fn set_library_path(path: Option<PathBuf>) {
    crate::exit::watch();
    *PROPERTY.lock().unwrap_or_else(PoisonError::into_inner) = path;
}

/// The library in use; `None` before the first model.
pub fn loaded_library() -> Option<&'static Path> {
    LOADED.get().map(PathBuf::as_path)
}

/// What the search depends on, so that a test can give its own.
#[derive(Debug, Clone, Default)]
struct Surroundings {
    own_variable: Option<OsString>,
    ort_variable: Option<OsString>,
    property: Option<PathBuf>,
    data_home: Option<OsString>,
    home: Option<OsString>,
}

impl Surroundings {
    fn here() -> Self {
        let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            own_variable: variable("GST_LISTEN_ONNXRUNTIME"),
            ort_variable: variable("ORT_DYLIB_PATH"),
            property: PROPERTY.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            data_home: variable("XDG_DATA_HOME"),
            home: variable("HOME"),
        }
    }
}

/// Opens the library with `open`, which gets each place in turn; the first that it opens is the answer.
///
/// # Errors
/// No place had one: all of them, each with `open`'s reason.
pub(crate) fn find<T>(open: impl FnMut(&Path) -> Result<T, String>) -> Result<T, LibraryError> {
    let mut search = Search { open, tried: Vec::new() };
    match search.run(&Surroundings::here()) {
        Some((opened, place)) => {
            let place = if place.is_absolute() { place } else { mapped().unwrap_or(place) };
            // Whoever was first loaded the library of this process; a later environment uses the same.
            let _ = LOADED.set(place);
            Ok(opened)
        }
        None => Err(LibraryError { tried: search.tried }),
    }
}

struct Search<F> {
    open: F,
    tried: Vec<Attempt>,
}

impl<T, F: FnMut(&Path) -> Result<T, String>> Search<F> {
    fn run(&mut self, around: &Surroundings) -> Option<(T, PathBuf)> {
        let named = [
            around.own_variable.as_ref().map(PathBuf::from),
            around.ort_variable.as_ref().map(PathBuf::from),
            around.property.clone(),
        ];
        if let Some((origin, path)) = NAMED.into_iter().zip(named).find_map(|(o, p)| p.map(|p| (o, p))) {
            let path = std::path::absolute(&path).unwrap_or(path);
            return if path.is_dir() { self.directory(origin, &path) } else { self.file(origin, path) };
        }
        self.installed(around).or_else(|| self.linker()).or_else(|| self.system())
    }

    fn installed(&mut self, around: &Surroundings) -> Option<(T, PathBuf)> {
        let absolute =
            |value: &Option<OsString>| value.as_ref().map(PathBuf::from).filter(|p| p.is_absolute());
        let base = absolute(&around.data_home)
            .or_else(|| absolute(&around.home).map(|home| home.join(".local").join("share")));
        let Some(base) = base else {
            self.tried.push(Attempt {
                origin: "./run install",
                place: "gst-listen/onnxruntime/libonnxruntime.so.1".into(),
                reason: "neither XDG_DATA_HOME nor HOME is set to an absolute path".into(),
            });
            return None;
        };
        self.file("./run install", base.join("gst-listen").join("onnxruntime").join("libonnxruntime.so.1"))
    }

    fn linker(&mut self) -> Option<(T, PathBuf)> {
        sonames().into_iter().find_map(|name| self.attempt("dynamic linker", PathBuf::from(name)))
    }

    fn system(&mut self) -> Option<(T, PathBuf)> {
        let multiarch = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
        ["/usr/local/lib", &multiarch, "/usr/lib64", "/usr/lib"]
            .into_iter()
            .find_map(|directory| self.directory("system directory", Path::new(directory)))
    }

    /// The first library of the directory that opens, of those named `libonnxruntime.so*`: the plain `.so.1` first,
    /// then the newest version. A wheel's has its full version as its only name.
    fn directory(&mut self, origin: &'static str, directory: &Path) -> Option<(T, PathBuf)> {
        let mut names: Vec<String> = match std::fs::read_dir(directory) {
            Ok(entries) => entries
                .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
                .filter(|name| version(name).is_some())
                .collect(),
            Err(error) => {
                self.tried.push(Attempt { origin, place: directory.to_owned(), reason: error.to_string() });
                return None;
            }
        };
        if names.is_empty() {
            let reason = "no libonnxruntime.so* in it".into();
            self.tried.push(Attempt { origin, place: directory.to_owned(), reason });
        }
        names.sort_by_key(|name| (name != "libonnxruntime.so.1", std::cmp::Reverse(version(name))));
        names.into_iter().find_map(|name| self.attempt(origin, directory.join(name)))
    }

    fn file(&mut self, origin: &'static str, path: PathBuf) -> Option<(T, PathBuf)> {
        if path.exists() {
            return self.attempt(origin, path);
        }
        self.tried.push(Attempt { origin, place: path, reason: "no such file".into() });
        None
    }

    fn attempt(&mut self, origin: &'static str, place: PathBuf) -> Option<(T, PathBuf)> {
        match (self.open)(&place) {
            Ok(opened) => Some((opened, place)),
            Err(reason) => {
                // The linker names the file in its message: without the name, alike reasons can be told together.
                let name = place.to_string_lossy();
                let reason = reason.replace(&format!("{name}: "), "");
                self.tried.push(Attempt { origin, place, reason });
                None
            }
        }
    }
}

/// The names that distributions and wheels give the library, best first.
fn sonames() -> Vec<String> {
    let (newest, oldest) = MINORS;
    let mut names = vec!["libonnxruntime.so.1".to_owned()];
    names.extend((oldest..=newest).rev().map(|minor| format!("libonnxruntime.so.1.{minor}")));
    names.push("libonnxruntime.so".to_owned());
    names
}

/// The numbers after `libonnxruntime.so`; `None` of any other file.
fn version(name: &str) -> Option<Vec<u32>> {
    let numbers = name.strip_prefix("libonnxruntime.so")?;
    match numbers.strip_prefix('.') {
        Some(numbers) => numbers.split('.').map(|n| n.parse().ok()).collect(),
        None => numbers.is_empty().then(Vec::new),
    }
}

/// The file that the linker found: the one mapped into this process. Links are followed, so its name may be another.
fn mapped() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut files = maps.lines().filter_map(|line| line.find('/').map(|start| &line[start..]));
    files
        .find(|path| path.rsplit('/').next().is_some_and(|f| f.starts_with("libonnxruntime.so")))
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a search that never opens anything has been, and what it says.
    fn failed(around: &Surroundings) -> LibraryError {
        let missing = "cannot open shared object file: No such file or directory";
        let open = |path: &Path| Err::<(), _>(format!("{}: {missing}", path.display()));
        let mut search = Search { open, tried: Vec::new() };
        assert!(search.run(around).is_none());
        LibraryError { tried: search.tried }
    }

    fn at_home() -> Surroundings {
        Surroundings { home: Some("/nonexistent".into()), ..Surroundings::default() }
    }

    #[test]
    fn without_any_hint_all_places_are_tried_in_the_documented_order() {
        let mut origins: Vec<_> = failed(&at_home()).tried.into_iter().map(|a| a.origin).collect();
        origins.dedup();
        assert_eq!(origins, ["./run install", "dynamic linker", "system directory"]);
    }

    #[test]
    fn debians_soname_is_among_the_names_and_newer_ones_come_first() {
        let names = sonames();
        assert_eq!(names[..2], ["libonnxruntime.so.1", "libonnxruntime.so.1.40"]);
        assert!(names.contains(&"libonnxruntime.so.1.21".to_owned()));
        assert_eq!(names[names.len() - 2..], ["libonnxruntime.so.1.17", "libonnxruntime.so"]);
    }

    #[test]
    fn the_error_names_every_place_and_what_to_install_in_few_lines() {
        let text = failed(&at_home()).to_string();
        for part in [
            "/nonexistent/.local/share/gst-listen/onnxruntime/libonnxruntime.so.1: no such file",
            "dynamic linker: libonnxruntime.so.1 … libonnxruntime.so (26 names): cannot open shared object file",
            "GST_LISTEN_ONNXRUNTIME, ORT_DYLIB_PATH, property onnxruntime: not set",
            "system directory: /usr/local/lib: ",
            "-linux-gnu: ",
            "system directory: /usr/lib64: ",
            "system directory: /usr/lib: ",
            "./run install",
            "pip install onnxruntime",
            "libonnxruntime1.21",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
        assert!(text.lines().count() < 14, "{text}");
    }

    #[test]
    fn a_place_that_somebody_named_is_the_only_one_tried() {
        for around in [
            Surroundings { own_variable: Some("/nonexistent/a.so".into()), ..at_home() },
            Surroundings { ort_variable: Some("/nonexistent/a.so".into()), ..at_home() },
            Surroundings { property: Some("/nonexistent/a.so".into()), ..at_home() },
        ] {
            let tried = failed(&around).tried;
            assert_eq!(tried.len(), 1);
            assert_eq!(tried[0].place, Path::new("/nonexistent/a.so"));
        }
    }

    #[test]
    fn the_projects_own_variable_goes_before_orts_and_that_before_the_property() {
        let mut around = Surroundings {
            own_variable: Some("/nonexistent/1".into()),
            ort_variable: Some("/nonexistent/2".into()),
            property: Some("/nonexistent/3".into()),
            ..at_home()
        };
        assert_eq!(failed(&around).tried[0].origin, "GST_LISTEN_ONNXRUNTIME");
        around.own_variable = None;
        assert_eq!(failed(&around).tried[0].origin, "ORT_DYLIB_PATH");
        around.ort_variable = None;
        assert_eq!(failed(&around).tried[0].origin, "property onnxruntime");
    }

    #[test]
    fn only_the_library_itself_has_a_version() {
        assert_eq!(version("libonnxruntime.so.1.24.1"), Some(vec![1, 24, 1]));
        assert_eq!(version("libonnxruntime.so"), Some(vec![]));
        for other in
            ["libonnxruntime_providers_cuda.so", "libonnxruntime.so.debug", "libonnxruntime.sophie", "a.so"]
        {
            assert_eq!(version(other), None, "{other}");
        }
        assert!(version("libonnxruntime.so.1.24.1") > version("libonnxruntime.so.1.9.10"));
    }

    #[test]
    fn a_relative_path_is_taken_from_the_working_directory() {
        let around = Surroundings { own_variable: Some("lib/libonnxruntime.so.1".into()), ..at_home() };
        assert!(failed(&around).tried[0].place.is_absolute());
    }

    #[test]
    fn the_first_place_that_opens_ends_the_search() {
        let mut seen = 0;
        let open = |path: &Path| {
            seen += 1;
            if path == Path::new("libonnxruntime.so.1.39") { Ok(()) } else { Err("no".to_owned()) }
        };
        let mut search = Search { open, tried: Vec::new() };
        let found = search.run(&at_home()).map(|(_, place)| place);
        assert_eq!(found.as_deref(), Some(Path::new("libonnxruntime.so.1.39")));
        // .so.1, .so.1.40 and .so.1.39; the missing file of ./run install is not even opened.
        assert_eq!(seen, 3);
    }

    #[test]
    fn xdg_data_home_goes_before_home_and_counts_only_where_absolute() {
        let place = |data_home: &str| {
            let around = Surroundings { data_home: Some(data_home.into()), ..at_home() };
            failed(&around).tried.swap_remove(0).place
        };
        assert!(place("/data").starts_with("/data/gst-listen"));
        assert!(place("data").starts_with("/nonexistent/.local/share/gst-listen"));
    }
}
