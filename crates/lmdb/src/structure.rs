//! Checks a file by walking over its pages without the engine.
//!
//! It checks everything that the engine trusts: pages, nodes, keys and values lie within bounds,
//! keys ascend within a page and belong there by the pages above, no page is used twice, and each
//! tree has as many pages and entries as its record says. It does not check whether a value is
//! still the one that was written.
//!
//! It works on the state of one transaction. As long as that is held, its pages are not reused, so
//! another process may write meanwhile.

use std::{collections::HashSet, io, path::Path, rc::Rc};

use crate::pages::{Meta, NO_PAGE, Node, Page, PageFile, Tree, Value, read_tree, u64_at};

/// The engine gives up on deeper trees.
pub(crate) const MAX_DEPTH: u16 = 32;

// What can be wrong with a page.
pub(crate) const BEYOND: &str = "it is in use, but beyond the end of the file";
pub(crate) const NOT_A_PAGE: &str = "not a page of a tree";
pub(crate) const WRONG_KIND: &str = "of the wrong kind for its place in the tree";
pub(crate) const LENGTH: &str = "a key or a value of an impossible length";
pub(crate) const OUT_OF_BOUNDS: &str = "a node out of bounds";
pub(crate) const ELSEWHERE: &str = "keys that belong on another page";
pub(crate) const NO_TREE: &str = "an entry that is not a tree";

/// The most faults that are described; further ones are counted.
pub const MAX_TEXTS: usize = 20;

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The trees that are read at opening, and the tree of free pages.
    Opening,
    /// Every page in use, and that none is both free and in use.
    All,
}

/// Returns what a tree of this name can hold, and whether it is read at opening.
pub type Shapes = fn(&[u8]) -> (Shape, bool);

/// What is wrong with a file.
#[derive(Debug, Default)]
pub struct Faults {
    /// Descriptions of the first few.
    pub texts: Vec<String>,
    pub count: u64,
}

impl Faults {
    fn add(&mut self, page: u64, what: &str) {
        self.count += 1;
        if self.texts.len() < MAX_TEXTS {
            self.texts.push(format!("page {page}: {what}"));
        }
    }

    /// Describes them in a sentence, if there are any.
    pub fn summary(self) -> Option<String> {
        let first = self.texts.into_iter().next()?;
        Some(match self.count.saturating_sub(1) {
            0 => first,
            others => format!("{first}; and {others} more faults"),
        })
    }
}

/// Checks both meta pages and the roots, which the engine reads when it opens a file. Another
/// process may be writing.
pub fn inspect_ends(path: &Path) -> io::Result<Faults> {
    let mut last = Faults::default();
    // Each commit changes a meta page: retries a few times if one did.
    for _ in 0..3 {
        let mut file = PageFile::open(path)?;
        last = Faults::default();
        ends(&mut file, &mut last);
        if last.count == 0 || !file.has_changed() {
            break;
        }
    }
    Ok(last)
}

/// Checks both meta pages; the engine requires both.
fn ends(file: &mut PageFile, faults: &mut Faults) {
    let metas = file.metas();
    for (number, meta) in metas.iter().enumerate() {
        match meta.map(|meta| file.check_meta(&meta)) {
            Some(Ok(())) => {}
            Some(Err(what)) => faults.add(number as u64, what),
            None => faults.add(number as u64, "not a valid meta page"),
        }
    }
}

/// Checks the pages of a transaction that is held. `None` if the file no longer describes it,
/// because commits have followed.
///
/// # Errors
/// If the file can't be read.
pub fn inspect(path: &Path, txn: u64, depth: Depth, shapes: Shapes) -> io::Result<Option<Faults>> {
    let mut file = PageFile::open(path)?;
    let Some(meta) = file.metas().into_iter().flatten().find(|meta| meta.txn == txn) else {
        return Ok(None);
    };
    let mut walker = Walker::new(&mut file);
    walker.walk_named(&meta, depth, shapes)?;
    Ok(Some(walker.faults))
}

/// Checks all of a file with named trees that nobody is writing to. If the engine can't open it,
/// checks as much as possible.
///
/// # Errors
/// If the file can't be read.
pub fn examine(path: &Path, shapes: Shapes) -> io::Result<Faults> {
    examine_with(path, &mut |walker, meta| walker.walk_named(meta, Depth::All, shapes))
}

