//! ENSIP-15, the normalisation that ENS prescribes since 2023: stricter than UTS 46.
//!
//! Emoji are whole sequences, a label is of one script, and labels that look like another script are
//! refused. Here it only tells where a name of 2020 is another one today.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::LazyLock,
};

use unicode_normalization::UnicodeNormalization as _;

/// Why a label is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ensip15Error {
    /// Nothing, or only characters that are left out.
    #[error("a label is empty")]
    Empty,
    /// A character that no name may have.
    #[error("U+{:04X} can't be in a name", *.0 as u32)]
    Character(char),
    /// `_` behind another character.
    #[error("an underscore is allowed only at the beginning of a label")]
    Underscore,
    /// Hyphens at the third and fourth place.
    #[error("a label in ASCII has hyphens at its third and fourth place")]
    Hyphens,
    /// A combining mark at the beginning, or after an emoji.
    #[error("a combining mark follows no letter")]
    Mark,
    /// An apostrophe, fraction slash or middle dot at an end, or two of them.
    #[error("U+{:04X} must stand between other characters", *.0 as u32)]
    Fenced(char),
    /// Characters of two scripts.
    #[error("U+{:04X} is not of the script of the label, {script}", *.0 as u32, script = .1)]
    Mixture(char, &'static str),
    /// The same nonspacing mark twice, or more than four.
    #[error("a letter has too many marks, or one of them twice")]
    Marks,
    /// Looks like a label of another script.
    #[error("the label ({0}) can't be told from one in another script ({1})")]
    Confusable(&'static str, &'static str),
}

/// Normalises a name. The length is the caller's to bound.
///
/// # Errors
/// The first rule that a label breaks.
pub fn normalize(name: &str) -> Result<String, Ensip15Error> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if name.is_empty() || name.split('.').all(|it| !it.is_empty() && it.bytes().all(plain)) {
        return Ok(name.to_owned());
    }
    let labels: Result<Vec<String>, _> = name.split('.').map(label).collect();
    Ok(labels?.join("."))
}

/// A run of characters, or an emoji.
enum Token {
    Text(Vec<char>),
    Emoji(Vec<char>),
}

fn label(text: &str) -> Result<String, Ensip15Error> {
    let tokens = tokens(text)?;
    if tokens.is_empty() {
        return Err(Ensip15Error::Empty);
    }
    let all: Vec<char> = tokens
        .iter()
        .flat_map(|token| match token {
            Token::Text(chars) | Token::Emoji(chars) => chars,
        })
        .copied()
        .collect();
    let behind = all.iter().position(|c| *c != '_').unwrap_or(all.len());
    if all[behind..].contains(&'_') {
        return Err(Ensip15Error::Underscore);
    }
    if let [Token::Text(chars)] = &tokens[..]
        && chars.iter().all(char::is_ascii)
    {
        return match chars[..] {
            [_, _, '-', '-', ..] => Err(Ensip15Error::Hyphens),
            _ => Ok(all.into_iter().collect()),
        };
    }
    let mut letters = Vec::new();
    for token in &tokens {
        if let Token::Text(chars) = token {
            if chars.first().is_some_and(|c| DATA.marks.contains(c)) {
                return Err(Ensip15Error::Mark);
            }
            letters.extend(chars);
        }
    }
    if !letters.is_empty() {
        check_fenced(&all)?;
        let mut unique: Vec<char> = Vec::new();
        let mut seen = HashSet::new();
        unique.extend(letters.iter().filter(|c| seen.insert(**c)));
        let group = group_of(&unique)?;
        check_group(group, &letters)?;
        check_whole(group, &unique)?;
    }
    Ok(all.into_iter().collect())
}

