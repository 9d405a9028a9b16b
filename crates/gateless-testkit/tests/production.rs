//! TM-14: a process that says it is production does not get a test issuer.

use std::env;
use std::process::Command;

use gateless_testkit::TestIssuer;

/// Runs itself again under another environment: that of this process cannot be changed safely.
#[test]
fn tm_14_no_issuer_is_made_in_production() {
    const CHILD: &str = "GATELESS_TESTKIT_CHILD";
    if env::var_os(CHILD).is_some() {
        drop([TestIssuer::new(), TestIssuer::new()]);
        return;
    }
    for (environment, admitted) in [("test", true), ("prod", false), ("production", false)] {
        let child = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "tm_14_no_issuer_is_made_in_production",
                "--nocapture",
            ])
            .env(CHILD, "1")
            .env("GATELESS_ENV", environment)
            .output()
            .unwrap();
        let said = String::from_utf8(child.stderr).unwrap();
        let announced = said.matches("this process trusts a TEST issuer").count();
        let refused = said.contains("GATELESS_ENV says that this is production");
        assert_eq!(child.status.success(), admitted, "{environment}: {said}");
        assert_eq!(
            (announced, refused),
            (usize::from(admitted), !admitted),
            "{environment}: {said}"
        );
    }
}
