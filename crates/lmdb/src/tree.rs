//! Trees of a mapped file, read without the engine.
//!
//! The engine trusts what is within a page: a garbled one could crash the process, or make it give
//! half an answer as if it were whole. Here each page is checked when it is first read, and each
//! step from page to page against the keys of the pages above, so that a reader gets all that was
//! written or a [`Fault`]. That takes no longer than the engine itself: a page that was found sound
//! is only looked at for what is wanted of it.
//!
//! What a check costs, it costs once per page and process. So what the engine writes later is
//! trusted, and so is what changes on the disk under a page that was read already.

use std::cmp::Ordering;

use crate::{
    map::{Fault, MappedFile},
    pages::{Meta, NO_PAGE, Node, Page, Tree, Value, read_tree},
    structure::{self, MAX_DEPTH, Shape},
};

/// The trees as of one transaction.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot<'a> {
    file: &'a MappedFile,
    meta: Meta,
}

impl<'a> Snapshot<'a> {
    pub(crate) fn new(file: &'a MappedFile, meta: Meta) -> Self {
        Self { file, meta }
    }

    /// Finds a tree by its name; `None` if there is none.
    ///
    /// # Errors
    /// If a page on the way is damaged.
    pub fn tree(&self, name: &[u8], shape: Shape) -> Result<Option<TreeReader<'a>>, Fault> {
        let names = TreeReader { file: self.file, tree: self.meta.main, shape: Shape::NAMES };
        let Some((page, node)) = names.find(name)? else { return Ok(None) };
        let tree = match page.value(&node) {
            Some(Value::Inline(record)) if node.is_tree() => read_tree(record),
            _ => None,
        };
        let tree = tree.ok_or(Fault::new(page.number(), structure::NO_TREE))?;
        Ok(Some(TreeReader { file: self.file, tree, shape }))
    }
}

/// Reads one tree.
#[derive(Debug, Clone, Copy)]
pub struct TreeReader<'a> {
    file: &'a MappedFile,
    tree: Tree,
    shape: Shape,
}

/// A key and its value.
pub type Entry<'a> = (&'a [u8], &'a [u8]);

impl<'a> TreeReader<'a> {
    /// Returns the value of a key.
    ///
    /// # Errors
    /// If a page on the way is damaged.
    pub fn get(&self, key: &[u8]) -> Result<Option<&'a [u8]>, Fault> {
        let found = self.find(key)?;
        found.map(|(page, node)| value_of(self.file, &page, &node)).transpose()
    }

    /// Returns the first entry.
    ///
    /// # Errors
    /// If a page on the way is damaged.
    pub fn first(&self) -> Result<Option<Entry<'a>>, Fault> {
        self.range(&[], LAST, Direction::Forward)?.next().transpose()
    }

    /// Returns the last entry.
    ///
    /// # Errors
    /// If a page on the way is damaged.
    pub fn last(&self) -> Result<Option<Entry<'a>>, Fault> {
        self.range(&[], LAST, Direction::Backward)?.next().transpose()
    }

    /// Reads the entries from one key to another, both inclusive.
    ///
    /// # Errors
    /// If a page on the way to the first one is damaged.
    pub fn range(&self, from: &[u8], to: &[u8], direction: Direction) -> Result<Range<'a>, Fault> {
        let mut path = Path::new(*self);
        let (begin, end) = match direction {
            Direction::Forward => (from, to),
            Direction::Backward => (to, from),
        };
        let is_found = path.seek(begin)?;
        // Otherwise at the first entry behind `begin`, which may be on the next page.
        let is_there = is_found || direction == Direction::Forward && !path.is_at_end();
        if !is_there {
            path.step(direction)?;
        }
        Ok(Range { path, end: end.into(), direction, is_begun: false })
    }

    /// Checks the pages that the engine reads when it puts these keys, which ascend.
    ///
    /// # Errors
    /// If one of them is damaged.
    pub fn check_paths<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) -> Result<(), Fault> {
        let mut path = Path::new(*self);
        for key in keys {
            // On the same page as the last one?
            let is_known = !path.levels.is_empty() && path.high()?.is_none_or(|high| key < high);
            if !is_known {
                path.seek(key)?;
            }
        }
        Ok(())
    }

    fn find(&self, key: &[u8]) -> Result<Option<(Page<'a>, Node<'a>)>, Fault> {
        let mut path = Path::new(*self);
        if path.seek(key)? { path.node().map(Some) } else { Ok(None) }
    }
}

/// As long a key as the engine takes.
const LAST: &[u8] = &[0xff; 511];

/// In which order entries are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// By key, ascending.
    Forward,
    /// By key, descending.
    Backward,
}

/// The entries between two keys. Nothing follows a fault.
#[derive(Debug)]
pub struct Range<'a> {
    /// Where the next entry is, or was the last.
    path: Path<'a>,
    end: Box<[u8]>,
    direction: Direction,
    is_begun: bool,
}

impl<'a> Range<'a> {
    fn advance(&mut self) -> Result<Option<Entry<'a>>, Fault> {
        if std::mem::replace(&mut self.is_begun, true) {
            self.path.step(self.direction)?;
        }
        if self.path.levels.is_empty() {
            return Ok(None);
        }
        let (page, node) = self.path.node()?;
        let is_beyond = match self.direction {
            Direction::Forward => node.key > &self.end[..],
            Direction::Backward => node.key < &self.end[..],
        };
        if is_beyond {
            self.path.levels.clear();
            return Ok(None);
        }
        Ok(Some((node.key, value_of(self.path.tree.file, &page, &node)?)))
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Result<Entry<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            self.path.levels.clear();
        }
        next.transpose()
    }
}

