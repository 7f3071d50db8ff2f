//! What is kept, written once for every back end: the statements, and what their rows mean.
//!
//! The text of a statement is one that SQLite and PostgreSQL both understand. Never knows which of them runs it.

mod account;
mod copy;
mod key;
mod record;
mod revocation;
mod service;
mod usage;

pub use copy::Copied;
use model::AccountId;
pub use record::Absent;

use crate::StoreError;
use crate::session::Session;
use crate::statement::Statement;

/// Whether there is an account of this number.
async fn has_account(session: &mut Session, id: AccountId) -> Result<bool, StoreError> {
    let statement = Statement::new("SELECT id FROM accounts WHERE id = $1");
    session.finds(statement.bind(id.0)).await
}
