//! Log lines on standard error and, where a collector is named, spans over OTLP. Set up once for the process.
//!
//! The log's filter is the log's alone: a quiet log does not thin out traces. Only our own spans are exported, from level
//! `INFO` up: those of the exporter's own gRPC client would feed themselves.

use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use serde::{Deserialize, Serialize};
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer, Registry, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

/// Prefix of the targets whose spans are exported: our crates.
const OUR_TARGETS: &str = "stentor";

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One readable line an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

/// What to tell, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How a log line looks.
    pub format: Format,
    /// Which events and spans the log shows, as `tracing_subscriber::EnvFilter` reads it: `info`, or
    /// `info,stentor_link=debug`.
    pub filter: String,
    /// Where spans go: `http://host:port` of an OTLP collector's gRPC port. Without it none are exported.
    pub otlp_endpoint: Option<String>,
    /// The part of the traces begun here that is exported, 0 to 1. A trace that came from elsewhere keeps the
    /// decision made there.
    pub otlp_sample: f64,
    /// `service.name` of the exported spans.
    pub service_name: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            format: Format::Text,
            filter: "info".into(),
            otlp_endpoint: None,
            otlp_sample: 1.0,
            service_name: "stentor".into(),
        }
    }
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is not one.
    #[error("log filter {filter:?} cannot be read: {reason}; write for example info,stentor_link=debug")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The collector's address is not one.
    #[error("OTLP endpoint {endpoint:?} cannot be used: {reason}; write http://host:port of its gRPC port")]
    Endpoint {
        /// The endpoint as given.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The part of traces to export is out of bounds.
    #[error("OTLP sample {0} is not between 0 and 1")]
    Sample(f64),
    /// This process has set up logging before.
    #[error("logging is set up already in this process")]
    Twice,
}

impl Config {
    /// Whether the values can be what they say.
    ///
    /// # Errors
    /// Names the value that cannot.
    pub fn validate(&self) -> Result<(), Error> {
        self.env_filter()?;
        if !(0.0..=1.0).contains(&self.otlp_sample) {
            return Err(Error::Sample(self.otlp_sample));
        }
        match &self.otlp_endpoint {
            Some(endpoint) if !endpoint.starts_with("http://") => Err(Error::Endpoint {
                endpoint: endpoint.clone(),
                reason: "it does not start with http://".into(),
            }),
            _ => Ok(()),
        }
    }

    fn env_filter(&self) -> Result<EnvFilter, Error> {
        EnvFilter::builder()
            .parse(&self.filter)
            .map_err(|error| Error::Filter { filter: self.filter.clone(), reason: error.to_string() })
    }

    /// The provider of the exporting tracer; `None` where no collector is named.
    fn provider(&self, instance: &str) -> Result<Option<SdkTracerProvider>, Error> {
        let Some(endpoint) = &self.otlp_endpoint else { return Ok(None) };
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .build()
            .map_err(|error| Error::Endpoint { endpoint: endpoint.clone(), reason: error.to_string() })?;
        let resource = Resource::builder()
            .with_service_name(self.service_name.clone())
            .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(self.otlp_sample)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .with_sampler(sampler);
        Ok(Some(provider.build()))
    }
}

/// Sends what is still waiting when it is dropped, for at most 5 s. Keep it until the end of `main`, and drop it where
/// the tokio runtime still has another thread: the export runs on it.
#[derive(Debug)]
#[must_use = "spans that still wait are lost when it is dropped at once"]
pub struct Guard {
    provider: Option<SdkTracerProvider>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.provider.take().map(|provider| provider.shutdown()) {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// Sets up logging and tracing for the process, `instance` being `service.instance.id`: the node's id. With a collector
/// it must be called inside a tokio runtime.
///
/// # Errors
/// A value of the configuration cannot be used, or the process called this before.
pub fn init(config: &Config, instance: &str) -> Result<Guard, Error> {
    config.validate()?;
    let provider = config.provider(instance)?;
    let spans = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer::<Registry>()
            .with_tracer(provider.tracer(OUR_TARGETS))
            .with_location(false)
            .with_threads(false)
            .with_filter(Targets::new().with_target(OUR_TARGETS, Level::INFO))
    });
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(true);
    let lines = match config.format {
        Format::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(spans)
        .with(lines.with_filter(config.env_filter()?))
        .try_init()
        .map_err(|_| Error::Twice)?;
    Ok(Guard { provider })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_cannot_be_used_is_refused_by_name() {
        let refused = |config: Config| config.validate().unwrap_err().to_string();
        let filter = refused(Config { filter: "info,stentor=loudly".into(), ..Config::default() });
        assert!(filter.contains("stentor=loudly"), "{filter}");
        let endpoint = refused(Config { otlp_endpoint: Some("collector:4317".into()), ..Config::default() });
        assert!(endpoint.contains("collector:4317") && endpoint.contains("http://"), "{endpoint}");
        let sample = refused(Config { otlp_sample: 1.5, ..Config::default() });
        assert!(sample.contains("1.5"), "{sample}");
        assert!(Config::default().validate().is_ok());
    }
}
