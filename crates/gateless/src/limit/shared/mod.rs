//! Limits that a fleet shares.
