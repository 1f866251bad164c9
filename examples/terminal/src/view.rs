//! The screen.
//!
//! ```text
//! source · time · status
//! level ███████████▌        |
//! ┌ events ────────┐┌ captions ──────────────┐
//! └────────────────┘└────────────────────────┘
//! ┌ questions and answers ───────────────────┐
//! └──────────────────────────────────────────┘
//! > the question that is being typed
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Paragraph, Wrap};

use crate::state::{Event, State, Status};

/// The quietest level that the meter shows, in dB.
const FLOOR: f64 = -60.0;

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, state: &State) {
    let [head, meter, middle, talk, input] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(8.min(frame.area().height / 3)),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let [events, captions] =
        Layout::horizontal([Constraint::Percentage(42), Constraint::Percentage(58)]).areas(middle);
    frame.render_widget(head_line(state), head);
    frame.render_widget(meter_line(state, meter.width), meter);
    last_lines(frame, events, " events ", state.events.iter().map(event_line).collect());
    last_lines(frame, captions, " captions ", caption_lines(state));
    last_lines(frame, talk, " questions and answers ", dialogue_lines(state));
    draw_input(frame, input, &state.input);
}

fn head_line(state: &State) -> Line<'_> {
    let status = match &state.status {
        Status::Loading(what) => format!("loading {what}").yellow(),
        Status::Listening => "listening".green(),
        Status::Ended => "the file has ended; ask, or leave with Esc".into(),
        Status::Failed(why) => why.clone().red(),
    };
    let mut line = Line::from(vec![
        state.source.as_str().bold(),
        format!("  {}  ", clock(state.position)).into(),
        status,
    ]);
    if let Some(warning) = &state.warning {
        line.push_span(format!("  {warning}").yellow());
    }
    line
}

/// The mean as a bar, the peak as a mark, and the numbers.
fn meter_line(state: &State, width: u16) -> Line<'static> {
    let numbers = match state.rms > FLOOR {
        true => format!(" {:5.1} dB", state.rms),
        false => " silence ".to_owned(),
    };
    let cells = usize::from(width).saturating_sub(6 + numbers.chars().count());
    let filled = part(state.rms, cells);
    let peak = part(state.peak, cells);
    let color = match state.peak {
        peak if peak > -1.0 => Color::Red,
        peak if peak > -9.0 => Color::Yellow,
        _ => Color::Green,
    };
    let rest: String = (filled..cells).map(|cell| if cell + 1 == peak { '|' } else { ' ' }).collect();
    Line::from(vec![
        "level ".into(),
        Span::styled("█".repeat(filled), Style::new().fg(color)),
        rest.into(),
        numbers.into(),
    ])
}

/// How many of so many cells a level fills.
fn part(level: f64, cells: usize) -> usize {
    // Levels are finite: `State` keeps them above silence, and casts of floats saturate.
    (((level - FLOOR) / -FLOOR).clamp(0.0, 1.0) * cells as f64).round() as usize
}

fn event_line(event: &Event) -> Line<'_> {
    let name = match event.offset {
        None => event.label.as_str().green().bold(),
        Some(_) => event.label.as_str().into(),
    };
    let until = event.offset.map_or("…       ".to_owned(), clock);
    Line::from(vec![
        format!("{} {until} ", clock(event.onset)).dim(),
        name,
        format!(" {:.0}%", event.score * 100.0).dim(),
    ])
}

fn caption_lines(state: &State) -> Vec<Line<'_>> {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (start, text, backend) in &state.captions {
        let by = if backend == "template" { "" } else { backend };
        lines.push(Line::from(vec![
            format!("{} ", clock(*start)).dim(),
            text.as_str().into(),
            format!(" {by}").dim(),
        ]));
    }
    if !state.writing.is_empty() {
        lines.push(Line::from(vec![state.writing.as_str().italic(), "▌".into()]));
    }
    lines
}

fn dialogue_lines(state: &State) -> Vec<Line<'_>> {
    let lines = state.dialogue.iter().flat_map(|exchange| {
        let answer = exchange.answer.as_deref().unwrap_or("…");
        [Line::from(exchange.question.as_str().cyan()), Line::from(format!("  {answer}"))]
    });
    lines.collect()
}

/// The last lines that fit into a box, wrapped.
fn last_lines(frame: &mut Frame<'_>, area: Rect, title: &'static str, lines: Vec<Line<'_>>) {
    let block = Block::bordered().title(title);
    let inner = block.inner(area);
    let rows: usize = lines.iter().map(|line| rows(line, inner.width)).sum();
    let over = rows.saturating_sub(usize::from(inner.height));
    let text = Paragraph::new(Text::from(lines)).wrap(Wrap { trim: false }).block(block);
    frame.render_widget(text.scroll((u16::try_from(over).unwrap_or(u16::MAX), 0)), area);
}

