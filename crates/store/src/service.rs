//! What may come of a change of services.
//!
//! Words between the callers and every back end; never SQL.

/// What became of a service that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// There was none of that name.
    Created,
    /// It took the place of the one of that name.
    Replaced,
}
