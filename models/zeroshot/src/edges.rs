//! When something in a stream began or ended, whatever it was: what onsets and offsets of events are moved to.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::placing::{Kind, Placing, Search};

/// So much of the past is remembered, in nanoseconds: an event may end where its score fell a while ago.
const KEPT: u64 = 30_000_000_000;

/// So far before and after the step of a score an edge is looked for, in nanoseconds.
const WITHIN: u64 = 500_000_000;

/// An edge further from the step by this is taken only where it is e times as strong.
const NEAR: f64 = 0.4e9;

/// Where what weighs most is weaker there is no edge: steady noise has up to so much.
const FAINT: f32 = 0.3;

/// How strongly sound begins and ends at one moment, both at least 0 (`listen_features::Strength`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    /// When, in nanoseconds of the stream's timestamps.
    pub at: u64,
    /// How much more sound there is from then on.
    pub onset: f32,
    /// How much less.
    pub offset: f32,
}

/// The edges of the last half minute of one channel, for [`Tracker`](crate::Tracker).
///
/// A label's score says roughly when its sound began and ended: an encoder hears seconds around each moment. The sound
/// itself says exactly when something began or ended, but not what. So an onset (offset) is moved from the steepest step
/// of the score to the moment within half a second that weighs most, of those that are known by then: `strength *
/// exp(-distance / 0.4 s)`. Where that moment's strength is below 0.3 the step of the score stays. Where a package has
/// networks for it ([`Placing`]) and scores come at the steps that these know, they choose the moment instead.
#[derive(Debug, Clone, Default)]
pub struct Edges {
    recent: VecDeque<Edge>,
    placing: Option<Arc<Placing>>,
}

impl Edges {
    /// Adds the next one; it takes the place of those that are not before it.
    pub fn push(&mut self, edge: Edge) {
        while self.recent.back().is_some_and(|last| last.at >= edge.at) {
            self.recent.pop_back();
        }
        while self.recent.front().is_some_and(|first| first.at.saturating_add(KEPT) < edge.at) {
            self.recent.pop_front();
        }
        self.recent.push_back(edge);
    }

    /// Forgets all: another stream begins.
    pub fn clear(&mut self) {
        self.recent.clear();
    }

    /// Chooses moments by `placing` from now on.
    pub fn place_by(&mut self, placing: Option<Arc<Placing>>) {
        self.placing = placing;
    }

    /// The onset of an event whose score steps up at `search.step`.
    pub(crate) fn onset(&self, search: &Search) -> Option<u64> {
        if let Some(placing) = self.placing_for(search) {
            // Before the stream's first frame there is nothing that it could change from.
            let from_the_first = search.scores.begins_at(search.step);
            return placing.place(Kind::Onset, &self.recent, search).filter(|_| !from_the_first);
        }
        self.heaviest(search.step, search.first, search.now, |edge| edge.onset)
    }

    /// The offset of an event whose score steps down at `search.step`; `sure`: the last score at the threshold begins then.
    pub(crate) fn offset(&self, search: &Search, sure: u64) -> Option<u64> {
        if let Some(placing) = self.placing_for(search) {
            return placing.place(Kind::Offset, &self.recent, search);
        }
        self.heaviest(search.step, search.first.max(sure), search.now, |edge| edge.offset)
    }

    fn placing_for(&self, search: &Search) -> Option<&Placing> {
        self.placing.as_deref().filter(|placing| search.by_networks && placing.fits(search.scores))
    }

