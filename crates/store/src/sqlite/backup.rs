//! A copy of everything while others read and write.

use std::path::Path;

use super::{Sqlite, explain};
use crate::StoreError;
use crate::error::Place;

const OPERATION: &str = "copy the store";

impl Sqlite {
    /// Into `file`, which must be empty or not there. Holds nobody up: it reads one moment of the store.
    pub(crate) async fn back_up(&self, file: &Path) -> Result<(), StoreError> {
        let Some(name) = file.to_str() else {
            return Err(StoreError::Unopened {
                operation: OPERATION,
                file: file.to_owned(),
                cause: "its name is not UTF-8".to_owned(),
            });
        };
        // Those that only read may not write anywhere.
        sqlx::query("VACUUM INTO ?")
            .bind(name)
            .execute(&self.writer)
            .await
            .map(drop)
            .map_err(|error| explain(OPERATION, Place::File(file.into()), error))
    }
}
