//! What the answers of the key set tell the caches of their readers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AGE, CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};

/// The caching fields of an endpoint's answers, and how many of them said that nothing has changed.
#[derive(Debug, Default)]
pub(crate) struct Caching {
    settings: Mutex<Settings>,
    not_modified: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) cache_control: Option<HeaderValue>,
    pub(crate) age: Option<u64>,
    pub(crate) etags: bool,
}

impl Caching {
    pub(crate) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fields of an answer that is about `content`.
    pub(crate) fn fields(&self, content: &[u8]) -> HeaderMap {
        let settings = self.settings();
        let mut fields = HeaderMap::new();
        if let Some(cache_control) = &settings.cache_control {
            fields.insert(CACHE_CONTROL, cache_control.clone());
        }
        if let Some(age) = settings.age {
            fields.insert(AGE, age.into());
        }
        if settings.etags {
            fields.insert(ETAG, entity_tag(content));
        }
        fields
    }

    /// Counts an answer that said that nothing has changed.
    pub(crate) fn count_not_modified(&self) {
        self.not_modified.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn not_modified(&self) -> u64 {
        self.not_modified.load(Ordering::Relaxed)
    }
}

/// A strong entity tag (RFC 9110 §8.8.3): the digest of the content, so that it changes exactly with it.
fn entity_tag(content: &[u8]) -> HeaderValue {
    let digest = URL_SAFE_NO_PAD.encode(digest(&SHA256, content));
    HeaderValue::try_from(format!("\"{digest}\"")).expect("base64 is visible ASCII")
}

/// Whether the `If-None-Match` of a request lists the tag that an answer with `fields` carries (RFC 9110 §13.1.2).
pub(crate) fn is_current(request: &HeaderMap, fields: &HeaderMap) -> bool {
    fields.get(ETAG).is_some_and(|tag| {
        let tag = String::from_utf8_lossy(tag.as_bytes());
        request.get_all(IF_NONE_MATCH).iter().any(|list| {
            let list = String::from_utf8_lossy(list.as_bytes());
            list.trim() == "*" || lists(&list, tag.trim_matches('"')).unwrap_or(false)
        })
    })
}

/// Whether a list of entity tags has one that weakly compares to `opaque`. Nothing when the list is malformed: whoever
/// writes one is not to learn from a test that it works.
fn lists(list: &str, opaque: &str) -> Option<bool> {
    let mut found = false;
    let mut rest = list.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let quoted = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"')?;
        // Up to the quote: a comma may be part of a tag.
        let (tag, behind) = quoted.split_once('"')?;
        found |= tag == opaque;
        let behind = behind.trim_start_matches([' ', '\t']);
        rest = behind.trim_start_matches([' ', '\t', ',']);
        if !rest.is_empty() && !behind.starts_with(',') {
            return None;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::itself(r#""a""#, true)]
    #[case::weak(r#"W/"a""#, true)]
    #[case::any(" * ", true)]
    #[case::in_a_list(r#""b", W/"c","a" , "d""#, true)]
    #[case::among_empty_elements(r#", ,"a","#, true)]
    #[case::after_a_tag_with_a_comma(r#""b,c", "a""#, true)]
    #[case::another(r#""b""#, false)]
    #[case::longer(r#""aa""#, false)]
    #[case::other_case(r#""A""#, false)]
    #[case::beyond_ascii("\"\u{e9}\", \"a\"", true)]
    #[case::nothing("", false)]
    #[case::any_in_a_list(r#"*, "b""#, false)]
    #[case::any_in_quotes(r#""*""#, false)]
    #[case::unquoted("a", false)]
    #[case::half_quoted(r#""a"#, false)]
    #[case::weak_in_lower_case(r#"w/"a""#, false)]
    #[case::weak_and_apart(r#"W/ "a""#, false)]
    #[case::without_a_comma(r#""a" "b""#, false)]
    #[case::weak_without_a_comma(r#""b"W/"a""#, false)]
    #[case::with_something_behind(r#""a"W/"#, false)]
    fn a_tag_is_looked_up_by_weak_comparison(#[case] list: &str, #[case] found: bool) {
        let fields = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("\"a\""))]);
        let list = HeaderValue::from_str(list).unwrap();
        let request = HeaderMap::from_iter([(IF_NONE_MATCH, list)]);
        assert_eq!(is_current(&request, &fields), found);
    }

    #[test]
    fn several_fields_are_one_list() {
        let fields = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("\"a\""))]);
        let mut request = HeaderMap::new();
        request.append(IF_NONE_MATCH, HeaderValue::from_static("\"b\""));
        assert!(!is_current(&request, &fields));
        request.append(IF_NONE_MATCH, HeaderValue::from_static("\"a\""));
        assert!(is_current(&request, &fields));
    }

    #[test]
    fn nothing_is_current_without_a_tag() {
        let request = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static("*"))]);
        assert!(!is_current(&request, &HeaderMap::new()));
    }
}
