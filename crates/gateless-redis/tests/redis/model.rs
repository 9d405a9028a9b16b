//! Followers, appends and accidents in a random order: nobody misses a change that was acknowledged and seen.
