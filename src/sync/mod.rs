//! Data sync (MVDS): messages are repeated until they are acknowledged.
//!
//! Source: the minimum viable protocol for data synchronisation of vac.dev, with the behaviour of
//! the reference (status-go v0.50.2).
