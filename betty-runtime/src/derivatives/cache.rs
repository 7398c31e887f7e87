//! What was compiled, kept for later batches as long as it fits: what was used least recently goes first.

use std::hash::Hash;

use indexmap::IndexMap;

/// How much a [`Cache`] holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// How many entries at the most.
    pub(crate) most: usize,
    /// How many bytes at the most, as far as they are known.
    pub(crate) bytes: usize,
}

impl Default for Bound {
    /// As many as fit into 128 MiB.
    fn default() -> Self {
        Bound { most: usize::MAX, bytes: 128 << 20 }
    }
}

/// A cache.
#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    entries: IndexMap<K, Entry<V>>,
    bytes: usize,
    uses: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    bytes: usize,
    last_use: u64,
}

impl<K: Hash + Eq, V> Cache<K, V> {
    pub(crate) fn new() -> Self {
        Cache { entries: IndexMap::new(), bytes: 0, uses: 0 }
    }

    pub(crate) fn clear(&mut self) {
        (self.bytes, self.uses) = (0, 0);
        self.entries.clear();
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// The entry, if it is there. Used now, it is kept longer.
    pub(crate) fn find(&mut self, key: &K) -> Option<&mut V> {
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        entry.last_use = self.uses;
        Some(&mut entry.value)
    }

    /// The entry, if it is there, to look at.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// All entries, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.bytes -= self.entries.swap_remove(key).map_or(0, |entry| entry.bytes);
    }

    /// Keeps a value that takes so many bytes, and lets others go that no longer fit, except for `needed` entries that are
    /// needed together.
    pub(crate) fn keep(&mut self, key: K, value: V, bytes: usize, bound: Bound, needed: usize) -> &mut V {
        let is_full = |cache: &Self| {
            cache.entries.len() >= needed.max(1)
                && (cache.entries.len() >= bound.most || cache.bytes.saturating_add(bytes) > bound.bytes)
        };
        while is_full(self) {
            let oldest = (0..self.entries.len()).min_by_key(|&index| self.entries[index].last_use);
            let gone = oldest.and_then(|index| self.entries.swap_remove_index(index));
            self.bytes -= gone.map_or(0, |(_, entry)| entry.bytes);
        }
        self.uses += 1;
        self.bytes += bytes;
        let (index, replaced) = self.entries.insert_full(key, Entry { value, bytes, last_use: self.uses });
        self.bytes -= replaced.map_or(0, |entry| entry.bytes);
        &mut self.entries[index].value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(kept: &Cache<u32, &str>) -> Vec<u32> {
        let mut keys: Vec<u32> = kept.entries.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn what_was_used_least_recently_goes_first() {
        let bound = Bound { most: 3, bytes: usize::MAX };
        let mut kept = Cache::new();
        for key in 0..3 {
            kept.keep(key, "x", 10, bound, 1);
        }
        assert!(kept.find(&0).is_some());
        kept.keep(3, "y", 10, bound, 1);
        assert_eq!(keys(&kept), [0, 2, 3]);
        // Looking is no use.
        assert_eq!((kept.get(&2), kept.get(&1)), (Some(&"x"), None));
        kept.keep(4, "z", 10, bound, 1);
        assert_eq!(keys(&kept), [0, 3, 4]);
    }

    #[test]
    fn bytes_bound_it_too_but_not_what_is_needed_together() {
        let bound = Bound { most: usize::MAX, bytes: 100 };
        let mut kept = Cache::new();
        for key in 0..20 {
            kept.keep(key, "x", 30, bound, 1);
        }
        assert_eq!((keys(&kept), kept.bytes), (vec![17, 18, 19], 90));
        // One that takes the room of three.
        kept.keep(20, "x", 75, bound, 1);
        assert_eq!((keys(&kept), kept.bytes), (vec![20], 75));
        kept.keep(21, "x", 75, bound, 4);
        kept.keep(22, "x", 500, bound, 4);
        assert_eq!((keys(&kept), kept.bytes), (vec![20, 21, 22], 650));
        kept.keep(22, "y", 5, bound, 4);
        assert_eq!((keys(&kept), kept.bytes), (vec![20, 21, 22], 155));
        kept.remove(&20);
        assert_eq!((keys(&kept), kept.bytes), (vec![21, 22], 80));
        kept.clear();
        assert_eq!((keys(&kept), kept.bytes), (Vec::new(), 0));
    }
}
