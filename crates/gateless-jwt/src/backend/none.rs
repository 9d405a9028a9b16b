//! No backend: no key can be made, so nothing can ever verify or sign.

use std::convert::Infallible;

use super::{Material, Private};
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

pub(crate) struct Signer(Infallible);

impl Signer {
    pub(crate) fn new(_: Algorithm, _: &Private<'_>) -> Result<Self, KeyError> {
        Err(KeyError::NoBackend)
    }

    pub(crate) fn sign(&self, _: &[u8]) -> Option<Vec<u8>> {
        match self.0 {}
    }
}
