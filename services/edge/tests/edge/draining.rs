//! An edge that leaves.

use std::time::{Duration, Instant};

use stentor_ids::Code;
use stentor_proto::{
    fault_of,
    v1::{
        ListenRequest, Visibility, listen_response::Message, listen_service_client::ListenServiceClient,
        speak_service_client::SpeakServiceClient,
    },
};
use tokio::time::timeout;

use super::{
    client::{get, listen},
    stage::{SOON, Stage, until},
};

#[tokio::test]
async fn newcomers_are_sent_away_natives_are_told_to_move_and_those_who_stay_are_fed() {
    let stage = Stage::new();
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
    let refused = get(stage.addr, "/v1/rooms/demo/live.ogg").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(client.listen(request).await.unwrap_err().code(), tonic::Code::Unavailable);
    let mut speaker = SpeakServiceClient::connect(format!("http://{}", stage.addr)).await.unwrap();
    let refused = speaker.speak(futures::stream::pending()).await.unwrap_err();
    assert_eq!(fault_of(&refused).code, Code::Draining);
    let told = loop {
        let message = timeout(SOON, native.message()).await.unwrap().unwrap().unwrap();
        if let Some(Message::Move(told)) = message.message {
            break told;
        }
    };
    assert_eq!((told.url.as_str(), told.deadline_ms), ("", 2000));
    let heard = stream.pages(3).await.len();
    stream.pages(heard + 8).await;
    assert!(!draining.await.unwrap(), "two were still there at the deadline");
    assert!(start.elapsed() >= Duration::from_secs(2));
    stage.edge.undrain();
    assert_eq!(get(stage.addr, "/readyz").await.status, 200);
}

#[tokio::test]
async fn a_drain_is_over_as_soon_as_everyone_has_gone() {
    let stage = Stage::new();
    let _air = stage.on_air(Visibility::Public);
    let stream = listen(stage.addr, "/v1/rooms/demo/live.ogg").await;
    let edge = stage.edge.clone();
    let draining = tokio::spawn(async move { edge.drain(Duration::from_secs(60)).await });
    until("it is not ready", || !stage.edge.ready()).await;
    drop(stream);
    assert!(timeout(SOON, draining).await.expect("the drain ends").unwrap());
}
