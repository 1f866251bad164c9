//! Latency: what upstream says of itself, and what an element adds.

use gst::ClockTime;
use gst::prelude::*;

/// What upstream of a sink pad answers to the LATENCY query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Upstream {
    /// Whether it is live.
    pub live: bool,
    /// How far it is behind at least.
    pub min: ClockTime,
    /// How far it can be held back; `None` is any time.
    pub max: Option<ClockTime>,
}

impl Upstream {
    /// Asks; `None` where there is no answer.
    pub fn ask(sink: &gst::Pad) -> Option<Self> {
        let mut query = gst::query::Latency::new();
        sink.peer_query(&mut query).then(|| {
            let (live, min, max) = query.result();
            Self { live, min, max }
        })
    }

    /// Asks; no answer means not live.
    pub fn ask_or_not_live(sink: &gst::Pad) -> Self {
        Self::ask(sink).unwrap_or_default()
    }
}

/// Answers a source pad's LATENCY query: upstream's answer, and what the element holds back of a live stream.
///
/// What was added, or `None` where upstream does not answer: then the query is not answered either.
pub fn answer(
    sink: &gst::Pad,
    query: &mut gst::query::Latency,
    own: impl FnOnce() -> ClockTime,
) -> Option<ClockTime> {
    let Upstream { live, min, max } = Upstream::ask(sink)?;
    let own = if live { own() } else { ClockTime::ZERO };
    query.set(live, min.saturating_add(own), max.map(|max| max.saturating_add(own)));
    Some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sink pad whose peer answers so, or not at all.
    fn below(answer: Option<(bool, ClockTime, Option<ClockTime>)>) -> (gst::Pad, gst::Pad) {
        gst::init().unwrap();
        let above = gst::Pad::builder(gst::PadDirection::Src)
            .query_function(move |_, _, query| match (query.view_mut(), answer) {
                (gst::QueryViewMut::Latency(latency), Some((live, min, max))) => {
                    latency.set(live, min, max);
                    true
                }
                _ => false,
            })
            .build();
        let sink = gst::Pad::new(gst::PadDirection::Sink);
        above.link(&sink).unwrap();
        (above, sink)
    }

    fn answered(upstream: Option<(bool, ClockTime, Option<ClockTime>)>) -> Option<Upstream> {
        let (_above, sink) = below(upstream);
        let mut query = gst::query::Latency::new();
        answer(&sink, query.get_mut().unwrap(), || ClockTime::from_mseconds(30))?;
        let (live, min, max) = query.result();
        Some(Upstream { live, min, max })
    }

    #[test]
    fn an_element_adds_to_a_live_stream_and_to_no_other() {
        let ms = ClockTime::from_mseconds;
        let live = Some((true, ms(20), Some(ms(50))));
        assert_eq!(answered(live), Some(Upstream { live: true, min: ms(50), max: Some(ms(80)) }));
        let file = Some((false, ClockTime::ZERO, None));
        assert_eq!(answered(file), Some(Upstream::default()));
        let endless = Some((true, ClockTime::MAX, None));
        assert_eq!(answered(endless).map(|u| (u.min, u.max)), Some((ClockTime::MAX, None)));
    }

    #[test]
    fn no_answer_is_none_and_not_live() {
        assert_eq!(answered(None), None);
        let (_above, sink) = below(None);
        assert_eq!(Upstream::ask_or_not_live(&sink), Upstream::default());
    }
}
