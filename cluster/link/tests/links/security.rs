//! Mutual TLS between nodes: who has no certificate of the cluster's authority is refused.

use std::{net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use stentor_ids::Code;
use stentor_link::{
    Carry, LinkServer, Pool, SERVER_NAME, Security, Services,
    control::{Client, Handler},
};
use stentor_proto::v1::{self, downlink_service_client::DownlinkServiceClient};
use stentor_telemetry::Metrics;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    cluster::{Rooms, SOON, id, live},
    control::Answers,
    lagging_child::hello,
};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// What a node is given.
    fn node(&self, name: &str) -> Security {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        Security::Mutual { ca_pem: self.0.pem(), cert_pem: cert.pem(), key_pem: key.serialize_pem() }
    }
}

fn serve(security: &Security) -> SocketAddr {
    let rooms = Arc::new(Rooms::default());
    let feed = rooms.own(live("origin-1", 1));
    feed.push(super::cluster::frame(1, 3));
    let server = LinkServer::bind("127.0.0.1:0".parse().unwrap(), security).unwrap();
    let addr = server.local_addr();
    let control: Arc<dyn Handler> = Arc::new(Answers::default());
    let services =
        Services { own: Some(rooms as Arc<dyn Carry>), control: Some(control), ..Default::default() };
    let metrics = Metrics::new().for_node(&id("origin-1"));
    tokio::spawn(server.run(id("origin-1"), services, metrics, CancellationToken::new()));
    addr
}

async fn probe(security: Security, addr: SocketAddr) -> Result<v1::ProbeResponse, Code> {
    let pool = Pool::new(security, None, &Metrics::new().for_node(&id("n"))).unwrap();
    let answer = Client::new(pool).probe(&addr.to_string(), None).await;
    answer.map_err(|fault| fault.code)
}

#[tokio::test]
async fn nodes_of_one_authority_hear_each_other_and_nobody_else_does() {
    let authority = Authority::new();
    let addr = serve(&authority.node(SERVER_NAME));
    assert_eq!(probe(authority.node(SERVER_NAME), addr).await.unwrap().node, "origin-1");
    let pool = Pool::new(authority.node(SERVER_NAME), None, &Metrics::new().for_node(&id("n"))).unwrap();
    let message = Some(v1::subscribe_request::Message::Hello(hello("relay-1")));
    let requests = tokio_stream::iter([v1::SubscribeRequest { message }]);
    let mut client = DownlinkServiceClient::new(pool.channel(&addr.to_string()).unwrap());
    let mut stream = timeout(SOON, client.subscribe(requests)).await.unwrap().unwrap().into_inner();
    assert!(timeout(SOON, stream.message()).await.unwrap().unwrap().is_some());

    assert_eq!(probe(Security::Insecure, addr).await, Err(Code::NodeUnavailable), "plain text");
    assert_eq!(
        probe(Authority::new().node(SERVER_NAME), addr).await,
        Err(Code::NodeUnavailable),
        "a stranger"
    );
    let no_node = authority.node("listener.example");
    let addr = serve(&no_node);
    assert_eq!(
        probe(authority.node(SERVER_NAME), addr).await,
        Err(Code::NodeUnavailable),
        "a certificate of the authority that is no node's"
    );
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
    let authority = Authority::new();
    let addr = serve(&authority.node(SERVER_NAME));
    let tls = ClientTlsConfig::new()
        .domain_name(SERVER_NAME)
        .ca_certificate(Certificate::from_pem(authority.0.pem()));
    let channel = Endpoint::from_shared(format!("https://{addr}")).unwrap().tls_config(tls).unwrap();
    let mut client = v1::control_service_client::ControlServiceClient::new(channel.connect_lazy());
    let answer = timeout(SOON, client.probe(v1::ProbeRequest::default())).await.unwrap();
    assert!(answer.is_err());
}

#[test]
fn plain_text_off_loopback_must_be_meant() {
    let (loopback, off) = ("127.0.0.1:1".parse().unwrap(), "192.0.2.1:1".parse().unwrap());
    assert_eq!(Security::Insecure.check(loopback, false), Ok(()));
    assert_eq!(Security::Insecure.check(off, true), Ok(()));
    let fault = Security::Insecure.check(off, false).unwrap_err();
    assert!(fault.detail.contains("mutual TLS"), "{fault}");
    assert_eq!(Authority::new().node(SERVER_NAME).check(off, false), Ok(()));
}

#[tokio::test]
async fn a_broken_certificate_is_refused_at_the_start() {
    let pem = || "no certificate".to_owned();
    let broken = Security::Mutual { ca_pem: pem(), cert_pem: pem(), key_pem: pem() };
    let fault = Pool::new(broken.clone(), None, &Metrics::new().for_node(&id("n"))).unwrap_err();
    assert_eq!(fault.code, Code::InvalidArgument, "{fault}");
    let error = LinkServer::bind("127.0.0.1:0".parse().unwrap(), &broken).err().unwrap();
    assert!(error.to_string().contains("certificate"), "{error}");
}
