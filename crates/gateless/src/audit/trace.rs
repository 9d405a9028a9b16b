//! Which trace a request belongs to, by its field `traceparent` ([W3C Trace Context], level 1 and 2).
//!
//! Anybody can send the field, so what is not exactly of its form is no trace: a record says nothing rather than something made up.
//!
//! [W3C Trace Context]: https://www.w3.org/TR/trace-context/#traceparent-header

/// The `trace-id` of a field, or none where the specification says to ignore the field.
pub(super) fn trace_id(traceparent: &[u8]) -> Option<u128> {
    // Version, trace, parent and flags, which are as long in all versions to come (§4.3).
    let (head, rest) = traceparent.split_at_checked(55)?;
    let [version, trace, parent, flags] = fields(head)?;
    let version = hex(version)?;
    let is_end_fine = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.is_empty() || rest.starts_with(b"-"),
    };
    let (trace, parent) = (hex(trace)?, hex(parent)?);
    hex(flags)?;
    (is_end_fine && trace != 0 && parent != 0).then_some(trace)
}

/// Splits it where dashes have to be.
fn fields(head: &[u8]) -> Option<[&[u8]; 4]> {
    let (version, rest) = head.split_at_checked(2)?;
    let (trace, rest) = rest.strip_prefix(b"-")?.split_at_checked(32)?;
    let (parent, rest) = rest.strip_prefix(b"-")?.split_at_checked(16)?;
    Some([version, trace, parent, rest.strip_prefix(b"-")?])
}

/// A number of at most 32 digits. Capital letters are no digits here (§3.2.2).
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;

    #[rstest]
    #[case::sampled("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    #[case::not_sampled("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")]
    #[case::random_of_level_2("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03")]
    #[case::unknown_flags("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff")]
    #[case::later_version("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    #[case::later_and_longer(
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings"
    )]
    #[case::later_with_a_dash("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-")]
    #[case::last_version("fe-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    fn a_trace_is_found(#[case] traceparent: &str) {
        assert_eq!(trace_id(traceparent.as_bytes()), Some(TRACE));
    }

    #[test]
    fn all_digits_of_an_id_count() {
        let traceparent = b"00-123456789abcdef00fedcba987654321-1234567890123456-01";
        let trace = 0x1234_5678_9abc_def0_0fed_cba9_8765_4321;
        assert_eq!(trace_id(traceparent), Some(trace));
        let least = b"00-00000000000000000000000000000001-0000000000000001-00";
        assert_eq!(trace_id(least), Some(1));
    }

    #[rstest]
    #[case::empty("")]
    #[case::version_only("00")]
    #[case::forbidden_version("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    #[case::version_no_hex(".0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    #[case::version_capital("CC-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    #[case::version_short("0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    #[case::version_long("000-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    #[case::longer("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what")]
    #[case::dash_at_the_end("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-")]
    #[case::dot_at_the_end("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.")]
    #[case::later_without_a_dash("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what")]
    #[case::later_and_shorter("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7")]
    #[case::no_trace("00-00000000000000000000000000000000-00f067aa0ba902b7-01")]
    #[case::no_parent("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01")]
    #[case::trace_capital("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01")]
    #[case::trace_no_hex("00-.bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    #[case::trace_short("00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01")]
    #[case::trace_long("00-4bf92f3577b34da6a3ce929d0e0e47360-00f067aa0ba902b7-01")]
    #[case::parent_capital("00-4bf92f3577b34da6a3ce929d0e0e4736-00F067AA0BA902B7-01")]
    #[case::parent_no_hex("00-4bf92f3577b34da6a3ce929d0e0e4736-.0f067aa0ba902b7-01")]
    #[case::parent_short("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b-01")]
    #[case::parent_long("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b70-01")]
    #[case::flags_no_hex("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-.0")]
    #[case::flags_capital("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0A")]
    #[case::flags_short("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1")]
    #[case::flags_later_no_hex("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-x1-")]
    #[case::space_before(" 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
    #[case::space_after("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 ")]
    #[case::underscores("00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01")]
    #[case::one_underscore("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01")]
    fn what_is_not_of_the_form_is_no_trace(#[case] traceparent: &str) {
        assert_eq!(trace_id(traceparent.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn what_a_client_library_writes_is_read(trace in 1u128.., parent in 1u64.., flags: u8, version in 0u8..0xff) {
            let field = format!("{version:02x}-{trace:032x}-{parent:016x}-{flags:02x}");
            prop_assert_eq!(trace_id(field.as_bytes()), Some(trace));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            trace_id(&bytes);
        }
    }
}
