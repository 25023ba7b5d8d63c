//! Which page of a list is wanted. How a client names it is the API's affair.

/// A page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paging<K> {
    /// The page begins after this key; `None` for the first page.
    pub(crate) after: Option<K>,
    /// Most items wanted, at least 1.
    pub(crate) limit: usize,
}
