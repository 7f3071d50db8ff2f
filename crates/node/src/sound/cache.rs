//! Files that were played lately, so that the greeting that everybody hears is read once.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// What a file is known by: another time or length is another file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) path: PathBuf,
    /// Its number on the disk: a file that replaces it has another, however quickly it came.
    pub(super) inode: u64,
    pub(super) modified: Option<SystemTime>,
    pub(super) length: u64,
}

/// Bounded in bytes; what came first goes first.
#[derive(Debug)]
pub(super) struct Cache {
    most: usize,
    bytes: usize,
    files: HashMap<Key, Arc<[u8]>>,
    order: VecDeque<Key>,
}

impl Cache {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            bytes: 0,
            files: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<[u8]>> {
        self.files.get(key).cloned()
    }

    /// Keeps a file, unless it would take most of the room alone.
    pub(super) fn put(&mut self, key: Key, file: &Arc<[u8]>) {
        if file.len() > self.most / 4 || self.files.contains_key(&key) {
            return;
        }
        self.forget(&key.path);
        self.bytes += file.len();
        self.order.push_back(key.clone());
        self.files.insert(key, Arc::clone(file));
        while self.bytes > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.remove(&oldest);
        }
    }

    /// What was at this place before is of no use any more.
    fn forget(&mut self, path: &Path) {
        let at = self.order.iter().position(|key| key.path == path);
        if let Some(key) = at.and_then(|at| self.order.remove(at)) {
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some(file) = self.files.remove(key) {
            self.bytes -= file.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str, length: u64) -> Key {
        Key {
            path: path.into(),
            inode: 1,
            modified: None,
            length,
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_a_new_file_takes_the_place_of_the_old_one() {
        let mut cache = Cache::new(100);
        let file = |length: usize| -> Arc<[u8]> { vec![1; length].into() };
        for (at, path) in ["a", "b", "c", "d", "e"].into_iter().enumerate() {
            cache.put(key(path, at as u64), &file(25));
        }
        assert!(cache.get(&key("a", 0)).is_none(), "the first went");
        assert!(cache.get(&key("e", 4)).is_some() && cache.bytes == 100);
        cache.put(key("e", 9), &file(10));
        assert!(cache.get(&key("e", 4)).is_none() && cache.bytes == 85);
        cache.put(key("long", 1), &file(26));
        assert!(cache.get(&key("long", 1)).is_none());
        assert_eq!(cache.order.len(), cache.files.len());
    }
}
