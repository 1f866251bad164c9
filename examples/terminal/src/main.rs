//! Listens to a file or the microphone in a terminal: level, events, captions; and answers questions about what was heard.
//!
//! ```text
//! cargo run -p listen-terminal -- examples/street.flac --labels "dog barking;applause;rain"
//! cargo run -p listen-terminal -- --microphone
//! cargo run -p listen-terminal -- FILE --set llmcaption.backend=http --set llmcaption.url=http://127.0.0.1:8080/v1
//! ```

mod listen;
mod quiet;
mod state;
mod view;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event as Input, KeyEventKind};

use listen::{Listening, Request};
use quiet::Quiet;
use state::{Action, News, State};

const USAGE: &str = "usage: listen-terminal FILE|--microphone [--labels \"dog barking;siren\"] [--set ELEMENT.PROPERTY=VALUE]...
  elements: m2dencode, clapmatch, llmcaption
";

/// How often the screen is drawn anew.
const FRAME: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let request = match arguments(std::env::args().skip(1)) {
        Ok(request) => request,
        Err(error) => {
            eprint!("listen-terminal: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        eprintln!("listen-terminal: it needs a terminal to read keys from and to draw on");
        return ExitCode::from(2);
    }
    match watch(&request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("listen-terminal: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Listens, and shows it until somebody leaves.
fn watch(request: &Request) -> Result<(), String> {
    let (send, news) = mpsc::channel();
    let _quiet = Quiet::begin().map_err(|error| error.to_string())?;
    let listening = Listening::start(request, send)?;
    let state = State::new(request.file.as_deref().unwrap_or("microphone"));
    // It gives the terminal back in a panic too.
    let ended = run(&mut ratatui::init(), state, &listening, &news);
    ratatui::restore();
    ended.map_err(|error| error.to_string())
}

/// Draws, reads keys and hears news until somebody leaves.
fn run(
    terminal: &mut DefaultTerminal,
    mut state: State,
    listening: &Listening,
    news: &mpsc::Receiver<News>,
) -> std::io::Result<()> {
    loop {
        news.try_iter().for_each(|item| state.hear(item));
        listening.tick();
        terminal.draw(|frame| view::draw(frame, &state))?;
        if !event::poll(FRAME)? {
            continue;
        }
        // All keys that wait, so that pasted text is not drawn letter by letter.
        while event::poll(Duration::ZERO)? {
            let Input::Key(key) = event::read()? else { continue };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            match state.key(key) {
                Some(Action::Quit) => return Ok(()),
                Some(Action::Ask(question)) => {
                    let id = listening.ask(&question);
                    state.asked(id, question);
                }
                None => {}
            }
        }
    }
}

/// What the command line asks for.
fn arguments(given: impl Iterator<Item = String>) -> Result<Request, String> {
    let mut request = Request::default();
    let mut microphone = false;
    let mut given = given;
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--microphone" => microphone = true,
            "--labels" => request.labels = Some(value()?),
            "--set" => {
                let text = value()?;
                let parts = text.split_once('=').and_then(|(name, value)| {
                    let (element, property) = name.split_once('.')?;
                    Some((element.to_owned(), property.to_owned(), value.to_owned()))
                });
                request
                    .properties
                    .push(parts.ok_or(format!("expected ELEMENT.PROPERTY=VALUE, found {text}"))?);
            }
            option if option.starts_with("--") => return Err(format!("no option is named {option}")),
            _ if request.file.is_some() => {
                return Err(format!("one file is enough, found another: {argument}"));
            }
            _ => request.file = Some(argument),
        }
    }
    match (microphone, &request.file) {
        (true, Some(file)) => Err(format!("either --microphone or {file}")),
        (false, None) => Err("what is to be listened to?".into()),
        _ => Ok(request),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Request, String> {
        arguments(line.iter().map(|word| (*word).to_owned()))
    }

    #[test]
    fn a_command_line_is_read() {
        let request =
            parse(&["a.flac", "--labels", "dog;cat", "--set", "llmcaption.url=http://a/v1?b=c"]).unwrap();
        assert_eq!(request.file.as_deref(), Some("a.flac"));
        assert_eq!(request.labels.as_deref(), Some("dog;cat"));
        assert_eq!(request.properties, [("llmcaption".into(), "url".into(), "http://a/v1?b=c".into())]);
        assert_eq!(parse(&["--microphone"]).unwrap(), Request::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (line, words) in [
            (&[][..], "what"),
            (&["a", "b"], "b"),
            (&["a", "--microphone"], "a"),
            (&["--loud"], "--loud"),
            (&["a", "--labels"], "--labels"),
            (&["a", "--set", "interval=5"], "interval=5"),
        ] {
            assert!(parse(line).is_err_and(|error| error.contains(words)), "{line:?}");
        }
    }
}
