//! Services that the operator wants to be there whenever the server serves, such as those of a configuration file.
//!
//! Makes each of them what it is to be, before the doors open; leaves every other service alone. Never reads a file.

use model::{
    AccountId, Application, ClientGroup, Login, Page, SecretBytes, Service, ServiceName,
    ServiceTarget, UnixTime,
};
use store::{ServiceError, Store};

use crate::provision::{ProvisionError, application_secret};

/// A service that is to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedService {
    /// Whose it is.
    pub login: Login,
    /// What is called.
    pub name: ServiceName,
    /// Who answers.
    pub target: WantedTarget,
    /// Where that is said, such as a file and its line: every fault begins with it.
    pub place: String,
}

/// Who is to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedTarget {
    /// Clients of the same account.
    Clients(ClientGroup),
    /// A program elsewhere.
    Application {
        /// Asked first.
        first_page: Page,
        /// Told when the call has ended.
        final_page: Option<Page>,
        /// Told what went wrong.
        error_page: Option<Page>,
        /// Signs requests. `None`: the one that the service has, or a fresh one.
        secret: Option<SecretBytes>,
    },
}

/// Why a service that is wanted cannot be there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WantedFault {
    /// Nobody has this login.
    #[error("there is no account {0}; `offhook account list` names those that are there")]
    NoSuchAccount(Login),
    /// The account has as many services as it may have.
    #[error(
        "account {0} has {max} services already, as many as it may have; remove one with `offhook service remove`",
        max = model::limits::SERVICES_PER_ACCOUNT
    )]
    TooMany(Login),
    /// Account or service went between two steps.
    #[error("another process removes what is made here; start again when it is done")]
    Removed,
}

/// Makes or replaces each of these services. Nothing is changed where one of their accounts is not there.
pub async fn put_wanted(
    store: &Store,
    wanted: &[WantedService],
    now: UnixTime,
) -> Result<(), ProvisionError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let (directory, _) = store.directory(now).await?;
    let mut found = Vec::with_capacity(wanted.len());
    for service in wanted {
        let account = directory.by_login(&service.login).ok_or_else(|| {
            let fault = WantedFault::NoSuchAccount(service.login.clone());
            service.refused(fault)
        })?;
        found.push((account.id, service));
    }
    for (account, service) in found {
        service.put(store, account).await?;
    }
    Ok(())
}

