//! The store, opened for one command, and the account that the command is about.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use node::control::ControlFault;
use node::model::{Account, Directory, InvalidName, Login, SecretBytes};
use node::provision;
use node::store::{Address, Migrate, Store};
use serde_json::json;

use super::config_environment::environment;
use super::config_key::ServeFlags;
use super::config_layers::Layers;
use super::{Failure, Place, output};

/// The file of the store in its folder.
pub(crate) const STORE_FILE: &str = "offhook.db";

/// How long a running server is waited for; it answers sooner, whatever it has read.
const SERVER_PATIENCE: Duration = Duration::from_secs(3);

/// An open store and what it held when the command began.
pub(crate) struct Opened {
    /// The data folder: where the files of accounts are, and the socket of a server that runs.
    pub(crate) dir: PathBuf,
    pub(crate) address: Address,
    pub(crate) store: Store,
    pub(crate) directory: Directory,
}

impl Opened {
    /// Opens a store that is there.
    pub(crate) async fn existing(place: &Place) -> Result<Self, Failure> {
        let site = Site::of(place)?;
        if let Address::Folder(dir) = &site.address
            && let Err(error) = File::open(dir.join(STORE_FILE))
        {
            return Err(Failure::failed(unreadable(dir, &error)));
        }
        Self::open(site).await
    }

    /// Opens the store and makes it if it is not there.
    pub(crate) async fn existing_or_new(place: &Place) -> Result<Self, Failure> {
        Self::open(Site::of(place)?).await
    }

    async fn open(site: Site) -> Result<Self, Failure> {
        let store = provision::open_store_at(&site.address, site.migrate).await?;
        let (directory, _) = store.directory(output::now()).await?;
        Ok(Self {
            dir: site.dir,
            address: site.address,
            store,
            directory,
        })
    }

    /// Where it is, in full.
    pub(crate) fn whereabouts(&self) -> Result<String, Failure> {
        Ok(match &self.address {
            Address::Folder(dir) => std::path::absolute(dir)?.display().to_string(),
            Address::Database(url) => url.to_string(),
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
                self.address
            ))
        })
    }

    fn only_account(&self) -> Result<&Account, Failure> {
        let mut accounts = self.directory.accounts();
        match (accounts.next(), accounts.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(Failure::failed(format!(
                "there is no account in {}: make one with `offhook account create`",
                self.address
            ))),
            (Some(first), Some(second)) => Err(Failure::usage(format!(
                "there are several accounts in {}: name one, such as {} or {}",
                self.address,
                first.login(),
                second.login()
            ))),
        }
    }

    /// Ends the work with the store, so that nothing of it waits in memory.
    pub(crate) async fn close(self) {
        self.store.close().await;
    }

    /// The same after a change: a server that runs on the store is waited for until it works with that, but not for long.
    pub(crate) async fn close_changed(self) {
        self.store.close().await;
        let asked = node::control::ask(&self.dir, json!({ "ask": "directory" }));
        let is_seen = match tokio::time::timeout(SERVER_PATIENCE, asked).await {
            Ok(Ok(answer)) => answer["is_current"] == true,
            // The next one to start reads it.
            Ok(Err(ControlFault::NoServer(_))) => true,
            Ok(Err(
                ControlFault::Unreachable { .. }
                | ControlFault::NoAnswer(_)
                | ControlFault::Refused(_),
            ))
            | Err(_) => false,
        };
        if !is_seen {
            output::print_note(
                "the change is kept, but the running server has not said that it has read it: it looks again each second, and its log says \
                 what is in the way",
            );
        }
    }
}

/// Why the store in this folder cannot be read.
pub(super) fn unreadable(dir: &Path, error: &io::Error) -> String {
    let dir = dir.display();
    let kind = error.kind();
    if matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
        format!(
            "there is no store in {dir}: name its folder with --data DIR, or make one with `offhook account create`"
        )
    } else if kind == io::ErrorKind::PermissionDenied {
        format!(
            "the store in {dir} may not be read by this user ({error}): run this as the user whom it belongs to"
        )
    } else {
        format!("the store in {dir} cannot be read: {error}")
    }
}

/// Where everything is, as flags, environment and file say together.
pub(super) struct Site {
    dir: PathBuf,
    pub(super) address: Address,
    migrate: Migrate,
}

impl Site {
    pub(super) fn of(place: &Place) -> Result<Self, Failure> {
        let flags = ServeFlags::default();
        let layers = Layers::read(place, &flags, &environment)?;
        let (address, migrate) = layers.store_address()?;
        Ok(Self {
            dir: layers.data().value,
            address,
            migrate,
        })
    }
}

/// The folder that flags, environment and file name together.
pub(crate) fn data_dir(place: &Place) -> Result<PathBuf, Failure> {
    let flags = ServeFlags::default();
    let layers = Layers::read(place, &flags, &environment)?;
    layers.sound()?;
    Ok(layers.data().value)
}

/// Reads `1-2-0/bob@example.com`.
pub(crate) fn parse_login(text: &str) -> Result<Login, InvalidName> {
    Login::parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_may_not_be_read_is_not_said_to_be_missing() {
        let said = |kind: io::ErrorKind| unreadable(Path::new("/var/lib/offhook"), &kind.into());
        assert!(said(io::ErrorKind::NotFound).starts_with("there is no store in /var/lib/offhook"));
        let denied = said(io::ErrorKind::PermissionDenied);
        assert!(denied.starts_with("the store in /var/lib/offhook may not be read by this user"));
        assert!(said(io::ErrorKind::Other).contains("cannot be read"));
    }
}
