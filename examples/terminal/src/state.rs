//! What the program shows: changed by news from the pipeline and by keys, drawn by `view`.

use std::collections::VecDeque;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Events, captions and answers that are kept.
const KEPT: usize = 200;
/// Characters of a question.
const MAX_QUESTION: usize = 500;

/// What comes from the pipeline. Times are nanoseconds of stream time.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// Loudness now, in dB of full scale: mean and peak; and where the stream is.
    Level { rms: f64, peak: f64, position: u64 },
    /// An event began, goes on or has ended.
    Event(Event),
    /// A caption.
    Caption { start: u64, text: String, backend: String },
    /// A model writes a caption or an answer: more text, or what was there is void.
    Delta { text: String, again: bool },
    /// A question was answered, or could not be.
    Answer { id: u64, text: String },
    /// A model loads; `None`: it is loaded.
    Loading(Option<String>),
    /// Something is wrong, but it goes on.
    Warning(String),
    /// It does not go on.
    Error(String),
    /// The file has ended.
    Ended,
}

/// A sound event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: u64,
    pub label: String,
    /// The highest so far.
    pub score: f64,
    pub onset: u64,
    /// `None` while it goes on.
    pub offset: Option<u64>,
}

/// What a key asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Ask(String),
    Quit,
}

/// A question and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    pub id: u64,
    pub question: String,
    pub answer: Option<String>,
}

/// Whether it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    Loading(String),
    Listening,
    Ended,
    Failed(String),
}

/// Everything that is on the screen.
#[derive(Debug, Clone)]
pub struct State {
    /// What is listened to.
    pub source: String,
    pub status: Status,
    pub rms: f64,
    pub peak: f64,
    pub position: u64,
    /// In the order in which they began, the newest last.
    pub events: VecDeque<Event>,
    pub captions: VecDeque<(u64, String, String)>,
    /// What a model has written so far.
    pub writing: String,
    pub dialogue: VecDeque<Exchange>,
    pub warning: Option<String>,
    /// The question that is being typed.
    pub input: String,
}

/// Loudness of nothing at all.
pub const SILENCE: f64 = -120.0;

impl State {
    pub fn new(source: &str) -> State {
        State {
            source: clean(source),
            status: Status::Loading("the model".into()),
            rms: SILENCE,
            peak: SILENCE,
            position: 0,
            events: VecDeque::new(),
            captions: VecDeque::new(),
            writing: String::new(),
            dialogue: VecDeque::new(),
            warning: None,
            input: String::new(),
        }
    }

    /// Takes what the pipeline says.
    pub fn hear(&mut self, news: News) {
        match news {
            News::Level { rms, peak, position } => {
                (self.rms, self.peak) = (rms.max(SILENCE), peak.max(SILENCE));
                self.position = self.position.max(position);
                if matches!(self.status, Status::Loading(_)) && position > 0 {
                    self.status = Status::Listening;
                }
            }
            News::Event(event) => {
                let event = Event { label: clean(&event.label), ..event };
                match self.events.iter_mut().rev().find(|known| known.id == event.id) {
                    Some(known) => *known = event,
                    None => push(&mut self.events, event),
                }
            }
            News::Caption { start, text, backend } => {
                self.writing.clear();
                push(&mut self.captions, (start, clean(&text), backend));
            }
            News::Delta { again: true, .. } => self.writing.clear(),
            News::Delta { text, .. } => self.writing.push_str(&clean(&text)),
            News::Answer { id, text } => {
                self.writing.clear();
                if let Some(exchange) = self.dialogue.iter_mut().find(|exchange| exchange.id == id) {
                    exchange.answer = Some(clean(&text));
                }
            }
            // Loading also ends where it has failed.
            News::Loading(_) if matches!(self.status, Status::Failed(_) | Status::Ended) => {}
            News::Loading(Some(text)) => self.status = Status::Loading(clean(&text)),
            News::Loading(None) => self.status = Status::Listening,
            News::Warning(text) => self.warning = Some(clean(&text)),
            News::Error(text) => {
                self.fall_silent();
                // The first is the reason, the others follow from it.
                if !matches!(self.status, Status::Failed(_)) {
                    self.status = Status::Failed(clean(&text));
                }
            }
            News::Ended => {
                self.fall_silent();
                if !matches!(self.status, Status::Failed(_)) {
                    self.status = Status::Ended;
                }
            }
        }
    }

    /// A question was handed over; 0: nobody took it.
    pub fn asked(&mut self, id: u64, question: String) {
        let answer = (id == 0).then(|| "Nobody can answer that now.".to_owned());
        push(&mut self.dialogue, Exchange { id, question, answer });
    }

