//! What goes out beside embeddings, in the order of the stream.

use std::collections::BTreeMap;

use gst::ClockTime;
use gst_listen_common::flow;

/// Controls that wait until neighbouring gaps become one.
const MANY: usize = 64;

/// What goes out beside embeddings.
#[derive(Debug)]
pub(crate) enum Control {
    Event(gst::Event),
    /// Windows that do not come out.
    Gap(Gap),
}

/// Time in which no window begins that comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    pub start: ClockTime,
    pub duration: ClockTime,
    /// Whether the windows were lost; they are silent otherwise.
    pub hole: bool,
}

/// Controls by their number in the stream.
///
/// Each window that does not come out is a GAP of its own, in any run of the stream the same; but a stream that loses all
/// its windows while nobody takes anything downstream does not grow: where many wait, neighbouring gaps become one.
#[derive(Debug, Default)]
pub(crate) struct Controls(BTreeMap<u64, Control>);

impl Controls {
    pub fn insert_event(&mut self, number: u64, event: gst::Event) {
        self.0.insert(number, Control::Event(event));
    }

    /// Adds a gap; `windows` are the numbers of those that are still to come out, between which gaps stay apart.
    pub fn insert_gap(&mut self, number: u64, gap: Gap, windows: impl Iterator<Item = u64> + Clone) {
        let apart = |a: u64, b: u64| windows.clone().any(|window| a < window && window < b);
        if self.0.len() >= MANY {
            if let Some((&before, Control::Gap(earlier))) = self.0.range_mut(..number).next_back()
                && !apart(before, number)
                && let Some(both) = earlier.with(gap)
            {
                *earlier = both;
                return;
            }
            if let Some((&after, Control::Gap(later))) = self.0.range_mut(number..).next()
                && !apart(number, after)
                && let Some(both) = gap.with(*later)
            {
                *later = both;
                return;
            }
        }
        self.0.insert(number, Control::Gap(gap));
    }

    /// What comes before the window of this number, or the first there is.
    pub fn take_before(&mut self, window: Option<u64>) -> Option<Control> {
        let first = self.0.first_entry()?;
        window.is_none_or(|window| *first.key() < window).then(|| first.remove())
    }

    /// The ends of the stream and of its segments among them, in their order.
    pub fn take_ends(&mut self) -> Vec<gst::Event> {
        let mut ends = Vec::new();
        self.0.retain(|_, control| match control {
            Control::Event(event) if flow::is_end(event) => {
                ends.push(event.clone());
                false
            }
            _ => true,
        });
        ends
    }

    /// The events among them.
    pub fn into_events(self) -> Vec<gst::Event> {
        let events = self.0.into_values().filter_map(|control| match control {
            Control::Event(event) => Some(event),
            Control::Gap(_) => None,
        });
        events.collect()
    }
}

impl Gap {
    /// Both as one, and what lies between; it is a hole where one of them is. `None` where the stream went back.
    fn with(self, later: Self) -> Option<Self> {
        if later.start < self.start {
            return None;
        }
        let end = self.start.saturating_add(self.duration).max(later.start.saturating_add(later.duration));
        let duration = end.saturating_sub(self.start);
        Some(Self { start: self.start, duration, hole: self.hole || later.hole })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(start: u64, hole: bool) -> Gap {
        Gap { start: ClockTime::from_mseconds(start), duration: ClockTime::from_mseconds(10), hole }
    }

    fn all(mut controls: Controls) -> Vec<(u64, u64, bool)> {
        let gaps = std::iter::from_fn(|| controls.take_before(None)).filter_map(|control| match control {
            Control::Gap(gap) => Some((gap.start.mseconds(), gap.duration.mseconds(), gap.hole)),
            Control::Event(_) => None,
        });
        gaps.collect()
    }

    #[test]
    fn a_million_lost_windows_that_wait_are_few_gaps_of_the_same_length() {
        let mut controls = Controls::default();
        for n in 0..1_000_000 {
            controls.insert_gap(n, gap(n * 10, n % 2 == 0), [2_000_000].into_iter());
        }
        let gaps = all(controls);
        assert_eq!(gaps.len(), MANY);
        assert_eq!(gaps.iter().map(|(_, duration, _)| duration).sum::<u64>(), 10_000_000);
        assert_eq!(gaps[..2], [(0, 10, true), (10, 10, false)]);
        assert_eq!(gaps.last(), Some(&(630, 10_000_000 - 630, true)));
    }

    #[test]
    fn gaps_stay_apart_where_a_window_or_an_event_lies_between_or_time_goes_back() {
        gst::init().unwrap();
        let mut controls = Controls::default();
        let many = MANY as u64;
        (0..many).for_each(|n| controls.insert_event(n, gst::event::Eos::new()));
        controls.insert_gap(many, gap(0, true), [many + 1].into_iter());
        controls.insert_gap(many + 2, gap(20, true), [many + 1].into_iter());
        controls.insert_event(many + 3, gst::event::Eos::new());
        controls.insert_gap(many + 5, gap(40, true), [many + 1].into_iter());
        controls.insert_gap(many + 4, gap(30, false), [many + 1].into_iter());
        controls.insert_gap(many + 6, gap(5, true), [many + 1].into_iter());
        let expected = [(0, 10, true), (20, 10, true), (30, 20, true), (5, 10, true)];
        assert_eq!(all(controls), expected);
    }

    #[test]
    fn all_ends_that_wait_are_taken_in_their_order_and_nothing_else() {
        gst::init().unwrap();
        let mut controls = Controls::default();
        controls.insert_event(0, gst::event::Tag::new(gst::TagList::new()));
        controls.insert_event(1, gst::event::SegmentDone::new(ClockTime::SECOND));
        controls.insert_gap(2, gap(1000, false), std::iter::empty());
        controls.insert_event(3, gst::event::Eos::new());
        let kinds = |events: Vec<gst::Event>| events.iter().map(|event| event.type_()).collect::<Vec<_>>();
        assert_eq!(kinds(controls.take_ends()), [gst::EventType::SegmentDone, gst::EventType::Eos]);
        assert!(
            matches!(controls.take_before(None), Some(Control::Event(event)) if event.type_() == gst::EventType::Tag)
        );
        assert!(matches!(controls.take_before(None), Some(Control::Gap(_))));
        assert!(controls.take_before(None).is_none());
    }
}
