//! RSA keys of a flawed generator: the moduli of CVE-2017-15361 ("ROCA") can be factored.

/// The odd primes up to 167, in whose residues the flaw shows at every key size.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Whether the modulus has the fingerprint: modulo each of the primes it is a power of 65537 (Nemec and others, "The
/// Return of Coppersmith's Attack", CCS 2017, §3.1). One sound modulus in 2^27 has it too.
pub(crate) fn is_flawed(modulus: &[u8]) -> bool {
    PRIMES
        .iter()
        .all(|prime| is_power(residue(modulus, *prime), *prime))
}

fn residue(modulus: &[u8], prime: u32) -> u32 {
    modulus
        .iter()
        .fold(0, |rest, byte| (rest << 8 | u32::from(*byte)) % prime)
}

/// Whether `residue` is a power of 65537 modulo `prime`.
fn is_power(residue: u32, prime: u32) -> bool {
    let mut power = 1;
    (1..prime).any(|_| {
        let found = power == residue;
        power = power * (65_537 % prime) % prime;
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_told_from_other_residues() {
        // 65537 ≡ 10 (mod 11), whose powers are 1 and 10; modulo 3, 2 makes every residue but 0.
        let powers = |prime| -> Vec<_> { (0..prime).filter(|r| is_power(*r, prime)).collect() };
        assert_eq!(powers(11), [1, 10]);
        assert_eq!(powers(3), [1, 2]);
        assert_eq!(residue(&[1, 0, 1], 11), 10);
    }

    #[test]
    fn tc_07_only_a_power_modulo_every_prime_is_flawed() {
        assert!(is_flawed(&[1]));
        assert!(is_flawed(&[1, 0, 1]));
        assert!(!is_flawed(&[3]));
    }
}
