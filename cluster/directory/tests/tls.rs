//! Mutual TLS to etcd: with certificates of the right authority, with none, and with a stranger's.

#![allow(unreachable_pub, clippy::unwrap_used, reason = "these are tests and what they share")]

mod support;

use std::{fs, path::Path};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use stentor_directory::{Directory, Error, EtcdConfig, EtcdTls};
use stentor_programs::{Etcd, ServerTls};
use support::{TTL, config, get, node, room, until};

/// An authority and what it has signed, as files in `folder`.
struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    fn files(&self, folder: &Path, name: &str) -> EtcdTls {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let write = |kind: &str, pem: String| {
            let path = folder.join(format!("{name}-{kind}.pem"));
            fs::write(&path, pem).unwrap();
            path
        };
        EtcdTls {
            ca: write("ca", self.certificate.pem()),
            cert: write("cert", certificate.pem()),
            key: write("key", key.serialize_pem()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_is_reached_by_mutual_tls_and_strangers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let EtcdTls { ca, cert, key } = ours.files(folder.path(), "server");
    let server = Etcd::start_with(ServerTls { ca, cert, key }).unwrap();
    let with = |tls: EtcdTls| EtcdConfig { tls: Some(tls), ..config(server.endpoint()) };

    let client = ours.files(folder.path(), "client");
    let directory = Directory::etcd(with(client.clone())).await.unwrap();
    let session = directory.register(node("n"), TTL).await.unwrap();
    directory.create(&room("a"), &b"x"[..]).await.unwrap();
    until(&directory, "the room", |view| view.rooms.len() == 1 && view.nodes.len() == 1).await;
    assert_eq!(get(&directory, "a").await.record, "x");
    session.close().await.unwrap();

    let stranger = theirs.files(folder.path(), "stranger");
    let unsigned = EtcdTls { ca: client.ca.clone(), ..stranger.clone() };
    let distrusting = EtcdTls { ca: stranger.ca, ..client.clone() };
    for tls in [unsigned, distrusting] {
        let Err(error) = Directory::etcd(with(tls)).await else { panic!("a stranger was let in") };
        let text = error.to_string();
        assert!(text.contains(&server.endpoint()) && text.contains("certificate"), "{text}");
    }
    let missing = EtcdTls { key: folder.path().join("missing.pem"), ..client };
    let Err(error) = Directory::etcd(with(missing)).await else { panic!("there is no such file") };
    assert!(matches!(&error, Error::Config(text) if text.contains("missing.pem")), "{error}");
}
