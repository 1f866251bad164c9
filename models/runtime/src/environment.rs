//! ONNX Runtime's environment: one in a process, made with the first model, never dropped.
//!
//! `ort` refuses to build a second one, also after the first was dropped, and dropping it at exit has crashed in
//! several versions; so it lives in a static for ever.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use ort::environment::Environment;

use crate::error::RuntimeError;
use crate::{exit, library};

/// How serious a message of ONNX Runtime is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LogLevel {
    /// Everything.
    Verbose,
    /// What happens.
    Info,
    /// What may be wrong.
    Warning,
    /// What went wrong.
    Error,
    /// What cannot go on.
    Fatal,
}

/// Takes ONNX Runtime's messages, from any thread.
pub type Logger = Arc<dyn Fn(LogLevel, &str) + Send + Sync>;

static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
static LOGGING: RwLock<Logging> = RwLock::new(Logging { logger: None, level: LogLevel::Warning });

struct Logging {
    logger: Option<Logger>,
    level: LogLevel,
}

/// Who gets ONNX Runtime's messages from now on. Without it they are dropped.
pub fn set_logger(logger: Logger) {
    exit::watch();
    LOGGING.write().unwrap_or_else(PoisonError::into_inner).logger = Some(logger);
}

/// The least serious messages that ONNX Runtime makes at all; [`LogLevel::Warning`] at first.
///
/// It reaches sessions that are loaded later; those that exist keep theirs.
pub fn set_log_level(level: LogLevel) {
    exit::watch();
    LOGGING.write().unwrap_or_else(PoisonError::into_inner).level = level;
    if let Some(environment) = ENVIRONMENT.get() {
        environment.set_log_level(level.into());
    }
}

/// Hands a message of this crate or of ONNX Runtime to the logger.
pub(crate) fn log(level: LogLevel, message: &str) {
    let logger = {
        let logging = LOGGING.read().unwrap_or_else(PoisonError::into_inner);
        if level < logging.level {
            return;
        }
        logging.logger.clone()
    };
    if let Some(logger) = logger {
        // The caller may be C++, which a panic must not cross.
        let _ = catch_unwind(AssertUnwindSafe(|| logger(level, message)));
    }
}

/// How serious a message of ONNX Runtime's is. It warns of each initializer that is an input too; a graph that carries over
/// what it has heard has them on purpose.
fn worth(level: ort::logging::LogLevel, message: &str) -> LogLevel {
    match LogLevel::from(level) {
        LogLevel::Warning if message.contains("appears in graph inputs") => LogLevel::Info,
        level => level,
    }
}

/// Loads ONNX Runtime and starts it, the first time; gives what is there afterwards.
///
/// A failure is not remembered: once the library is installed the next call works. The caller holds a [`exit::Pass`].
///
/// # Errors
/// The library was not found, or did not start, or the process is exiting.
pub(crate) fn environment() -> Result<&'static Environment, RuntimeError> {
    // Two at once would crash inside ONNX Runtime.
    static MAKING: Mutex<()> = Mutex::new(());
    let _guard = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    exit::register();
    // `init_from` and not `init`, which panics where the library is missing.
    let builder = library::find(|path| ort::init_from(path).map_err(|error| reason(&error)))?;
    exit::register();
    exit::check()?;
    let made = builder
        .with_name("gst-listen")
        .with_telemetry(false)
        .with_logger(Arc::new(|level, _category, _id, _location, message| {
            log(worth(level, message), message)
        }))
        .build()
        .map_err(|error| RuntimeError::Environment { reason: error.to_string() })?;
    exit::register();
    // With a logger of ours it starts at its most talkative.
    made.set_log_level(LOGGING.read().unwrap_or_else(PoisonError::into_inner).level.into());
    Ok(ENVIRONMENT.get_or_init(|| made))
}

/// Loads ONNX Runtime if it is not loaded yet, and gives its description of itself (version, commit, build).
///
/// # Errors
/// The library was not found, or did not start.
pub fn version() -> Result<&'static str, RuntimeError> {
    let _pass = exit::Pass::get()?;
    environment()?;
    Ok(ort::info())
}

/// The loader's error with the linker's reason, without the path, which stands beside it.
fn reason(error: &ort::LoadDynamicError) -> String {
    match error {
        ort::LoadDynamicError::Dlopen { error, .. } => {
            std::error::Error::source(error).map_or_else(|| error.to_string(), |source| source.to_string())
        }
        other => other.to_string(),
    }
}

impl From<ort::logging::LogLevel> for LogLevel {
    fn from(level: ort::logging::LogLevel) -> Self {
        match level {
            ort::logging::LogLevel::Verbose => Self::Verbose,
            ort::logging::LogLevel::Info => Self::Info,
            ort::logging::LogLevel::Warning => Self::Warning,
            ort::logging::LogLevel::Error => Self::Error,
            ort::logging::LogLevel::Fatal => Self::Fatal,
        }
    }
}

impl From<LogLevel> for ort::logging::LogLevel {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Verbose => Self::Verbose,
            LogLevel::Info => Self::Info,
            LogLevel::Warning => Self::Warning,
            LogLevel::Error => Self::Error,
            LogLevel::Fatal => Self::Fatal,
        }
    }
}
