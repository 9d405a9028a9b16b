//! The list itself: what is refused, in memory, with the time as an argument.
