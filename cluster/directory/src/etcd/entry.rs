//! What is taken from etcd: how much at once, and an entry of ours out of it.

use bytes::Bytes;
use etcd_client::KeyValue;

use crate::{LeaseId, Revision, store::Entry};

/// Longest message taken from etcd: a full page of the longest records is 64 MiB, and a watch that catches up may be given
/// a thousand revisions at once.
pub(super) const MAX_MESSAGE_BYTES: usize = 1 << 30;

/// An entry, if its key is one of ours.
pub(super) fn entry(prefix: &str, kv: &KeyValue) -> Option<Entry> {
    let key = kv.key_str().ok()?.strip_prefix(prefix)?.to_owned();
    let lease = (kv.lease() != 0).then(|| LeaseId(kv.lease()));
    let revision = Revision(kv.mod_revision().cast_unsigned());
    Some(Entry { key, value: Bytes::copy_from_slice(kv.value()), revision, lease })
}
