//! No backend: no key can be made, so nothing can ever verify.

use std::convert::Infallible;

use super::Material;
use crate::algorithm::Algorithm;
use crate::key::KeyError;

#[derive(Clone)]
pub(crate) struct Verifier(Infallible);

impl Verifier {
    pub(crate) fn new(algorithm: Algorithm, material: &Material<'_>) -> Result<Self, KeyError> {
        material.check(algorithm)?;
        Err(KeyError::NoBackend)
    }

    pub(crate) fn verify(&self, _: &[u8], _: &[u8]) -> bool {
        match self.0 {}
    }
}
