//! What an OpenID provider says when somebody signs out: logout tokens (OpenID Connect Back-Channel Logout 1.0).
//!
//! `policy` is what is asked of such a token, `token` reads one and holds it against that.

mod policy;
mod token;

pub use policy::LogoutPolicy;
pub use token::LogoutToken;

#[cfg(test)]
#[cfg(any(feature = "aws_lc_rs", feature = "rust_crypto"))]
mod tests;
