//! What an edge answers to those who cannot listen, or do not mean to.

use std::time::Duration;

use serde_json::json;
use stentor_clock::wall;
use stentor_ids::Role;
use stentor_proto::{
    moment,
    v1::{Lifecycle, Visibility},
};

use super::{
    client::{get, request, say},
    stage::{Stage, claims, status},
};

#[tokio::test]
async fn a_room_that_cannot_be_heard_says_why_and_when_to_come_back() {
    let stage = Stage::new().await;
    let mut soon = status("soon", Lifecycle::Scheduled, Visibility::Public);
    soon.spec.as_mut().unwrap().starts_at = Some(moment(wall().as_micros() + 90_000_000));
    stage.origin.keep(soon);
    stage.origin.keep(status("open", Lifecycle::Open, Visibility::Public));
    stage.origin.keep(status("over", Lifecycle::Ended, Visibility::Public));
    let mut orphan = status("orphan", Lifecycle::Live, Visibility::Public);
    orphan.owner.clear();
    stage.origin.keep(orphan);
    for (room, code, http, waits) in [
        ("soon", "not_live_yet", 425, Some(85..=91)),
        ("open", "not_live_yet", 425, Some(5..=5)),
        ("over", "room_ended", 410, None),
        ("orphan", "no_owner", 503, Some(1..=1)),
        ("nowhere", "unknown_room", 404, None),
        ("bad%20name", "invalid_argument", 400, None),
    ] {
        let answer = get(stage.addr, &format!("/v1/rooms/{room}/live.ogg")).await;
        assert_eq!((answer.code().as_str(), answer.status), (code, http), "{room}");
        let told: Option<u64> = answer.header("retry-after").map(|wait| wait.parse().unwrap());
        assert_eq!(told, answer.json().get("retry_after").map(|wait| wait.as_u64().unwrap()), "{room}");
        assert_eq!(told.is_some(), waits.is_some(), "{room}");
        assert!(waits.is_none_or(|waits| waits.contains(&told.unwrap())), "{room}: {told:?}");
        assert!(answer.json()["detail"].as_str().unwrap().len() > 20, "{room}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let head = request(stage.addr, "HEAD", &format!("/v1/rooms/{room}/live.ogg"), "").await;
        assert_eq!((head.status, head.body.len()), (http, 0), "{room}");
    }
}

#[tokio::test]
async fn a_page_time_that_cannot_be_is_refused_with_its_value() {
    let stage = Stage::new().await;
    let _air = stage.on_air(Visibility::Public);
    for page in ["0", "10", "30", "1020", "-20", "many", ""] {
        let answer = get(stage.addr, &format!("/v1/rooms/demo/live.ogg?page={page}")).await;
        assert_eq!(answer.code(), "invalid_argument", "{page}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(&format!("page={page} ")), "{page}");
    }
}

#[tokio::test]
async fn a_private_room_is_heard_with_a_ticket_for_it_and_not_without() {
    let stage = Stage::new().await;
    let _air = stage.on_air(Visibility::Private);
    let live = "/v1/rooms/demo/live.ogg";
    let old = stage.sign(&claims("ann", Role::Listener, wall() - Duration::from_secs(60)));
    let good = stage.listener("ann");
    stage.origin.keep(status("other", Lifecycle::Live, Visibility::Private));
    let forged = format!("{}x", &good[..good.len() - 1]);
    for (path, fields, code, http) in [
        (live.to_owned(), String::new(), "unauthenticated", 401),
        (live.to_owned(), "Authorization: Basic YTpi\r\n".to_owned(), "invalid_ticket", 401),
        (live.to_owned(), format!("Authorization: Bearer {forged}\r\n"), "invalid_ticket", 401),
        (format!("{live}?ticket=nonsense"), String::new(), "invalid_ticket", 401),
        (format!("{live}?ticket={old}"), String::new(), "ticket_expired", 401),
        (format!("/v1/rooms/other/live.ogg?ticket={good}"), String::new(), "wrong_room", 403),
        ("/v1/rooms/demo".to_owned(), String::new(), "unauthenticated", 401),
    ] {
        let answer = request(stage.addr, "GET", &path, &fields).await;
        assert_eq!((answer.code().as_str(), answer.status), (code, http), "{path} {fields}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(&good), "a ticket was told back");
    }
    for (path, fields) in [
        (live.to_owned(), format!("authorization: bearer {good}\r\n")),
        (format!("{live}?page=20&ticket={good}"), String::new()),
    ] {
        let answer = request(stage.addr, "HEAD", &path, &fields).await;
        assert_eq!(answer.status, 200, "{}", answer.head);
    }
}

#[tokio::test]
async fn head_and_preflight_are_answered_as_browsers_need_it() {
    let stage = Stage::new().await;
    let _air = stage.on_air(Visibility::Public);
    let head = request(stage.addr, "HEAD", "/v1/rooms/demo/live.ogg", "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-type"), Some("audio/ogg; codecs=opus"));
    assert_eq!(head.header("cache-control"), Some("no-store"));
    assert_eq!(head.header("access-control-allow-origin"), Some("*"));
    let asked = "Origin: https://a.example\r\nAccess-Control-Request-Headers: authorization\r\n";
    let preflight = request(stage.addr, "OPTIONS", "/v1/rooms/demo/live.ogg", asked).await;
    assert_eq!((preflight.status, preflight.body.len()), (204, 0));
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, HEAD, OPTIONS"));
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("authorization"));
}

#[tokio::test]
async fn a_room_tells_its_lifecycle_and_how_to_join_it() {
    let stage = Stage::new().await;
    let mut live = status("demo", Lifecycle::Live, Visibility::Public);
    live.live_since_us = 1_700_000_000_250_000;
    live.count = Some(stentor_proto::v1::ListenerCount {
        listeners: 7,
        age_ms: 900,
        edges_reporting: 2,
        edges_known: 2,
        ..Default::default()
    });
    stage.origin.keep(live);
    let answer = get(stage.addr, "/v1/rooms/demo").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let base = format!("http://{}", stage.addr);
    assert_eq!(
        answer.json(),
        json!({
            "room": "demo", "title": "A talk", "lifecycle": "live", "visibility": "public",
            "live_since": "2023-11-14T22:13:20.250Z",
            "listeners": {"count": 7, "age_ms": 900, "edges_reporting": 2, "edges_known": 2},
            "join": {"ogg": format!("{base}/v1/rooms/demo/live.ogg"), "grpc": base},
        })
    );
    assert_eq!(get(stage.addr, "/v1/rooms/nowhere").await.code(), "unknown_room");
}

#[tokio::test]
async fn every_other_address_and_method_is_a_problem() {
    let stage = Stage::new().await;
    assert_eq!(get(stage.addr, "/healthz").await.body, b"ok\n");
    assert_eq!(get(stage.addr, "/readyz").await.status, 200);
    for path in ["/", "/v1", "/v1/rooms/", "/v1/rooms/demo/live.mp3", "/favicon.ico"] {
        assert_eq!(get(stage.addr, path).await.code(), "unknown_path", "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "BREW"] {
        let answer = request(stage.addr, method, "/v1/rooms/demo", "Content-Length: 0\r\n").await;
        assert_eq!((answer.code().as_str(), answer.status), ("method_not_allowed", 405), "{method}");
        assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
    }
    let with_body = [b"POST /healthz HTTP/1.1\r\nContent-Length: 30000\r\n\r\n".as_slice(), &[b'x'; 30_000]];
    assert_eq!(say(stage.addr, &with_body.concat()).await.code(), "method_not_allowed");
}
