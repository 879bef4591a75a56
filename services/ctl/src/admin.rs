//! The connection to an admin node. Every call carries the token; none waits without a bound.

use std::{error::Error as _, time::Duration};

use stentor_proto::{fault_of, v1::admin_service_client::AdminServiceClient};
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::{failure::Failure, settings::Settings};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for an answer: an admin node itself tries for some ten seconds to reach a room's owner.
const ANSWER: Duration = Duration::from_secs(20);
/// How often a connection is tried for life, and how long that may take.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

pub(crate) type Client = AdminServiceClient<InterceptedService<Channel, Bearer>>;

/// An admin node.
pub(crate) struct Admin {
    pub(crate) client: Client,
    url: String,
}

#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl Admin {
    /// Connects.
    pub(crate) async fn connect(settings: &Settings) -> Result<Self, Failure> {
        let url = settings.admin.clone();
        let token = settings.token()?;
        let bearer = format!("Bearer {token}").parse();
        let mut bearer: MetadataValue<Ascii> = bearer
            .map_err(|_| Failure::Other("the admin token holds characters that no token has".to_owned()))?;
        bearer.set_sensitive(true);
        let endpoint = endpoint(&url, settings)?;
        let unreachable = |reason| Failure::Unreachable { what: "admin node", url: url.clone(), reason };
        let channel = match tokio::time::timeout(CONNECT, endpoint.connect()).await {
            Ok(channel) => channel.map_err(|error| unreachable(root(&error)))?,
            Err(_) => return Err(unreachable(format!("no answer within {CONNECT:?}"))),
        };
        Ok(Self { client: AdminServiceClient::with_interceptor(channel, Bearer(bearer)), url })
    }

    /// The answer of a call, or why there is none.
    pub(crate) fn answer<T>(&self, answer: Result<Response<T>, Status>) -> Result<T, Failure> {
        answer.map(Response::into_inner).map_err(|status| self.failure(&status))
    }

    pub(crate) fn failure(&self, status: &Status) -> Failure {
        match status.source() {
            Some(source) => {
                Failure::Unreachable { what: "admin node", url: self.url.clone(), reason: root(source) }
            }
            None => Failure::Refused(fault_of(status)),
        }
    }
}

fn endpoint(url: &str, settings: &Settings) -> Result<Endpoint, Failure> {
    let bad = |reason: &str| Failure::Usage(format!("--admin {url:?}: {reason}"));
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| bad(&error.to_string()))?;
    let endpoint = endpoint
        .connect_timeout(CONNECT)
        .timeout(ANSWER)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE.0)
        .keep_alive_timeout(KEEPALIVE.1);
    match endpoint.uri().scheme_str() {
        Some("http") => Ok(endpoint),
        Some("https") => {
            let ca =
                settings.ca()?.ok_or_else(|| bad("https needs certificates to trust; give --ca FILE"))?;
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
            endpoint.tls_config(tls).map_err(|error| bad(&root(&error)))
        }
        _ => Err(bad("give http://host:port or https://host:port")),
    }
}

/// The innermost cause, which names the system's reason.
fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
