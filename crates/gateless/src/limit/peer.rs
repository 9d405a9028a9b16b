//! Where a request comes from.
