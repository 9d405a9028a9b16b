//! Records each decision: who, what, why, and under which policy.

mod sighting;
