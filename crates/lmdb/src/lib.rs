//! The files of LMDB, without LMDB: looked at, and made.
//!
//! The engine maps its file and trusts what is in it: a page beyond the file's end would kill the
//! process, a garbled one could, or make it give half an answer as if it were whole. What is given
//! to it is looked at before. It maps another file, too, which it makes without blocks: on a full
//! disk that would kill the process, so the file is made before.

pub mod making;
pub mod pages;
pub mod structure;
