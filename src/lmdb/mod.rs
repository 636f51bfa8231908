//! The file of LMDB, looked at without LMDB.
//!
//! The engine maps its file and trusts what is in it: a page beyond the file's end would kill the
//! process, a garbled one could, or make it give half an answer as if it were whole. What is given
//! to it is looked at before.

pub mod pages;
pub mod structure;
