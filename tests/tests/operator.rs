//! What an operator does in a day, through the command line, from any admin node.

use std::time::Duration;

use stentor_ids::Role;
use stentor_tests::{
    cluster::{Cluster, Shape},
    http,
    process::eventually,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_scheduled_opened_aired_moderated_and_ended() {
    let cluster = Cluster::start(Shape::default()).await.unwrap();
    let page = |path: &'static str| http::get(cluster.edge_port(0), path);
    // An edge that has just started may not know yet whom to ask.
    let unknown = eventually("the room to be unknown", Duration::from_secs(5), || async {
        page("/v1/rooms/day/live.ogg").await.ok().filter(|answer| answer.status == 404)
    });
    unknown.await.unwrap();

    cluster.ctl(&["room", "create", "day", "--title", "A day"]).await.unwrap();
    // The edge asks a relay, and a relay's view trails the directory by a moment.
    let early = eventually("the edge to know the room", Duration::from_secs(5), || async {
        page("/v1/rooms/day/live.ogg").await.ok().filter(|answer| answer.status != 404)
    });
    let early = early.await.unwrap();
    assert_eq!(early.status, 425, "{}", early.body_text());
    assert_eq!(early.header("content-type"), Some("application/problem+json"));
    let problem = early.json().unwrap();
    assert_eq!(problem["code"], "not_live_yet");
    assert!(problem["retry_after"].as_f64().unwrap() > 0.0);
    assert!(early.header("retry-after").is_some());

    cluster.ctl(&["room", "open", "day"]).await.unwrap();
    assert_eq!(page("/v1/rooms/day/live.ogg").await.unwrap().status, 425);
    let voice = cluster.speak("day", "ann", Role::Host, 0).unwrap();
    cluster.ctl(&["room", "go-live", "day"]).await.unwrap();
    let listener = cluster.listen(1, "day").unwrap();
    listener.frames(50, Duration::from_secs(20)).await.unwrap();
    cluster.connected("day", 1, Duration::from_secs(10)).await.unwrap();

    cluster.ctl(&["participant", "mute", "day", "ann"]).await.unwrap();
    let stage = cluster.ctl_json(&["participant", "list", "day"]).await.unwrap();
    assert_eq!(stage["stage"][0]["muted"], true, "{stage}");
    cluster.ctl(&["participant", "unmute", "day", "ann"]).await.unwrap();
    cluster.ctl(&["participant", "gain", "day", "ann", "-6"]).await.unwrap();
    cluster.ctl(&["participant", "role", "day", "ann", "cohost"]).await.unwrap();
    let stage = cluster.ctl_json(&["participant", "list", "day"]).await.unwrap();
    assert_eq!((&stage["stage"][0]["gain_db"], &stage["stage"][0]["role"]), (&(-6).into(), &"cohost".into()));
    let told = cluster.ctl_json(&["room", "update", "day", "--title", "A long day"]).await.unwrap();
    assert_eq!((&told["title"], &told["lifecycle"]), (&"A long day".into(), &"live".into()), "{told}");
    let running = cluster.ctl_output(&["room", "delete", "day"]).await.unwrap();
    assert_eq!(running.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&running.stderr).contains("end it first"));
    cluster.ctl(&["participant", "remove", "day", "ann"]).await.unwrap();
    let stage = cluster.ctl_json(&["participant", "list", "day"]).await.unwrap();
    assert_eq!(stage["stage"].as_array().map(Vec::len), Some(0), "{stage}");
    drop(voice);

    let ogg = http::get(cluster.edge_port(0), "/v1/rooms/day/live.ogg?page=20");
    let (ended, answer) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            cluster.ctl(&["room", "end", "day"]).await
        },
        ogg
    );
    ended.unwrap();
    // The connection ended by itself, and the last page says that it is the last (RFC 3533, header type 4).
    let body = answer.unwrap().body;
    let last = body.windows(4).rposition(|four| four == b"OggS").unwrap();
    assert_eq!(body[last + 5] & 4, 4, "the last page is an end of stream");
    listener.stop().await.unwrap();
    assert_eq!(page("/v1/rooms/day/live.ogg").await.unwrap().status, 410);
    let deleted = cluster.ctl_json(&["room", "delete", "day"]).await.unwrap();
    assert_eq!(deleted["deleted"], "day", "{deleted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_reaches_the_owner_from_any_admin_node_and_refusals_say_why() {
    let cluster = Cluster::start(Shape::default()).await.unwrap();
    cluster.live_room("talk").await.unwrap();
    for admin in 0..2 {
        let room = cluster.ctl_at(admin, &["-o", "json", "room", "get", "talk"]).await.unwrap();
        assert!(room.contains("\"epoch\""), "{room}");
    }
    for (args, code, words) in [
        (vec!["room", "get", "nowhere"], 1, "nowhere"),
        (vec!["room", "create", "talk"], 1, "talk"),
        (vec!["room", "create", "a/b"], 2, "a/b"),
        (vec!["participant", "mute", "talk", "ghost"], 1, "ghost"),
        (vec!["node", "drain", "node-9"], 1, "node-9"),
        (vec!["--token", "wrong-wrong-wrong-wrong-wrong-wrong!", "room", "list"], 1, "token"),
        (vec!["--admin", "http://127.0.0.1:1", "room", "list"], 3, "127.0.0.1:1"),
    ] {
        let output = cluster.ctl_output(&args).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(words), "{args:?} said {said:?}");
        assert_eq!(output.status.code(), Some(code), "{args:?} said {said:?}");
    }
}
