//! Garbage, floods and the slow, none of which disturbs a listener.

use std::time::Duration;

use stentor_edge::Config;
use stentor_kit::{SOON, until};
use stentor_proto::v1::Visibility;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{
    client::{answer, get, listen, say},
    stage::Stage,
};

#[tokio::test]
async fn garbage_is_answered_with_a_problem_or_a_hang_up() {
    let stage = Stage::new().await;
    let _air = stage.on_air(Visibility::Public);
    let mut steady = listen(stage.addr, "/v1/rooms/demo/live.ogg").await;
    for garbage in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(),
        b"\x00\x00\x00\x00\x00\x00\x00\x00",
        b"hello?\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /v1/rooms/\u{7}/live.ogg HTTP/1.1\r\n\r\n".as_bytes(),
    ] {
        let told = say(stage.addr, garbage).await;
        assert_eq!((told.status, told.code().as_str()), (400, "invalid_argument"), "{garbage:?}");
    }
    let long = [b"GET / HTTP/1.1\r\nX: ".as_slice(), &[b'a'; 20_000]].concat();
    let told = say(stage.addr, &long).await;
    assert!(told.json()["detail"].as_str().unwrap().contains("longer than 8192 bytes"));
    let mut h2 = TcpStream::connect(stage.addr).await.unwrap();
    h2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nand then garbage of some length").await.unwrap();
    let mut said = Vec::new();
    // A reset is as good an end as any.
    let _ = timeout(SOON, h2.read_to_end(&mut said)).await.expect("it is hung up on");
    let heard = steady.pages(3).await.len();
    steady.pages(heard + 3).await;
    until("nothing of it is left", || stage.edge.connections() == 1).await;
}

#[tokio::test]
async fn a_head_that_drips_is_given_five_seconds_and_silence_as_well() {
    let stage = Stage::new().await;
    let mut dripping = TcpStream::connect(stage.addr).await.unwrap();
    let mut silent = TcpStream::connect(stage.addr).await.unwrap();
    let start = Instant::now();
    for byte in b"GET /" {
        dripping.write_all(&[*byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let told = answer(&mut dripping).await;
    assert_eq!((told.status, told.code().as_str()), (400, "invalid_argument"));
    assert!(start.elapsed() >= Duration::from_millis(4900));
    let mut said = Vec::new();
    timeout(SOON, silent.read_to_end(&mut said)).await.expect("it is hung up on").unwrap();
    assert!(said.is_empty());
}

#[tokio::test]
async fn connections_beyond_the_bound_are_told_to_come_back() {
    let stage = Stage::with(&Config { max_connections: 2, ..Config::default() }).await;
    let _air = stage.on_air(Visibility::Public);
    let mut first = listen(stage.addr, "/v1/rooms/demo/live.ogg").await;
    let second = listen(stage.addr, "/v1/rooms/demo/live.ogg").await;
    let third = get(stage.addr, "/v1/rooms/demo/live.ogg").await;
    assert_eq!((third.status, third.code().as_str()), (503, "overloaded"));
    assert_eq!(third.header("retry-after"), Some("5"));
    drop(second);
    until("there is room again", || stage.edge.connections() == 1).await;
    listen(stage.addr, "/v1/rooms/demo/live.ogg").await.pages(4).await;
    first.pages(10).await;
}

#[tokio::test]
async fn a_crowd_asking_for_rooms_that_are_not_there_disturbs_nobody() {
    let stage = Stage::new().await;
    let _air = stage.on_air(Visibility::Public);
    let mut steady = listen(stage.addr, "/v1/rooms/demo/live.ogg").await;
    let asked = (0..200).map(|n| {
        let addr = stage.addr;
        tokio::spawn(async move { get(addr, &format!("/v1/rooms/none-{n}/live.ogg")).await.status })
    });
    for status in futures::future::join_all(asked).await {
        assert_eq!(status.unwrap(), 404);
    }
    let pages = steady.pages(20).await;
    assert!(pages[2..].windows(2).all(|two| two[1].slot == two[0].slot + 5), "{pages:?}");
}