/// Rows that a line takes where words are wrapped.
fn rows(line: &Line<'_>, width: u16) -> usize {
    let width = usize::from(width).max(1);
    let text: String = line.iter().map(|span| span.content.as_ref()).collect();
    let (mut rows, mut used) = (1, 0);
    for word in text.split_inclusive(' ') {
        let whole = Span::raw(word).width();
        let bare = Span::raw(word.trim_end()).width();
        if used + bare <= width {
            used += whole;
            continue;
        }
        if used > 0 {
            rows += 1;
        }
        // A word that is wider than the box is cut.
        rows += bare.saturating_sub(1) / width;
        used = match bare % width {
            0 if bare > 0 => width,
            rest => rest + whole - bare,
        };
    }
    rows
}

fn draw_input(frame: &mut Frame<'_>, area: Rect, input: &str) {
    let prompt = "ask> ";
    let room = usize::from(area.width).saturating_sub(prompt.len() + 1);
    // The end of a long question is seen.
    let mut shown = input;
    while Span::raw(shown).width() > room {
        let mut rest = shown.chars();
        rest.next();
        shown = rest.as_str();
    }
    let text = match input.is_empty() {
        true => "type a question, Enter asks, Esc leaves".dim(),
        false => shown.into(),
    };
    frame.render_widget(Line::from(vec![prompt.bold(), text]), area);
    let column = prompt.len() + Span::raw(shown).width();
    let column = area.x.saturating_add(u16::try_from(column).unwrap_or(u16::MAX));
    frame.set_cursor_position(Position::new(column.min(area.right().saturating_sub(1)), area.y));
}

/// Minutes and seconds.
fn clock(time: u64) -> String {
    let tenths = time / 100_000_000;
    format!("{:02}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::state::News;

    fn screen(state: &State, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(row).collect()
    }

    fn s(seconds: u64) -> u64 {
        seconds * 1_000_000_000
    }

    fn busy() -> State {
        let mut state = State::new("street.flac");
        state.hear(News::Level { rms: -30.0, peak: -15.0, position: s(62) });
        let dog = Event { id: 1, label: "dog barking".into(), score: 0.97, onset: s(7), offset: Some(s(9)) };
        state.hear(News::Event(dog.clone()));
        state.hear(News::Event(Event { id: 2, label: "rain".into(), offset: None, onset: s(61), ..dog }));
        state.hear(News::Caption {
            start: s(7),
            text: "You can hear a dog barking.".into(),
            backend: "template".into(),
        });
        state.asked(1, "was there a dog?".into());
        state.hear(News::Answer { id: 1, text: "Yes, once.".into() });
        state.input = "and rain".into();
        state
    }

    #[test]
    fn everything_stands_where_it_should() {
        let rows = screen(&busy(), 80, 24);
        assert!(rows[0].starts_with("street.flac  01:02.0  listening"), "{}", rows[0]);
        assert!(
            rows[1].starts_with("level ███") && rows[1].contains('|') && rows[1].contains("-30.0 dB"),
            "{}",
            rows[1]
        );
        let find = |words: &str| {
            rows.iter().position(|row| row.contains(words)).unwrap_or_else(|| panic!("{words}: {rows:#?}"))
        };
        assert!(find(" events ") < find("00:07.0 00:09.0 dog barking 97%"));
        assert!(find("dog barking 97%") < find("01:01.0 …        rain"));
        assert_eq!(find(" events "), find(" captions "));
        assert!(find(" captions ") < find("00:07.0 You can hear a dog"));
        assert!(find("was there a dog?") < find("  Yes, once."));
        assert!(rows[23].starts_with("ask> and rain"), "{}", rows[23]);
    }

    #[test]
    fn the_meter_fills_half_at_half_its_range() {
        let rows = screen(&busy(), 80, 24);
        let cells = 80 - 6 - " -30.0 dB".len();
        let filled = rows[1].matches('█').count();
        assert_eq!(filled, (cells as f64 / 2.0).round() as usize);
        let peak = rows[1].chars().position(|c| c == '|').unwrap();
        assert_eq!(peak, 6 + (cells as f64 * 0.75).round() as usize - 1);
        let mut silent = busy();
        silent.hear(News::Ended);
        assert!(screen(&silent, 80, 24)[1].contains("silence"));
    }

    #[test]
    fn the_newest_lines_are_seen_when_there_are_more_than_fit() {
        let mut state = busy();
        for number in 0..100 {
            let text = format!("Caption number {number}, which is longer than one row of this narrow box.");
            state.hear(News::Caption { start: s(number), text, backend: "http".into() });
        }
        for width in [40, 61, 80, 100] {
            let rows = screen(&state, width, 24);
            let all = rows.concat();
            assert!(all.contains("number 99"), "{rows:#?}");
            assert!(!all.contains("number 80,"), "{rows:#?}");
            // Its last row is the last in the box.
            let bottom = rows.iter().position(|row| row.contains("questions")).unwrap() - 2;
            assert!(rows[bottom].contains("http") || rows[bottom].contains("box"), "{rows:#?}");
        }
    }

    #[test]
    fn no_size_is_too_small_to_draw() {
        for width in [1, 2, 5, 20] {
            for height in [1, 2, 4, 8] {
                screen(&busy(), width, height);
            }
        }
    }

    #[test]
    fn the_end_of_a_long_question_is_seen() {
        let mut state = busy();
        state.input = "x".repeat(200) + " the end";
        assert!(screen(&state, 40, 24)[23].trim_end().ends_with("the end"));
    }
}
