//! The guard of `AdminService`: which operator calls, by the admin token that each call carries. Never logs a token.
//!
//! A right token is let in at once, whatever else is shown. The answer to a wrong one is held back when they come too
//! fast, so that whoever guesses waits for each guess.
//!
//! Invariant: what gets past has an [`Operator`] among its extensions.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use parking_lot::Mutex;
use stentor_admission::{AdminTokens, Operator, WrongTokens, bearer};
use stentor_ids::{Code, Fault};
use stentor_proto::status_of;
use stentor_telemetry::NodeMetrics;
use tonic::{body::Body, server::NamedService, transport::server::TlsConnectInfo};
use tower_service::Service;

/// How long the answer to a wrong token is held back when they come too fast. With the bounds on connections and on the
/// calls of each it bounds how many are tried a second.
const HOLD: Duration = Duration::from_secs(1);

/// A service that only those with a token reach. Clones share the paces.
#[derive(Clone)]
pub(crate) struct Guarded<S> {
    inner: S,
    guard: Arc<Guard>,
}

struct Guard {
    tokens: AdminTokens,
    wrong: Mutex<WrongTokens>,
    metrics: NodeMetrics,
}

/// The wrong tokens of one connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Attempts(Arc<Mutex<WrongTokens>>);

impl Default for Attempts {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(WrongTokens::of_one())))
    }
}

impl<S> Guarded<S> {
    pub(crate) fn new(inner: S, tokens: AdminTokens, metrics: NodeMetrics) -> Self {
        let wrong = Mutex::new(WrongTokens::of_all());
        Self { inner, guard: Arc::new(Guard { tokens, wrong, metrics }) }
    }
}

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.guard.enter(&request) {
            Ok(operator) => {
                request.extensions_mut().insert(operator);
                Box::pin(self.inner.call(request))
            }
            Err(fault) => Box::pin(async move {
                if fault.code == Code::TooFast {
                    tokio::time::sleep(HOLD).await;
                }
                Ok(status_of(&fault).into_http())
            }),
        }
    }
}

impl Guard {
    fn enter<B>(&self, request: &Request<B>) -> Result<Operator, Fault> {
        shown(request.headers()).and_then(|token| Ok(self.tokens.verify(token)?)).map_err(|fault| {
            let own = attempts(request);
            let fault = self.wrong.lock().answer(&mut own.0.lock(), stentor_clock::now(), fault);
            self.metrics.refusal(fault.code);
            fault
        })
    }
}

/// What the connection of a request may still try; every connection of the port has it.
fn attempts<B>(request: &Request<B>) -> Attempts {
    let extensions = request.extensions();
    let secured = || extensions.get::<TlsConnectInfo<Attempts>>().map(|info| info.get_ref().clone());
    extensions.get::<Attempts>().cloned().or_else(secured).unwrap_or_default()
}

fn shown(headers: &HeaderMap) -> Result<&str, Fault> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        let detail = "no admin token came with the call; send it as metadata, `authorization: Bearer TOKEN`";
        return Err(Fault::new(Code::Unauthenticated, detail));
    };
    value.to_str().ok().and_then(bearer).ok_or_else(|| {
        Fault::new(Code::Unauthenticated, "the authorization is not of the form `Bearer TOKEN`")
    })
}

#[cfg(test)]
mod tests {
    use stentor_ids::NodeId;
    use stentor_telemetry::Metrics;

    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn guard() -> Guard {
        let metrics = Metrics::new().for_node(&NodeId::new("n").unwrap());
        let tokens = AdminTokens::parse(&format!("ann:{TOKEN}")).unwrap();
        Guard { tokens, wrong: Mutex::new(WrongTokens::of_all()), metrics }
    }

    fn request(authorization: Option<&str>) -> Request<()> {
        let mut request = Request::new(());
        if let Some(value) = authorization {
            request.headers_mut().insert(AUTHORIZATION, value.parse().unwrap());
        }
        request
    }

    #[test]
    fn a_call_gets_in_with_one_of_the_tokens_and_no_refusal_repeats_what_was_shown() {
        let guard = guard();
        let right = request(Some(&format!("Bearer {TOKEN}")));
        assert_eq!(guard.enter(&right).map(|operator| operator.to_string()), Ok("ann".into()));
        for shown in [None, Some("Bearer"), Some("Bearer sesame"), Some("Basic sesame"), Some(TOKEN)] {
            let fault = guard.enter(&request(shown)).unwrap_err();
            assert_eq!(fault.code, Code::Unauthenticated, "{shown:?}");
            assert!(!fault.detail.contains("sesame") && !fault.detail.contains(TOKEN), "{fault}");
        }
    }

    #[test]
    fn who_guesses_over_and_over_is_too_fast_and_the_right_token_is_let_in_beside() {
        let (guard, own) = (guard(), Attempts::default());
        let of_one = |authorization: &str| {
            let mut request = request(Some(authorization));
            request.extensions_mut().insert(own.clone());
            request
        };
        let codes: Vec<_> =
            (0..50).map(|_| guard.enter(&of_one("Bearer sesame")).unwrap_err().code).collect();
        assert_eq!((codes[4], codes[49]), (Code::Unauthenticated, Code::TooFast));
        // Over the very same connection, as behind a proxy that many share.
        assert!(guard.enter(&of_one(&format!("Bearer {TOKEN}"))).is_ok());
        assert_eq!(guard.enter(&request(Some("Bearer sesame"))).unwrap_err().code, Code::Unauthenticated);
    }
}
