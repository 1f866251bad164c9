//! What was heard, and when it is worth a caption. No pad is touched and no clock is read here.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gst::ClockTime;
use gst_listen_common::event_times::EventTimes;
use gst_listen_common::result_meta::WindowResult;
use listen_captioner::{Embedding, Evidence, Scene, Sound};

use crate::input;
use crate::settings::{Settings, Trigger};
use crate::writer::Backend;

/// So many events that were not told of ask for a caption whatever the trigger: memory stays bounded.
const MAX_UNTOLD: usize = 256;
/// Ids of events that ended and were told of: a meta that an element has copied must not tell of them again.
const REMEMBERED: usize = 4_096;

/// A caption to be made: what it tells of, and where it stands.
#[derive(Debug, Clone)]
pub struct Ask {
    /// What is told of; times are stream time.
    pub scene: Scene,
    /// The stretch that it describes, in the stream's timestamps.
    pub start: ClockTime,
    /// Its end.
    pub end: ClockTime,
}

impl Ask {
    /// The sounds that go on.
    pub fn open(&self) -> Vec<u64> {
        let goes_on = self.scene.sounds.iter().filter(|sound| sound.offset.is_none());
        goes_on.map(|sound| sound.id).collect()
    }
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Events heard of.
    pub heard: u64,
    /// Those that were handed to a caption.
    pub told: u64,
    /// Those that ended below `min-evidence`.
    pub unheeded: u64,
    /// Those that a flush or the stop came before.
    pub flushed: u64,
}

/// One run of the stream. Times are nanoseconds of stream time where nothing else is said.
pub struct Hearing {
    /// What timestamps mean.
    pub times: EventTimes,
    evidence: Arc<Mutex<Evidence>>,
    /// Events that no caption tells of yet, as they came.
    untold: Vec<Sound>,
    /// Events that were told of while they went on.
    going_on: HashSet<u64>,
    ended: Recent,
    /// Of events that were told of while they went on: where they ended, until [`news`](Self::news) tells it.
    ends: Vec<(u64, u64)>,
    /// End of what was analysed.
    heard: Option<u64>,
    /// Timestamp of the last line.
    at: Option<ClockTime>,
    /// Where the last caption of trigger `interval` was due.
    asked: Option<u64>,
    counts: Counts,
}

impl Hearing {
    /// Hears into a store that others read.
    pub fn new(evidence: Arc<Mutex<Evidence>>) -> Hearing {
        Hearing {
            times: EventTimes::default(),
            evidence,
            untold: Vec::new(),
            going_on: HashSet::new(),
            ended: Recent::default(),
            ends: Vec::new(),
            heard: None,
            at: None,
            asked: None,
            counts: Counts::default(),
        }
    }

    /// Counts since the start, and the events that no caption tells of yet.
    pub fn counts(&self) -> (Counts, u64) {
        (self.counts, self.untold.len() as u64)
    }

    /// An event began, goes on or has ended.
    pub fn event(&mut self, sound: Sound) {
        self.advance(sound.end());
        self.evidence().hear(sound.clone());
        if let Some(known) = self.untold.iter_mut().find(|known| known.id == sound.id) {
            // What has ended stays so: a copied meta may come late.
            if known.offset.is_none() {
                *known = sound;
            }
            return;
        }
        if self.ended.contains(sound.id) {
            return;
        }
        if self.going_on.contains(&sound.id) {
            if sound.offset.is_some() {
                self.going_on.remove(&sound.id);
                self.ended.insert(sound.id);
                self.ends.push((sound.id, sound.end()));
            }
            return;
        }
        self.counts.heard += 1;
        self.untold.push(sound);
    }

    /// The events of a result that a clapmatch has left on a buffer.
    pub fn events(&mut self, result: &WindowResult) {
        let sounds = input::sounds(result, |time| self.stream_time(time));
        sounds.into_iter().for_each(|sound| self.event(sound));
    }

    /// A window's embedding.
    pub fn window(&mut self, embedding: Embedding) {
        self.advance(embedding.end);
        self.evidence().embed(embedding);
    }

    /// The stream was analysed up to `position`.
    pub fn advance(&mut self, position: u64) {
        if self.heard.is_some_and(|heard| position <= heard) {
            return;
        }
        if self.heard.is_none() {
            self.asked = Some(position);
        }
        self.heard = Some(position);
        self.evidence().advance(position);
    }

    /// How far events that were told of are known to have gone on, and where some of them have ended: in timestamps.
    pub fn news(&mut self) -> Option<(ClockTime, Vec<(u64, ClockTime)>)> {
        let ends = std::mem::take(&mut self.ends);
        let heard = self.heard.filter(|_| !(ends.is_empty() && self.going_on.is_empty()))?;
        let ends = ends.into_iter().map(|(id, end)| (id, self.timestamp(end))).collect();
        Some((self.timestamp(heard), ends))
    }