/// A place in a tree: the pages from the root to a leaf, and where in each.
#[derive(Debug)]
struct Path<'a> {
    tree: TreeReader<'a>,
    levels: Vec<Level<'a>>,
}

#[derive(Debug, Clone, Copy)]
struct Level<'a> {
    page: Page<'a>,
    index: usize,
}

impl<'a> Path<'a> {
    fn new(tree: TreeReader<'a>) -> Self {
        Self { tree, levels: Vec::new() }
    }

    /// Goes to the first entry of a leaf that is not before this key, or behind the last of that
    /// leaf. Returns whether the key is there.
    fn seek(&mut self, key: &[u8]) -> Result<bool, Fault> {
        self.levels.clear();
        let mut number = self.tree.tree.root;
        if number == NO_PAGE {
            return Ok(false);
        }
        loop {
            let page = self.load(number)?;
            let (index, is_found) = search(&page, key)?;
            self.levels.push(Level { page, index });
            // Keys on both sides of this one show that it is the right page.
            let end = page.count() - usize::from(page.is_branch());
            if !is_found && (index == 0 || index >= end) {
                self.check_bounds()?;
            }
            if !page.is_branch() {
                return Ok(is_found);
            }
            number = self.node()?.1.child();
        }
    }

    /// Goes to the next entry; nowhere, if there is none.
    fn step(&mut self, direction: Direction) -> Result<(), Fault> {
        while let Some(level) = self.levels.last_mut() {
            let next = match direction {
                Direction::Forward => level.index + 1,
                Direction::Backward => level.index.wrapping_sub(1),
            };
            if next < level.page.count() {
                level.index = next;
                break;
            }
            self.levels.pop();
        }
        while let Some(level) = self.levels.last()
            && level.page.is_branch()
        {
            let page = self.load(self.node()?.1.child())?;
            let index = match direction {
                Direction::Forward => 0,
                Direction::Backward => page.count() - 1,
            };
            self.levels.push(Level { page, index });
            self.check_bounds()?;
        }
        Ok(())
    }

    /// The page below the last.
    fn load(&self, number: u64) -> Result<Page<'a>, Fault> {
        let page = self.tree.file.page(number, &self.tree.shape)?;
        let (depth, of_tree) = (self.levels.len() + 1, usize::from(self.tree.tree.depth));
        if page.is_branch() == (depth >= of_tree) || depth > usize::from(MAX_DEPTH) {
            return Err(Fault::new(number, structure::WRONG_KIND));
        }
        Ok(page)
    }

    fn is_at_end(&self) -> bool {
        self.levels.last().is_some_and(|level| level.index >= level.page.count())
    }

    /// What is at the place.
    fn node(&self) -> Result<(Page<'a>, Node<'a>), Fault> {
        let Some(Level { page, index }) = self.levels.last() else {
            return Err(Fault::new(self.tree.tree.root, structure::OUT_OF_BOUNDS));
        };
        let node = page.node(*index);
        node.map(|node| (*page, node)).ok_or(Fault::new(page.number(), structure::OUT_OF_BOUNDS))
    }

    /// The first key that belongs behind the last page, if there is one.
    fn high(&self) -> Result<Option<&'a [u8]>, Fault> {
        let above = self.levels.split_last().map_or(&[][..], |(_, above)| above);
        let next = above.iter().rev().find(|level| level.index + 1 < level.page.count());
        next.map(|level| key_at(&level.page, level.index + 1)).transpose()
    }

    /// The first key that belongs on the last page, if not all before do.
    fn low(&self) -> Result<Option<&'a [u8]>, Fault> {
        let above = self.levels.split_last().map_or(&[][..], |(_, above)| above);
        let here = above.iter().rev().find(|level| level.index > 0);
        here.map(|level| key_at(&level.page, level.index)).transpose()
    }

    /// Whether the keys of the last page are those that the pages above lead to it for.
    fn check_bounds(&self) -> Result<(), Fault> {
        let Some(Level { page, .. }) = self.levels.last() else { return Ok(()) };
        // The first key of a branch means nothing.
        let first = key_at(page, usize::from(page.is_branch()))?;
        let last = key_at(page, page.count() - 1)?;
        let is_below = self.low()?.is_some_and(|low| first < low);
        let is_above = self.high()?.is_some_and(|high| last >= high);
        if is_below || is_above {
            return Err(Fault::new(page.number(), structure::ELSEWHERE));
        }
        Ok(())
    }
}

/// Where a key is on a page: of a leaf, the first node that is not before it, and whether that is
/// it; of a branch, the node that leads to it.
fn search(page: &Page<'_>, key: &[u8]) -> Result<(usize, bool), Fault> {
    let skipped = usize::from(page.is_branch());
    let (mut low, mut high) = (skipped, page.count());
    while low < high {
        let middle = low.midpoint(high);
        match key_at(page, middle)?.cmp(key) {
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
            Ordering::Equal => return Ok((middle, true)),
        }
    }
    Ok((low - skipped, false))
}

fn key_at<'a>(page: &Page<'a>, index: usize) -> Result<&'a [u8], Fault> {
    page.key(index).ok_or(Fault::new(page.number(), structure::OUT_OF_BOUNDS))
}

fn value_of<'a>(file: &'a MappedFile, page: &Page<'a>, node: &Node<'a>) -> Result<&'a [u8], Fault> {
    let value = match page.value(node) {
        Some(Value::Inline(value)) => Some(value),
        Some(Value::Run(run)) => file.run(&run),
        None => None,
    };
    value.ok_or(Fault::new(page.number(), structure::OUT_OF_BOUNDS))
}