    /// The first of those that weigh most.
    fn heaviest(&self, at: u64, first: u64, now: u64, strength: impl Fn(&Edge) -> f32) -> Option<u64> {
        let first = first.max(at.saturating_sub(WITHIN));
        let last = at.saturating_add(WITHIN);
        let from = self.recent.partition_point(|edge| edge.at < first);
        let until = self.recent.partition_point(|edge| edge.at < now && edge.at <= last).max(from);
        let weight = |edge: &Edge| f64::from(strength(edge)) * (-(edge.at.abs_diff(at) as f64) / NEAR).exp();
        let mut best: Option<(f64, &Edge)> = None;
        for edge in self.recent.range(from..until) {
            let weight = weight(edge);
            if weight > best.map_or(0.0, |(most, _)| most) {
                best = Some((weight, edge));
            }
        }
        best.filter(|(_, edge)| strength(edge) >= FAINT).map(|(_, edge)| edge.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::History;

    const MS: u64 = 1_000_000;

    fn onset(edges: &Edges, step: u64, first: u64, now: u64) -> Option<u64> {
        edges.onset(&Search {
            step,
            first,
            by_networks: false,
            reference: step,
            now,
            scores: &History::default(),
        })
    }

    fn offset(edges: &Edges, step: u64, first: u64, now: u64) -> Option<u64> {
        edges.offset(
            &Search { step, first, by_networks: false, reference: step, now, scores: &History::default() },
            first,
        )
    }

    fn edges(some: &[(u64, f32, f32)]) -> Edges {
        let mut edges = Edges::default();
        for &(at, onset, offset) in some {
            edges.push(Edge { at: at * MS, onset, offset });
        }
        edges
    }

    #[test]
    fn the_strongest_nearby_is_taken_and_a_nearer_one_rather() {
        let edges = edges(&[(1000, 1.0, 0.0), (1500, 0.9, 0.5), (1900, 1.5, 2.0)]);
        let onset = |at: u64| onset(&edges, at * MS, 0, u64::MAX).map(|at| at / MS);
        // Both are nearly as strong: the nearer.
        assert_eq!((onset(1100), onset(1350)), (Some(1000), Some(1500)));
        // The third is too far away, then it is not.
        assert_eq!((onset(1399), onset(1500), onset(1600)), (Some(1500), Some(1500), Some(1900)));
        assert_eq!((onset(2400), onset(2401)), (Some(1900), None));
        assert_eq!(offset(&edges, 1600 * MS, 0, u64::MAX), Some(1900 * MS));
        assert_eq!(offset(&edges, 1200 * MS, 0, u64::MAX), Some(1500 * MS));
    }

    #[test]
    fn nothing_outside_what_may_be_and_nothing_faint() {
        let edges = edges(&[(1000, 1.0, 0.0), (1500, 0.29, 0.0)]);
        assert_eq!(onset(&edges, 1200 * MS, 1001 * MS, u64::MAX), None);
        assert_eq!(onset(&edges, 1200 * MS, 0, 1000 * MS), None);
        assert_eq!(onset(&edges, 1200 * MS, 1000 * MS, 1001 * MS), Some(1000 * MS));
        assert_eq!(onset(&edges, 1200 * MS, 2000 * MS, 1000 * MS), None);
        assert_eq!(offset(&edges, 1000 * MS, 0, u64::MAX), None);
        assert_eq!(onset(&Edges::default(), 0, 0, u64::MAX), None);
    }

    #[test]
    fn half_a_minute_is_remembered_and_what_comes_again_takes_its_place() {
        let mut edges = Edges::default();
        for k in 0..10_000 {
            edges.push(Edge { at: k * 10 * MS, onset: 1.0, offset: 0.0 });
        }
        assert_eq!(edges.recent.len(), 3_001);
        edges.push(Edge { at: 99_980 * MS, onset: 2.0, offset: 0.0 });
        assert_eq!((edges.recent.len(), edges.recent.back().map(|edge| edge.onset)), (3_000, Some(2.0)));
        edges.push(Edge { at: 5 * MS, onset: 1.0, offset: 0.0 });
        assert_eq!(edges.recent.len(), 1);
        edges.clear();
        assert_eq!(onset(&edges, 5 * MS, 0, u64::MAX), None);
    }

    #[test]
    fn a_strength_that_is_no_number_is_none() {
        let edges = edges(&[(1000, f32::NAN, f32::NAN), (1010, 1.0, f32::NAN)]);
        assert_eq!(onset(&edges, 1000 * MS, 0, u64::MAX), Some(1010 * MS));
        assert_eq!(offset(&edges, 1000 * MS, 0, u64::MAX), None);
    }
}