impl WantedService {
    async fn put(&self, store: &Store, account: AccountId) -> Result<(), ProvisionError> {
        let service = Service {
            name: self.name.clone(),
            target: self.target.with_secret()?,
        };
        let put = store.put_service(account, &service).await;
        put.map_err(|error| self.failed(error))?;
        if let Some(secret) = self.target.secret() {
            // One that the service had before has stayed.
            let renewed = store
                .renew_service_secret(account, &self.name, secret)
                .await;
            renewed.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    fn failed(&self, error: ServiceError) -> ProvisionError {
        match error {
            ServiceError::Store(error) => error.into(),
            ServiceError::TooMany(_) => self.refused(WantedFault::TooMany(self.login.clone())),
            ServiceError::NoSuchAccount(_)
            | ServiceError::NoSuchService { .. }
            | ServiceError::NoSuchApplication { .. } => self.refused(WantedFault::Removed),
        }
    }

    fn refused(&self, fault: WantedFault) -> ProvisionError {
        ProvisionError::Wanted {
            place: self.place.clone(),
            fault,
        }
    }
}

impl WantedTarget {
    /// The secret that it is to have, whatever it had.
    fn secret(&self) -> Option<&SecretBytes> {
        match self {
            Self::Clients(_) => None,
            Self::Application { secret, .. } => secret.as_ref(),
        }
    }

    /// With a fresh secret where none is given.
    fn with_secret(&self) -> Result<ServiceTarget, ProvisionError> {
        Ok(match self {
            Self::Clients(group) => ServiceTarget::Clients(group.clone()),
            Self::Application {
                first_page,
                final_page,
                error_page,
                secret,
            } => ServiceTarget::Application(Application {
                first_page: first_page.clone(),
                final_page: final_page.clone(),
                error_page: error_page.clone(),
                secret: match secret {
                    Some(secret) => secret.clone(),
                    None => application_secret()?,
                },
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use model::{Algorithm, ClientId, PageMethod, PageUrl, RingOrder};

    use super::*;
    use crate::provision::{NewAccount, new_account, open_store};

    const NOW: UnixTime = UnixTime::from_secs(1_749_988_800);

    fn login(username: &str) -> Login {
        Login::parse(&format!("1-2-0/{username}")).unwrap()
    }

    async fn store_with(username: &str) -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = open_store(dir.path()).await.unwrap();
        let Login { cloud_id, username } = login(username);
        let wanted = NewAccount {
            cloud_id,
            username,
            kind: model::AccountKind::Production,
            algorithm: Algorithm::EdDsa,
        };
        let pepper = store.pepper().await.unwrap();
        new_account(&store, &pepper, wanted).await.unwrap();
        (dir, store)
    }

    async fn target(store: &Store, name: &str) -> ServiceTarget {
        let (directory, _) = store.directory(NOW).await.unwrap();
        let account = directory.by_login(&login("ann")).unwrap();
        account.services[name].target.clone()
    }

    fn clients(of: &str, name: &str) -> WantedService {
        let bob = vec![ClientId::parse("bob").unwrap()];
        WantedService {
            login: login(of),
            name: ServiceName::parse(name).unwrap(),
            target: WantedTarget::Clients(ClientGroup::new(bob, RingOrder::All, 20).unwrap()),
            place: "offhook.toml line 3".to_owned(),
        }
    }

    fn ivr(secret: Option<&SecretBytes>) -> WantedService {
        let first_page = Page {
            url: PageUrl::parse("http://127.0.0.1:8000/").unwrap(),
            method: PageMethod::Post,
        };
        WantedService {
            target: WantedTarget::Application {
                first_page,
                final_page: None,
                error_page: None,
                secret: secret.cloned(),
            },
            ..clients("ann", "ivr")
        }
    }

    async fn secret(store: &Store) -> SecretBytes {
        match target(store, "ivr").await {
            ServiceTarget::Application(application) => application.secret,
            ServiceTarget::Clients(_) => panic!("clients answer"),
        }
    }

    #[tokio::test]
    async fn a_secret_is_made_once_unless_one_is_given() {
        let (_dir, store) = store_with("ann").await;
        put_wanted(&store, &[ivr(None)], NOW).await.unwrap();
        let made = secret(&store).await;
        assert_eq!(made.expose().len(), 43);
        put_wanted(&store, &[ivr(None)], NOW).await.unwrap();
        assert_eq!(secret(&store).await, made);
        let given = Application::parse_secret(&"g".repeat(32)).unwrap();
        for wanted in [ivr(Some(&given)), ivr(None)] {
            put_wanted(&store, &[wanted], NOW).await.unwrap();
            assert_eq!(secret(&store).await, given);
        }
    }

    #[tokio::test]
    async fn what_is_not_named_is_left_alone_and_one_fault_stops_all() {
        let (_dir, store) = store_with("ann").await;
        put_wanted(&store, &[clients("ann", "support")], NOW)
            .await
            .unwrap();
        put_wanted(&store, &[ivr(None)], NOW).await.unwrap();
        let support = target(&store, "support").await;
        assert!(matches!(support, ServiceTarget::Clients(_)));

        let version = store.directory_version().await.unwrap();
        let wanted = [clients("ann", "ivr"), clients("eve", "ivr")];
        let error = put_wanted(&store, &wanted, NOW).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("offhook.toml line 3: there is no account 1-2-0/eve; "),
            "{text}"
        );
        assert_eq!(store.directory_version().await.unwrap(), version);
        put_wanted(&store, &[], NOW).await.unwrap();
        assert_eq!(store.directory_version().await.unwrap(), version);
    }
}
