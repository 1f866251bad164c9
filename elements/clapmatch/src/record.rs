//! Results as the structures that travel on buffers and in messages.

use gst::ClockTime;
use gst_listen_common::event_times::EventTimes;
use gst_listen_common::result_meta::{EventRecord, EventType, LabelScore, WindowResult};
use listen_zeroshot::{Change, Window};

use crate::settings::Settings;

/// A window's scores; what they changed is added by who knows.
pub fn result(window: &Window, settings: &Settings, times: &EventTimes) -> WindowResult {
    let start = ClockTime::from_nseconds(window.span.start);
    let labels = window.labels.as_slice();
    let scores = window.scores.iter().filter_map(|score| {
        let label = labels.get(score.index)?;
        Some(LabelScore {
            label: label.text.clone(),
            name: label.display_name(&settings.language).to_owned(),
            index: score.index as u32,
            score: f64::from(score.score),
            cosine: score.cosine.map(f64::from),
        })
    });
    WindowResult {
        timestamp: start,
        running_time: times.running_time(start),
        stream_time: times.stream_time(start),
        duration: ClockTime::from_nseconds(window.span.end - window.span.start),
        step: ClockTime::from_nseconds(window.span.step),
        utc: times.utc(start),
        channel: window.channel,
        level: window.level.map(f64::from),
        scores: scores.collect(),
        events: Vec::new(),
    }
}

/// The results of a buffer's time steps as one, because who reads a meta gets one: each label's highest score, the highest
/// first, and all that changed.
pub fn merged(results: &[WindowResult]) -> Option<WindowResult> {
    let (first, rest) = results.split_first()?;
    let mut all = first.clone();
    for result in rest {
        let end = result.timestamp.saturating_add(result.duration);
        all.duration = all.duration.max(end.saturating_sub(all.timestamp));
        all.level = [all.level, result.level].into_iter().flatten().reduce(f64::max);
        all.events.extend(result.events.iter().cloned());
        for score in &result.scores {
            match all.scores.iter_mut().find(|known| known.index == score.index) {
                Some(known) if known.score >= score.score => {}
                Some(known) => *known = score.clone(),
                None => all.scores.push(score.clone()),
            }
        }
    }
    all.scores.sort_by(|a, b| b.score.total_cmp(&a.score));
    Some(all)
}

/// A change of an event.
pub fn record(change: &Change, times: &EventTimes) -> EventRecord {
    let event = change.event();
    let onset = ClockTime::from_nseconds(event.onset);
    let end = ClockTime::from_nseconds(event.offset.unwrap_or(event.at));
    EventRecord {
        id: event.id,
        kind: match change {
            Change::Start(_) => EventType::Start,
            Change::Update(_) => EventType::Update,
            Change::End(..) => EventType::End,
        },
        label: event.label.text.clone(),
        names: event.label.names.clone(),
        score: f64::from(event.score),
        peak_score: f64::from(event.peak_score),
        level: event.level.map(f64::from),
        channel: event.channel,
        onset,
        offset: event.offset.map(ClockTime::from_nseconds),
        timestamp: onset,
        running_time: times.running_time(onset),
        stream_time: times.stream_time(onset),
        duration: end.saturating_sub(onset),
        utc: times.utc(onset),
    }
}
