//! The engine's file, page by page.
//!
//! Source: `mdb.c` of LMDB (data version 1), the structures `MDB_page`, `MDB_meta`, `MDB_db` and
//! `MDB_node`. Integers are in the machine's own order.

use std::{fs::File, io, path::Path};

/// The length of a page's header in bytes.
pub(crate) const PAGE_HEADER: usize = 16;
const NODE_HEADER: usize = 8;
const MAGIC: u32 = 0xbeef_c0de;
const DATA_VERSION: u32 = 1;
const P_BRANCH: u16 = 0x01;
const P_LEAF: u16 = 0x02;
const P_OVERFLOW: u16 = 0x04;
const P_META: u16 = 0x08;

const F_BIGDATA: u16 = 0x01;
const F_SUBDATA: u16 = 0x02;
const F_DUPDATA: u16 = 0x04;

/// Persistent flag of a map at a fixed address.
const FIXED_MAP: u16 = 0x01;
/// Flags of a tree: keys with several values; keys that are numbers.
const DUPLICATES: u16 = 0x04;
const NUMBERS: u16 = 0x08;

/// The root of a tree without pages.
pub const NO_PAGE: u64 = u64::MAX;

/// The record of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree {
    pub flags: u16,
    pub depth: u16,
    /// Pages of branches, of leaves, and of values with pages of their own.
    pub branches: u64,
    pub leaves: u64,
    pub runs: u64,
    pub entries: u64,
    pub root: u64,
}

/// A meta page.
#[derive(Debug, Clone, Copy)]
pub struct Meta {
    page_len: u32,
    flags: u16,
    pub free: Tree,
    pub main: Tree,
    pub last_page: u64,
    pub txn: u64,
}

/// The file, in pages.
#[derive(Debug)]
pub struct PageFile {
    file: File,
    page_len: usize,
    pages: u64,
    /// The number of the newest transaction when it was opened.
    txn: u64,
}

impl PageFile {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut this = Self { file, page_len: 4096, pages: len / 4096, txn: 0 };
        // Meta pages contain the length of pages, and the second one follows the first page. If the
        // first can't be read, the usual lengths are tried.
        let lens = [4096, 16384, 65536, 8192, 32768];
        let found = this.meta_at(0).map(|meta| meta.page_len).or_else(|| {
            lens.into_iter().find(|page_len| {
                this.meta_at(u64::from(*page_len)).is_some_and(|meta| meta.page_len == *page_len)
            })
        });
        if let Some(page_len) = found {
            this.page_len = page_len as usize;
            this.pages = len / u64::from(page_len);
        }
        this.txn = this.newest();
        Ok(this)
    }

    /// The number of whole pages.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// The length of a page.
    pub(crate) fn page_len(&self) -> usize {
        self.page_len
    }

    /// Reads the meta page with this number, if it is valid.
    pub(crate) fn meta(&self, number: u64) -> Option<Meta> {
        self.meta_at(number * self.page_len as u64)
    }

    /// Reads the meta page at this offset.
    fn meta_at(&self, offset: u64) -> Option<Meta> {
        let mut bytes = [0; PAGE_HEADER + 136];
        read_exact_at(&self.file, &mut bytes, offset).ok()?;
        let meta = &bytes[PAGE_HEADER..];
        let page_len = u32_at(meta, 24)?;
        (u16_at(&bytes, 10)? & P_META != 0
            && u32_at(meta, 0)? == MAGIC
            && u32_at(meta, 4)? == DATA_VERSION
            && (256..=65536).contains(&page_len)
            && page_len.is_power_of_two())
        .then_some(())?;
        Some(Meta {
            page_len,
            flags: u16_at(meta, 28)?,
            free: tree_at(meta, 24)?,
            main: tree_at(meta, 72)?,
            last_page: u64_at(meta, 120)?,
            txn: u64_at(meta, 128)?,
        })
    }

    /// Reads both meta pages, as far as they are valid.
    pub fn metas(&self) -> [Option<Meta>; 2] {
        [self.meta(0), self.meta(1)]
    }

    fn newest(&self) -> u64 {
        self.metas().iter().flatten().map(|meta| meta.txn).max().unwrap_or(0)
    }

    /// Whether a transaction was committed since it was opened.
    pub fn has_changed(&self) -> bool {
        self.newest() != self.txn
    }

    /// Checks whether the engine may read a file with this meta page.
    pub fn check_meta(&self, meta: &Meta) -> Result<(), &'static str> {
        if meta.flags & FIXED_MAP != 0 {
            return Err("it requires a map at a fixed address");
        }
        // In all trees a key has one value; keys of free pages are numbers.
        if meta.free.flags & (DUPLICATES | NUMBERS) != NUMBERS || meta.main.flags & 0x7fff != 0 {
            return Err("it has trees of an unused kind");
        }
        if meta.page_len as usize != self.page_len || meta.last_page >= 1 << 48 {
            return Err("impossible lengths");
        }
        for root in [meta.free.root, meta.main.root] {
            if root != NO_PAGE && (root < 2 || root >= self.pages) {
                return Err("the root of a tree is beyond the end of the file");
            }
        }
        Ok(())
    }

    pub fn read(&self, page: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        self.read_run(page, self.page_len, bytes)
    }

    /// Reads `len` bytes from the beginning of a page.
    fn read_run(&self, page: u64, len: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.resize(len, 0);
        read_exact_at(&self.file, bytes, page.saturating_mul(self.page_len as u64))
    }

    /// Returns the number of pages of a value's own; `None` if it can't be there.
    pub fn run_pages(&self, run: &Run) -> io::Result<Option<u64>> {
        if !self.holds(run) {
            return Ok(None);
        }
        let mut header = Vec::new();
        self.read_run(run.page, PAGE_HEADER, &mut header)?;
        let pages = run_len(&header, run.page).filter(|pages| *pages >= run.pages(self.page_len));
        // There may be room behind the value.
        Ok(pages.filter(|pages| run.page + pages <= self.pages))
    }

    fn holds(&self, run: &Run) -> bool {
        run.page >= 2
            && run.page.checked_add(run.pages(self.page_len)).is_some_and(|end| end <= self.pages)
    }

    /// Reads a value with pages of its own.
    pub fn read_value(&self, run: &Run) -> io::Result<Vec<u8>> {
        if !self.holds(run) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = Vec::new();
        self.read_run(run.page, PAGE_HEADER + run.len, &mut bytes)?;
        if run_len(&bytes, run.page).is_none() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(bytes.split_off(PAGE_HEADER))
    }
}

