//! The public port with a certificate.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use stentor_edge::Tls;
use stentor_proto::v1::{ListenRequest, Visibility, listen_service_client::ListenServiceClient};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_rustls::TlsConnector;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use super::{
    client::{Stream, judged},
    stage::Stage,
};

async fn secured() -> (Stage, CertificateDer<'static>, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let tls = Tls { cert_pem: cert.pem(), key_pem: signing_key.serialize_pem() };
    (Stage::over(&tls).await, cert.der().clone(), cert.pem())
}

#[tokio::test]
async fn https_listeners_are_served_by_the_shards_to_a_clean_end() {
    let (stage, cert, _) = secured().await;
    let air = stage.on_air(Visibility::Public);
    let mut roots = RootCertStore::empty();
    roots.add(cert).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // What browsers offer.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let socket = TcpStream::connect(stage.addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut socket = TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
    assert_eq!(socket.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    socket.write_all(b"GET /v1/rooms/demo/live.ogg HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut stream = Stream { socket, read: Vec::new() };
    stream.pages(12).await;
    air.end().await;
    judged(&stream.rest().await);
}

#[tokio::test]
async fn grpc_is_chosen_by_those_who_offer_nothing_else() {
    let (stage, _, pem) = secured().await;
    let _air = stage.on_air(Visibility::Public);
    let tls = ClientTlsConfig::new().domain_name("localhost").ca_certificate(Certificate::from_pem(pem));
    let channel = Channel::from_shared(format!("https://{}", stage.addr)).unwrap().tls_config(tls).unwrap();
    let mut client = ListenServiceClient::new(channel.connect().await.unwrap());
    let request = ListenRequest { room: "demo".into(), unbuffered: false };
    let mut stream = client.listen(request).await.unwrap().into_inner();
    for _ in 0..10 {
        assert!(stream.message().await.unwrap().is_some());
    }
}

#[tokio::test]
async fn plain_http_is_hung_up_on() {
    let (stage, ..) = secured().await;
    let mut socket = TcpStream::connect(stage.addr).await.unwrap();
    socket.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    // The TLS alert that says so is no HTTP.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut said).await;
    assert!(!said.starts_with(b"HTTP"));
}
