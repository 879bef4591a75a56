//! What is written in the directory, write by write, as etcd itself tells it: over its JSON gateway and none of Stentor's
//! code, so that the check of `OneWriter` shares nothing with what it checks.
//!
//! A write of a room's owner key is a claim, unless it says what the key said before: then an owner has put its own key
//! back. A write of the record alone is a commit.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use anyhow::{Context, Result};
use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use stentor_ids::Epoch;
use stentor_pace::{Violation, check::OneWriter};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, sleep},
};

/// Above the keys of a test's cluster, and after the last of them.
const KEYS: (&str, &str) = ("/test/", "/test0");
/// Between two tries to reach etcd.
const AGAIN: Duration = Duration::from_millis(100);

/// What is known of a room.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// Who owns it now.
    pub owner: Option<String>,
    /// Whether its record is there.
    pub recorded: bool,
    /// The epoch of its record.
    pub epoch: Epoch,
    /// The highest epoch that was ever seen.
    pub highest: Epoch,
    /// When the highest epoch was claimed.
    pub claimed_at: Option<Instant>,
    claim: Option<(String, Epoch)>,
    writer: OneWriter,
}

#[derive(Debug, Default)]
struct Book {
    rooms: BTreeMap<String, Entry>,
    violations: Vec<Violation>,
    /// The newest write that is known.
    revision: u64,
    /// How often the directory's data were removed.
    era: u64,
}

/// Follows the directory. Dropping it ends that.
#[derive(Debug)]
pub struct Journal {
    book: Arc<Mutex<Book>>,
    task: JoinHandle<()>,
}

impl Journal {
    /// Follows from the first write on, over outages.
    #[must_use]
    pub fn follow(members: Vec<SocketAddr>) -> Self {
        let book = Arc::<Mutex<Book>>::default();
        let task = tokio::spawn(follow(members, Arc::clone(&book)));
        Self { book, task }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("no holder panics")
    }

    /// What is known of a room.
    #[must_use]
    pub fn room(&self, room: &str) -> Entry {
        self.book().rooms.get(room).cloned().unwrap_or_default()
    }

    /// All rooms.
    #[must_use]
    pub fn rooms(&self) -> BTreeMap<String, Entry> {
        self.book().rooms.clone()
    }

    /// Stale commits and epochs that went back, since this was last asked.
    pub fn violations(&self) -> Vec<Violation> {
        std::mem::take(&mut self.book().violations)
    }

