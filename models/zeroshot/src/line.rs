//! Events as lines for people.

use crate::event::Change;
use crate::time::{Timeline, clock};

/// One change of an event as a line of text, without the newline.
///
/// ```text
/// 00:00:03.2 dog barking begins (0.91)
/// 00:00:04.2 dog barking goes on (0.95)
/// 00:00:05.1 dog barking ends after 1.9 s (peak 0.97)
/// ```
///
/// The time is the onset's, the last window's end, or the offset's, in stream time. Labels are called by their names in
/// `language`; line breaks and other control characters in them become spaces, so that a line stays one. A channel other
/// than the mixture is told behind.
pub fn text_line(change: &Change, language: &str, time: &impl Timeline) -> String {
    let event = change.event();
    let name: String = event
        .label
        .display_name(language)
        .chars()
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .collect();
    let at = |timestamp: u64| clock(time.stream_time(timestamp).unwrap_or(timestamp));
    let channel = if event.channel < 0 { String::new() } else { format!(", channel {}", event.channel) };
    match change {
        Change::Start(event) => {
            format!("{} {name} begins ({:.2}){channel}", at(event.onset), event.score)
        }
        Change::Update(event) => format!("{} {name} goes on ({:.2}){channel}", at(event.at), event.score),
        Change::End(event, _) => {
            let offset = event.offset.unwrap_or(event.at);
            let seconds = offset.saturating_sub(event.onset) as f64 / 1e9;
            let peak = event.peak_score;
            format!("{} {name} ends after {seconds:.1} s (peak {peak:.2}){channel}", at(offset))
        }
    }
}
