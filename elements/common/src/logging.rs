//! Logs of the lower floors in GST_DEBUG.

use std::sync::{Arc, LazyLock, Once};

use listen_runtime::LogLevel;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "listen-onnxruntime",
        gst::DebugColorFlags::empty(),
        Some("ONNX Runtime's own messages"),
    )
});

/// Sends what ONNX Runtime says to the category `listen-onnxruntime`, from its level on as it is now.
///
/// Call it before the first graph is loaded: sessions that exist keep their level.
pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| listen_runtime::set_logger(Arc::new(log)));
    let threshold = CAT.threshold();
    listen_runtime::set_log_level(match threshold {
        gst::DebugLevel::None | gst::DebugLevel::Error => LogLevel::Error,
        gst::DebugLevel::Warning | gst::DebugLevel::Fixme => LogLevel::Warning,
        gst::DebugLevel::Info => LogLevel::Info,
        _ => LogLevel::Verbose,
    });
}

fn log(level: LogLevel, message: &str) {
    match level {
        LogLevel::Verbose => gst::log!(CAT, "{message}"),
        LogLevel::Info => gst::info!(CAT, "{message}"),
        LogLevel::Warning => gst::warning!(CAT, "{message}"),
        LogLevel::Error | LogLevel::Fatal => gst::error!(CAT, "{message}"),
    }
}
