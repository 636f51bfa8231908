//! Killed processes, full disks, damaged files, and more than one process.
