//! The store, opened for one command, and the account that the command is about.

use std::path::PathBuf;

use node::model::{Account, Directory, InvalidName, Login, SecretBytes};
use node::provision;
use node::store::Store;

use super::config::Layers;
use super::config_environment::environment;
use super::config_key::ServeFlags;
use super::{Failure, Place, output};

/// The file of the store in its folder.
const STORE_FILE: &str = "offhook.db";

/// An open store and what it held when the command began.
pub(crate) struct Opened {
    pub(crate) dir: PathBuf,
    pub(crate) store: Store,
    pub(crate) directory: Directory,
}

impl Opened {
    /// Opens a store that is there.
    pub(crate) async fn existing(place: &Place) -> Result<Self, Failure> {
        let dir = data_dir(place)?;
        if !dir.join(STORE_FILE).exists() {
            return Err(Failure::failed(format!(
                "there is no store in {}: name its folder with --data DIR, or make one with `offhook account create`",
                dir.display()
            )));
        }
        Self::open(dir).await
    }

    /// Opens the store and makes it if it is not there.
    pub(crate) async fn existing_or_new(place: &Place) -> Result<Self, Failure> {
        Self::open(data_dir(place)?).await
    }

    async fn open(dir: PathBuf) -> Result<Self, Failure> {
        let store = provision::open_store(&dir).await?;
        let (directory, _) = store.directory(output::now()).await?;
        Ok(Self {
            dir,
            store,
            directory,
        })
    }

    /// The secret that API keys are hashed with.
    pub(crate) async fn pepper(&self) -> Result<SecretBytes, Failure> {
        Ok(self.store.pepper().await?)
    }

    /// The account that logs in so; without a login, the only one there is.
    pub(crate) fn account(&self, login: Option<&Login>) -> Result<&Account, Failure> {
        let Some(login) = login else {
            return self.only_account();
        };
        self.directory.by_login(login).ok_or_else(|| {
            Failure::failed(format!(
                "there is no account {login} in {}; `offhook account list` names those that are there",
                self.dir.display()
            ))
        })
    }

    fn only_account(&self) -> Result<&Account, Failure> {
        let mut accounts = self.directory.accounts();
        match (accounts.next(), accounts.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(Failure::failed(format!(
                "there is no account in {}: make one with `offhook account create`",
                self.dir.display()
            ))),
            (Some(first), Some(second)) => Err(Failure::usage(format!(
                "there are several accounts in {}: name one, such as {} or {}",
                self.dir.display(),
                first.login(),
                second.login()
            ))),
        }
    }

    /// Ends the work with the store, so that nothing of it waits in memory.
    pub(crate) async fn close(self) {
        self.store.close().await;
    }
}

/// The folder that flags, environment and file name together.
pub(crate) fn data_dir(place: &Place) -> Result<PathBuf, Failure> {
    let flags = ServeFlags::default();
    Ok(Layers::read(place, &flags, &environment)?.data().value)
}

/// Reads `1-2-0/bob@example.com`.
pub(crate) fn parse_login(text: &str) -> Result<Login, InvalidName> {
    Login::parse(text)
}
