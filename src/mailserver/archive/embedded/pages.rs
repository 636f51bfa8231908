//! The engine's file, read page by page without the engine.
//!
//! The engine maps its file and trusts it: a page beyond the file's end would kill the process, a
//! garbled one could. So before the file is mapped, [`inspect`] sees to it that its ends and roots
//! are sound, or every page in use; and [`salvage`](super::salvage) takes the envelopes out of a file that the engine can't be given any more.
//!
//! Source: `mdb.c` of LMDB (data version 1), the structures `MDB_page`, `MDB_meta`, `MDB_db` and
//! `MDB_node`. Integers are in the machine's own order.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use super::engine::io_error;
use crate::mailserver::ArchiveError;

const PAGE_HEADER: usize = 16;
const NODE_HEADER: usize = 8;
const MAGIC: u32 = 0xbeef_c0de;
const DATA_VERSION: u32 = 1;
/// The engine gives up on trees that are deeper.
const MAX_DEPTH: usize = 32;

const P_BRANCH: u16 = 0x01;
const P_LEAF: u16 = 0x02;
const P_OVERFLOW: u16 = 0x04;
const P_META: u16 = 0x08;

const F_BIGDATA: u16 = 0x01;
const F_SUBDATA: u16 = 0x02;
const F_DUPDATA: u16 = 0x04;

/// Persistent flag of a map at a fixed address.
const FIXED_MAP: u16 = 0x01;

/// A tree without pages.
const NO_PAGE: u64 = u64::MAX;

/// What the record of a tree says.
#[derive(Debug, Clone, Copy)]
struct Tree {
    flags: u16,
    root: u64,
}

/// What the newest valid meta page says.
#[derive(Debug, Clone, Copy)]
struct Meta {
    page_len: u32,
    flags: u16,
    free: Tree,
    main: Tree,
    last_page: u64,
    txn: u64,
}

/// Why a page or what is in it can't be right.
#[derive(Debug)]
enum Fault {
    Io(io::Error),
    Page(u64, &'static str),
}

impl Fault {
    fn into_error(self, path: &Path) -> ArchiveError {
        match self {
            Self::Io(source) => io_error(path, "read", source),
            Self::Page(page, what) => ArchiveError::Damaged(format!("page {page}: {what}")),
        }
    }
}

/// How much [`inspect`] looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The ends and the roots. For a file that somebody writes to: he has looked at the rest.
    Ends,
    /// The trees that are read at opening, and that of free pages, too.
    Opening,
    /// Every page in use, and that no page is both free and in use.
    All,
}

/// The trees that are read whole at opening.
const READ_AT_OPENING: [&[u8]; 3] = [b"meta", b"counts", b"fresh"];

/// Looks whether the engine can be given the file: whether it is one of its files, and has all
/// pages that it refers to.
pub fn inspect(path: &Path, depth: Depth) -> Result<(), ArchiveError> {
    attempts(path, |file| {
        let (metas, newest) = file.metas()?;
        // The engine wants both.
        if metas.iter().any(Option::is_none) {
            return Err(Fault::Page(0, "one of the two meta pages is not valid"));
        }
        file.check_meta(&newest)?;
        // The last pages may be missing if none of them is in use.
        let depth = if newest.last_page < file.pages { depth } else { Depth::All };
        let wanted = |name: &[u8]| match depth {
            Depth::Ends => false,
            Depth::Opening => READ_AT_OPENING.contains(&name),
            Depth::All => true,
        };
        if depth == Depth::Ends { Ok(()) } else { file.walk_all(&newest, wanted) }
    })
}

/// Tries a few times: another process may be writing, and pages change under our eyes.
fn attempts(
    path: &Path,
    look: impl Fn(&mut PageFile) -> Result<(), Fault>,
) -> Result<(), ArchiveError> {
    let mut last = None;
    for _ in 0..3 {
        let mut file = PageFile::open(path).map_err(|source| io_error(path, "open", source))?;
        match look(&mut file) {
            Ok(()) => return Ok(()),
            Err(fault) => {
                let changed = file.has_changed();
                last = Some(fault);
                if !changed {
                    break;
                }
            }
        }
    }
    last.map_or(Ok(()), |fault| Err(fault.into_error(path)))
}

/// Is shown what the leaves of a tree hold, and says what is wrong with it.
type Look<'a> = dyn FnMut(&Node<'_>, &[u8]) -> Result<(), &'static str> + 'a;

/// The file, in pages.
#[derive(Debug)]
pub struct PageFile {
    file: File,
    page_len: usize,
    pages: u64,
    /// The number of the transaction that the newest meta page told of.
    txn: u64,
}