/// Reads the records of a file without named trees that nobody is writing to. They are complete
/// only if there are no faults.
///
/// # Errors
/// If the file can't be read.
pub fn read_records(path: &Path, visit: &mut dyn FnMut(&[u8], &[u8])) -> io::Result<Faults> {
    examine_with(path, &mut |walker, meta| {
        walker.walk_free(meta)?;
        let shape = Shape { reads_runs: true, ..Shape::ANY };
        walker.walk(meta.main, shape, &mut |node, value| {
            plain(node)?;
            visit(node.key, value);
            Ok(())
        })?;
        walker.compare();
        Ok(())
    })
}

fn examine_with(
    path: &Path,
    walk: &mut dyn FnMut(&mut Walker<'_>, &Meta) -> io::Result<()>,
) -> io::Result<Faults> {
    let mut file = PageFile::open(path)?;
    let mut faults = Faults::default();
    ends(&mut file, &mut faults);
    let newest = file.metas().into_iter().flatten().max_by_key(|meta| meta.txn);
    let Some(meta) = newest.filter(|meta| file.check_meta(meta).is_ok()) else {
        return Ok(faults);
    };
    let mut walker = Walker::new(&mut file);
    walker.faults = faults;
    walk(&mut walker, &meta)?;
    Ok(walker.faults)
}

/// Refuses a tree where a value is expected.
fn plain(node: &Node<'_>) -> Result<(), &'static str> {
    if node.is_plain() { Ok(()) } else { Err("an unexpected tree") }
}

/// A set of pages of the file.
struct PageSet(Vec<u64>);

impl PageSet {
    fn new(pages: u64) -> Self {
        Self(vec![0; (pages / 64 + 1) as usize])
    }

    /// Returns whether the page was new.
    fn insert(&mut self, page: u64) -> bool {
        let Some(word) = self.0.get_mut((page / 64) as usize) else { return true };
        let bit = 1 << (page % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    fn first_common(&self, other: &Self) -> Option<u64> {
        let common = self.0.iter().zip(&other.0).map(|(one, other)| one & other);
        (0..)
            .zip(common)
            .find_map(|(at, word)| (word != 0).then(|| at * 64 + u64::from(word.trailing_zeros())))
    }
}

/// What a tree can hold.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Whether keys are numbers in the machine's order, as in the list of free pages.
    numbers: bool,
    /// Whether values with pages of their own are read.
    reads_runs: bool,
    key_len: Option<usize>,
    /// The minimum and the maximum length of values, ...
    value_len: (usize, usize),
    /// ... which are multiples of this.
    value_unit: usize,
}

impl Shape {
    const FREE: Self = Self { numbers: true, reads_runs: true, ..Self::new(8, 1, 8) };

    pub(crate) const NAMES: Self = Self { reads_runs: true, value_len: (48, 48), ..Self::ANY };

    /// Any keys and values.
    pub const ANY: Self = Self {
        numbers: false,
        reads_runs: false,
        key_len: None,
        value_len: (0, usize::MAX),
        value_unit: 1,
    };

    /// Keys of one length, and values of at least `least` times `unit` bytes, a multiple of `unit`.
    pub const fn new(key_len: usize, least: usize, unit: usize) -> Self {
        let value_len = (least * unit, usize::MAX);
        Self { key_len: Some(key_len), value_len, value_unit: unit, ..Self::ANY }
    }

    /// Keys of one length, and values of one length.
    pub const fn fixed(key_len: usize, value_len: usize) -> Self {
        Self { key_len: Some(key_len), value_len: (value_len, value_len), ..Self::ANY }
    }

    fn is_before(self, key: &[u8], other: &[u8]) -> bool {
        if self.numbers { u64_at(key, 0) < u64_at(other, 0) } else { key < other }
    }

    pub(crate) fn admits(self, node: &Node<'_>, len: usize) -> bool {
        let (least, most) = self.value_len;
        self.key_len.is_none_or(|wanted| node.key.len() == wanted)
            && (least..=most).contains(&len)
            && len.is_multiple_of(self.value_unit)
    }
}

/// A page still to be checked, and the bounds of its keys by the pages above.
struct Next {
    page: u64,
    depth: u16,
    low: Option<Rc<[u8]>>,
    high: Option<Rc<[u8]>>,
}

/// Gets each entry of a leaf, and returns what is wrong with it.
type Look<'a> = dyn FnMut(&Node<'_>, &[u8]) -> Result<(), &'static str> + 'a;

struct Walker<'a> {
    file: &'a mut PageFile,
    used: PageSet,
    free: PageSet,
    faults: Faults,
}

impl<'a> Walker<'a> {
    fn new(file: &'a mut PageFile) -> Self {
        let pages = file.pages();
        let (used, free) = (PageSet::new(pages), PageSet::new(pages));
        Self { file, used, free, faults: Faults::default() }
    }

    /// Walks the list of free pages, the tree of names, and the named trees that are wanted.
    fn walk_named(&mut self, meta: &Meta, depth: Depth, shapes: Shapes) -> io::Result<()> {
        // The last pages may be missing if none of them is in use.
        let depth = if meta.last_page < self.file.pages() { depth } else { Depth::All };
        self.walk_free(meta)?;
        let mut trees = Vec::new();
        self.walk(meta.main, Shape::NAMES, &mut |node, value| {
            let tree = read_tree(value).filter(|_| node.is_tree());
            trees.push((node.key.to_vec(), tree.ok_or(NO_TREE)?));
            Ok(())
        })?;
        for (name, tree) in trees {
            let (shape, is_read_at_opening) = shapes(&name);
            if depth == Depth::All || is_read_at_opening {
                self.walk(tree, shape, &mut |node, _| plain(node))?;
            }
        }
        self.compare();
        Ok(())
    }

    /// Walks the list of free pages.
    fn walk_free(&mut self, meta: &Meta) -> io::Result<()> {
        let last_page = meta.last_page;
        let mut free = std::mem::replace(&mut self.free, PageSet::new(0));
        let mut beyond = HashSet::new();
        let pages = self.file.pages();
        self.walk(meta.free, Shape::FREE, &mut |_, value| {
            let mut list = value.chunks_exact(8).filter_map(|bytes| u64_at(bytes, 0));
            let count = list.next().and_then(|count| usize::try_from(count).ok());
            // There may be room behind the last one.
            let count = count.filter(|count| *count < value.len() / 8);
            for page in list.take(count.ok_or("a malformed list of free pages")?) {
                if page < 2 || page > last_page {
                    return Err("a list of free pages with an impossible page");
                }
                if !(if page < pages { free.insert(page) } else { beyond.insert(page) }) {
                    return Err("a list of free pages with a page of another list");
                }
            }
            Ok(())
        })?;
        self.free = free;
        Ok(())
    }

    /// Compares free pages with those in use.
    fn compare(&mut self) {
        if let Some(page) = self.free.first_common(&self.used) {
            self.faults.add(page, "it is both free and in use");
        }
    }

    /// Walks the pages of a tree. `look` gets the entries of leaves.
    fn walk(&mut self, tree: Tree, shape: Shape, look: &mut Look<'_>) -> io::Result<()> {
        let mut seen = Tree { branches: 0, leaves: 0, runs: 0, entries: 0, ..tree };
        if tree.root == NO_PAGE {
            if seen != tree || tree.depth != 0 {
                self.faults.add(0, "the record of a tree without pages counts pages");
            }
            return Ok(());
        }
        let before = self.faults.count;
        let mut stack = vec![Next { page: tree.root, depth: 1, low: None, high: None }];
        let mut bytes = Vec::new();
        while let Some(next) = stack.pop() {
            let number = next.page;
            if let Err(what) =
                self.step(&next, &tree, shape, &mut bytes, &mut seen, &mut stack, look)?
            {
                self.faults.add(number, what);
            }
        }
        // If a page could not be read, there must be less.
        if self.faults.count == before && seen != tree {
            self.faults
                .add(tree.root, "its tree has not as many pages and entries as its record says");
        }
        Ok(())
    }

    /// Checks a page.
    #[allow(clippy::too_many_arguments)]
    fn step(
        &mut self,
        next: &Next,
        tree: &Tree,
        shape: Shape,
        bytes: &mut Vec<u8>,
        seen: &mut Tree,
        stack: &mut Vec<Next>,
        look: &mut Look<'_>,
    ) -> io::Result<Result<(), &'static str>> {
        let number = next.page;
        if number < 2 || number >= self.file.pages() {
            return Ok(Err(BEYOND));
        }
        if !self.used.insert(number) {
            return Ok(Err("it is in use twice"));
        }
        if next.depth > tree.depth.min(MAX_DEPTH) {
            return Ok(Err("it is deeper than its tree"));
        }
        self.file.read(number, bytes)?;
        let Some(page) = Page::parse(bytes, number) else { return Ok(Err(NOT_A_PAGE)) };
        if !page.is_plain() || page.is_branch() == (next.depth == tree.depth) {
            return Ok(Err(WRONG_KIND));
        }
        let nodes = match nodes_of(&page, next.low.as_deref(), next.high.as_deref(), shape) {
            Ok(nodes) => nodes,
            Err(what) => return Ok(Err(what)),
        };
        if page.is_branch() {
            seen.branches += 1;
            let begin = stack.len();
            let mut high = next.high.clone();
            // From last to first: the key of a node is the upper bound of the one before.
            for (index, node) in nodes.iter().enumerate().rev() {
                let low = if index == 0 { next.low.clone() } else { Some(Rc::from(node.key)) };
                let high = std::mem::replace(&mut high, low.clone());
                stack.push(Next { page: node.child(), depth: next.depth + 1, low, high });
            }
            // In the order of the file, which is faster to read.
            stack[begin..].sort_unstable_by_key(|next| u64::MAX - next.page);
            return Ok(Ok(()));
        }
        seen.leaves += 1;
        seen.entries += nodes.len() as u64;
        let mut result = Ok(());
        for node in &nodes {
            if let Err(what) = self.value(&page, node, shape, seen, look)? {
                result = Err(what);
            }
        }
        Ok(result)
    }

    /// Checks the value of a node.
    fn value(
        &mut self,
        page: &Page<'_>,
        node: &Node<'_>,
        shape: Shape,
        seen: &mut Tree,
        look: &mut Look<'_>,
    ) -> io::Result<Result<(), &'static str>> {
        let Some(value) = page.value(node) else { return Ok(Err("a value out of bounds")) };
        let run = match value {
            Value::Inline(value) if shape.admits(node, value.len()) => {
                return Ok(look(node, value));
            }
            Value::Inline(_) => return Ok(Err(LENGTH)),
            Value::Run(run) => run,
        };
        if !shape.admits(node, run.len) {
            return Ok(Err(LENGTH));
        }
        let Some(pages) = self.file.run_pages(&run)? else {
            return Ok(Err("a value without pages of its own"));
        };
        for page in run.page..run.page + pages {
            if !self.used.insert(page) {
                return Ok(Err("a value whose pages are in use twice"));
            }
        }
        seen.runs += pages;
        let value = if shape.reads_runs { self.file.read_value(&run)? } else { Vec::new() };
        Ok(look(node, &value))
    }
}

