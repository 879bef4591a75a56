//! A sorted map of which a copy costs nothing, and a change of a copy little: readers hold the view as it was while it goes on
//! changing.
//!
//! It is a B-tree of two levels. A copy shares both; what is changed under a copy that somebody holds is copied first, the
//! list of chunks and one chunk.
//!
//! Invariants: the keys rise, within a chunk and from one to the next; no chunk is empty or longer than [`CHUNK`].

use std::{borrow::Borrow, fmt, ops::Index, slice, sync::Arc};

/// Most entries of a chunk. Of ten thousand entries a change then copies two lists of about a hundred, which is least.
const CHUNK: usize = 128;

type Chunk<K, V> = Arc<Vec<(K, V)>>;

/// A sorted map, cheap to copy. What it is shared for is to be cheap to clone too.
pub struct Map<K, V> {
    chunks: Arc<Vec<Chunk<K, V>>>,
    len: usize,
}

/// Where a key is, or would be: in which chunk, and at which place in it.
type Place = (usize, Result<usize, usize>);

impl<K, V> Map<K, V> {
    /// How many entries there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entries by key.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter { entries: [].iter(), chunks: self.chunks.iter() }
    }

    /// The keys in their order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// The values by key.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K, V> Map<K, V> {
    /// The value of a key.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let (chunk, place) = self.find(key);
        Some(&self.chunks.get(chunk)?.get(place.ok()?)?.1)
    }

    /// Whether there is such a key.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).1.is_ok()
    }

    /// The entries behind a key, which need not be there; all of them for none.
    #[must_use]
    pub fn after<Q: Ord + ?Sized>(&self, key: Option<&Q>) -> Iter<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let Some(key) = key else { return self.iter() };
        let (chunk, place) = self.find(key);
        let first = place.map_or_else(|place| place, |place| place + 1);
        let entries = self.chunks.get(chunk).and_then(|chunk| chunk.get(first..)).unwrap_or_default();
        let chunks = self.chunks.get(chunk + 1..).unwrap_or_default();
        Iter { entries: entries.iter(), chunks: chunks.iter() }
    }

    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Place
    where
        K: Borrow<Q>,
    {
        let ends_before = |chunk: &Chunk<K, V>| chunk.last().is_some_and(|(last, _)| last.borrow() < key);
        let chunk = self.chunks.partition_point(ends_before);
        match (self.chunks.get(chunk), self.chunks.last()) {
            (Some(found), _) => (chunk, found.binary_search_by(|(other, _)| other.borrow().cmp(key))),
            (None, Some(last)) => (chunk - 1, Err(last.len())),
            (None, None) => (0, Err(0)),
        }
    }
}

impl<K: Ord + Clone, V: Clone> Map<K, V> {
    /// Sets the value of a key, and gives the one that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (at, place) = self.find(&key);
        let chunks = Arc::make_mut(&mut self.chunks);
        let Some(chunk) = chunks.get_mut(at).map(Arc::make_mut) else {
            chunks.push(Arc::new(vec![(key, value)]));
            self.len += 1;
            return None;
        };
        match place {
            Ok(place) => return Some(std::mem::replace(&mut chunk[place].1, value)),
            Err(place) => chunk.insert(place, (key, value)),
        }
        if chunk.len() > CHUNK {
            let upper = chunk.split_off(CHUNK / 2);
            chunks.insert(at + 1, Arc::new(upper));
        }
        self.len += 1;
        None
    }

    /// Takes a key out, and gives its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let (at, place) = self.find(key);
        let place = place.ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[at]);
        let (_, value) = chunk.remove(place);
        self.len -= 1;
        if chunk.is_empty() {
            chunks.remove(at);
        } else {
            // What is left of many keys must not become many chunks of few.
            merge(chunks, at);
            merge(chunks, at.saturating_sub(1));
        }
        Some(value)
    }

    /// Takes out all entries of which `stays` says no.
    pub fn retain(&mut self, mut stays: impl FnMut(&K, &V) -> bool) {
        let gone: Vec<K> =
            self.iter().filter(|(key, value)| !stays(key, value)).map(|(key, _)| key.clone()).collect();
        for key in &gone {
            self.remove(key);
        }
    }
}

