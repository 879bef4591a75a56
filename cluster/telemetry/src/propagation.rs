//! The trace context as it crosses from process to process: W3C Trace Context (`traceparent`, `tracestate`) in gRPC
//! metadata and HTTP headers. Without an exporter there is no context, and nothing is written.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::metadata::MetadataMap;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Writes the current span's context into the metadata of a gRPC request that is about to leave.
pub fn inject(metadata: &mut MetadataMap) {
    inject_http(metadata.as_mut());
}

/// Writes the current span's context into the headers of an HTTP request that is about to leave.
pub fn inject_http(headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut Headers(headers));
}

/// Makes the span that a gRPC request came from the parent of `span`. Call it before the span is first entered: a span
/// that has begun keeps its parent.
pub fn adopt(span: &Span, metadata: &MetadataMap) {
    adopt_http(span, metadata.as_ref());
}

/// Makes the span that an HTTP request came from the parent of `span`, as [`adopt`] does.
pub fn adopt_http(span: &Span, headers: &HeaderMap) {
    if !headers.contains_key("traceparent") {
        return;
    }
    let parent = TraceContextPropagator::new().extract(&Readable(headers));
    // It fails where nothing is exported, and then there is nothing to be the parent of.
    drop(span.set_parent(parent));
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(key), Ok(value)) = (key.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            self.0.insert(key, value);
        }
    }
}

struct Readable<'a>(&'a HeaderMap);

impl Extractor for Readable<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
