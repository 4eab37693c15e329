//! What a process remembers of the database, and how it knows that it is still true.
//!
//! The row of the table `generation` has another id after every change of what may be remembered: policies, the hierarchy
//! of organisations, and API keys. Triggers see to it, in the transaction of the change, so whoever reads the id may use all
//! that was read after it was seen before. A transaction that changes these itself must not remember what it sees.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

/// Values under their keys, of one generation at a time.
pub struct Memory<K, V> {
    kept: Mutex<Kept<K, V>>,
    most: usize,
}

struct Kept<K, V> {
    generation: Uuid,
    values: HashMap<K, V>,
}

impl<K: Eq + Hash, V: Clone> Memory<K, V> {
    /// An empty memory of at most so many values; when there are more, all are forgotten.
    pub fn new(most: usize) -> Self {
        let kept = Kept {
            generation: Uuid::nil(),
            values: HashMap::new(),
        };
        Self {
            kept: Mutex::new(kept),
            most,
        }
    }

    /// What was remembered in this generation.
    pub fn get(&self, generation: Uuid, key: &K) -> Option<V> {
        let kept = self.lock();
        (kept.generation == generation)
            .then(|| kept.values.get(key).cloned())
            .flatten()
    }

    /// Remembers what was read after this generation was seen. What belongs to another one is forgotten.
    pub fn put(&self, generation: Uuid, key: K, value: V) {
        let mut kept = self.lock();
        if kept.generation != generation || kept.values.len() >= self.most {
            kept.values.clear();
            kept.generation = generation;
        }
        kept.values.insert(key, value);
    }

    fn lock(&self) -> MutexGuard<'_, Kept<K, V>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_of_one_generation_and_bounded() {
        let memory = Memory::new(2);
        let [first, second] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        memory.put(first, "a", 1);
        memory.put(first, "b", 2);
        assert_eq!(memory.get(first, &"a"), Some(1));
        assert_eq!(memory.get(second, &"a"), None);
        memory.put(first, "c", 3);
        let left = ["a", "b", "c"].map(|key| memory.get(first, &key));
        assert_eq!(left, [None, None, Some(3)]);
        memory.put(second, "a", 4);
        assert_eq!(memory.get(second, &"a"), Some(4));
        assert_eq!(memory.get(first, &"c"), None);
    }
}
