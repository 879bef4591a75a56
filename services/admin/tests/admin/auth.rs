//! Who gets in, and what is there for those who do not.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use stentor_admin::{Admin, Config, Error, Protection, Tls};
use stentor_directory::Roles;
use stentor_host::Topology;
use stentor_ids::{Code, NodeId};
use stentor_link::{Journal, Pool, Security, control};
use stentor_proto::{
    fault_of,
    v1::{self, admin_service_client::AdminServiceClient},
};
use tokio_stream::StreamExt as _;
use tonic::{
    Request,
    transport::{Certificate, Channel, ClientTlsConfig},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::support::{Cluster, TOKEN, asked, new, refused, tokens};

/// Where a second port of the cluster would listen.
fn bound(cluster: &Cluster, listen: SocketAddr, tls: Option<Tls>) -> Result<SocketAddr, Error> {
    let metrics = cluster.metrics.for_node(&NodeId::new("admin-2").unwrap());
    let ways = stentor_admin::Cluster {
        directory: cluster.directory.clone(),
        topology: Arc::new(Topology::new(cluster.directory.view(), Roles::all())),
        control: control::Client::new(Pool::new(Security::Insecure, None, &metrics).unwrap()),
        journal: Journal::new(NodeId::new("admin-2").unwrap()),
    };
    let config = Config { listen, ..Config::default() };
    let protection = Protection { tokens: tokens(), tls, insecure: false };
    Admin::new(&config, protection, ways, metrics).map(|admin| admin.local_addr())
}

#[tokio::test]
async fn no_call_gets_in_without_an_admin_token() {
    let cluster = Cluster::start().await;
    let mut nobody = AdminServiceClient::new(cluster.channel.clone());
    assert_eq!(refused(nobody.create_room(new("talk", true)).await).code, Code::Unauthenticated);
    assert_eq!(refused(nobody.end_room(asked("talk")).await).code, Code::Unauthenticated);
    assert_eq!(refused(nobody.list_nodes(v1::ListNodesRequest {}).await).code, Code::Unauthenticated);
    let watch = nobody.watch_rooms(v1::WatchRoomsRequest::default()).await;
    assert_eq!(fault_of(&watch.unwrap_err()).code, Code::Unauthenticated);
    // Over another connection: one that shows too many wrong ones is answered slowly.
    let again = Channel::from_shared(format!("http://{}", cluster.addr)).unwrap().connect().await.unwrap();
    let mut nobody = AdminServiceClient::new(again);
    for wrong in [format!("Bearer {TOKEN}x"), "Bearer".into(), format!("Basic {TOKEN}"), TOKEN.into()] {
        let mut request = Request::new(asked("talk"));
        request.metadata_mut().insert("authorization", wrong.parse().unwrap());
        let fault = refused(nobody.get_room(request).await);
        assert_eq!(fault.code, Code::Unauthenticated, "{wrong}");
        assert!(!fault.detail.contains(TOKEN), "{fault}");
    }
    assert!(cluster.directory.list().await.unwrap().is_empty());
    let counted = r#"stentor_refusals_total{node="admin-1",code="unauthenticated"} 8"#;
    assert!(cluster.metrics.encode().contains(counted), "{}", cluster.metrics.encode());
}

#[tokio::test]
async fn health_and_reflection_need_no_token() {
    let cluster = Cluster::start().await;
    let mut health = HealthClient::new(cluster.channel.clone());
    for service in ["", "stentor.v1.AdminService"] {
        let answer = health.check(HealthCheckRequest { service: service.into() }).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(cluster.channel.clone());
    let asked = tokio_stream::once(request);
    let answer = reflection.server_reflection_info(asked).await.unwrap().into_inner().next().await;
    let Some(MessageResponse::ListServicesResponse(services)) = answer.unwrap().unwrap().message_response
    else {
        panic!("it lists no services")
    };
    let names: BTreeSet<_> = services.service.into_iter().map(|service| service.name).collect();
    let served = [
        "stentor.v1.AdminService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ];
    assert_eq!(names, served.map(str::to_owned).into(), "what this port serves and nothing else");
}

#[tokio::test]
async fn a_port_that_cannot_be_is_refused_with_its_address() {
    let cluster = Cluster::start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let bind = |listen| bound(&cluster, listen, None);
    let addr = taken.local_addr().unwrap();
    let error = bind(addr).unwrap_err();
    assert!(matches!(error, Error::Bind { .. }) && error.to_string().contains(&addr.to_string()), "{error}");
    let error = bind("0.0.0.0:0".parse().unwrap()).unwrap_err();
    assert!(matches!(error, Error::PlainText { .. }), "{error}");
    assert!(bind("127.0.0.1:0".parse().unwrap()).is_ok());
}

#[tokio::test]
async fn operators_are_served_over_tls_and_plain_text_is_not() {
    let made = rcgen::generate_simple_self_signed(["admin.test".to_owned()]).unwrap();
    let (cert_pem, key_pem) = (made.cert.pem(), made.signing_key.serialize_pem());
    let cluster = Cluster::start_over(&Tls { cert_pem: cert_pem.clone(), key_pem }).await;
    let tls =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(cert_pem)).domain_name("admin.test");
    let secured = Channel::from_shared(format!("https://{}", cluster.addr)).unwrap().tls_config(tls).unwrap();
    let mut operator = Cluster::operator_over(secured.connect().await.unwrap());
    operator.create_room(new("talk", false)).await.unwrap();
    // The cluster's own connection is plain text.
    assert_eq!(refused(cluster.operator().get_room(asked("talk")).await).code, Code::NodeUnavailable);
}

#[tokio::test]
async fn a_certificate_that_is_none_is_refused_and_no_key_is_shown() {
    let tls = Tls { cert_pem: "no certificate".into(), key_pem: "a secret".into() };
    assert_eq!(format!("{tls:?}"), "Tls");
    let listen = "127.0.0.1:0".parse().unwrap();
    let error = bound(&Cluster::start().await, listen, Some(tls)).unwrap_err();
    assert!(matches!(error, Error::Transport(_)) && !error.to_string().contains("secret"), "{error}");
}
