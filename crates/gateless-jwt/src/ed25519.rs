//! Public keys of Ed25519 that no honest issuer has.

/// The y coordinates of the eight points of small order, little-endian, sign bit cleared; with the spellings of
/// them that are not reduced (RFC 8032 §5.1.3 forbids those). A signature under such a key says nothing: some
/// signatures verify for every message.
const SMALL_ORDER: [[u8; 32]; 7] = [
    word(0x00, 0x00, 0x00),
    word(0x01, 0x00, 0x00),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
    word(0xec, 0xff, 0x7f),
    word(0xed, 0xff, 0x7f),
    word(0xee, 0xff, 0x7f),
];

const fn word(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    let [head, .., tail] = &mut bytes;
    *head = first;
    *tail = last;
    bytes
}

/// Whether a signature under this key could mean anything.
pub(crate) fn is_sound(key: &[u8; 32]) -> bool {
    let mut y = *key;
    let [.., last] = &mut y;
    *last &= 0x7f;
    !SMALL_ORDER.contains(&y) && is_reduced(&y)
}

/// Whether y is below the field prime 2^255 − 19.
fn is_reduced(y: &[u8; 32]) -> bool {
    let prime = word(0xed, 0xff, 0x7f);
    y.iter().rev().lt(prime.iter().rev())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tc_06_keys_of_small_order_and_unreduced_ones_are_not_sound() {
        for y in SMALL_ORDER {
            let mut negative = y;
            negative[31] |= 0x80;
            assert!(!is_sound(&y) && !is_sound(&negative));
        }
        assert!(!is_sound(&[0xff; 32]));
        assert!(is_sound(&[0x42; 32]));
    }
}