fn tokens(text: &str) -> Result<Vec<Token>, Ensip15Error> {
    let input: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut chars: Vec<char> = Vec::new();
    let flush = |chars: &mut Vec<char>, tokens: &mut Vec<Token>| {
        if !chars.is_empty() {
            tokens.push(Token::Text(chars.drain(..).nfc().collect()));
        }
    };
    let mut at = 0;
    while let Some(c) = input.get(at) {
        if let Some((length, emoji)) = DATA.emoji(&input[at..]) {
            flush(&mut chars, &mut tokens);
            tokens.push(Token::Emoji(emoji));
            at += length;
            continue;
        }
        at += 1;
        if DATA.valid.contains(c) {
            chars.push(*c);
        } else if let Some(to) = DATA.mapped.get(c) {
            chars.extend(to);
        } else if !DATA.ignored.contains(c) {
            return Err(Ensip15Error::Character(*c));
        }
    }
    flush(&mut chars, &mut tokens);
    Ok(tokens)
}

fn check_fenced(chars: &[char]) -> Result<(), Ensip15Error> {
    let is_fenced = |at: usize| chars.get(at).is_none_or(|c| DATA.fenced.contains(c));
    let found = chars
        .iter()
        .enumerate()
        .find(|(at, c)| DATA.fenced.contains(c) && (*at == 0 || is_fenced(at + 1)));
    found.map_or(Ok(()), |(_, c)| Err(Ensip15Error::Fenced(*c)))
}

/// Returns the first script that has all characters.
fn group_of(unique: &[char]) -> Result<usize, Ensip15Error> {
    let mut groups: Vec<usize> = (0..DATA.groups.len()).collect();
    for c in unique {
        let left: Vec<usize> = groups.iter().copied().filter(|it| DATA.has(*it, *c)).collect();
        if left.is_empty() {
            let is_anywhere = (0..DATA.groups.len()).any(|it| DATA.has(it, *c));
            return Err(match groups.first() {
                Some(first) if is_anywhere => Ensip15Error::Mixture(*c, DATA.groups[*first].name),
                _ => Ensip15Error::Character(*c),
            });
        }
        groups = left;
        if groups.len() == 1 {
            break;
        }
    }
    Ok(groups[0])
}

fn check_group(group: usize, letters: &[char]) -> Result<(), Ensip15Error> {
    const MOST_MARKS: usize = 4;
    if let Some(c) = letters.iter().find(|c| !DATA.has(group, **c)) {
        return Err(Ensip15Error::Mixture(*c, DATA.groups[group].name));
    }
    if !DATA.groups[group].counts_marks {
        return Ok(());
    }
    let parts: Vec<char> = letters.iter().copied().nfd().collect();
    for marks in parts.get(1..).unwrap_or_default().split(|c| !DATA.nonspacing.contains(c)) {
        let mut seen = HashSet::new();
        if marks.len() > MOST_MARKS || !marks.iter().all(|c| seen.insert(*c)) {
            return Err(Ensip15Error::Marks);
        }
    }
    Ok(())
}

/// Refuses a label if another script has look-alikes of all its characters.
fn check_whole(group: usize, unique: &[char]) -> Result<(), Ensip15Error> {
    let mut makers: Option<BTreeSet<usize>> = None;
    let mut shared = Vec::new();
    for c in unique {
        if let Some(others) = DATA.confused.get(c) {
            let left: BTreeSet<usize> = match makers {
                Some(known) => known.intersection(others).copied().collect(),
                None => others.clone(),
            };
            if left.is_empty() {
                return Ok(());
            }
            makers = Some(left);
        } else if DATA.only_one.contains(c) {
            return Ok(());
        } else {
            shared.push(*c);
        }
    }
    let maker = makers
        .unwrap_or_default()
        .into_iter()
        .find(|maker| shared.iter().all(|c| DATA.has(*maker, *c)));
    match maker {
        None => Ok(()),
        Some(maker) => {
            Err(Ensip15Error::Confusable(DATA.groups[group].name, DATA.groups[maker].name))
        }
    }
}

struct Group {
    name: &'static str,
    counts_marks: bool,
    chars: HashSet<char>,
}

