//! What becomes of text that is not what is looked for: a part of a value after all, something that
//! only stands beside one, or an error.

use std::mem;

use super::{
    Content, Encoding, Item, Problem, ReadError, Reader, Reading, Wants,
    choice::ambiguous,
    salvage::{MAX_SALVAGED, salvage},
    text,
};

/// Lines that have not become a value, and what was said about them.
#[derive(Debug, Default)]
pub(super) struct Held {
    results: Vec<Result<Item, ReadError>>,
    lines: Vec<(u64, String)>,
    length: usize,
    /// Whether the value before the lines takes several lines, or is the content of a fence.
    follows_block: bool,
    /// Whether there was a value.
    follows_any: bool,
    /// Whether lines need not be kept: any bytes are looked for.
    pub(super) is_off: bool,
    /// Whether the results are pieces of one text that was searched as a whole.
    pub(super) are_pieces: bool,
    pub(super) passed_over: u64,
}

impl Held {
    /// Holds lines if something is looked for.
    pub(super) fn new(is_on: bool) -> Self {
        Self { is_off: !is_on, ..Self::default() }
    }

    /// Keeps a line until it is clear what it is.
    pub(super) fn remember(&mut self, number: u64, line: &str) {
        if self.is_off {
            return;
        }
        self.length += line.len() + 1;
        if self.length <= MAX_SALVAGED {
            self.lines.push((number, line.to_owned()));
        }
    }

    /// Forgets the lines before this one.
    fn forget(&mut self, next: u64) {
        self.lines.retain(|(number, _)| *number >= next);
        self.length = self.lines.iter().map(|(_, line)| line.len() + 1).sum();
    }
}

impl Reader {
    /// Takes a result: ready if it is what is looked for, else held.
    pub(super) fn put(&mut self, result: Result<Item, ReadError>) {
        if self.held.is_off {
            // Anything may be looked for: nothing is better than what was found.
            return self.ready.push_back(result);
        }
        let (line, waits) = match &result {
            Ok(item) => (
                item.line,
                match &item.content {
                    Content::Record(_) => false,
                    Content::Bytes(reading) => !self.wants.is_whole(&reading.bytes),
                },
            ),
            Err(error) => (
                error.line,
                match &error.problem {
                    Problem::Ambiguous { are_whole, .. } => !are_whole,
                    Problem::TooLong => false,
                    Problem::Json { .. }
                    | Problem::Hex { .. }
                    | Problem::Dump { .. }
                    | Problem::Unrecognised { .. } => true,
                },
            ),
        };
        if !waits {
            return self.ready_now(line, result);
        }
        // The lines of this result alone.
        let mut own: Vec<&str> = Vec::new();
        if !self.held.are_pieces {
            let lines = self.held.lines.iter().rev().take_while(|it| it.0 >= line);
            own.extend(lines.map(|(_, text)| text.as_str()));
            own.reverse();
        }
        let has_quotes = own.iter().any(|text| text.contains('"'));
        if let Some(found) = one_of(salvage(&own, &self.wants), line, &self.wants) {
            return self.ready_now(line, found);
        }
        // A record that is broken is none of a larger thing.
        if matches!(&result, Err(ReadError { problem: Problem::Json { .. }, .. })) && has_quotes {
            return self.ready_now(line, result);
        }
        self.held.results.push(result);
        if self.held.length > MAX_SALVAGED {
            self.settle(None);
        }
    }

    fn ready_now(&mut self, line: u64, result: Result<Item, ReadError>) {
        self.settle(Some((line, &result)));
        self.held.forget(self.number + 1);
        if let Ok(item) = &result {
            self.held.follows_any = true;
            self.held.follows_block = is_block(item);
        }
        self.ready.push_back(result);
    }

