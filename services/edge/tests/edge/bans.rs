//! Who is banned hears nothing, wherever the edge learns of it from; and nobody is told who is.

use std::sync::Arc;

use stentor_ids::{Code, Epoch, ParticipantId, Role};
use stentor_kit::{SOON, until_async as until};
use stentor_proto::{
    fault_of,
    v1::{
        JoinRequest, Lifecycle, ListenRequest, ListenResponse, RoomRequest, RoomStatus, Visibility,
        listen_response::Message, listen_service_client::ListenServiceClient, participant_event::What,
        participant_service_client::ParticipantServiceClient,
    },
};
use tokio::time::timeout;
use tonic::{Request, Status, Streaming};

use super::{
    client::{get, listen},
    stage::{Stage, status},
};

fn with<T>(message: T, ticket: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {ticket}").parse().unwrap());
    request
}

async fn hear(stage: &Stage, ticket: &str) -> Result<Streaming<ListenResponse>, Status> {
    let mut client = ListenServiceClient::connect(format!("http://{}", stage.addr)).await.unwrap();
    let request = ListenRequest { room: "demo".into(), unbuffered: false };
    Ok(client.listen(with(request, ticket)).await?.into_inner())
}

fn live() -> RoomStatus {
    status("demo", Lifecycle::Live, Visibility::Private)
}

fn id(name: &str) -> ParticipantId {
    ParticipantId::new(name).unwrap()
}

#[tokio::test]
async fn who_is_banned_does_not_come_into_a_room_that_the_edge_has_yet_to_begin() {
    let stage = Stage::new().await;
    stage.origin.keep(live()).set_all_banned(Epoch(1), [id("eve")]);
    let (ann, eve) = (stage.listener("ann"), stage.listener("eve"));
    for path in ["live.ogg", "events"] {
        let refused = get(stage.addr, &format!("/v1/rooms/demo/{path}?ticket={eve}")).await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "banned"), "{path}");
    }
    assert_eq!(fault_of(&hear(&stage, &eve).await.unwrap_err()).code, Code::Banned);
    hear(&stage, &ann).await.unwrap();
}

#[tokio::test]
async fn who_is_named_by_a_word_alone_is_cut_off_and_comes_back_when_it_is_not() {
    let stage = Stage::new().await;
    let air = stage.on_air(Visibility::Private);
    let (ann, eve) = (stage.listener("ann"), stage.listener("eve"));
    let mut steady = hear(&stage, &ann).await.unwrap();
    let mut native = hear(&stage, &eve).await.unwrap();
    let mut stream = listen(stage.addr, &format!("/v1/rooms/demo/live.ogg?ticket={eve}")).await;
    stream.pages(3).await;
    air.feed.set_all_banned(Epoch(1), [id("bob"), id("eve")]);
    let refused = loop {
        if let Err(refused) = timeout(SOON, native.message()).await.unwrap() {
            break refused;
        }
    };
    assert_eq!(fault_of(&refused).code, Code::Banned);
    stream.rest().await;
    assert_eq!(fault_of(&hear(&stage, &eve).await.unwrap_err()).code, Code::Banned);

    air.feed.set_banned(id("eve"), false);
    until("eve may come back", async || hear(&stage, &eve).await.is_ok()).await;
    let mut seen = 0;
    while seen < 50 {
        if let Some(Message::Frame(_)) =
            timeout(SOON, steady.message()).await.unwrap().unwrap().unwrap().message
        {
            seen += 1;
        }
    }
}

#[tokio::test]
async fn who_is_banned_is_told_why_and_the_next_owner_s_word_holds() {
    let stage = Stage::new().await;
    let air = stage.on_air(Visibility::Private);
    let (ann, eve) = (stage.listener("ann"), stage.listener("eve"));
    let _steady = hear(&stage, &ann).await.unwrap();
    let mut native = hear(&stage, &eve).await.unwrap();
    air.event("eve", What::Banned("spam".into()));
    let refused = loop {
        if let Err(refused) = timeout(SOON, native.message()).await.unwrap() {
            break fault_of(&refused);
        }
    };
    assert_eq!((refused.code, refused.detail.as_ref()), (Code::Banned, "banned: spam"));
    assert_eq!(fault_of(&hear(&stage, &eve).await.unwrap_err()).code, Code::Banned);
    // An owner that never saved it is gone; the next one does not know of it.
    air.feed.set_all_banned(Epoch(2), [id("bob")]);
    until("eve may come back", async || hear(&stage, &eve).await.is_ok()).await;
}

#[tokio::test]
async fn nobody_is_told_who_is_banned() {
    let stage = Stage::new().await;
    let feed = stage.origin.keep(live());
    feed.set_all_banned(Epoch(1), [id("eve-the-banned")]);
    let ann = stage.ticket("ann", Role::Host, SOON);
    let told = get(stage.addr, &format!("/v1/rooms/demo?ticket={ann}")).await;
    assert!(told.status == 200 && !String::from_utf8_lossy(&told.body).contains("banned"));
    let mut native = hear(&stage, &ann).await.unwrap();
    feed.set_status(Arc::new(RoomStatus { stage_version: 9, ..live() }));
    let mut versions = Vec::new();
    while versions.last() != Some(&9) {
        if let Some(Message::Room(room)) =
            timeout(SOON, native.message()).await.unwrap().unwrap().unwrap().message
        {
            assert!(!format!("{room:?}").contains("banned"));
            versions.push(room.stage_version);
        }
    }
    let mut client = ParticipantServiceClient::connect(format!("http://{}", stage.addr)).await.unwrap();
    let listener = stage.listener("lis");
    for ticket in [&ann, &listener] {
        let join = client.join(with(JoinRequest { room: "demo".into() }, ticket)).await.unwrap().into_inner();
        assert!(!format!("{join:?}").contains("banned"));
    }
    let done = client.raise_hand(with(RoomRequest { room: "demo".into() }, &ann)).await.unwrap().into_inner();
    assert!(!format!("{done:?}").contains("banned"));
}
