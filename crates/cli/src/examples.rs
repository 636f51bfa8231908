//! The examples of the help: folded, so that no terminal breaks them, and the same in the manuals.

use clap::Command;

/// The longest line of an example.
const WIDTH: usize = 78;

/// What an example begins with.
const PROMPT: &str = "  $ ";

/// What its further lines begin with.
const INDENT: &str = "      ";

/// Folds the examples of a command, and those of the commands in it.
pub fn fold_all(command: Command) -> Command {
    let help = command.get_after_help().map(ToString::to_string);
    let command = match help {
        None => command,
        Some(help) => {
            let lines: Vec<_> = help.lines().map(fold).collect();
            command.after_help(lines.join("\n"))
        }
    };
    command.mut_subcommands(fold_all)
}

/// Returns the lines after the options: those of the examples, and the rest.
pub fn split(command: &Command) -> (Vec<String>, Vec<String>) {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let is_example = |line: &&str| line.starts_with(PROMPT) || line.starts_with(INDENT);
    let examples = help.lines().filter(is_example).map(str::to_owned).collect();
    let rest = help.lines().filter(|line| !is_example(line) && *line != "Examples:");
    (examples, rest.map(str::to_owned).collect())
}

/// Continues a line that is too long with backslashes, where a shell has a space.
fn fold(line: &str) -> String {
    if !line.starts_with(PROMPT) {
        return line.to_owned();
    }
    let (mut out, mut rest) = (String::new(), line.to_owned());
    while rest.chars().count() > WIDTH {
        let Some(at) = place_of_break(&rest) else { break };
        out.push_str(&rest[..at]);
        out.push_str(" \\\n");
        rest = format!("{INDENT}{}", &rest[at + 1..]);
    }
    out + &rest
}

/// Returns the best space to break at: before an option or a pipe in the second half, else the last.
/// If none is near enough, the first.
fn place_of_break(line: &str) -> Option<usize> {
    let indent = line.len() - line.trim_start_matches([' ', '$']).len();
    let (mut spaces, mut quote) = (Vec::new(), None);
    let mut column = 0;
    for (at, c) in line.char_indices() {
        column += 1;
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ') if at > indent => spaces.push((at, column)),
            _ => {}
        }
    }
    let is_near = |(_, column): &&(usize, usize)| *column < WIDTH;
    let is_good = |(at, column): &&(usize, usize)| {
        *column > WIDTH / 2 && line[at + 1..].starts_with(['-', '|', '&'])
    };
    let near: Vec<_> = spaces.iter().filter(is_near).collect();
    let best = near.iter().rfind(|it| is_good(it)).or(near.last()).copied();
    best.or(spaces.first()).map(|(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_continued_between_words() {
        let short = "  $ status-topic chat status";
        assert_eq!(fold(short), short);
        let text = "a text of many words in quotes, which is longer than a line may be at all";
        let line = format!("  $ status-send '{text}' --peer \"$ENODE\" --chat status | jq -c .");
        let folded = fold(&line);
        let lines: Vec<_> = folded.lines().collect();
        assert!(lines.len() == 3 && lines[1].contains(text), "{folded}");
        assert!(lines[2].starts_with("      --peer"), "{folded}");
        // The shell reads the same words.
        assert_eq!(folded.replace(" \\\n      ", " "), line);
        assert_eq!(fold(&"x".repeat(100)), "x".repeat(100));
    }
}
