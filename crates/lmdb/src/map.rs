//! The file in memory, read without the engine. See [`tree`](crate::tree).

use std::{
    fmt,
    fs::File,
    io,
    path::Path,
    sync::{
        OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use memmap2::{Mmap, MmapOptions};

use crate::{
    pages::{Meta, PAGE_HEADER, Page, PageFile, Run, Value, run_len},
    structure::{self, Shape},
    tree::Snapshot,
};

/// A page that can't be as the engine wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("page {page}: {what}")]
pub struct Fault {
    /// The number of the page.
    pub page: u64,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Fault {
    pub(crate) fn new(page: u64, what: &'static str) -> Self {
        Self { page, what }
    }
}

/// A mapped file, and which of its pages were found sound.
pub struct MappedFile {
    /// For what changes under us: the meta pages.
    pages: PageFile,
    file: File,
    map: Mmap,
    page_len: usize,
    /// How much of the map lies in the file; it grows.
    len: AtomicU64,
    /// The last meta page that was read.
    last: RwLock<Option<Meta>>,
    sound: PageSet,
}

impl MappedFile {
    /// Maps a file that the engine has made, with room to grow to `len` bytes.
    ///
    /// # Errors
    /// If the file can't be opened or mapped; [`io::ErrorKind::OutOfMemory`] if `len` asks for more
    /// of the address space than there is.
    ///
    /// # Safety
    /// As for the engine itself: the file must not be shortened, nor changed by other means than
    /// the engine, while it is mapped. What is read of a [`Snapshot`] must not be used longer than
    /// its transaction is held.
    #[allow(unsafe_code)]
    pub unsafe fn open(path: &Path, len: usize) -> io::Result<Self> {
        let (pages, file) = (PageFile::open(path)?, File::open(path)?);
        // SAFETY: the caller's promise.
        let map = unsafe { MmapOptions::new().len(len).map(&file)? };
        let (page_len, known) = (pages.page_len(), AtomicU64::new(file.metadata()?.len()));
        let sound = PageSet::new((len / page_len) as u64);
        let last = RwLock::new(None);
        Ok(Self { pages, file, map, page_len, len: known, last, sound })
    }

    /// The state of a transaction that is held. `None` if the file may no longer describe it: a
    /// commit is following it just now, or has.
    pub fn snapshot(&self, txn: u64) -> Option<Snapshot<'_>> {
        let last = *self.last.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(meta) = last.filter(|last| last.txn == txn) {
            return Some(Snapshot::new(self, meta));
        }
        let own = self.pages.meta(txn & 1);
        // The engine writes the meta pages in turn, and only writes over this one when the
        // other is complete. So the first was not being written while it was read.
        let other = self.pages.meta(!txn & 1);
        let is_newest = other.is_none_or(|other| other.txn < txn);
        let meta = own.filter(|own| own.txn == txn && is_newest)?;
        self.remember(meta);
        Some(Snapshot::new(self, meta))
    }

    /// The last state that was committed. Only for the process that writes, and only between its
    /// commits.
    pub fn newest(&self) -> Option<Snapshot<'_>> {
        let newest = self.pages.metas().into_iter().flatten().max_by_key(|meta| meta.txn)?;
        self.remember(newest);
        Some(Snapshot::new(self, newest))
    }

    /// Remembers a state, so that those who read need not look for it while the next is written.
    fn remember(&self, meta: Meta) {
        let mut last = self.last.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have found a newer one meanwhile.
        if last.is_none_or(|last| last.txn < meta.txn) {
            *last = Some(meta);
        }
    }

    /// A page of a tree, checked when it is read for the first time.
    #[inline]
    pub(crate) fn page(&self, number: u64, shape: &Shape) -> Result<Page<'_>, Fault> {
        if self.sound.contains(number)
            && let Some(page) =
                self.bytes(number, self.page_len).and_then(|it| Page::parse(it, number))
        {
            return Ok(page);
        }
        self.check(number, shape)
    }

    #[cold]
    fn check(&self, number: u64, shape: &Shape) -> Result<Page<'_>, Fault> {
        let bytes = self.bytes(number, self.page_len).filter(|_| number >= 2);
        let bytes = bytes.ok_or(Fault::new(number, structure::BEYOND))?;
        let page = Page::parse(bytes, number).filter(Page::is_plain);
        let page = page.ok_or(Fault::new(number, structure::NOT_A_PAGE))?;
        let nodes = structure::nodes_of(&page, None, None, *shape)
            .map_err(|what| Fault::new(number, what))?;
        if !page.is_branch() {
            for node in &nodes {
                let len = match page.value(node) {
                    Some(Value::Inline(value)) => Some(value.len()),
                    Some(Value::Run(run)) => self.run(&run).map(<[u8]>::len),
                    None => None,
                };
                if len.is_none_or(|len| !shape.admits(node, len)) {
                    return Err(Fault::new(number, structure::LENGTH));
                }
            }
        }
        self.sound.insert(number);
        Ok(page)
    }

    /// The value that has pages of its own, if it can be there.
    pub(crate) fn run(&self, run: &Run) -> Option<&[u8]> {
        let len = run.len.checked_add(PAGE_HEADER)?;
        let bytes = self.bytes(run.page, len).filter(|_| run.page >= 2)?;
        let pages = run_len(bytes, run.page)?;
        let whole = usize::try_from(pages).ok()?.checked_mul(self.page_len)?;
        (whole >= len).then(|| &bytes[PAGE_HEADER..])
    }

    /// Bytes from the beginning of a page on, if they are in the file.
    #[inline]
    fn bytes(&self, page: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(page).ok()?.checked_mul(self.page_len)?;
        let end = start.checked_add(len)?;
        if end as u64 > self.len.load(Relaxed) {
            let now = self.file.metadata().ok()?.len();
            self.len.store(now, Relaxed);
            if end as u64 > now {
                return None;
            }
        }
        self.map.get(start..end)
    }
}

impl fmt::Debug for MappedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MappedFile").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Pages per segment of a set: 4 GiB of a file.
const SEGMENT: u64 = 1 << 20;

/// A set of pages that several threads add to. It takes memory for the parts that are in use.
struct PageSet(Box<[OnceLock<Box<[AtomicU64]>>]>);

impl PageSet {
    fn new(pages: u64) -> Self {
        Self((0..=pages / SEGMENT).map(|_| OnceLock::new()).collect())
    }

    #[inline]
    fn contains(&self, page: u64) -> bool {
        let segment = self.0.get((page / SEGMENT) as usize).and_then(OnceLock::get);
        let word = segment.and_then(|it| it.get((page % SEGMENT / 64) as usize));
        word.is_some_and(|word| word.load(Relaxed) >> (page % 64) & 1 == 1)
    }

    fn insert(&self, page: u64) {
        let Some(segment) = self.0.get((page / SEGMENT) as usize) else { return };
        let words = || (0..SEGMENT / 64).map(|_| AtomicU64::new(0)).collect();
        let word = segment.get_or_init(words).get((page % SEGMENT / 64) as usize);
        word.into_iter().for_each(|word| _ = word.fetch_or(1 << (page % 64), Relaxed));
    }
}