/// Returns the number of pages of a large value that begins with this one.
pub(crate) fn run_len(page: &[u8], number: u64) -> Option<u64> {
    let right = u64_at(page, 0)? == number && u16_at(page, 10)? & P_OVERFLOW != 0;
    Some(u64::from(u32_at(page, 12)?)).filter(|pages| right && *pages > 0)
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(not(unix))]
fn read_exact_at(mut file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(bytes)
}

/// A page of a tree.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    bytes: &'a [u8],
    flags: u16,
    len: usize,
    /// Where its nodes begin.
    upper: usize,
}

/// An entry of a page.
#[derive(Debug)]
pub struct Node<'a> {
    low: u16,
    high: u16,
    pub flags: u16,
    pub key: &'a [u8],
    /// Where its value begins.
    value_at: usize,
}

/// The value of a node.
#[derive(Debug)]
pub enum Value<'a> {
    Inline(&'a [u8]),
    Run(Run),
}

/// A value with pages of its own.
#[derive(Debug)]
pub struct Run {
    pub page: u64,
    pub len: usize,
}

impl Run {
    fn pages(&self, page_len: usize) -> u64 {
        (PAGE_HEADER + self.len).div_ceil(page_len) as u64
    }
}

impl<'a> Page<'a> {
    /// Reads a page of a tree, if it is one and has this number.
    pub fn parse(bytes: &'a [u8], number: u64) -> Option<Self> {
        let flags = u16_at(bytes, 10)?;
        let (lower, upper) = (usize::from(u16_at(bytes, 12)?), usize::from(u16_at(bytes, 14)?));
        let kind = flags & (P_BRANCH | P_LEAF | P_OVERFLOW | P_META);
        let right = u64_at(bytes, 0)? == number
            && (kind == P_BRANCH || kind == P_LEAF)
            && lower >= PAGE_HEADER
            && lower % 2 == 0
            && lower <= upper
            && upper <= bytes.len();
        let len = lower.checked_sub(PAGE_HEADER)? / 2;
        (right && (kind == P_LEAF || len > 0)).then_some(Self { bytes, flags, len, upper })
    }