/// Returns the nodes of a page, if they are within bounds and their keys in order.
pub(crate) fn nodes_of<'a>(
    page: &Page<'a>,
    low: Option<&[u8]>,
    high: Option<&[u8]>,
    shape: Shape,
) -> Result<Vec<Node<'a>>, &'static str> {
    // The engine aborts on a branch with only one page below, except in the list of free pages.
    if page.count() < if page.is_branch() && !shape.numbers { 2 } else { 1 } {
        return Err("a page with too few nodes");
    }
    let mut nodes: Vec<Node<'a>> = Vec::with_capacity(page.count());
    for index in 0..page.count() {
        let node = page.node(index).ok_or(OUT_OF_BOUNDS)?;
        // The first key of a branch has no meaning.
        let counts = index > 0 || !page.is_branch();
        if counts {
            if shape.numbers && node.key.len() != 8 {
                return Err("a key of an impossible length");
            }
            let first = if page.is_branch() { 1 } else { 0 };
            let last = nodes.last().filter(|_| index > first).map(|node| node.key);
            if last.is_some_and(|last| !shape.is_before(last, node.key)) {
                return Err("keys not in order");
            }
            let below = low.is_some_and(|low| shape.is_before(node.key, low));
            let above = high.is_some_and(|high| !shape.is_before(node.key, high));
            if below || above {
                return Err(ELSEWHERE);
            }
        }
        nodes.push(node);
    }
    if page.is_packed(&nodes) { Ok(nodes) } else { Err("nodes that overlap, or gaps between them") }
}
