//! Refuses those who guess tokens, before anybody looks at the next one.
