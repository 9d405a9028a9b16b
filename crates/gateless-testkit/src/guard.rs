//! Keeps the test issuer out of production.

use std::env;
use std::sync::Once;

/// The environment variable that names where a process runs.
const ENVIRONMENT: &str = "GATELESS_ENV";

/// The process says that it runs in production.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "gateless-testkit: GATELESS_ENV says that this is production, and a test issuer would let anybody in; \
     remove gateless-testkit from the dependencies of this program"
)]
pub(crate) struct ProductionRefused;

/// Called by every constructor of an issuer: panics in production, and says once per process what is going on.
pub(crate) fn admit() {
    let environment = env::var_os(ENVIRONMENT);
    let environment = environment.as_ref().map(|value| value.to_string_lossy());
    if let Err(refused) = refuse_production(environment.as_deref()) {
        panic!("{refused}");
    }
    static SAID: Once = Once::new();
    SAID.call_once(|| eprintln!("gateless-testkit: this process trusts a TEST issuer"));
}

/// Whether `value`, that of `GATELESS_ENV`, names production, however it is capitalised or padded.
fn refuse_production(value: Option<&str>) -> Result<(), ProductionRefused> {
    let value = value.unwrap_or_default().trim();
    if ["prod", "production"]
        .iter()
        .any(|name| value.eq_ignore_ascii_case(name))
    {
        Err(ProductionRefused)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(None, Ok(()))]
    #[case(Some(""), Ok(()))]
    #[case(Some("dev"), Ok(()))]
    #[case(Some("staging"), Ok(()))]
    #[case(Some("preprod"), Ok(()))]
    #[case(Some("prod"), Err(ProductionRefused))]
    #[case(Some("production"), Err(ProductionRefused))]
    #[case(Some("PROD"), Err(ProductionRefused))]
    #[case(Some(" Production\n"), Err(ProductionRefused))]
    fn tm_14_production_is_refused(
        #[case] value: Option<&str>,
        #[case] verdict: Result<(), ProductionRefused>,
    ) {
        assert_eq!(refuse_production(value), verdict);
    }
}
