//! A cluster in the middle of an upgrade: the directory holds what only a newer build knows. Nothing of it is lost in what
//! this build commits, and nobody is deaf because of it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::time::Duration;

use serde_json::{Value, json};
use stentor_ids::Role;
use stentor_programs::Etcd;
use stentor_tests::cluster::{Cluster, Shape};

const SOON: Duration = Duration::from_secs(20);

/// A room's record as it is stored: its key, the directory's own line, the record.
fn stored(etcd: &Etcd, room: &str) -> (String, String, Value) {
    let all = etcd.control(&["get", "--prefix", ""]).unwrap();
    let lines: Vec<_> = all.lines().collect();
    let is_record = |at: &usize| {
        lines[*at].contains(&format!("/{room}")) && lines.get(at + 2).is_some_and(|l| l.contains("\"spec\""))
    };
    let at = (0..lines.len()).find(is_record).expect("the room's record");
    (lines[at].to_owned(), lines[at + 1].to_owned(), serde_json::from_str(lines[at + 2]).unwrap())
}

/// Writes into a scheduled room's record, the membership and beside both what a newer build would.
fn write_as_a_newer_build(etcd: &Etcd, room: &str) {
    let (key, head, mut record) = stored(etcd, room);
    record["chapters"] = json!([{"at": 1, "title": "Opening"}]);
    record["spec"]["colour"] = json!({"hue": 7});
    record["rulings"] = json!({
        "ivy": {"role": "interpreter", "until": 1_790_000_000_000_000_u64},
        "eve": {"warned": "ann"},
    });
    record["stage"] = json!([{"id": "ivy", "name": "Ivy", "role": "interpreter", "language": "de"}]);
    etcd.control(&["put", &key, &format!("{head}\n{record}")]).unwrap();
    etcd.control(&["put", &key.replace(room, "night/chapters/1"), "{}"]).unwrap();
    let node = json!({"id": "mixer-a", "instance": 7, "roles": ["mixer"], "schema": 9, "rack": {"row": 3}});
    let all = etcd.control(&["get", "--prefix", ""]).unwrap();
    let ours = all.lines().find(|line| line.ends_with("/origin-a")).expect("a node's key");
    etcd.control(&["put", &ours.replace("origin-a", "mixer-a"), &node.to_string()]).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_newer_build_knows_is_kept_over_commands_a_take_over_and_a_restart() {
    let mut cluster = Cluster::start(Shape::default()).await.unwrap();
    cluster.ctl(&["room", "create", "talk"]).await.unwrap();
    write_as_a_newer_build(cluster.etcd(), "talk");
    cluster.ctl(&["room", "update", "talk", "--title", "Upgraded"]).await.unwrap();
    cluster.ctl(&["room", "open", "talk"]).await.unwrap();
    cluster.ctl(&["room", "go-live", "talk"]).await.unwrap();
    let _voices = cluster.speak_demo("talk").await.unwrap();
    let listener = cluster.listen(0, "talk").unwrap();
    listener.frames(50, SOON).await.unwrap();

    cluster.ctl(&["participant", "ban", "talk", "mallory"]).await.unwrap();
    cluster.ctl(&["participant", "ban", "talk", "eve"]).await.unwrap();
    cluster.ctl(&["participant", "unban", "talk", "eve"]).await.unwrap();
    let first = cluster.owner("talk", SOON).await.unwrap();
    cluster.kill(&first).unwrap();
    listener.gone_on(SOON).await.unwrap();
    let second = cluster.owner_other_than("talk", &first, SOON).await.unwrap();
    cluster.restart(&first).await.unwrap();
    cluster.ctl(&["participant", "ban", "talk", "trent"]).await.unwrap();
    cluster.ctl(&["room", "move", "talk", "--to", &first]).await.unwrap();
    cluster.kill(&second).unwrap();
    cluster.restart(&second).await.unwrap();
    cluster.ctl(&["participant", "ban", "talk", "oscar"]).await.unwrap();
    listener.frames(50, SOON).await.unwrap();

    let (_, _, record) = stored(cluster.etcd(), "talk");
    assert_eq!(record["chapters"], json!([{"at": 1, "title": "Opening"}]), "{record}");
    assert_eq!(record["spec"]["colour"], json!({"hue": 7}), "{record}");
    assert_eq!(record["spec"]["title"], "Upgraded");
    let ivy = record["stage"].as_array().unwrap().iter().find(|one| one["id"] == "ivy").unwrap();
    assert_eq!((&ivy["role"], &ivy["language"]), (&json!("interpreter"), &json!("de")), "{record}");
    let ruled = json!({"role": "interpreter", "until": 1_790_000_000_000_000_u64});
    assert_eq!(record["rulings"]["ivy"], ruled);
    assert_eq!(record["rulings"]["eve"], json!({"warned": "ann"}), "what else was ruled is kept");
    let chapter = cluster.etcd().control(&["get", "--prefix", ""]).unwrap();
    assert!(
        chapter.contains("night/chapters/1") && chapter.contains("mixer-a"),
        "others' keys are left alone"
    );

    // Who has a role that only the newer build knows counts as a listener here, and hears.
    let ticket = cluster.ticket("talk", "ivy", Role::Speaker).unwrap();
    let listen = ["listen", "--room", "talk", "--ticket", &ticket, "--seconds", "1"];
    let heard = cluster.ctl_json(&listen).await.unwrap();
    assert!(heard["got"].as_u64() > Some(0), "{heard}");
    let report = listener.stop().await.unwrap();
    assert_eq!((report.repeated, report.out_of_order, report.reconnects), (0, 0, 0), "{report:?}");
}
