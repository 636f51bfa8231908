//! The embedded archive: the same answers as the model in memory, whatever is done to it, and
//! nothing lost, whatever happens to the process, the disk or the file.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "archive/faults.rs"]
mod faults;
#[path = "archive/model.rs"]
mod model;
