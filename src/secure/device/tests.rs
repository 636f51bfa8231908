//! Devices among themselves: rules that no vector shows.
