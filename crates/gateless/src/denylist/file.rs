//! The log of one machine: a file that survives whatever happens to the process.
