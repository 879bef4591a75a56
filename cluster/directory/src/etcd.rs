//! The directory of a cluster: etcd, through its v3 API.
//!
//! One member is used at a time, the next when it fails. Every call has a time-out of its own, as a balanced channel waits
//! without a bound for a member that is not there. A call is not repeated here if it might do something twice.

mod entry;
mod member;
mod watch;

use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{Client, Compare, CompareOp, GetOptions, KeyValue, PutOptions, Txn, TxnOp};

use self::{
    entry::{MAX_MESSAGE_BYTES, entry},
    member::Members,
};
use crate::{
    Error, EtcdConfig, LeaseId, Revision,
    keys::Range,
    store::{Check, Interrupted, Op, Outcome, Resume, Snapshot, Store, Watch},
};

/// Keys of one page of a listing. With the longest records a page stays within [`MAX_MESSAGE_BYTES`].
const PAGE: i64 = 128;
pub(crate) struct Etcd {
    members: Members,
    /// With the slash at its end.
    prefix: String,
    watch_idle: Duration,
}

impl Etcd {
    pub(crate) async fn connect(config: &EtcdConfig) -> Result<Self, Error> {
        config.validate()?;
        let prefix = format!("{}/", config.prefix);
        let members = Members::connect(config, &prefix).await?;
        Ok(Self { members, prefix, watch_idle: config.watch_idle() })
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn compare(&self, check: Check) -> Compare {
        match check {
            Check::Absent(key) => Compare::version(self.key(&key), CompareOp::Equal, 0),
            Check::Unchanged(key, Revision(revision)) => {
                Compare::mod_revision(self.key(&key), CompareOp::Equal, revision.cast_signed())
            }
            Check::Holds(key, value) => Compare::value(self.key(&key), CompareOp::Equal, value),
        }
    }

    fn operation(&self, op: Op) -> TxnOp {
        match op {
            Op::Put { key, value, lease } => {
                let options = lease.map(|LeaseId(lease)| PutOptions::new().with_lease(lease));
                TxnOp::put(self.key(&key), value, options)
            }
            Op::Delete(key) => TxnOp::delete(self.key(&key), None),
        }
    }

    /// One page of the keys of a range, from key `from` on, as of `revision` (0 for now).
    async fn page(
        &self,
        range: &Range,
        from: Vec<u8>,
        revision: i64,
    ) -> Result<(i64, Vec<KeyValue>, bool), Error> {
        let options =
            GetOptions::new().with_range(self.key(&range.to)).with_limit(PAGE).with_revision(revision);
        let mut response = self
            .members
            .call_any(|client| {
                let (from, options) = (from.clone(), options.clone());
                async move {
                    let mut kv = client.kv_client().max_decoding_message_size(MAX_MESSAGE_BYTES);
                    kv.get(from, Some(options)).await
                }
            })
            .await?;
        let revision = response.header().map_or(0, etcd_client::ResponseHeader::revision);
        Ok((revision, response.take_kvs(), response.more()))
    }
}

#[async_trait]
impl Store for Etcd {
    async fn read(&self, range: &Range) -> Result<Snapshot, Error> {
        let (mut from, mut at) = (self.key(&range.from).into_bytes(), 0);
        let mut entries = Vec::new();
        loop {
            let (revision, kvs, more) = self.page(range, from, at).await?;
            at = if at == 0 { revision } else { at };
            entries.extend(kvs.iter().filter_map(|kv| entry(&self.prefix, kv)));
            match kvs.last() {
                Some(last) if more => from = [last.key(), &[0]].concat(),
                _ => return Ok(Snapshot { revision: Revision(at.cast_unsigned()), entries }),
            }
        }
    }

    async fn transact(&self, checks: Vec<Check>, then: Vec<Op>) -> Result<Outcome, Error> {
        let compares: Vec<_> = checks.into_iter().map(|check| self.compare(check)).collect();
        let ops: Vec<_> = then.into_iter().map(|op| self.operation(op)).collect();
        let txn = Txn::new().when(compares).and_then(ops);
        let response = self
            .members
            .call_once(|client| {
                let txn = txn.clone();
                async move { client.kv_client().txn(txn).await }
            })
            .await?;
        let revision = response.header().map_or(0, etcd_client::ResponseHeader::revision);
        Ok(if response.succeeded() {
            Outcome::Applied(Revision(revision.cast_unsigned()))
        } else {
            Outcome::Refused
        })
    }

    async fn grant(&self, ttl: Duration) -> Result<LeaseId, Error> {
        let seconds = ttl.as_secs().cast_signed();
        let grant = |client: Client| async move { client.lease_client().grant(seconds, None).await };
        // Repeated, it may leave a lease that nobody renews, which is gone after its time.
        Ok(LeaseId(self.members.call_any(grant).await?.id()))
    }

    async fn renew(&self, lease: LeaseId) -> Result<(), Error> {
        // A stream for each renewal: nothing to keep, and nothing that can be half broken. The client makes an error of
        // the answer `ttl = 0`, by which etcd says that the lease has ended.
        let renew = |client: Client| async move { client.lease_client().keep_alive(lease.0).await.map(drop) };
        self.members.call_any(renew).await
    }

    async fn remaining(&self, lease: LeaseId) -> Result<Option<Duration>, Error> {
        let ask = |client: Client| async move { client.lease_client().time_to_live(lease.0, None).await };
        let seconds = self.members.call_any(ask).await?.ttl();
        Ok(u64::try_from(seconds).ok().map(Duration::from_secs))
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), Error> {
        let revoke = |client: Client| async move { client.lease_client().revoke(lease.0).await.map(drop) };
        match self.members.call_any(revoke).await {
            Err(Error::LeaseGone) => Ok(()),
            answer => answer,
        }
    }

    async fn watch(&self, range: &Range, from: Resume) -> Result<Box<dyn Watch>, Interrupted> {
        watch::open(&self.members, &self.prefix, range, self.watch_idle, from).await
    }
}