/// Puts a chunk and the one behind it together, if both are short.
fn merge<K: Clone, V: Clone>(chunks: &mut Vec<Chunk<K, V>>, at: usize) {
    let [one, next] = [at, at + 1].map(|at| chunks.get(at).map_or(CHUNK, |chunk| chunk.len()));
    if one + next <= CHUNK / 2 {
        let next = chunks.remove(at + 1);
        Arc::make_mut(&mut chunks[at]).extend(next.iter().cloned());
    }
}

/// The entries of a [`Map`], by key.
pub struct Iter<'a, K, V> {
    /// What is left of a chunk.
    entries: slice::Iter<'a, (K, V)>,
    /// The chunks behind it.
    chunks: slice::Iter<'a, Chunk<K, V>>,
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.entries.next() {
                return Some((key, value));
            }
            self.entries = self.chunks.next()?.iter();
        }
    }
}

impl<'a, K, V> IntoIterator for &'a Map<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

impl<K: Ord + Clone, V: Clone> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (key, value) in entries {
            map.insert(key, value);
        }
        map
    }
}

impl<K: Borrow<Q>, V, Q: Ord + ?Sized> Index<&Q> for Map<K, V> {
    type Output = V;

    /// # Panics
    /// There is no such key.
    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("the key is in the map")
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self { chunks: Arc::default(), len: 0 }
    }
}

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), len: self.len }
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for Map<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn check(map: &Map<u16, u16>, expected: &BTreeMap<u16, u16>) {
        assert!(map.iter().eq(expected.iter()));
        assert_eq!((map.len(), map.is_empty()), (expected.len(), expected.is_empty()));
        let sizes: Vec<_> = map.chunks.iter().map(|chunk| chunk.len()).collect();
        assert!(sizes.iter().all(|size| (1..=CHUNK).contains(size)), "{sizes:?}");
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_map_and_copies_of_it_stay_as_they_were(
            changes in vec((0_u16..600, any::<Option<u16>>()), 0..1500),
            at in 0_usize..1500,
            from in 0_u16..700,
        ) {
            let (mut map, mut expected) = (Map::default(), BTreeMap::new());
            let mut copy = None;
            for (step, (key, value)) in changes.into_iter().enumerate() {
                if step == at {
                    copy = Some((map.clone(), expected.clone()));
                }
                match value {
                    Some(value) => prop_assert_eq!(map.insert(key, value), expected.insert(key, value)),
                    None => prop_assert_eq!(map.remove(&key), expected.remove(&key)),
                }
            }
            check(&map, &expected);
            if let Some((map, expected)) = copy {
                check(&map, &expected);
            }
            prop_assert!(map.after(Some(&from)).eq(expected.range(from + 1..)));
            prop_assert!(map.after(None::<&u16>).eq(expected.iter()));
            for key in 0..700 {
                prop_assert_eq!((map.get(&key), map.contains_key(&key)), (expected.get(&key), expected.contains_key(&key)));
            }
            let again: Map<_, _> = expected.iter().map(|(key, value)| (*key, *value)).collect();
            prop_assert_eq!(&map, &again);
            map.retain(|key, _| key % 7 == 0);
            expected.retain(|key, _| key % 7 == 0);
            check(&map, &expected);
        }
    }

    #[test]
    fn what_is_left_of_many_keys_is_few_chunks() {
        let mut map: Map<u16, u16> = (0..10_000).map(|key| (key, key)).collect();
        assert!(map.chunks.len() < 200, "{}", map.chunks.len());
        map.retain(|key, _| key % 100 == 0);
        assert_eq!(map.len(), 100);
        assert!(map.chunks.len() <= 4, "{}", map.chunks.len());
    }

    #[test]
    fn a_change_copies_one_chunk_and_shares_the_others_with_copies() {
        let mut map: Map<u16, u16> = (0..10_000).map(|key| (key, key)).collect();
        let copy = map.clone();
        map.insert(5_000, 1);
        let shared =
            map.chunks.iter().zip(copy.chunks.iter()).filter(|(one, other)| Arc::ptr_eq(one, other)).count();
        assert_eq!(shared, map.chunks.len() - 1);
    }
}