/// The tables, and what follows from them.
#[derive(Default)]
struct Data {
    ignored: HashSet<char>,
    marks: HashSet<char>,
    nonspacing: HashSet<char>,
    fenced: HashSet<char>,
    groups: Vec<Group>,
    mapped: HashMap<char, Vec<char>>,
    /// The characters of any script, and the parts that they consist of.
    valid: HashSet<char>,
    /// Characters of a single script without look-alikes.
    only_one: HashSet<char>,
    /// Confusable characters, with the scripts of their look-alikes.
    confused: HashMap<char, BTreeSet<usize>>,
    /// The steps of all emoji: from a node, by a character, to another node.
    steps: HashMap<(u32, char), u32>,
    /// The nodes where an emoji ends.
    ends: HashMap<u32, &'static str>,
}

const EMOJI_STYLE: char = '\u{fe0f}';

static DATA: LazyLock<Data> = LazyLock::new(|| Data::read(include_str!("data/ensip15.txt")));

impl Data {
    fn has(&self, group: usize, c: char) -> bool {
        self.groups.get(group).is_some_and(|group| group.chars.contains(&c))
    }

    /// Finds the longest emoji at the beginning: how many characters it takes, and how it is
    /// written in a normalised name.
    fn emoji(&self, input: &[char]) -> Option<(usize, Vec<char>)> {
        let mut node = 0;
        let mut found = None;
        for (at, c) in input.iter().enumerate() {
            let Some(next) = self.steps.get(&(node, *c)) else { break };
            node = *next;
            if let Some(text) = self.ends.get(&node) {
                found = Some((at + 1, *text));
            }
        }
        let (length, text) = found?;
        Some((length, text.chars().filter(|c| *c != EMOJI_STYLE).collect()))
    }

    fn read(text: &'static str) -> Self {
        let mut data = Self::default();
        let mut wholes = Vec::new();
        let mut nodes = 0;
        for line in text.lines() {
            let Some((kind, rest)) = line.split_once(' ') else { continue };
            match kind {
                "ignored" => data.ignored = set(rest),
                "marks" => data.marks = set(rest),
                "nonspacing" => data.nonspacing = set(rest),
                "fenced" => data.fenced.extend(set(rest)),
                "group" => {
                    let counts_marks = rest.starts_with('+');
                    let name = rest.get(2..).unwrap_or_default();
                    data.groups.push(Group { name, counts_marks, chars: HashSet::new() });
                }
                "primary" | "secondary" => {
                    if let Some(group) = data.groups.last_mut() {
                        group.chars.extend(set(rest));
                    }
                }
                "whole" => wholes.extend(rest.split_once(" / ")),
                "map" => data.read_mapping(rest),
                "emoji" => data.read_emoji(rest, &mut nodes),
                _ => {}
            }
        }
        data.derive(&wholes);
        data
    }

    fn read_mapping(&mut self, text: &str) {
        let Some((from, to)) = text.split_once(' ') else { return };
        let Some((first, last)) = super::range(from) else { return };
        let shifted = to.strip_prefix('+').and_then(|it| u32::from_str_radix(it, 16).ok());
        for code in first..=last {
            let to: Option<Vec<char>> = match shifted {
                Some(start) => char::from_u32(start + (code - first)).map(|c| vec![c]),
                None => to.split(' ').map(super::code_point).collect(),
            };
            if let (Some(from), Some(to)) = (char::from_u32(code), to) {
                self.mapped.insert(from, to);
            }
        }
    }

    /// Adds an emoji, whose style selectors may be left out one by one.
    fn read_emoji(&mut self, text: &'static str, nodes: &mut u32) {
        let mut ends = vec![0];
        for c in text.chars() {
            let next: Vec<u32> = ends
                .iter()
                .map(|node| {
                    *self.steps.entry((*node, c)).or_insert_with(|| {
                        *nodes += 1;
                        *nodes
                    })
                })
                .collect();
            if c == EMOJI_STYLE {
                ends.extend(next);
            } else {
                ends = next;
            }
        }
        self.ends.extend(ends.into_iter().map(|node| (node, text)));
    }