    /// Takes a key.
    pub fn key(&mut self, key: KeyEvent) -> Option<Action> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if control => return Some(Action::Quit),
            KeyCode::Char('u') if control => self.input.clear(),
            KeyCode::Esc if self.input.is_empty() => return Some(Action::Quit),
            KeyCode::Esc => self.input.clear(),
            KeyCode::Backspace => drop(self.input.pop()),
            KeyCode::Enter => {
                let question = std::mem::take(&mut self.input);
                let question = question.trim();
                if !question.is_empty() {
                    return Some(Action::Ask(question.to_owned()));
                }
            }
            KeyCode::Char(c) if !control && !c.is_control() && self.input.chars().count() < MAX_QUESTION => {
                self.input.push(c);
            }
            _ => {}
        }
        None
    }

    fn fall_silent(&mut self) {
        (self.rms, self.peak) = (SILENCE, SILENCE);
    }
}

fn push<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() == KEPT {
        list.pop_front();
    }
    list.push_back(item);
}

/// Text of others as a terminal may have it: labels, captions and file names could move the cursor.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(state: &mut State, text: &str) {
        text.chars().for_each(|c| assert_eq!(state.key(KeyEvent::from(KeyCode::Char(c))), None));
    }

    fn event(id: u64, offset: Option<u64>) -> News {
        News::Event(Event { id, label: "dog\u{1b}[2J".into(), score: 0.9, onset: 1, offset })
    }

    #[test]
    fn a_question_is_typed_mended_and_asked() {
        let mut state = State::new("a");
        press(&mut state, "was there a dogg");
        state.key(KeyEvent::from(KeyCode::Backspace));
        press(&mut state, "?");
        assert_eq!(state.key(KeyEvent::from(KeyCode::Enter)), Some(Action::Ask("was there a dog?".into())));
        assert_eq!(state.input, "");
        assert_eq!(state.key(KeyEvent::from(KeyCode::Enter)), None, "nothing was typed");
        state.asked(7, "was there a dog?".into());
        state.hear(News::Answer { id: 9, text: "To somebody else.".into() });
        assert_eq!(state.dialogue[0].answer, None);
        state.hear(News::Answer { id: 7, text: "Yes.".into() });
        assert_eq!(state.dialogue[0].answer.as_deref(), Some("Yes."));
    }

    #[test]
    fn a_question_that_nobody_took_says_so() {
        let mut state = State::new("a");
        state.asked(0, "what?".into());
        assert!(state.dialogue[0].answer.as_deref().is_some_and(|answer| answer.contains("Nobody")));
    }

    #[test]
    fn escape_clears_what_is_typed_and_then_quits() {
        let mut state = State::new("a");
        press(&mut state, "what");
        assert_eq!(state.key(KeyEvent::from(KeyCode::Esc)), None);
        assert_eq!(state.input, "");
        assert_eq!(state.key(KeyEvent::from(KeyCode::Esc)), Some(Action::Quit));
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        press(&mut state, "what");
        assert_eq!(state.key(control_c), Some(Action::Quit));
    }

    #[test]
    fn an_event_is_one_from_its_start_to_its_end() {
        let mut state = State::new("a");
        for news in [event(1, None), event(2, None), event(1, Some(5))] {
            state.hear(news);
        }
        assert_eq!(
            state.events.iter().map(|e| (e.id, e.offset)).collect::<Vec<_>>(),
            [(1, Some(5)), (2, None)]
        );
        assert_eq!(state.events[0].label, "dog [2J", "no escape sequence gets through");
    }

    #[test]
    fn what_a_model_writes_is_shown_until_its_caption_is_there() {
        let mut state = State::new("a");
        for text in ["A dog", " bar"] {
            state.hear(News::Delta { text: text.into(), again: false });
        }
        assert_eq!(state.writing, "A dog bar");
        state.hear(News::Delta { text: String::new(), again: true });
        assert_eq!(state.writing, "");
        state.hear(News::Delta { text: "A".into(), again: false });
        state.hear(News::Caption { start: 0, text: "A dog barks.".into(), backend: "http".into() });
        assert_eq!((state.writing.as_str(), state.captions.len()), ("", 1));
    }

    #[test]
    fn it_listens_once_loaded_and_a_failure_stays_on_the_screen() {
        let mut state = State::new("a");
        assert!(matches!(state.status, Status::Loading(_)));
        state.hear(News::Level { rms: -20.0, peak: -10.0, position: 1 });
        assert_eq!(state.status, Status::Listening);
        state.hear(News::Error("no such file".into()));
        state.hear(News::Error("streaming stopped".into()));
        state.hear(News::Ended);
        state.hear(News::Loading(None));
        assert_eq!(state.status, Status::Failed("no such file".into()));
        assert_eq!(state.rms, SILENCE);
    }

    #[test]
    fn memory_is_bounded() {
        let mut state = State::new("a");
        for id in 0..10_000 {
            state.hear(event(id, Some(2)));
            state.asked(id, "what?".into());
            state.hear(News::Caption { start: id, text: "x".into(), backend: "template".into() });
        }
        assert_eq!((state.events.len(), state.captions.len(), state.dialogue.len()), (KEPT, KEPT, KEPT));
        assert_eq!(state.events.back().map(|event| event.id), Some(9_999));
    }
}
