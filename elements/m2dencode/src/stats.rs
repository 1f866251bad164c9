//! What the element counts.

use std::time::Duration;

use gst::ClockTime;
use gst_listen_common::recent::Recent;
use listen_runtime::{Provider, Stats as EngineStats};

/// Latencies that the percentiles are taken of: the last so many.
const KEPT: usize = 512;

/// Windows, counted. Under the queue's lock, at any time:
/// `taken = given + dropped + gated + flushed + lost + pending`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    /// Whole windows that came in (the stream's short last one counted).
    pub taken: u64,
    /// Windows whose embedding went out.
    pub given: u64,
    /// Windows that overload dropped, or that the engine failed on.
    pub dropped: u64,
    /// Windows below the gate.
    pub gated: u64,
    /// Windows that a flush or the stream's stop cancelled.
    pub flushed: u64,
    /// Windows that came while the graphs were loaded.
    pub lost: u64,
    /// From a window's last frame to its embedding.
    latencies: Recent<KEPT>,
    /// Level of the last window, in dB.
    pub level: Option<f64>,
    /// What encoded the last window.
    pub provider: Option<Provider>,
}

impl Counts {
    pub fn measured(&mut self, latency: Duration) {
        self.latencies.push(latency);
    }

    /// The structure of the property `stats`.
    pub fn to_structure(
        &self,
        pending: u64,
        engine: Option<&EngineStats>,
        hop: Option<ClockTime>,
        runs: Runs,
    ) -> gst::Structure {
        let [p50, p99, longest] = self.latencies.percentiles([50, 99, 100]);
        let idle = EngineStats::default();
        let engine = engine.unwrap_or(&idle);
        let real_time_factor = match hop {
            // What an hour of sound costs of one worker: the inference of a window over the time until the next one.
            Some(hop) if engine.windows > 0 && hop > ClockTime::ZERO => {
                let per_window = engine.mean_ns as f64 * engine.runs as f64 / engine.windows as f64;
                per_window / hop.nseconds() as f64
            }
            _ => 0.0,
        };
        gst::Structure::builder("m2dencode-stats")
            .field("in", self.taken)
            .field("out", self.given)
            .field("dropped", self.dropped)
            .field("gated", self.gated)
            .field("flushed", self.flushed)
            .field("lost-loading", self.lost)
            .field("pending", pending)
            .field("inference-mean", engine.mean_ns)
            .field("inference-p50", engine.p50_ns)
            .field("inference-p95", engine.p95_ns)
            .field("inference-max", engine.max_ns)
            .field("queue-depth", engine.queue_depth as u64)
            .field("real-time-factor", real_time_factor)
            .field("level", self.level.unwrap_or(f64::from(listen_features::Level::FLOOR)))
            .field("elements", engine.clients as u64)
            .field("latency-p50", p50)
            .field("latency-p99", p99)
            .field("latency-max", longest)
            .field("execution-provider", self.provider.unwrap_or(runs.provider).name())
            .field("precision", runs.precision)
            .field("live", runs.live)
            .build()
    }
}

/// What runs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Runs {
    /// What was asked for, until a window was encoded.
    pub provider: Provider,
    pub precision: &'static str,
    pub live: bool,
}