    fn derive(&mut self, wholes: &[(&'static str, &'static str)]) {
        let mut of_char: HashMap<char, Vec<usize>> = HashMap::new();
        for (at, group) in self.groups.iter().enumerate() {
            for c in &group.chars {
                of_char.entry(*c).or_default().push(at);
            }
        }
        for (valid, confused) in wholes {
            let (valid, confused) = (set(valid), set(confused));
            let mut alike: Vec<char> = valid.union(&confused).copied().collect();
            alike.sort_unstable();
            // Characters whose scripts overlap are of one extent; the others are the look-alikes.
            let mut extents: Vec<(BTreeSet<usize>, Vec<char>)> = Vec::new();
            for c in alike {
                let groups = of_char.get(&c).map(Vec::as_slice).unwrap_or_default();
                let known = extents.iter().position(|it| groups.iter().any(|g| it.0.contains(g)));
                let at = known.unwrap_or_else(|| {
                    extents.push(Default::default());
                    extents.len() - 1
                });
                extents[at].0.extend(groups);
                extents[at].1.push(c);
            }
            let all: BTreeSet<usize> = extents.iter().flat_map(|it| &it.0).copied().collect();
            for (groups, chars) in &extents {
                let others: BTreeSet<usize> = all.difference(groups).copied().collect();
                for c in chars.iter().filter(|c| confused.contains(c)) {
                    self.confused.insert(*c, others.clone());
                }
            }
        }
        for (c, groups) in &of_char {
            if groups.len() == 1 && !self.confused.contains_key(c) {
                self.only_one.insert(*c);
            }
            self.valid.extend([*c].into_iter().nfd());
            self.valid.insert(*c);
        }
    }
}

fn set(text: &str) -> HashSet<char> {
    let ranges = text.split(' ').filter_map(super::range);
    ranges.flat_map(|(first, last)| first..=last).filter_map(char::from_u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised() {
        for (name, normal) in [
            ("", ""),
            ("Nick.ETH", "nick.eth"),
            ("🚴‍♂️.eth", "🚴‍♂.eth"),
            ("1️⃣2️⃣", "1⃣2⃣"),
            ("_a", "_a"),
            ("O'Neil", "o’neil"),
            ("faß", "faß"),
        ] {
            assert_eq!(normalize(name).as_deref(), Ok(normal), "{name}");
        }
    }

    #[test]
    fn each_rule_is_checked() {
        use Ensip15Error as E;
        for (name, error) in [
            ("a..b", E::Empty),
            ("a b", E::Character(' ')),
            ("a_b", E::Underscore),
            ("ab--c", E::Hyphens),
            ("\u{303}a", E::Mark),
            ("💩\u{303}", E::Mark),
            ("’a", E::Fenced('’')),
            ("a’", E::Fenced('’')),
            ("aא", E::Mixture('א', "Latin")),
            ("\u{5d0}\u{5b0}\u{5b0}", E::Marks),
            ("аррӏе", E::Confusable("Cyrillic", "Latin")),
        ] {
            let found = normalize(name);
            assert_eq!(found, Err(error), "{name}");
        }
    }

    #[test]
    fn every_line_of_the_tables_is_read() {
        let text = include_str!("data/ensip15.txt");
        let count = |kind: &str| text.lines().filter(|line| line.starts_with(kind)).count();
        assert_eq!(DATA.groups.len(), count("group "));
        assert!(DATA.groups.iter().all(|group| !group.chars.is_empty()));
        assert!(DATA.mapped.len() > count("map ") && DATA.valid.len() > 100_000);
        assert_eq!(DATA.fenced.len(), count("fenced "));
        let emoji: HashSet<&str> = DATA.ends.values().copied().collect();
        assert_eq!(emoji.len(), count("emoji "));
    }
}
