//! The manual: why things are as they are, and how to use them well.

pub mod ordering;
