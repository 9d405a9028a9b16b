//! Refuses tokens that were revoked, although their issuer signed them.

#[cfg(feature = "denylist_file")]
mod file;
mod list;
