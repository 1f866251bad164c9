//! The store: the past hour, bounded by time and by size.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::{Embedding, Label, Labels, Said, Scene, Sound};

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How far back, in nanoseconds.
    pub span: u64,
    /// Bytes of events, about; as much again for captions.
    pub events: usize,
    /// Bytes of embeddings, about.
    pub embeddings: usize,
}

impl Default for Limits {
    /// An hour; 16 MiB of events (some 50,000) and 64 MiB of embeddings (an hour of vectors of 768 at four a second).
    fn default() -> Self {
        Self { span: 3_600_000_000_000, events: 16 << 20, embeddings: 64 << 20 }
    }
}

/// What the store holds, and what it forgot before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Events held.
    pub sounds: usize,
    /// Embeddings held.
    pub embeddings: usize,
    /// Captions held.
    pub said: usize,
    /// Bytes of all, about.
    pub bytes: usize,
    /// Events that were forgotten within the span because there was no room.
    pub crowded_out: u64,
}

/// Windows with a level before there is a background.
const BACKGROUND_WINDOWS: usize = 5;
/// Windows whose levels tell the background: the last minutes.
const LEVELS: usize = 600;

/// What was heard, for as long as the limits allow.
///
/// All times are nanoseconds of stream time, and are given: it reads no clock. "Now" is the latest position it was told.
#[derive(Debug)]
pub struct Evidence {
    limits: Limits,
    now: u64,
    since: Option<u64>,
    /// By onset, then by id.
    sounds: BTreeMap<(u64, u64), Arc<Sound>>,
    /// Onset of each event in `sounds`.
    onsets: HashMap<u64, u64>,
    sound_bytes: usize,
    /// When `sounds` was last looked through for what is past.
    swept: u64,
    embeddings: Ring<Embedding>,
    said: Ring<Said>,
    levels: VecDeque<f32>,
    labels: Arc<Labels>,
    crowded_out: u64,
}

/// First in, first out, with the bytes that it takes.
#[derive(Debug)]
struct Ring<T> {
    items: VecDeque<Arc<T>>,
    bytes: usize,
}

impl<T> Ring<T> {
    fn new() -> Self {
        Self { items: VecDeque::new(), bytes: 0 }
    }

    fn push(&mut self, item: T, bytes: usize) {
        self.bytes += bytes;
        self.items.push_back(Arc::new(item));
    }

    /// Drops items from the front while `gone` says so of one and the bytes of all.
    fn drop_while(&mut self, size: impl Fn(&T) -> usize, gone: impl Fn(&T, usize) -> bool) {
        while let Some(item) = self.items.front()
            && gone(item, self.bytes)
        {
            self.bytes = self.bytes.saturating_sub(size(item));
            self.items.pop_front();
        }
    }
}

impl Evidence {
    /// An empty store.
    pub fn new(limits: Limits) -> Evidence {
        Evidence {
            limits,
            now: 0,
            since: None,
            sounds: BTreeMap::new(),
            onsets: HashMap::new(),
            sound_bytes: 0,
            swept: 0,
            embeddings: Ring::new(),
            said: Ring::new(),
            levels: VecDeque::new(),
            labels: Arc::default(),
            crowded_out: 0,
        }
    }

    /// An event began, goes on or ended: the latest word on an `id` replaces what was known of it.
    ///
    /// What ended before the span that is kept is not taken.
    pub fn hear(&mut self, sound: Sound) {
        self.begin(sound.onset);
        self.advance(sound.end());
        Labels::heard(&mut self.labels, &sound);
        if sound.end() < self.oldest() {
            return;
        }
        let (id, onset) = (sound.id, sound.onset);
        self.forget(id);
        self.sound_bytes += sound.bytes();
        self.onsets.insert(id, onset);
        self.sounds.insert((onset, id), Arc::new(sound));
        while self.sound_bytes > self.limits.events && self.sounds.len() > 1 {
            let Some((_, first)) = self.sounds.keys().next().copied() else { break };
            self.forget(first);
            self.crowded_out += 1;
        }
    }

    /// These are all the labels that are listened for from now on: of others it can be said that nobody listened for
    /// them, and of these that they were not heard.
    pub fn listen_for(&mut self, labels: impl IntoIterator<Item = Label>) {
        Labels::listen_for(&mut self.labels, labels);
    }

