//! What can go wrong with the database itself. Refusals by a rule are values of each operation, not errors.

/// Why the database did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It is away or busy; the same act may succeed later. Nothing was changed.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The disk is full. Nothing was changed; reads still work.
    #[error("the disk that holds the database is full")]
    StorageFull,
    /// A statement failed in a way that trying again does not mend: a fault of ours or a damaged file.
    #[error("the database failed: {0}")]
    Failed(String),
}