    /// The directory's data are gone: what it writes from now on begins anew, except that epochs still only rise.
    pub fn wiped(&self) {
        let mut book = self.book();
        (book.revision, book.era) = (0, book.era + 1);
        for entry in book.rooms.values_mut() {
            (entry.owner, entry.recorded) = (None, false);
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(members: Vec<SocketAddr>, book: Arc<Mutex<Book>>) {
    for member in members.iter().cycle() {
        // An etcd that is gone, or whose stream broke, is asked again from where it was.
        let _ = watch(*member, &book).await;
        sleep(AGAIN).await;
    }
}

async fn watch(member: SocketAddr, book: &Mutex<Book>) -> Result<()> {
    let (from, era) = {
        let book = book.lock().expect("no holder panics");
        (book.revision + 1, book.era)
    };
    let (key, end) = (Base64::encode_string(KEYS.0.as_bytes()), Base64::encode_string(KEYS.1.as_bytes()));
    let body = json!({"create_request": {"key": key, "range_end": end, "start_revision": from.to_string()}});
    let body = body.to_string();
    let mut stream = TcpStream::connect(member).await?;
    // HTTP/1.0 gets the answer without chunked framing.
    let head = format!("POST /v3/watch HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await? {
        if line.starts_with('{') {
            let answer: Value = serde_json::from_str(&line).with_context(|| format!("etcd said {line}"))?;
            let mut book = book.lock().expect("no holder panics");
            if book.era != era {
                // What is still in the stream is of data that are gone.
                return Ok(());
            }
            book.read(&answer["result"]["events"]);
        }
    }
    Ok(())
}

/// One write of a room's keys.
#[derive(Debug, Default)]
struct Written {
    owner: Option<(String, Epoch)>,
    disowned: bool,
    record: Option<Epoch>,
    deleted: bool,
}

impl Book {
    fn read(&mut self, events: &Value) {
        let mut writes: BTreeMap<(u64, String), Written> = BTreeMap::new();
        for event in events.as_array().into_iter().flatten() {
            let Some((revision, room, leaf)) = key_of(event) else { continue };
            self.revision = self.revision.max(revision);
            let written = writes.entry((revision, room)).or_default();
            let value = value_of(event);
            match (leaf.as_str(), value) {
                ("owner", Some(value)) => {
                    let node = value["node"].as_str().unwrap_or_default().to_owned();
                    written.owner = Some((node, epoch_of(&value)));
                }
                ("owner", None) => written.disowned = true,
                ("record", Some(value)) => written.record = Some(epoch_of(&value)),
                ("record", None) => written.deleted = true,
                _ => {}
            }
        }
        for ((_, room), written) in writes {
            let broken = self.rooms.entry(room).or_default().take(written);
            self.violations.extend(broken);
        }
    }
}

impl Entry {
    fn take(&mut self, written: Written) -> Option<Violation> {
        if written.disowned {
            self.owner = None;
        }
        let mut broken = None;
        if let Some(claim) = written.owner {
            if self.claim.as_ref() != Some(&claim) {
                broken = self.writer.claimed(claim.1).err();
            }
            if claim.1 > self.highest {
                (self.highest, self.claimed_at) = (claim.1, Some(Instant::now()));
            }
            self.owner = Some(claim.0.clone());
            self.claim = Some(claim);
        }
        self.recorded &= !written.deleted;
        if let Some(epoch) = written.record {
            (self.epoch, self.recorded) = (epoch, true);
            broken = broken.or(self.writer.committed(epoch).err());
        }
        broken
    }
}

/// Revision, room and the last part of the key.
fn key_of(event: &Value) -> Option<(u64, String, String)> {
    let revision = event["kv"]["mod_revision"].as_str()?.parse().ok()?;
    let key = String::from_utf8(Base64::decode_vec(event["kv"]["key"].as_str()?).ok()?).ok()?;
    let (room, leaf) = key.split_once("/rooms/")?.1.split_once('/')?;
    Some((revision, room.to_owned(), leaf.to_owned()))
}

/// The first line of the value: all of an owner's, the directory's own part of a record's. None for a deletion.
fn value_of(event: &Value) -> Option<Value> {
    let value = Base64::decode_vec(event["kv"]["value"].as_str()?).ok()?;
    serde_json::from_slice(value.split(|byte| *byte == b'\n').next()?).ok()
}

fn epoch_of(value: &Value) -> Epoch {
    Epoch(value["epoch"].as_u64().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(revision: u64, leaf: &str, value: &str) -> Value {
        let key = Base64::encode_string(format!("/test/rooms/r/{leaf}").as_bytes());
        let value = (!value.is_empty()).then(|| Base64::encode_string(value.as_bytes()));
        json!({"kv": {"key": key, "mod_revision": revision.to_string(), "value": value}})
    }

    fn claim(revision: u64, node: &str, epoch: u64) -> [Value; 2] {
        let owner = format!("{{\"node\":\"{node}\",\"epoch\":{epoch},\"from_slot\":0}}");
        [event(revision, "record", &format!("{{\"epoch\":{epoch}}}\nx")), event(revision, "owner", &owner)]
    }

    #[test]
    fn claims_raise_the_epoch_owners_put_their_key_back_and_a_stale_commit_is_noticed() {
        let mut book = Book::default();
        book.read(&json!(claim(1, "a", 1)));
        book.read(&json!([event(2, "record", "{\"epoch\":1}\ny"), event(3, "owner", "")]));
        assert_eq!(book.rooms["r"].owner, None);
        book.read(&json!(claim(4, "a", 1)));
        book.read(&json!(claim(5, "b", 2)));
        assert_eq!((book.violations.len(), book.revision), (0, 5));
        assert_eq!((book.rooms["r"].owner.as_deref(), book.rooms["r"].highest), (Some("b"), Epoch(2)));
        book.read(&json!([event(6, "record", "{\"epoch\":1}\nz")]));
        assert_eq!(book.violations.len(), 1);
        book.read(&json!(claim(7, "a", 1)));
        assert_eq!(book.violations.len(), 2);
    }
}