    /// What a caption is due for, if one is. `last`: nothing that goes on from here comes any more.
    pub fn due(&mut self, settings: &Settings, last: bool) -> Option<Ask> {
        let now = self.heard?;
        let least = settings.min_evidence as f32;
        let over = |then: u64| now.saturating_sub(then) >= settings.interval;
        let by_event = settings.trigger != Trigger::Interval
            && self
                .untold
                .iter()
                .any(|sound| sound.peak >= least && (sound.offset.is_some() || over(sound.onset)));
        let tick = settings.trigger != Trigger::Event && self.asked.is_some_and(over);
        if !(by_event || tick || last || self.untold.len() >= MAX_UNTOLD) {
            return None;
        }
        let before = self.asked.replace(now).filter(|_| tick);
        let told = self.take(least, last);
        self.ask(settings, told, before, now)
    }

    /// Whether a buffer at `pts` is of another time than the last one.
    pub fn moves_to(&mut self, pts: ClockTime) -> bool {
        self.at.replace(pts).is_some_and(|before| before != pts)
    }

    /// Forgets the stream and what was heard in it: another begins.
    pub fn forget(&mut self) {
        self.counts.flushed += self.untold.len() as u64;
        self.untold.clear();
        self.going_on.clear();
        self.ends.clear();
        self.ended = Recent::default();
        (self.heard, self.at, self.asked) = (None, None, None);
        self.evidence().clear();
    }

    /// Time means something else from here on. What was heard is kept where stream time goes on.
    pub fn set_segment(&mut self, segment: &gst::FormattedSegment<ClockTime>) {
        self.times.set_segment(segment);
        let start = segment.start().unwrap_or_default();
        let begins = self.stream_time(start);
        (self.heard, self.at, self.asked) = (None, None, None);
        let mut evidence = self.evidence();
        if begins < evidence.now() {
            evidence.clear();
        }
        evidence.begin(begins);
    }

    fn evidence(&self) -> MutexGuard<'_, Evidence> {
        self.evidence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is told of now out of the events that were not.
    fn take(&mut self, least: f32, last: bool) -> Vec<Sound> {
        let (told, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.untold).into_iter().partition(|sound| sound.peak >= least);
        for sound in &told {
            match sound.offset {
                Some(_) => self.ended.insert(sound.id),
                None => {
                    self.going_on.insert(sound.id);
                }
            }
        }
        self.counts.told += told.len() as u64;
        let (gone, kept): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|sound| last || sound.offset.is_some());
        self.counts.unheeded += gone.len() as u64;
        gone.iter().for_each(|sound| self.ended.insert(sound.id));
        self.untold = kept;
        if self.untold.len() >= MAX_UNTOLD {
            // Hostile: hundreds of events below min-evidence that never end.
            self.counts.unheeded += self.untold.len() as u64;
            self.untold.clear();
        }
        if self.going_on.len() > REMEMBERED {
            self.going_on.clear();
        }
        told
    }

    /// What a caption tells of: events, or where it hears, what stands out since `before`.
    fn ask(&self, settings: &Settings, told: Vec<Sound>, before: Option<u64>, now: u64) -> Option<Ask> {
        let hears = settings.writer.backend == Backend::Local;
        let onset = told.iter().map(|sound| sound.onset).min();
        let from = onset.or(before.filter(|_| hears))?.min(now);
        let to = told.iter().map(Sound::end).max().unwrap_or(now);
        let evidence = self.evidence();
        let mut scene = evidence.between(from, now);
        scene.sounds = told.into_iter().map(Arc::new).collect();
        scene.sounds.sort_by_key(|sound| (sound.onset, sound.id));
        if settings.earlier_captions {
            scene.said = evidence.said(now.saturating_sub(settings.context), now);
        }
        drop(evidence);
        if scene.sounds.is_empty() && !scene.is_worth_telling(&settings.least()) {
            return None;
        }
        if !hears {
            // The other backends read no embeddings.
            scene.embeddings.clear();
        }
        let (start, end) = (self.timestamp(from), self.timestamp(to));
        Some(Ask { scene, start, end: end.max(start) })
    }

    /// A timestamp of the stream in stream time; before its beginning 0.
    pub fn stream_time(&self, timestamp: ClockTime) -> u64 {
        match self.times.segment() {
            Some(_) => self.times.stream_time(timestamp).map_or(0, ClockTime::nseconds),
            None => timestamp.nseconds(),
        }
    }

    /// The other way round; what the segment does not reach stands where it begins.
    fn timestamp(&self, stream_time: u64) -> ClockTime {
        let time = ClockTime::from_nseconds(stream_time);
        match self.times.segment() {
            Some(segment) => {
                segment.position_from_stream_time(time).unwrap_or_else(|| segment.start().unwrap_or_default())
            }
            None => time,
        }
    }
}

/// The last ids of many.
#[derive(Debug, Default)]
struct Recent {
    order: VecDeque<u64>,
    ids: HashSet<u64>,
}

impl Recent {
    fn contains(&self, id: u64) -> bool {
        self.ids.contains(&id)
    }

    fn insert(&mut self, id: u64) {
        if !self.ids.insert(id) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }
}
