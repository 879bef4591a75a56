//! Spans reach a real OTLP collector over gRPC, and a call's two sides are one trace.

use std::time::Duration;

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::Span,
};
use stentor_telemetry::{Config, propagation};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, metadata::MetadataMap};

/// A collector that hands on what it is sent.
struct Collector(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn collector() -> (String, mpsc::UnboundedReceiver<ExportTraceServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("a bound port"));
    let (sender, received) = mpsc::unbounded_channel();
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector(sender)));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (endpoint, received)
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name} in {spans:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_of_a_call_are_one_trace_at_the_collector() {
    let (endpoint, mut received) = collector().await;
    // A log that shows nothing does not keep spans from the collector.
    let config = Config { otlp_endpoint: Some(endpoint), filter: "off".into(), ..Config::default() };
    let guard = stentor_telemetry::init(&config, "edge-1").unwrap();

    // The caller's side: its span's context leaves in the request's metadata.
    let mut metadata = MetadataMap::new();
    tracing::info_span!(target: "stentor_test", "join").in_scope(|| propagation::inject(&mut metadata));
    assert!(metadata.contains_key("traceparent"));
    // The callee's side knows nothing but that metadata.
    let span = tracing::info_span!(target: "stentor_test", "subscribe", room = "town-hall");
    propagation::adopt(&span, &metadata);
    span.in_scope(|| tracing::info!(target: "stentor_test", "subscribed"));
    drop(span);
    tracing::info_span!(target: "h2::client", "not ours").in_scope(|| {});
    // What still waits is sent when the guard goes.
    drop(guard);

    let export = timeout(Duration::from_secs(10), received.recv()).await.unwrap().unwrap();
    let resource = export.resource_spans[0].resource.clone().unwrap();
    let attribute = |key: &str| {
        let found = resource.attributes.iter().find(|attribute| attribute.key == key);
        found.and_then(|attribute| attribute.value.clone()).and_then(|value| value.value)
    };
    assert_eq!(attribute("service.name"), Some(Value::StringValue("stentor".into())));
    assert_eq!(attribute("service.instance.id"), Some(Value::StringValue("edge-1".into())));

    let scopes = export.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    let spans: Vec<Span> = scopes.flat_map(|scope| scope.spans.clone()).collect();
    assert_eq!(spans.len(), 2, "{spans:?}");
    let (join, subscribe) = (named(&spans, "join"), named(&spans, "subscribe"));
    assert_eq!(subscribe.trace_id, join.trace_id);
    assert_eq!(subscribe.parent_span_id, join.span_id);
    assert!(subscribe.attributes.iter().any(|attribute| attribute.key == "room"));
    assert!(stentor_telemetry::init(&Config::default(), "edge-1").is_err(), "a second set-up is refused");
}