    pub fn is_branch(&self) -> bool {
        self.flags & P_BRANCH != 0
    }

    /// Whether it has only the flags that are ever written.
    pub fn is_plain(&self) -> bool {
        self.flags & !(P_BRANCH | P_LEAF) == 0
    }

    /// The number of nodes.
    pub fn count(&self) -> usize {
        self.len
    }

    /// The number that the page says it has.
    pub(crate) fn number(&self) -> u64 {
        u64_at(self.bytes, 0).unwrap_or(NO_PAGE)
    }

    /// Returns the key of a node.
    #[inline]
    pub(crate) fn key(&self, index: usize) -> Option<&'a [u8]> {
        let at = self.node_at(index)? + NODE_HEADER;
        let len = usize::from(u16_at(self.bytes, at - 2)?);
        self.bytes.get(at..at + len)
    }

    #[inline]
    fn node_at(&self, index: usize) -> Option<usize> {
        let at = usize::from(u16_at(self.bytes, PAGE_HEADER + 2 * index)?);
        (index < self.len && at >= PAGE_HEADER + 2 * self.len).then_some(at)
    }

    #[inline]
    pub fn node(&self, index: usize) -> Option<Node<'a>> {
        let at = self.node_at(index)?;
        let header = self.bytes.get(at..at + NODE_HEADER)?;
        let (mut low, mut high) = (u16_at(header, 0)?, u16_at(header, 2)?);
        if cfg!(target_endian = "big") {
            (low, high) = (high, low);
        }
        let value_at = at + NODE_HEADER + usize::from(u16_at(header, 6)?);
        let key = self.bytes.get(at + NODE_HEADER..value_at)?;
        Some(Node { low, high, flags: u16_at(header, 4)?, key, value_at })
    }

    /// Whether these nodes, all of the page, fill it from `upper` on without gaps or overlaps.
    pub fn is_packed(&self, nodes: &[Node<'_>]) -> bool {
        let mut spans: Vec<(usize, usize)> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let value = match node.flags & F_BIGDATA {
                _ if self.is_branch() => 0,
                0 => usize::from(node.low) | usize::from(node.high) << 16,
                _ => 8,
            };
            let start = node.value_at - NODE_HEADER - node.key.len();
            spans.push((start, (node.value_at + value).next_multiple_of(2)));
        }
        spans.sort_unstable();
        let end =
            spans.iter().try_fold(self.upper, |at, (start, end)| (at == *start).then_some(*end));
        end == Some(self.bytes.len())
    }

    /// Returns the value of a node of a leaf.
    pub fn value(&self, node: &Node<'a>) -> Option<Value<'a>> {
        let len = usize::from(node.low) | usize::from(node.high) << 16;
        if node.flags & F_DUPDATA != 0 {
            return None;
        }
        if node.flags & F_BIGDATA != 0 {
            return Some(Value::Run(Run { page: u64_at(self.bytes, node.value_at)?, len }));
        }
        self.bytes.get(node.value_at..)?.get(..len).map(Value::Inline)
    }
}

impl Node<'_> {
    /// The page that a node of a branch leads to.
    pub fn child(&self) -> u64 {
        u64::from(self.low) | u64::from(self.high) << 16 | u64::from(self.flags) << 32
    }

    /// Whether its value is the record of a tree.
    pub fn is_tree(&self) -> bool {
        self.flags & (F_SUBDATA | F_DUPDATA | F_BIGDATA) == F_SUBDATA
    }

    /// Whether its value is an ordinary one.
    pub fn is_plain(&self) -> bool {
        self.flags & (F_SUBDATA | F_DUPDATA) == 0
    }
}

/// Reads the record of a named tree.
pub fn read_tree(bytes: &[u8]) -> Option<Tree> {
    (bytes.len() == 48).then_some(())?;
    tree_at(bytes, 0).filter(|tree| tree.flags & 0x7fff == 0)
}

fn tree_at(bytes: &[u8], at: usize) -> Option<Tree> {
    Some(Tree {
        flags: u16_at(bytes, at + 4)?,
        depth: u16_at(bytes, at + 6)?,
        branches: u64_at(bytes, at + 8)?,
        leaves: u64_at(bytes, at + 16)?,
        runs: u64_at(bytes, at + 24)?,
        entries: u64_at(bytes, at + 32)?,
        root: u64_at(bytes, at + 40)?,
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}
