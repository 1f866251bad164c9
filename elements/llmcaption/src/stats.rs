//! What was counted.

use std::time::Duration;

use gst_listen_common::recent::Recent;

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
    times: Recent<KEPT>,
}

impl Counts {
    /// A caption was written.
    pub fn written(&mut self, took: Duration, fallback: bool) {
        self.given += 1;
        self.fallback += u64::from(fallback);
        self.times.push(took);
    }

    /// The property `stats`; `kept` are the bytes of what was heard in the past hour.
    pub fn to_structure(
        &self,
        pending: u64,
        events: hearing::Counts,
        untold: u64,
        kept: u64,
    ) -> gst::Structure {
        let [p50, p99, longest] = self.times.percentiles([50, 99, 100]);
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
            .field("time-p50", p50)
            .field("time-p99", p99)
            .field("time-max", longest)
            .build()
    }
}
