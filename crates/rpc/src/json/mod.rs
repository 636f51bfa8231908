//! JSON as Go's `encoding/json` reads and writes it: the same values are accepted, and the texts of
//! its errors are the same, since clients see them.
//!
//! | what | where |
//! | --- | --- |
//! | where a value ends, and whether it is one | [`scan`] |
//! | members and elements of a value that was scanned | [`parts`] |
//! | values of a type | [`typed`] |
//! | writing | [`write`] |

pub mod parts;
pub mod scan;
pub mod typed;
pub mod write;
