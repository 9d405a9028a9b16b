//! What an authorization server says about a token when it is asked (RFC 7662), signed or not (RFC 9701).

mod answer;
mod cut;
mod facts;
mod policy;
mod signed;

pub use answer::{ActiveToken, Answer, AnswerFault};
pub use facts::IntrospectedFacts;
pub use policy::IntrospectionPolicy;

#[cfg(test)]
#[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
mod tests;
