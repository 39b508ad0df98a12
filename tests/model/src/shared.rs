//! Parts of a state that many states have in common.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

/// A value held once for all states that contain it, with its digest. A step changes one or two parts of a state; the
/// others are neither copied nor hashed again.
///
/// Two values are taken for equal if their digests are: 64 bits, as the checker's own fingerprint of a state.
#[derive(Debug)]
pub struct Shared<T> {
    value: Arc<T>,
    digest: u64,
}

impl<T: Hash> Shared<T> {
    /// Holds `value`.
    pub fn new(value: T) -> Self {
        Self {
            digest: digest(&value),
            value: Arc::new(value),
        }
    }

    /// Changes the value; other states keep the one they have.
    pub fn change<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R
    where
        T: Clone,
    {
        let result = change(Arc::make_mut(&mut self.value));
        self.digest = digest(&*self.value);
        result
    }
}

impl<T> Shared<T> {
    /// What stands for the value in comparisons.
    pub fn digest(&self) -> u64 {
        self.digest
    }
}

/// The same for equal values, in every run.
pub fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
            digest: self.digest,
        }
    }
}

impl<T> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl<T> Eq for Shared<T> {}

impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.digest);
    }
}
