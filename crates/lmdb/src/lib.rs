//! The file format of LMDB, read and prepared without LMDB.
//!
//! LMDB maps its file and trusts the contents. A page beyond the end of the file would kill the
//! process; a garbled one could, or turn a part of an answer into all of it. So a file is checked
//! before the engine opens it, and its large trees are read without the engine. LMDB also creates a
//! second file without blocks, which on a full disk kills the process: it is created beforehand.
//!
//! | what | where |
//! | --- | --- |
//! | checking all pages, or those that the engine reads first | [`structure`] |
//! | reading trees of a mapped file, each page checked when it is first read | [`map`], [`tree`] |
//! | pages and nodes | [`pages`] |
//! | creating a database | [`making`] |

#![deny(unsafe_code)]

pub mod making;
pub mod map;
pub mod pages;
pub mod structure;
pub mod tree;