    /// Decides what the held lines are, now that something else follows, or the end.
    pub(super) fn settle(&mut self, next: Option<(u64, &Result<Item, ReadError>)>) {
        let results = mem::take(&mut self.held.results);
        let end = next.map_or(u64::MAX, |(line, _)| line);
        if results.is_empty() {
            return;
        }
        let lines: Vec<_> = self.held.lines.iter().take_while(|it| it.0 < end).collect();
        let first = lines.first().map_or(end, |(number, _)| *number);
        let texts: Vec<_> = lines.iter().map(|(_, text)| text.as_str()).collect();
        let found = if results.len() > 1 { salvage(&texts, &self.wants) } else { Vec::new() };
        if let Some(found) = one_of(found, first, &self.wants) {
            self.held.follows_any = true;
            self.held.follows_block = true;
            self.held.forget(end);
            self.ready.push_back(found);
            return;
        }
        let next = next.and_then(|(_, result)| result.as_ref().ok());
        let is_fenced = lines.iter().any(|(_, text)| is_fence(text));
        let is_beside_block = self.held.follows_block || next.is_some_and(is_block) || is_fenced;
        let is_beside_any = self.held.follows_any || next.is_some();
        let is_passed = |result: &Result<Item, ReadError>| {
            let line = match result {
                Ok(item) => item.line,
                Err(error) => error.line,
            };
            let Ok(at) = lines.binary_search_by_key(&line, |it| it.0) else { return false };
            let text = &lines[at].1;
            is_beside_any && is_frame(text) || is_beside_block && is_prose(text, result)
        };
        let (passed, told): (Vec<_>, Vec<_>) = results.into_iter().partition(is_passed);
        // A fence around nothing is none.
        self.held.passed_over += passed.len() as u64;
        self.held.follows_block = is_fenced && self.held.follows_block;
        self.held.forget(end);
        self.ready.extend(told);
    }
}

/// The only one of some readings, or that there are several.
fn one_of(mut found: Vec<Reading>, line: u64, wants: &Wants) -> Option<Result<Item, ReadError>> {
    if found.len() > 1 {
        let problem = ambiguous(&found.iter().collect::<Vec<_>>(), wants);
        return Some(Err(ReadError { line, problem }));
    }
    let content = Content::Bytes(found.pop()?);
    Some(Ok(Item { line, content, alternatives: Vec::new() }))
}

/// Whether a value takes several lines: those beside it are its heading and what follows it.
fn is_block(item: &Item) -> bool {
    matches!(&item.content, Content::Bytes(reading) if reading.lines > 1)
}

fn is_fence(text: &str) -> bool {
    let text = text::trim(text);
    text.starts_with("```")
        || text.starts_with("~~~")
        || text.starts_with("-----")
        || text.starts_with("+--")
}

/// Whether a line has nothing to say: a fence, a rule of a table, brackets, a prompt.
fn is_frame(text: &str) -> bool {
    let bare = text::trim(text);
    let prompts = [">>> ", "> ", "$ ", "# ", "% "];
    let is_prompt = prompts.iter().any(|prompt| bare.starts_with(prompt))
        || bare
            .split_once(['$', '#', '%', '>'])
            .is_some_and(|(user, _)| user.contains('@') && !user.contains(char::is_whitespace));
    // `message {`
    let opens = bare.ends_with(['{', '[', '(']) && !bare.contains(|c: char| c.is_ascii_digit());
    is_fence(bare) || is_prompt || opens || !bare.chars().any(char::is_alphanumeric)
}

/// Whether a line is words: no spelling of bytes, or one that any word may have.
fn is_prose(text: &str, result: &Result<Item, ReadError>) -> bool {
    match result {
        Err(error) => matches!(error.problem, Problem::Unrecognised { .. }),
        Ok(Item { content: Content::Bytes(reading), .. }) => {
            let is_word = text.len() < 32 && text.chars().any(|c| c.is_ascii_alphabetic());
            is_word && matches!(reading.encoding, Encoding::Base64 | Encoding::Base64Url)
        }
        Ok(_) => false,
    }
}
