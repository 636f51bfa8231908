//! The embedded archive: it answers as the model in memory does, and loses nothing, whatever
//! happens to the process, the disk or the file.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "archive/faults.rs"]
mod faults;
#[path = "archive/model.rs"]
mod model;
