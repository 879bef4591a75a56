//! A watch of a range of the keys below the prefix in etcd.
//!
//! It notices what etcd does not say: a stream that has fallen silent (it asks for a sign of life, then gives up), and a
//! history that is another one than before, because etcd lost its data or was restored from a backup. For the latter it
//! starts at the last event that was seen, rather than after it, and expects that very event first.

use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{WatchOptions, WatchRequestSender, WatchResponse, WatchResponseStream};
use tokio::time::timeout;

use super::{
    entry::{MAX_MESSAGE_BYTES, entry},
    member::{self, Members},
};
use crate::{
    Error, Revision,
    keys::Range,
    store::{Change, Event, Interrupted, Resume, Watch},
};

const OTHER_HISTORY: &str = "etcd has another history than before; its data was lost or restored";
const COMPACTED: &str = "etcd has compacted the history since the last event that was seen";

/// Opens a watch after `from` and checks that the history is the one that `from` is a part of.
pub(super) async fn open(
    members: &Members,
    prefix: &str,
    range: &Range,
    idle: Duration,
    from: Resume,
) -> Result<Box<dyn Watch>, Interrupted> {
    let after = from.after.0.cast_signed();
    let start = if from.witness.is_some() { after } else { after + 1 };
    let key = |key: &str| format!("{prefix}{key}");
    let options = WatchOptions::new().with_range(key(&range.to)).with_start_revision(start);
    let first = key(&range.from);
    let call = members.call_any(|client| {
        let (first, options) = (first.clone(), options.clone());
        async move {
            let mut watch = client.watch_client().max_decoding_message_size(MAX_MESSAGE_BYTES);
            watch.watch(first, Some(options)).await
        }
    });
    let (requests, responses) = call.await.map_err(Interrupted::Broken)?.split();
    let prefix = prefix.to_owned();
    let mut watch = EtcdWatch { requests, responses, prefix, idle, asked: false, ready: Vec::new() };
    match timeout(members.request_timeout(), watch.begin(from)).await {
        Ok(begun) => begun.map(|()| -> Box<dyn Watch> { Box::new(watch) }),
        Err(_) => Err(Interrupted::Broken(members.failed("the watch did not begin in time".to_owned()))),
    }
}

struct EtcdWatch {
    requests: WatchRequestSender,
    responses: WatchResponseStream,
    prefix: String,
    idle: Duration,
    /// A sign of life was asked for and has not come yet.
    asked: bool,
    /// Events that came together with the witness.
    ready: Vec<Event>,
}

impl EtcdWatch {
    /// Takes the answer that opens the stream and, if there is one to expect, the witness.
    async fn begin(&mut self, from: Resume) -> Result<(), Interrupted> {
        let opened = self.response().await?;
        let now = opened.header().map_or(0, etcd_client::ResponseHeader::revision);
        if now < from.after.0.cast_signed() {
            return Err(Interrupted::HistoryReplaced(OTHER_HISTORY));
        }
        let Some(witness) = from.witness else { return Ok(()) };
        let mut events = Vec::new();
        while events.is_empty() {
            let response = self.response().await?;
            events = self.events(&response);
        }
        let known = events.iter().take_while(|event| event.revision == from.after).count();
        if !events[..known].contains(&witness) {
            return Err(Interrupted::HistoryReplaced(OTHER_HISTORY));
        }
        self.ready = events.split_off(known);
        Ok(())
    }

    async fn response(&mut self) -> Result<WatchResponse, Interrupted> {
        let broken = |reason: String| {
            Interrupted::Broken(Error::Unavailable { directory: "the watch of etcd".to_owned(), reason })
        };
        match self.responses.message().await {
            Ok(Some(response)) if response.compact_revision() > 0 => Err(Interrupted::HistoryGone(COMPACTED)),
            Ok(Some(response)) if response.canceled() => Err(broken(response.cancel_reason().to_owned())),
            Ok(Some(response)) => Ok(response),
            Ok(None) => Err(broken("etcd closed the stream".to_owned())),
            Err(error) => Err(broken(member::text(&error))),
        }
    }

    fn events(&self, response: &WatchResponse) -> Vec<Event> {
        let kvs = response.events().iter().filter_map(etcd_client::Event::kv);
        let events = kvs.filter_map(|kv| {
            let entry = entry(&self.prefix, kv)?;
            let revision = Revision(kv.mod_revision().cast_unsigned());
            // The key of a deletion has a revision and nothing else.
            let deleted = kv.create_revision() == 0;
            Some(Event {
                revision,
                change: if deleted { Change::Delete(entry.key) } else { Change::Put(entry) },
            })
        });
        events.collect()
    }
}

#[async_trait]
impl Watch for EtcdWatch {
    async fn next(&mut self) -> Result<Vec<Event>, Interrupted> {
        loop {
            if !self.ready.is_empty() {
                return Ok(std::mem::take(&mut self.ready));
            }
            match timeout(self.idle, self.response()).await {
                Ok(response) => {
                    let response = response?;
                    self.asked = false;
                    self.ready = self.events(&response);
                }
                Err(_) if self.asked => {
                    let reason = format!("no sign of life for twice {:?}", self.idle);
                    let directory = "the watch of etcd".to_owned();
                    return Err(Interrupted::Broken(Error::Unavailable { directory, reason }));
                }
                Err(_) => {
                    self.asked = true;
                    // If it cannot be sent, the stream is broken and says so.
                    let _ = timeout(self.idle, self.requests.request_progress()).await;
                }
            }
        }
    }
}
