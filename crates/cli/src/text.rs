//! Text for people: colours, times, names, plural forms, wrapped lines.

use std::{
    io::{self, IsTerminal},
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

use jiff::{Timestamp, tz::TimeZone};
use statuskit_core::{
    account::ThreeWordName,
    chat::{KeySource, ReceivedMessage},
    crypto::PublicKey,
    payload::{Wrapper, matching::Chat, types::type_name},
    time::UnixSeconds,
};

use crate::{
    config,
    output::{escape, hex0x},
};

/// When text has colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    Always,
    Never,
}

/// How text looks in this run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    pub colour: When,
    /// Times in the zone of this machine.
    pub is_local: bool,
    /// No notes, no progress.
    pub is_quiet: bool,
    /// The clock, if it is fixed.
    pub now: Option<UnixSeconds>,
}

static STYLE: OnceLock<Style> = OnceLock::new();

/// Fixes the style; once, before anything is printed.
pub fn choose(style: Style) {
    // The first command line of a process is its only one.
    let _ = STYLE.set(style);
}

fn style() -> Style {
    STYLE.get().copied().unwrap_or(Style { colour: When::Never, ..Style::default() })
}

/// Whether notes and progress are left out.
pub fn is_quiet() -> bool {
    style().is_quiet
}

/// Whether text on this stream has colours.
pub fn has_colour(stream: &impl IsTerminal) -> bool {
    let asked_not = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match style().colour {
        When::Always => true,
        When::Never => false,
        When::Auto => stream.is_terminal() && !asked_not(),
    }
}

/// The colours in use.
#[derive(Debug, Clone, Copy)]
pub enum Colour {
    Green,
    Red,
    Cyan,
    Dim,
    Bold,
}

/// Returns text in a colour, if results have colours.
pub fn paint(colour: Colour, text: &str) -> String {
    if has_colour(&io::stdout()) { painted(colour, text) } else { text.to_owned() }
}

/// Returns text in a colour.
pub fn painted(colour: Colour, text: &str) -> String {
    let code = match colour {
        Colour::Green => 32,
        Colour::Red => 31,
        Colour::Cyan => 36,
        Colour::Dim => 2,
        Colour::Bold => 1,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Returns `ok` or `FAIL`, of the same width.
pub fn mark(pass: bool) -> String {
    if pass { paint(Colour::Green, "ok  ") } else { paint(Colour::Red, "FAIL") }
}

/// Returns a number with its noun, such as `1 peer` or `2 peers`.
pub fn count(number: u64, noun: &str) -> String {
    statuskit_core::text::count(&number, noun)
}

/// Returns a time of day; with its date if that is not today, with the zone if it is local.
pub fn time(second: UnixSeconds) -> String {
    let style = style();
    let now = style.now.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixSeconds::from_since_epoch(since)
    });
    let zone = if style.is_local { TimeZone::system() } else { TimeZone::UTC };
    time_in(second, now, zone, style.is_local)
}

fn time_in(second: UnixSeconds, now: UnixSeconds, zone: TimeZone, names_zone: bool) -> String {
    let at = |second: UnixSeconds| {
        // All that 32 bits hold are good times.
        Timestamp::from_second(second.into()).unwrap_or_default().to_zoned(zone.clone())
    };
    let (then, now) = (at(second), at(now));
    let date = if then.date() == now.date() { "" } else { "%Y-%m-%d " };
    let zone = if names_zone { " %Z" } else { "" };
    then.strftime(&format!("{date}%H:%M:%S{zone}")).to_string()
}

/// Returns what people call a key: the user's name for it, else its three words.
pub fn name(key: &PublicKey) -> String {
    config::name_of(key).map_or_else(|| ThreeWordName::from_key(key).to_string(), str::to_owned)
}