impl PageFile {
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let len = file.seek(SeekFrom::End(0))?;
        let mut this = Self { file, page_len: 4096, pages: len / 4096, txn: 0 };
        // The length of pages stands in the meta pages, the second of which stands behind the
        // first page: if the first is not readable, the usual lengths are tried.
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
        this.txn = this.metas().map_or(0, |(_, newest)| newest.txn);
        Ok(this)
    }

    /// The number of whole pages.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    fn has_changed(&mut self) -> bool {
        self.metas().map_or(true, |(_, newest)| newest.txn != self.txn)
    }

    /// The meta page at this offset.
    fn meta_at(&mut self, offset: u64) -> Option<Meta> {
        let mut bytes = [0; PAGE_HEADER + 136];
        self.file.seek(SeekFrom::Start(offset)).ok()?;
        self.file.read_exact(&mut bytes).ok()?;
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
            free: Tree { flags: u16_at(meta, 28)?, root: u64_at(meta, 64)? },
            main: Tree { flags: u16_at(meta, 76)?, root: u64_at(meta, 112)? },
            last_page: u64_at(meta, 120)?,
            txn: u64_at(meta, 128)?,
        })
    }

    /// Both meta pages, and the one that counts.
    fn metas(&mut self) -> Result<([Option<Meta>; 2], Meta), Fault> {
        let metas = [self.meta_at(0), self.meta_at(self.page_len as u64)];
        let newest = metas.iter().flatten().max_by_key(|meta| meta.txn).copied();
        newest.map(|newest| (metas, newest)).ok_or(Fault::Page(0, "no valid meta page"))
    }

    fn check_meta(&self, meta: &Meta) -> Result<(), Fault> {
        let at = meta.txn & 1;
        if meta.flags & FIXED_MAP != 0 {
            return Err(Fault::Page(at, "it asks for a map at a fixed address"));
        }
        if meta.page_len as usize != self.page_len || meta.last_page >= 1 << 48 {
            return Err(Fault::Page(at, "lengths that can't be"));
        }
        for root in [meta.free.root, meta.main.root] {
            if root != NO_PAGE && (root < 2 || root >= self.pages) {
                return Err(Fault::Page(at, "the root of a tree is beyond the end of the file"));
            }
        }
        Ok(())
    }

    pub fn read(&mut self, page: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        self.read_run(page, self.page_len, bytes)
    }

    /// Reads `len` bytes from the beginning of a page.
    fn read_run(&mut self, page: u64, len: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.resize(len, 0);
        self.file.seek(SeekFrom::Start(page.saturating_mul(self.page_len as u64)))?;
        self.file.read_exact(bytes)
    }

    /// Walks the tree of the trees, that of free pages, and those with these names.
    fn walk_all(&mut self, meta: &Meta, wanted: impl Fn(&[u8]) -> bool) -> Result<(), Fault> {
        let mut used = HashSet::new();
        let mut free = Vec::new();
        self.walk(meta.free, &mut used, &mut |_, value| {
            let mut pages = value.chunks_exact(8).filter_map(|bytes| u64_at(bytes, 0));
            let count = pages.next().and_then(|count| usize::try_from(count).ok());
            let listed: Vec<u64> = pages.collect();
            // There may be room behind the last.
            let listed = count.and_then(|count| listed.get(..count));
            free.extend_from_slice(listed.ok_or("a malformed list of free pages")?);
            Ok(())
        })?;
        let mut trees = Vec::new();
        self.walk(meta.main, &mut used, &mut |node, value| {
            let tree = read_tree(value).filter(|_| node.flags & F_SUBDATA != 0);
            trees.push((node.key.to_vec(), tree.ok_or("an entry that is not a tree")?));
            Ok(())
        })?;
        for (name, tree) in trees {
            if wanted(&name) {
                self.walk(tree, &mut used, &mut |node, _| {
                    if node.flags & F_SUBDATA != 0 { Err("an unexpected tree") } else { Ok(()) }
                })?;
            }
        }
        match free.iter().find(|page| **page < 2 || **page > meta.last_page || used.contains(page))
        {
            Some(page) => Err(Fault::Page(*page, "it is said to be free, and in use")),
            None => Ok(()),
        }
    }

    /// Walks the pages of a tree, in no particular order. `look` gets what the leaves hold.
    fn walk(
        &mut self,
        tree: Tree,
        used: &mut HashSet<u64>,
        look: &mut Look<'_>,
    ) -> Result<(), Fault> {
        if tree.root == NO_PAGE {
            return Ok(());
        }
        let mut stack = vec![(tree.root, 1)];
        let mut bytes = Vec::new();
        while let Some((number, depth)) = stack.pop() {
            let fault = |what| Fault::Page(number, what);
            if number < 2 || number >= self.pages {
                return Err(fault("it is in use, but beyond the end of the file"));
            }
            if !used.insert(number) {
                return Err(fault("it is in use twice"));
            }
            if depth > MAX_DEPTH {
                return Err(fault("its tree is too deep"));
            }
            self.read(number, &mut bytes).map_err(Fault::Io)?;
            let page = Page::parse(&bytes, number).ok_or(fault("not a page of a tree"))?;
            for index in 0..page.len() {
                let node = page.node(index).ok_or(fault("a node out of bounds"))?;
                if page.is_branch() {
                    stack.push((node.child(), depth + 1));
                    continue;
                }
                match page.value(&node).ok_or(fault("a value out of bounds"))? {
                    Value::Inline(value) => look(&node, value).map_err(fault)?,
                    Value::Run(run) => {
                        self.check_run(&run, used)?;
                        let value = self.read_value(&run).map_err(Fault::Io)?;
                        look(&node, &value).map_err(fault)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Looks whether a value that has pages of its own lies within the file.
    fn check_run(&mut self, run: &Run, used: &mut HashSet<u64>) -> Result<(), Fault> {
        if !self.holds(run) {
            return Err(Fault::Page(run.page, "a value beyond the end of the file"));
        }
        let mut header = Vec::new();
        self.read_run(run.page, PAGE_HEADER, &mut header).map_err(Fault::Io)?;
        if run_len(&header, run.page).is_none_or(|pages| pages < run.pages(self.page_len)) {
            return Err(Fault::Page(run.page, "not the pages of a value"));
        }
        let mut pages = run.page..run.page + run.pages(self.page_len);
        if !pages.all(|page| used.insert(page)) {
            return Err(Fault::Page(run.page, "it is in use twice"));
        }
        Ok(())
    }

    fn holds(&self, run: &Run) -> bool {
        run.page >= 2
            && run.page.checked_add(run.pages(self.page_len)).is_some_and(|end| end <= self.pages)
    }

    /// Reads a value that has pages of its own.
    pub fn read_value(&mut self, run: &Run) -> io::Result<Vec<u8>> {
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

/// The pages that follow from one that begins a large value, itself included.
fn run_len(page: &[u8], number: u64) -> Option<u64> {
    let right = u64_at(page, 0)? == number && u16_at(page, 10)? & P_OVERFLOW != 0;
    Some(u64::from(u32_at(page, 12)?)).filter(|pages| right && *pages > 0)
}

/// A page of a tree.
#[derive(Debug)]
pub struct Page<'a> {
    bytes: &'a [u8],
    flags: u16,
    len: usize,
}

/// What a page of a tree has one or more of.
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

/// A value that has pages of its own.
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
    /// A page of a tree, if it is one and says that it has this number.
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
        // A branch has at least two children, but a root in the making may have one.
        (right && (kind == P_LEAF || len > 0)).then_some(Self { bytes, flags, len })
    }

    pub fn is_branch(&self) -> bool {
        self.flags & P_BRANCH != 0
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn node(&self, index: usize) -> Option<Node<'a>> {
        let at = usize::from(u16_at(self.bytes, PAGE_HEADER + 2 * index)?);
        if at < PAGE_HEADER + 2 * self.len {
            return None;
        }
        let header = self.bytes.get(at..at + NODE_HEADER)?;
        let (mut low, mut high) = (u16_at(header, 0)?, u16_at(header, 2)?);
        if cfg!(target_endian = "big") {
            (low, high) = (high, low);
        }
        let value_at = at + NODE_HEADER + usize::from(u16_at(header, 6)?);
        let key = self.bytes.get(at + NODE_HEADER..value_at)?;
        Some(Node { low, high, flags: u16_at(header, 4)?, key, value_at })
    }

    /// The value of a node of a leaf.
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
    fn child(&self) -> u64 {
        u64::from(self.low) | u64::from(self.high) << 16 | u64::from(self.flags) << 32
    }

    /// Whether its value is an ordinary one.
    pub fn is_plain(&self) -> bool {
        self.flags & (F_SUBDATA | F_DUPDATA) == 0
    }
}

fn read_tree(bytes: &[u8]) -> Option<Tree> {
    (bytes.len() == 48).then_some(())?;
    Some(Tree { flags: u16_at(bytes, 4)?, root: u64_at(bytes, 40)? })
        .filter(|tree| tree.flags & 0x7fff == 0)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}
