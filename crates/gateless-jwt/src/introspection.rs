//! What an authorization server says about a token when it is asked (RFC 7662), signed or not (RFC 9701).

//!
//! An answer goes through four hands: `answer` reads it, or `signed` does so after its signature; `members` are what it
//! says; `policy` is what is asked of that; `facts` are what holds then, and are judged at a time.
//!
//! What an answer leaves out or says in passing decides whether it is about an access token at all; the rules are those
//! of [`IntrospectionPolicy`]. A signed answer (RFC 9701) is not bound to the token that was asked about, as it has no
//! member for that: whoever sits between can answer with another fresh answer for the same recipient. TLS binds question
//! and answer.

mod answer;
mod cut;
mod facts;
mod members;
mod policy;
mod signed;

pub use answer::{ActiveToken, Answer, AnswerFault};
pub use facts::IntrospectedFacts;
pub use policy::IntrospectionPolicy;

#[cfg(test)]
#[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
mod tests;
