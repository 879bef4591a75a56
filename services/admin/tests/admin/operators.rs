//! Whose token it is, what is told under that name, and how fast wrong ones are answered.

use std::time::Duration;

use futures::future::join_all;
use stentor_admin::Config;
use stentor_ids::Code;
use stentor_kit::SOON;
use stentor_proto::v1::{
    self, Happening, Lifecycle, OperatorCall, admin_service_client::AdminServiceClient, happening::What,
};
use tokio::{io::AsyncReadExt as _, net::TcpStream, time::timeout};
use tonic::{Request, Streaming, transport::Channel};

use crate::support::{BEN, Cluster, TOKEN, asked, new, refused, target, told};

fn by<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

async fn next_call(stream: &mut Streaming<Happening>) -> (String, String, OperatorCall) {
    loop {
        let told = timeout(SOON, stream.message()).await.expect("news in time").unwrap().unwrap();
        if let Some(What::Operator(call)) = told.what {
            return (told.node, told.room, call);
        }
    }
}

fn call(name: &str, call: &str, target: &str) -> OperatorCall {
    OperatorCall { name: name.into(), call: call.into(), target: target.into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_changes_is_told_under_the_name_of_its_token() {
    let cluster = Cluster::start().await;
    let _origin = cluster.origin("o-1").await;
    let _puppet = cluster.puppet("o-2", |_, _| Ok(told("talk", Lifecycle::Open, 0))).await;
    let mut operators = AdminServiceClient::new(cluster.channel.clone());
    let watch = by(TOKEN, v1::WatchRequest::default());
    let mut stream = operators.watch_happenings(watch).await.unwrap().into_inner();

    operators.create_room(by(TOKEN, new("talk", true))).await.unwrap();
    // What changes nothing, or is refused, is not told.
    operators.get_room(by(BEN, asked("talk"))).await.unwrap();
    operators.create_room(by(BEN, new("talk", false))).await.unwrap_err();
    operators.ban_participant(by(BEN, target("talk", "eve"))).await.unwrap();
    operators.drain_node(by(TOKEN, v1::NodeRequest { node: "o-2".into() })).await.unwrap();
    operators.end_room(by(TOKEN, asked("talk"))).await.unwrap();
    operators.delete_room(by(BEN, asked("talk"))).await.unwrap();

    let of = |room: &str, call: OperatorCall| ("admin-1".to_owned(), room.to_owned(), call);
    for expected in [
        of("talk", call("ann", "create_room", "")),
        of("talk", call("ben", "ban_participant", "eve")),
        of("", call("ann", "drain_node", "o-2")),
        of("talk", call("ann", "end_room", "")),
        of("talk", call("ben", "delete_room", "")),
    ] {
        assert_eq!(next_call(&mut stream).await, expected);
    }
}

#[tokio::test]
async fn who_guesses_is_slowed_and_who_has_a_token_is_not() {
    let cluster = Cluster::start().await;
    let guess = |nth: usize| {
        let mut guesser = AdminServiceClient::new(cluster.channel.clone());
        async move {
            let token = format!("{nth:032}");
            let fault = refused(guesser.get_room(by(&token, asked("talk"))).await);
            assert!(!fault.detail.contains(&token), "{fault}");
            (fault.code, fault.retry_after.is_some())
        }
    };
    // As many as a connection may have under way: all at once, so that no slow machine gives them time.
    let answers = join_all((0..32).map(guess)).await;
    assert!(answers.contains(&(Code::Unauthenticated, false)), "{answers:?}");
    assert!(answers.contains(&(Code::TooFast, true)), "{answers:?}");
    let mut guesser = AdminServiceClient::new(cluster.channel.clone());
    // The operator's call goes over the very connection of the guesses.
    cluster.operator().create_room(new("talk", false)).await.unwrap();
    // Garbage of all kinds is one more wrong token, and never more than that.
    for garbage in ["Basic", "bearer", "Digest username=\"ann\"", "\u{e9}"] {
        let mut request = Request::new(asked("talk"));
        let value = format!("{garbage} {}", "x".repeat(4000));
        let Ok(value) = value.parse() else { continue };
        request.metadata_mut().insert("authorization", value);
        let fault = refused(guesser.get_room(request).await);
        assert!(matches!(fault.code, Code::Unauthenticated | Code::TooFast), "{fault}");
    }
    cluster.operator().get_room(asked("talk")).await.unwrap();
}

#[tokio::test]
async fn one_connection_more_than_there_may_be_is_closed_and_counted() {
    let cluster = Cluster::start_as(&Config { max_connections: 2, ..Config::default() }).await;
    cluster.operator().create_room(new("talk", false)).await.unwrap();
    let silent = TcpStream::connect(cluster.addr).await.unwrap();
    let mut more = TcpStream::connect(cluster.addr).await.unwrap();
    let closed = timeout(SOON, more.read(&mut [0; 64])).await.expect("it is closed in time");
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    let counted = r#"stentor_connections_refused_total{node="admin-1",port="admin"} 1"#;
    assert!(cluster.metrics.encode().contains(counted), "{}", cluster.metrics.encode());
    // Who was there goes on, and a place that is given up is had again.
    cluster.operator().get_room(asked("talk")).await.unwrap();
    drop(silent);
    let again = async {
        loop {
            let channel = Channel::from_shared(format!("http://{}", cluster.addr)).unwrap().connect().await;
            if let Ok(channel) = channel
                && Cluster::operator_over(channel).get_room(asked("talk")).await.is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, again).await.expect("there is a place again");
}
