//! What was counted.

use std::collections::VecDeque;
use std::time::Duration;

use crate::hearing;

/// Captions whose times are kept.
const KEPT: usize = 1_024;

/// Captions and answers since the start.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Captions asked for.
    pub asked: u64,
    /// Of them, those that became part of one that waited.
    pub merged: u64,
    /// Captions written.
    pub given: u64,
    /// Of them, those that the template wrote in place of a model.
    pub fallback: u64,
    /// Captions that a flush or the stop came before.
    pub flushed: u64,
    /// Questions dealt with.
    pub answers: u64,
    /// How long the last captions took.
    times: VecDeque<Duration>,
}

impl Counts {
    /// A caption was written.
    pub fn written(&mut self, took: Duration, fallback: bool) {
        self.given += 1;
        self.fallback += u64::from(fallback);
        if self.times.len() == KEPT {
            self.times.pop_front();
        }
        self.times.push_back(took);
    }

    /// The property `stats`; `kept` are the bytes of what was heard in the past hour.
    pub fn to_structure(
        &self,
        pending: u64,
        events: hearing::Counts,
        untold: u64,
        kept: u64,
    ) -> gst::Structure {
        let mut times: Vec<Duration> = self.times.iter().copied().collect();
        times.sort_unstable();
        let at = |part: f64| {
            let index = (times.len().saturating_sub(1) as f64 * part).round() as usize;
            let time = times.get(index).copied().unwrap_or_default();
            u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
        };
        gst::Structure::builder("llmcaption-stats")
            .field("events", events.heard)
            .field("told", events.told)
            .field("unheeded", events.unheeded)
            .field("forgotten", events.flushed)
            .field("untold", untold)
            .field("asked", self.asked)
            .field("merged", self.merged)
            .field("given", self.given)
            .field("fallback", self.fallback)
            .field("flushed", self.flushed)
            .field("pending", pending)
            .field("answers", self.answers)
            .field("kept", kept)
            .field("time-p50", at(0.5))
            .field("time-p99", at(0.99))
            .field("time-max", at(1.0))
            .build()
    }
}
