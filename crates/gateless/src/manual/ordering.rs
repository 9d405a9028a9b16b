//! # Which layer comes first
