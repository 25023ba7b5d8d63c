//! Hash maps that are walked through. Under test their order is always the same, so that a simulation can be repeated.

#[cfg(not(test))]
pub(crate) use std::collections::HashMap;

/// A map without chance in it.
#[cfg(test)]
pub(crate) type HashMap<K, V> =
    std::collections::HashMap<K, V, std::hash::BuildHasherDefault<std::hash::DefaultHasher>>;