    /// A window's embedding.
    pub fn embed(&mut self, embedding: Embedding) {
        self.begin(embedding.start);
        self.advance(embedding.end);
        if let Some(level) = embedding.level.filter(|level| level.is_finite()) {
            if self.levels.len() == LEVELS {
                self.levels.pop_front();
            }
            self.levels.push_back(level);
        }
        let bytes = embedding.bytes();
        self.embeddings.push(embedding, bytes);
        let most = self.limits.embeddings;
        self.embeddings.drop_while(Embedding::bytes, |_, bytes| bytes > most);
    }

    /// A caption that was given out.
    pub fn say(&mut self, said: Said) {
        self.begin(said.start);
        let bytes = said.bytes();
        self.said.push(said, bytes);
        let most = self.limits.events;
        self.said.drop_while(Said::bytes, |_, bytes| bytes > most);
    }

    /// The stream has come to `now`; what lies further back than the span is forgotten. Going back is not possible:
    /// behind a flush or a new segment there is [`clear`](Self::clear).
    pub fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
        let oldest = self.oldest();
        self.embeddings.drop_while(Embedding::bytes, |embedding, _| embedding.end < oldest);
        self.said.drop_while(Said::bytes, |said, _| said.end < oldest);
        // Events are not in the order of their ends, so all are looked at, and that not at every step.
        if self.now - self.swept >= self.limits.span / 64 {
            self.swept = self.now;
            let past: Vec<u64> =
                self.sounds.values().filter(|sound| sound.end() < oldest).map(|sound| sound.id).collect();
            past.into_iter().for_each(|id| self.forget(id));
        }
    }

    /// Hearing begins at `start`, if it has not: of what was before, nothing is known.
    pub fn begin(&mut self, start: u64) {
        self.since = Some(self.since.map_or(start, |since| since.min(start)));
    }

    /// Forgets everything that was heard: the stream's time begins anew. What is listened for stays.
    pub fn clear(&mut self) {
        *self = Evidence { labels: self.labels.clone(), ..Evidence::new(self.limits) };
    }

    /// The stream's position.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// What it holds.
    pub fn counts(&self) -> Counts {
        Counts {
            sounds: self.sounds.len(),
            embeddings: self.embeddings.items.len(),
            said: self.said.items.len(),
            bytes: self.sound_bytes + self.embeddings.bytes + self.said.bytes,
            crowded_out: self.crowded_out,
        }
    }

    /// What was heard in the last `look_back` nanoseconds.
    pub fn recent(&self, look_back: u64) -> Scene {
        self.between(self.now.saturating_sub(look_back), self.now)
    }

    /// What was heard in `start..end`; the scene's "now" is `end`. Captions are not in it.
    pub fn between(&self, start: u64, end: u64) -> Scene {
        let since = self.since.unwrap_or(end).max(self.oldest()).min(end);
        let start = start.max(since).min(end);
        let begun = self.sounds.range(..=(end, u64::MAX)).map(|(_, sound)| sound);
        let in_time = |embedding: &&Arc<Embedding>| embedding.start < end && embedding.end > start;
        Scene {
            start,
            now: end,
            since,
            sounds: begun.filter(|sound| sound.is_within(start, end)).cloned().collect(),
            embeddings: self.embeddings.items.iter().filter(in_time).cloned().collect(),
            said: Vec::new(),
            background: self.background(),
            labels: self.labels.clone(),
        }
    }

    /// Captions that describe any part of `start..end`, for [`Scene::said`].
    pub fn said(&self, start: u64, end: u64) -> Vec<Arc<Said>> {
        self.said.items.iter().filter(|said| said.start < end && said.end > start).cloned().collect()
    }

    /// The level that is background: the lowest tenth of the last windows'.
    fn background(&self) -> Option<f32> {
        if self.levels.len() < BACKGROUND_WINDOWS {
            return None;
        }
        let mut levels: Vec<f32> = self.levels.iter().copied().collect();
        let tenth = levels.len() / 10;
        Some(*levels.select_nth_unstable_by(tenth, f32::total_cmp).1)
    }

    fn oldest(&self) -> u64 {
        self.now.saturating_sub(self.limits.span)
    }

    fn forget(&mut self, id: u64) {
        if let Some(onset) = self.onsets.remove(&id)
            && let Some(sound) = self.sounds.remove(&(onset, id))
        {
            self.sound_bytes = self.sound_bytes.saturating_sub(sound.bytes());
        }
    }
}
