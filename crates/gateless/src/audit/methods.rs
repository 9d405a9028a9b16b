//! Which gRPC methods there are.

use std::collections::HashSet;

use gateless_audit::Outcome;

use super::trail::{Closing, Facts, Trail};

/// `UNIMPLEMENTED`.
const NO_SUCH_METHOD: u16 = 12;

/// The gRPC methods that are known to be there. Where requests are refused before they are routed, a path is whatever a client
/// wrote, even a token; so a method is named only once a table has declared it, or a service has answered for it.
#[derive(Debug, Default)]
pub(super) struct Methods(HashSet<Box<str>>);

impl Methods {
    /// How many are remembered.
    const MOST: usize = 1024;

    /// The method of a request, if there is such a method.
    pub(super) fn name<'a>(
        &mut self,
        trail: &'a Trail,
        facts: &Facts,
        closing: &Closing,
    ) -> Option<&'a str> {
        let method = trail.arrival().grpc_method()?;
        if self.0.contains(method) {
            return Some(method);
        }
        // A status comes with the end; of a method that is not there, at once.
        let was_answered = closing.outcome == Outcome::Allowed
            && closing.is_grpc
            && closing.grpc_status != Some(NO_SUCH_METHOD);
        if !was_answered && !facts.is_declared || self.0.len() >= Self::MOST {
            return None;
        }
        self.0.insert(method.into());
        Some(method)
    }
}

#[cfg(test)]
mod tests {
    use gateless_audit::BootId;
    use gateless_core::Monotonic;
    use http::{Request, Uri};

    use super::*;
    use crate::audit::arrival::Arrival;
    use crate::gate::Head;

    fn name(methods: &mut Methods, path: &str, grpc_status: Option<u16>) -> Option<String> {
        let uri: Uri = path.parse().unwrap();
        let request = Request::post(uri).header("content-type", "application/grpc");
        let request = request.body(()).unwrap();
        let at = Monotonic::from_start(std::time::Duration::ZERO);
        let arrival = Arrival::new(Head::of(&request), None, at);
        let trail = Trail::new(BootId::random(), arrival);
        let closing = Closing {
            at,
            outcome: Outcome::Allowed,
            status: Some(200),
            grpc_status,
            is_grpc: grpc_status.is_some(),
            latency_us: 0,
            end: None,
        };
        methods
            .name(&trail, &Facts::default(), &closing)
            .map(str::to_owned)
    }

    #[test]
    fn tl_16_made_up_methods_are_no_labels() {
        let mut methods = Methods::default();
        for n in 0..5_000 {
            let path = format!("/made.Up/Method{n}");
            assert_eq!(name(&mut methods, &path, Some(NO_SUCH_METHOD)), None);
            // Whatever is no gRPC service answers anything.
            assert_eq!(name(&mut methods, &path, None), None);
        }
        for n in 0..5_000 {
            let path = format!("/there.Is/Method{n}");
            let named = name(&mut methods, &path, Some(0));
            assert_eq!(named.is_some(), n < Methods::MOST, "{n}");
        }
        let known = name(&mut methods, "/there.Is/Method7", Some(NO_SUCH_METHOD));
        assert_eq!(known.as_deref(), Some("there.Is/Method7"));
    }
}
