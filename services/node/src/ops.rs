//! What a machine asks a node: `/healthz` (does the process answer), `/readyz` (should it be given work) and `/metrics`.
//!
//! It knows neither rooms nor listeners. `/readyz` says why not, where it says no.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use axum::{Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, routing::get};
use stentor_telemetry::Metrics;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Says why the process should be given no work now; `None` if it should.
pub(crate) type Unready = Arc<dyn Fn() -> Option<&'static str> + Send + Sync>;

/// The server, bound and not yet serving.
pub(crate) struct Ops(TcpListener);

impl Ops {
    /// Binds the port.
    pub(crate) async fn bind(listen: SocketAddr) -> Result<Self> {
        let bound = TcpListener::bind(listen).await;
        let named = || {
            format!(
                "cannot listen on {listen} for /metrics; give another address (--ops-listen, or --ops for dev)"
            )
        };
        bound.with_context(named).map(Self)
    }

    /// Serves until `shutdown`.
    pub(crate) async fn run(
        self,
        metrics: Metrics,
        unready: Unready,
        shutdown: CancellationToken,
    ) -> Result<()> {
        let router = Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz).with_state(unready))
            .route("/metrics", get(encode).with_state(metrics));
        let served = axum::serve(self.0, router).with_graceful_shutdown(shutdown.cancelled_owned());
        served.await.context("serving /metrics")
    }
}

async fn readyz(State(unready): State<Unready>) -> (StatusCode, String) {
    match unready() {
        None => (StatusCode::OK, "ready\n".into()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}

async fn encode(State(metrics): State<Metrics>) -> ([(axum::http::HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, Metrics::CONTENT_TYPE)], metrics.encode())
}