/// Returns a message as a line: when, where, who, and what.
pub fn message(message: &ReceivedMessage) -> String {
    let author = match message.author() {
        None => "(unsigned)".to_owned(),
        Some(key) => name(key),
    };
    let what = match (message.text(), message.wrapper()) {
        (Some(text), _) => escape(text),
        (None, Some(wrapper)) => kind_of(wrapper),
        (None, None) => hex0x(message.bytes()),
    };
    let refused = match message.rejection() {
        Some(rejection) => format!(" {}", paint(Colour::Red, &format!("(refused: {rejection})"))),
        None => String::new(),
    };
    format!(
        "{} {} {}: {what}{refused}",
        paint(Colour::Dim, &time(message.sent())),
        paint(Colour::Cyan, &escape(&place_of(message))),
        paint(Colour::Bold, &escape(&author)),
    )
}

fn kind_of(wrapper: &Wrapper) -> String {
    format!("({})", type_name(wrapper.kind()).replace('_', " "))
}

/// Where a message was said.
fn place_of(message: &ReceivedMessage) -> String {
    match (message.chat(), &message.opened().source) {
        (Some(Chat::Public(name)), _) => format!("#{name}"),
        (None, KeySource::PublicChat(name)) => format!("#{name}"),
        (Some(Chat::OneToOne(_)), _) => "private".to_owned(),
        (Some(Chat::Group(id)), _) => match group_name(message) {
            Some(name) => format!("[{name}]"),
            None => format!("[{}]", id.split('-').next().unwrap_or(&id)),
        },
        (None, _) => message.envelope().topic().to_string(),
    }
}

fn group_name(message: &ReceivedMessage) -> Option<String> {
    match message.content() {
        statuskit_core::chat::Content::Accepted(payload) => {
            Some(payload.group.as_ref()?.group.state().name.clone())
        }
        _ => None,
    }
}

/// The width of lines where no terminal tells another.
const WIDTH: usize = 80;

/// Wraps a paragraph that begins after `indent` columns; the lines after the first are indented.
pub fn wrap(text: &str, indent: usize) -> String {
    let width = terminal_columns().unwrap_or(WIDTH).clamp(indent + 20, 100);
    wrap_to(text, indent, width)
}

/// Returns the columns of the terminal; without one, those of a wide terminal.
pub fn columns() -> usize {
    terminal_columns().unwrap_or(100)
}

fn terminal_columns() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(size.ws_col.into()).filter(|columns| *columns > 0)
}

fn wrap_to(text: &str, indent: usize, width: usize) -> String {
    let (mut out, mut column) = (String::new(), indent);
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > indent && column + 1 + length > width {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if !out.is_empty() {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plural_forms() {
        assert_eq!(count(0, "peer"), "0 peers");
        assert_eq!(count(1, "peer"), "1 peer");
        assert_eq!(count(2, "peer"), "2 peers");
    }

    #[test]
    fn times_have_a_date_on_other_days_and_a_zone_if_local() {
        // 2020-03-29 12:22:26 UTC, the day when Europe changed its clocks.
        let second = 1_585_484_546;
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(
            time_in(UnixSeconds(second), UnixSeconds(second + 60), TimeZone::UTC, false),
            "12:22:26"
        );
        assert_eq!(
            time_in(UnixSeconds(second), UnixSeconds(second + 86_400), TimeZone::UTC, false),
            "2020-03-29 12:22:26"
        );
        assert_eq!(
            time_in(UnixSeconds(second), UnixSeconds(second), zone.clone(), true),
            "14:22:26 CEST"
        );
        assert_eq!(
            time_in(UnixSeconds(second - 43_200), UnixSeconds(second), zone, true),
            "01:22:26 CET"
        );
        assert_eq!(
            time_in(UnixSeconds::MAX, UnixSeconds::EPOCH, TimeZone::UTC, false),
            "2106-02-07 06:28:15"
        );
    }

    #[test]
    fn paragraphs_hang() {
        assert_eq!(wrap_to("one two three", 2, 9), "one two\n  three");
        assert_eq!(wrap_to("unbreakable word", 2, 6), "unbreakable\n  word");
        assert_eq!(wrap_to("", 2, 80), "");
    }
}
