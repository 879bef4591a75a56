//! An edge that leaves.

use std::time::Duration;

use stentor_ids::{Code, RoomId, Slot};
use stentor_kit::{SOON, until};
use stentor_probe::{ListenConfig, ListenEnd, Listener, Patience, Target};
use stentor_proto::{
    fault_of, length_of,
    v1::{
        self, ListenRequest, ListenResponse, Visibility, listen_response::Message,
        listen_service_client::ListenServiceClient, speak_service_client::SpeakServiceClient,
    },
};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::{
    client::{get, listen},
    stage::Stage,
};

async fn told_to_move(native: &mut Streaming<ListenResponse>) -> v1::Move {
    loop {
        let message = timeout(SOON, native.message()).await.unwrap().unwrap().unwrap();
        if let Some(Message::Move(told)) = message.message {
            return told;
        }
    }
}

#[tokio::test]
async fn newcomers_are_sent_away_natives_are_told_to_move_and_those_who_stay_are_fed() {
    let stage = Stage::new().await;
    let _air = stage.on_air(Visibility::Public);
    let mut stream = listen(stage.addr, "/v1/rooms/demo/live.ogg").await;
    let mut client = ListenServiceClient::connect(format!("http://{}", stage.addr)).await.unwrap();
    let request = ListenRequest { room: "demo".into(), unbuffered: false };
    let mut native = client.listen(request.clone()).await.unwrap().into_inner();
    let (edge, start) = (stage.edge.clone(), Instant::now());
    let draining = tokio::spawn(async move { edge.drain(Duration::from_secs(2)).await });
    until("it is not ready", || !stage.edge.ready()).await;

    let ready = get(stage.addr, "/readyz").await;
    assert_eq!((ready.status, ready.code().as_str()), (503, "draining"));
    assert_eq!(get(stage.addr, "/healthz").await.status, 200);
    for path in ["/v1/rooms/demo/live.ogg", "/v1/rooms/demo/events"] {
        let refused = get(stage.addr, path).await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    }
    assert_eq!(client.listen(request).await.unwrap_err().code(), tonic::Code::Unavailable);
    let mut speaker = SpeakServiceClient::connect(format!("http://{}", stage.addr)).await.unwrap();
    let refused = speaker.speak(futures::stream::pending()).await.unwrap_err();
    assert_eq!(fault_of(&refused).code, Code::Draining);
    let told = told_to_move(&mut native).await;
    assert_eq!(told.url, "", "there is no other edge");
    assert!((1..=1600).contains(&length_of(told.deadline).as_millis()), "{told:?}");
    let heard = stream.pages(3).await.len();
    // Plain Ogg is fed to the end of the time there is.
    let mut fed = heard;
    while start.elapsed() < Duration::from_millis(1900) {
        fed += 1;
        stream.pages(fed).await;
    }
    assert!(!draining.await.unwrap(), "two were still there at the deadline");
    assert!(start.elapsed() >= Duration::from_secs(2));
    let pages = stream.pages(fed + 3).await;
    assert!(pages[2..].windows(2).all(|two| two[1].slot == two[0].slot + 5), "{pages:?}");
    stage.edge.undrain();
    assert_eq!(get(stage.addr, "/readyz").await.status, 200);
}

#[tokio::test]
async fn a_drain_is_over_as_soon_as_everyone_has_gone() {
    let stage = Stage::new().await;
    let _air = stage.on_air(Visibility::Public);
    let stream = listen(stage.addr, "/v1/rooms/demo/live.ogg").await;
    let edge = stage.edge.clone();
    let draining = tokio::spawn(async move { edge.drain(Duration::from_secs(60)).await });
    until("it is not ready", || !stage.edge.ready()).await;
    drop(stream);
    assert!(timeout(SOON, draining).await.expect("the drain ends").unwrap());
}

#[tokio::test]
async fn each_is_told_the_address_of_an_edge_that_stays_and_a_deadline_of_its_own() {
    const CROWD: usize = 24;
    let stage = Stage::new().await;
    let _air = stage.on_air(Visibility::Public);
    let others = [stage.other("edge-2").await, stage.other("edge-3").await];
    let mut client = ListenServiceClient::connect(format!("http://{}", stage.addr)).await.unwrap();
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let request = ListenRequest { room: "demo".into(), unbuffered: false };
        crowd.push(client.listen(request).await.unwrap().into_inner());
    }
    let (edge, within) = (stage.edge.clone(), Duration::from_secs(20));
    tokio::spawn(async move { edge.drain(within).await });
    let within = within.as_millis();
    let (mut deadlines, mut urls) = (Vec::new(), std::collections::BTreeMap::<_, usize>::new());
    for native in &mut crowd {
        let told = told_to_move(native).await;
        *urls.entry(told.url).or_default() += 1;
        deadlines.push(length_of(told.deadline).as_millis());
    }
    let known = others.each_ref().map(|other| format!("http://{}", other.addr));
    assert!(known.iter().all(|url| urls[url] >= 3) && urls.len() == 2, "{urls:?}");
    deadlines.sort_unstable();
    assert!(deadlines[0] >= within / 5 - 2000 && deadlines[CROWD - 1] <= within * 4 / 5, "{deadlines:?}");
    assert!(deadlines[CROWD - 1] - deadlines[0] > within / 2, "{deadlines:?}");
}

#[tokio::test]
async fn a_listener_who_follows_the_hint_misses_no_slot_and_hears_none_twice() {
    let stage = Stage::new().await;
    let air = stage.on_air(Visibility::Public);
    let other = stage.other("edge-2").await;
    let listeners: Vec<_> = (0..8)
        .map(|n| {
            let target = Target { edges: vec![format!("http://{}", stage.addr)], ..Target::default() };
            let config = ListenConfig {
                target,
                room: RoomId::new("demo").unwrap(),
                unbuffered: n % 2 == 1,
                reconnect: false,
                patience: Patience::default(),
            };
            let listener = Listener::new(config, ());
            (listener.handle(), tokio::spawn(listener.run(CancellationToken::new())))
        })
        .collect();
    for (handle, _) in &listeners {
        assert!(handle.clone().wait_for(|record| record.got() >= 20).await);
    }
    assert!(timeout(SOON, stage.edge.drain(Duration::from_secs(4))).await.unwrap(), "all have gone");
    assert_eq!(other.edge.connections(), 8);
    let at = air.feed.highest().unwrap();
    for (handle, _) in &listeners {
        let beyond = |slot: Slot| slot > at.plus(10);
        assert!(handle.clone().wait_for(|record| record.next_slot().is_some_and(beyond)).await);
    }
    air.end().await;
    for (handle, run) in listeners {
        let (end, ()) = timeout(SOON, run).await.unwrap().unwrap().unwrap();
        let report = handle.report();
        assert_eq!((end, report.moves, report.reconnects), (ListenEnd::RoomEnded, 1, 0));
        assert_eq!((report.missed, report.repeated, report.out_of_order), (0, 0, 0), "{report:?}");
    }
}
