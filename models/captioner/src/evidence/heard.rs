//! What counts as one sound: an event, or events of one label on several channels that overlap in time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Sound;

/// A sound that was heard once, on one channel or on several.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    /// Where it began, and where it ended or how far it is known to have gone on; not cut to any scene.
    pub onset: u64,
    pub end: u64,
    /// Whether it had not ended at the scene's "now".
    pub going_on: bool,
    /// The highest peak score.
    pub peak: f32,
    /// The loudest window, where levels are known.
    pub level: Option<f32>,
    /// The channels that it was heard on, in order; -1 is a mixture of all.
    pub channels: Vec<i32>,
}

impl Heard {
    fn of(sound: &Sound, now: u64) -> Heard {
        Heard {
            onset: sound.onset,
            end: sound.end(),
            going_on: sound.offset.is_none_or(|offset| offset > now),
            peak: sound.peak,
            level: sound.level.filter(|level| level.is_finite()),
            channels: vec![sound.channel],
        }
    }

    /// The same sound, heard on another channel.
    fn join(&mut self, other: Heard) {
        self.onset = self.onset.min(other.onset);
        self.end = self.end.max(other.end);
        self.going_on |= other.going_on;
        self.peak = self.peak.max(other.peak);
        self.level = match (self.level, other.level) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        for channel in other.channels {
            if let Err(place) = self.channels.binary_search(&channel) {
                self.channels.insert(place, channel);
            }
        }
    }

    /// Begin and end within a stretch of time.
    pub(crate) fn within(&self, start: u64, now: u64) -> (u64, u64) {
        let from = self.onset.max(start).min(now);
        (from, self.end.min(now).max(from))
    }
}

/// Events of one label as sounds, by onset: what overlaps in time on different channels is one sound, what overlaps on one
/// channel is not.
pub(crate) fn heard<'a>(sounds: impl Iterator<Item = &'a Arc<Sound>>, now: u64) -> Vec<Heard> {
    let mut events: Vec<&Arc<Sound>> = sounds.collect();
    events.sort_by_key(|sound| (sound.onset, sound.id));
    let mut all: Vec<Heard> = Vec::new();
    // Of each channel the event that reaches furthest, and which sound it belongs to.
    let mut reached: BTreeMap<i32, (u64, usize)> = BTreeMap::new();
    for sound in events {
        let other = reached
            .iter()
            .filter(|(channel, (end, _))| **channel != sound.channel && *end > sound.onset)
            .max_by_key(|(_, (end, _))| *end)
            .map(|(_, (_, place))| *place);
        let place = match other {
            Some(place) => {
                all[place].join(Heard::of(sound, now));
                place
            }
            None => {
                all.push(Heard::of(sound, now));
                all.len() - 1
            }
        };
        let latest = reached.entry(sound.channel).or_insert((sound.end(), place));
        if sound.end() >= latest.0 {
            *latest = (sound.end(), place);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(events: &[(i32, u64, u64)]) -> Vec<(u64, u64, Vec<i32>)> {
        let sounds: Vec<Arc<Sound>> = events
            .iter()
            .enumerate()
            .map(|(id, &(channel, onset, offset))| {
                Arc::new(Sound {
                    id: id as u64,
                    channel,
                    onset,
                    offset: Some(offset),
                    at: offset,
                    ..Sound::default()
                })
            })
            .collect();
        heard(sounds.iter(), 100).into_iter().map(|heard| (heard.onset, heard.end, heard.channels)).collect()
    }

    #[test]
    fn what_overlaps_on_two_channels_is_one_sound_on_both() {
        assert_eq!(counted(&[(0, 1, 5), (1, 2, 6)]), [(1, 6, vec![0, 1])]);
        assert_eq!(counted(&[(1, 2, 6), (0, 1, 5)]), [(1, 6, vec![0, 1])], "in any order");
        assert_eq!(counted(&[(0, 1, 9), (1, 2, 3), (1, 5, 6)]), [(1, 9, vec![0, 1])]);
    }

    #[test]
    fn what_does_not_overlap_or_is_on_one_channel_is_counted_apart() {
        assert_eq!(counted(&[(0, 1, 5), (1, 5, 6)]).len(), 2);
        assert_eq!(counted(&[(-1, 1, 5), (-1, 2, 6)]).len(), 2);
        assert_eq!(counted(&[(0, 1, 3), (1, 2, 4), (0, 6, 8), (1, 7, 9)]).len(), 2);
    }
}
