//! An OTLP collector over gRPC, as the nodes of a cluster export their spans to, and the traces that come together in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Result, bail};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    trace::v1::ResourceSpans,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, async_trait, transport::Server};

/// The spans of a trace, each as the way that leads to it from the trace's beginning: `edge-a listen > relay-b subscribe`.
/// Where a parent has not been exported, by a client or not yet, the way begins with its id.
pub type Ways = BTreeSet<String>;

/// A running collector. Dropping it ends it.
#[derive(Debug)]
pub struct Collector {
    endpoint: String,
    traces: watch::Receiver<BTreeMap<String, Trace>>,
    server: JoinHandle<()>,
}

impl Collector {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let (sink, traces) = watch::channel(BTreeMap::new());
        let server = Server::builder().add_service(TraceServiceServer::new(Sink(sink)));
        let server = async { drop(server.serve_with_incoming(TcpListenerStream::new(listener)).await) };
        Ok(Self { endpoint, traces, server: tokio::spawn(server) })
    }

    /// Where spans are to be sent.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Waits until there is a trace with all of these spans, and gives its id: 32 hexadecimal digits. There may be others in
    /// it, as when a relay asks the mirror of a room as well as its owner.
    ///
    /// # Errors
    /// When there is none within that time; the error shows the traces that there are.
    pub async fn trace(&mut self, wanted: &Ways, within: Duration) -> Result<String> {
        let mut found = None;
        let come = self.traces.wait_for(|traces| {
            found =
                traces.iter().find(|(_, trace)| trace.ways().is_superset(wanted)).map(|(id, _)| id.clone());
            found.is_some()
        });
        let _ = timeout(within, come).await;
        let Some(id) = found else {
            let traces = self.traces.borrow();
            let ways: Vec<Ways> = traces.values().map(Trace::ways).collect();
            bail!("waited {within:?} in vain for a trace of {wanted:#?}; there are {ways:#?}");
        };
        Ok(id)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Spans by their ids.
#[derive(Debug, Default)]
struct Trace(BTreeMap<String, Span>);

#[derive(Debug)]
struct Span {
    /// Node and name.
    title: String,
    /// Empty where the trace begins.
    parent: String,
}

impl Trace {
    fn ways(&self) -> Ways {
        self.0.values().map(|span| self.way(span)).collect()
    }

    fn way(&self, span: &Span) -> String {
        match self.0.get(&span.parent) {
            Some(parent) => format!("{} > {}", self.way(parent), span.title),
            None if span.parent.is_empty() => span.title.clone(),
            None => format!("{} > {}", span.parent, span.title),
        }
    }
}

struct Sink(watch::Sender<BTreeMap<String, Trace>>);

#[async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send_modify(|traces| {
            request.into_inner().resource_spans.into_iter().for_each(|process| take(process, traces));
        });
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Takes in what one process has sent.
fn take(process: ResourceSpans, traces: &mut BTreeMap<String, Trace>) {
    let node = instance(&process);
    for span in process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
        let title = format!("{node} {}", span.name);
        let trace = traces.entry(hex(&span.trace_id)).or_default();
        trace.0.insert(hex(&span.span_id), Span { title, parent: hex(&span.parent_span_id) });
    }
}

/// The node that a process is: `service.instance.id`.
fn instance(process: &ResourceSpans) -> String {
    let attributes = process.resource.iter().flat_map(|resource| &resource.attributes);
    let value = attributes.into_iter().find(|attribute| attribute.key == "service.instance.id");
    match value.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(node)) => node.clone(),
        _ => "?".to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
