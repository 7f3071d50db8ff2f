//! A server in this process, on a port of its own and a store in a folder of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use model::{AccountId, AccountKind, Algorithm, CloudId, TokenLimit, Username};
use node::provision::{Created, NewAccount, new_account, open_store, open_store_at};
use node::{Config, Finding, ServeError, Started, TurnConfig, serve_until};
use store::{AccountChange, Address, Migrate, Store};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::http::{Answer, Ask};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// Where the operator looks, if anywhere.
    pub(crate) admin_address: Option<SocketAddr>,
    /// What it said about TURN.
    pub(crate) turn: Vec<Finding>,
    /// Where the peers of trunks reach it.
    pub(crate) trunk_address: Option<SocketAddr>,
    /// What it said about trunks.
    pub(crate) trunk: Vec<Finding>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
}

/// A folder with a store and one account in it.
pub(crate) struct Site {
    pub(crate) dir: TempDir,
    pub(crate) account: Created,
    /// Where its store is, if that is not in the folder.
    database: Option<Address>,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with(Algorithm::EdDsa).await
    }

    pub(crate) async fn with(algorithm: Algorithm) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).await;
        let account = add_account(&store, "bob@example.com", algorithm).await;
        store.close().await;
        Self {
            dir,
            account,
            database: None,
        }
    }

    /// With its store in this database.
    pub(crate) async fn in_database(url: &str) -> Self {
        let address = Address::parse(url).unwrap();
        let store = open_store_at(&address, Migrate::AtOnce).await.unwrap();
        let account = add_account(&store, "bob@example.com", Algorithm::EdDsa).await;
        store.close().await;
        Self {
            dir: tempfile::tempdir().unwrap(),
            account,
            database: Some(address),
        }
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            data: self.dir.path().to_owned(),
            listen: "127.0.0.1:0".parse().unwrap(),
            shards: Some(2),
            turn: turn(),
            ..Config::default()
        }
    }

    pub(crate) async fn serve(&self) -> Server {
        Server::start(self.config()).await
    }

    pub(crate) async fn open_store(&self) -> Store {
        match &self.database {
            Some(address) => open_store_at(address, Migrate::AtOnce).await.unwrap(),
            None => open(self.dir.path()).await,
        }
    }

    pub(crate) async fn account_id(&self) -> AccountId {
        let store = self.open_store().await;
        let id = store
            .find_account(&self.account.login)
            .await
            .unwrap()
            .unwrap();
        store.close().await;
        id
    }

    pub(crate) async fn limit_tokens(&self, limit: u64) {
        let id = self.account_id().await;
        let store = self.open_store().await;
        let token_limit = Some(Some(TokenLimit::Monthly(limit)));
        store
            .update_account(
                id,
                AccountChange {
                    token_limit,
                    ..AccountChange::default()
                },
            )
            .await
            .unwrap();
        store.close().await;
    }

    /// The request with this account's login.
    pub(crate) fn log_in<'a>(&self, ask: Ask<'a>) -> Ask<'a> {
        ask.login(
            &self.account.login.to_string(),
            self.account.api_key.expose(),
        )
    }

    /// A token for a client that may do everything.
    pub(crate) async fn token(&self, server: &Server, client: &str) -> String {
        let target = format!("/webrtc_generate_token?client_id={client}&call_client=*");
        let answer = server.send(self.log_in(crate::http::get(&target))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["token"].as_str().unwrap().to_owned()
    }
}

impl Server {
    pub(crate) async fn start(config: Config) -> Self {
        Self::try_start(config).await.unwrap()
    }

    pub(crate) async fn try_start(config: Config) -> Result<Self, ServeError> {
        let store = open(&config.data).await;
        Self::try_start_on(config, store).await
    }

    pub(crate) async fn try_start_on(config: Config, store: Store) -> Result<Self, ServeError> {
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, is_ready) = oneshot::channel();
        let mut served = tokio::spawn(serve_until(
            config,
            store,
            async |_| Ok(()),
            |started| ready.send(started.clone()).unwrap(),
            (async { drop(stopped.await) }, std::future::pending()),
        ));
        tokio::select! {
            Ok(Started { address, admin_address, turn, trunk_address, trunk, .. }) = is_ready => {
                Ok(Self { address, admin_address, turn, trunk_address, trunk, stop, served })
            }
            served = &mut served => Err(served.unwrap().unwrap_err()),
        }
    }

    pub(crate) async fn send(&self, ask: Ask<'_>) -> Answer {
        ask.send(self.address).await
    }

    /// Stops it in good order.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.served.await.unwrap().unwrap();
    }
}

/// On ports of its own, so that servers of several tests can run at once.
fn turn() -> TurnConfig {
    TurnConfig {
        listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        ..TurnConfig::default()
    }
}

pub(crate) async fn open(dir: &Path) -> Store {
    open_store(dir).await.unwrap()
}

pub(crate) async fn add_account(store: &Store, username: &str, algorithm: Algorithm) -> Created {
    let wanted = NewAccount {
        cloud_id: CloudId::parse("1-2-0").unwrap(),
        username: Username::parse(username).unwrap(),
        kind: AccountKind::Developer,
        algorithm,
    };
    new_account(store, &store.pepper().await.unwrap(), wanted)
        .await
        .unwrap()
}

/// Waits for a condition, not for ever.
pub(crate) async fn until(condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    in_time(waiting).await;
}

/// Waits for what must come, not for ever.
pub(crate) async fn in_time<T>(awaited: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), awaited)
        .await
        .expect("it comes in time")
}
