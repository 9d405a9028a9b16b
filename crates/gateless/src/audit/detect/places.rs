//! Tokens that come from many places.
//!
//! Whoever has more tokens than there are entries, or a service with more tokens in use than that, makes a token forgotten that
//! is used slowly, so its places are counted anew. A thief who shares the owner's address, or its network with IPv6, is not
//! seen at all.

use gateless_audit::SignalKind;

use super::detection::{Detection, Often};
use super::tracked::Tracked;
use super::{Detector, Finding, Moment, millis};
use crate::audit::sighting::Sighting;

/// Places of each token.
#[derive(Debug)]
pub(super) struct Places {
    often: Often,
    tokens: Tracked<Token>,
}

#[derive(Debug, Default)]
struct Token {
    /// Where it came from, as hashes, and when it did last, in milliseconds.
    places: Vec<(u64, u64)>,
    /// When it was told last.
    told: Option<u64>,
}

impl Places {
    pub(super) const fn new(often: Often, max_tracked: usize) -> Self {
        let tokens = Tracked::new(max_tracked);
        Self { often, tokens }
    }
}

impl Detector for Places {
    fn see(&mut self, seen: &Sighting<'_>, moment: Moment<'_>) -> Option<Finding> {
        let (token, place) = (moment.token?, moment.place(seen.peer?));
        let (now, within) = (moment.now, millis(self.often.within));
        let token = self.tokens.hear(token, now, Token::default)?;
        token.came_from(place, now);
        let is_old = |at: u64| now.saturating_sub(at) >= within;
        let count = token.places.iter().filter(|(_, at)| !is_old(*at)).count();
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let is_told = token.told.is_some_and(|told| !is_old(told));
        if count < self.often.count.into() || is_told {
            return None;
        }
        token.told = Some(now);
        Some(Finding {
            principal: seen.principal.cloned(),
            peer: seen.peer,
            ..Finding::new(SignalKind::ManyPlaces, count, self.often.within)
        })
    }
}

impl Token {
    /// If that is a new place and there is no room for it, the one makes way from which it did not come for longest.
    fn came_from(&mut self, place: u64, now: u64) {
        let mut known = self.places.iter_mut();
        if let Some((_, at)) = known.find(|(known, _)| *known == place) {
            *at = now.max(*at);
        } else if self.places.len() < Detection::MOST_PLACES {
            self.places.push((place, now));
        } else if let Some(oldest) = self.places.iter_mut().min_by_key(|(_, at)| *at) {
            *oldest = (place, now);
        }
    }
}

#[cfg(test)]
impl Places {
    pub(super) fn tracked(&self) -> usize {
        self.tokens.len()
    }
}
