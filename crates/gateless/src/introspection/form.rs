//! What tokens of the server look like, for servers that say so: what looks otherwise is not worth a call.

use std::ops::RangeInclusive;

use gateless_core::ConfigError;

/// What a token has to look like from outside.
#[derive(Clone, Debug)]
pub(super) struct TokenForm {
    /// One of these, unless there are none.
    pub(super) prefixes: Vec<Box<str>>,
    pub(super) lengths: Option<RangeInclusive<usize>>,
    /// Whether a JWE may be one: nobody but its server can tell whose it is.
    pub(super) may_be_encrypted: bool,
}

impl TokenForm {
    pub(super) const fn any() -> Self {
        Self {
            prefixes: Vec::new(),
            lengths: None,
            may_be_encrypted: false,
        }
    }

    pub(super) fn admits(&self, token: &str) -> bool {
        let mut prefixes = self.prefixes.iter();
        let lengths = self.lengths.as_ref();
        (self.prefixes.is_empty() || prefixes.any(|prefix| token.starts_with(&**prefix)))
            && lengths.is_none_or(|lengths| lengths.contains(&token.len()))
    }

    pub(super) fn check(&self, faults: &mut ConfigError) {
        if self.prefixes.iter().any(|prefix| prefix.is_empty()) {
            faults.add("token_prefix", "is empty: every token has that");
        }
        if self.lengths.as_ref().is_some_and(RangeInclusive::is_empty) {
            faults.add(
                "token_lengths",
                "admit no length: every token would be refused",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&[], None, "anything", true)]
    #[case(&["at_"], None, "at_1", true)]
    #[case(&["at_"], None, "rt_1", false)]
    #[case(&["at_", "pat_"], None, "pat_1", true)]
    #[case(&[], Some(4..=8), "123", false)]
    #[case(&[], Some(4..=8), "1234", true)]
    #[case(&[], Some(4..=8), "12345678", true)]
    #[case(&[], Some(4..=8), "123456789", false)]
    #[case(&["at_"], Some(4..=8), "at_1", true)]
    #[case(&["at_"], Some(4..=8), "at_123456", false)]
    fn tf_13_what_does_not_look_like_a_token_is_none(
        #[case] prefixes: &[&str],
        #[case] lengths: Option<RangeInclusive<usize>>,
        #[case] token: &str,
        #[case] admitted: bool,
    ) {
        let prefixes = prefixes.iter().map(|prefix| (*prefix).into()).collect();
        let form = TokenForm {
            prefixes,
            lengths,
            ..TokenForm::any()
        };
        assert_eq!(form.admits(token), admitted);
    }
}
