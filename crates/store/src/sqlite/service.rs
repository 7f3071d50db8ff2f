//! Services of accounts: put, changed, removed, and read with the directory.

use std::collections::BTreeMap;

use model::{
    Account, AccountId, Application, ClientGroup, ClientId, Page, PageMethod, PageUrl, RingOrder,
    SecretBytes, Service, ServiceName, ServiceTarget, limits,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{Sqlite, value};
use crate::{Put, ServiceError, StoreError};

const PUT: &str = "keep a service";
const REMOVE: &str = "remove a service";
const RENEW: &str = "keep a signing secret";
const READ: &str = "read services";

/// One row for each client, or one without a client: for an application, and where somebody has deleted all clients, which is told
/// and not left out.
const COLUMNS: &str = "SELECT services.id, account_id, name, kind, ring_order, ring_s, first_url, first_method, \
                       final_url, final_method, error_url, error_method, secret, client \
                       FROM services LEFT JOIN service_clients ON service_id = services.id";

/// `services.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Clients answer; they stand in `service_clients`.
    Clients,
    /// An application answers.
    Application,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Application => "application",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Clients, Self::Application]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

impl Sqlite {
    pub(crate) async fn put_service(
        &self,
        id: AccountId,
        service: &Service,
    ) -> Result<Put, ServiceError> {
        let mut transaction = self.begin(PUT).await?;
        let exists: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM accounts WHERE id = ?)")
                .bind(id.0)
                .fetch_one(&mut *transaction)
                .await
                .map_err(self.failed(PUT))?;
        if !exists {
            return Err(ServiceError::NoSuchAccount(id));
        }
        let row: Option<i64> =
            sqlx::query_scalar("SELECT id FROM services WHERE account_id = ? AND name = ?")
                .bind(id.0)
                .bind(service.name.as_str())
                .fetch_optional(&mut *transaction)
                .await
                .map_err(self.failed(PUT))?;
        let put = match row {
            Some(row) => {
                self.rewrite_service(&mut transaction, row, &service.target)
                    .await?;
                Put::Replaced
            }
            None => {
                self.insert_service(&mut transaction, id, service).await?;
                Put::Created
            }
        };
        transaction.commit().await.map_err(self.failed(PUT))?;
        Ok(put)
    }

    pub(crate) async fn change_service<E>(
        &self,
        id: AccountId,
        name: &ServiceName,
        change: impl FnOnce(&Service) -> Result<Service, E>,
    ) -> Result<Result<Service, E>, ServiceError> {
        let mut transaction = self.begin(PUT).await?;
        let statement = sqlx::AssertSqlSafe(format!(
            "{COLUMNS} WHERE account_id = ? AND name = ? ORDER BY position"
        ));
        let rows = sqlx::query(statement)
            .bind(id.0)
            .bind(name.as_str())
            .fetch_all(&mut *transaction)
            .await
            .map_err(self.failed(PUT))?;
        let Some(first) = rows.first() else {
            return Err(no_such_service(id, name));
        };
        let row: i64 = first.try_get("id").map_err(self.failed(PUT))?;
        let changed = match change(&self.service(&rows)?) {
            Ok(changed) => changed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let target = self
            .rewrite_service(&mut transaction, row, &changed.target)
            .await?;
        transaction.commit().await.map_err(self.failed(PUT))?;
        let name = name.clone();
        Ok(Ok(Service { name, target }))
    }

    pub(crate) async fn renew_service_secret(
        &self,
        id: AccountId,
        name: &ServiceName,
        secret: &SecretBytes,
    ) -> Result<(), ServiceError> {
        let renewed = sqlx::query(
            "UPDATE services SET secret = ? WHERE account_id = ? AND name = ? AND kind = ?",
        )
        .bind(secret.expose())
        .bind(id.0)
        .bind(name.as_str())
        .bind(Kind::Application.as_str())
        .execute(&self.writer)
        .await
        .map_err(self.failed(RENEW))?;
        if renewed.rows_affected() == 0 {
            return Err(ServiceError::NoSuchApplication {
                account: id,
                name: name.clone(),
            });
        }
        Ok(())
    }

    pub(crate) async fn remove_service(
        &self,
        id: AccountId,
        name: &ServiceName,
    ) -> Result<(), ServiceError> {
        let removed = sqlx::query("DELETE FROM services WHERE account_id = ? AND name = ?")
            .bind(id.0)
            .bind(name.as_str())
            .execute(&self.writer)
            .await
            .map_err(self.failed(REMOVE))?;
        if removed.rows_affected() == 0 {
            return Err(no_such_service(id, name));
        }
        Ok(())
    }

    /// Gives each account its services.
    pub(super) async fn add_services(
        &self,
        connection: &mut SqliteConnection,
        accounts: &mut BTreeMap<AccountId, Account>,
    ) -> Result<(), StoreError> {
        let statement = sqlx::AssertSqlSafe(format!("{COLUMNS} ORDER BY services.id, position"));
        let rows = sqlx::query(statement)
            .fetch_all(connection)
            .await
            .map_err(self.failed(READ))?;
        let number =
            |row: &SqliteRow, column| row.try_get::<i64, _>(column).map_err(self.failed(READ));
        let mut rest = &rows[..];
        while let Some(first) = rest.first() {
            let id = number(first, "id")?;
            let mut length = 1;
            while length < rest.len() && number(&rest[length], "id")? == id {
                length += 1;
            }
            let (of_one, others) = rest.split_at(length);
            rest = others;
            let account =
                value::account_id(number(first, "account_id")?).map_err(self.damaged(READ))?;
            let service = self.service(of_one)?;
            if let Some(account) = accounts.get_mut(&account) {
                account.services.insert(service.name.clone(), service);
            }
        }
        Ok(())
    }

    /// The service whose rows these are: one at least, all of one service.
    fn service(&self, rows: &[SqliteRow]) -> Result<Service, StoreError> {
        let (failed, damaged) = (self.failed(READ), self.damaged(READ));
        let first = &rows[0];
        let text = |column| first.try_get::<&str, _>(column).map_err(&failed);
        let name = ServiceName::parse(text("name")?).map_err(|error| damaged(error.to_string()))?;
        let kind = value::word(text("kind")?, Kind::parse).map_err(&damaged)?;
        let mut clients = Vec::with_capacity(rows.len());
        for row in rows {
            let client: Option<&str> = row.try_get("client").map_err(&failed)?;
            let client = client.map(ClientId::parse).transpose();
            clients.extend(client.map_err(|error| damaged(error.to_string()))?);
        }
        let target = match kind {
            Kind::Clients => {
                let order = value::word(text("ring_order")?, RingOrder::parse).map_err(&damaged)?;
                let ring_s = first.try_get("ring_s").map_err(&failed)?;
                let group = ClientGroup::new(clients, order, ring_s);
                let group = group.map_err(|error| damaged(format!("service {name}: {error}")))?;
                ServiceTarget::Clients(group)
            }
            Kind::Application if clients.is_empty() => {
                ServiceTarget::Application(self.application(&name, first)?)
            }
            Kind::Application => {
                let what = format!("service {name}: an application has no clients");
                return Err(damaged(what));
            }
        };
        Ok(Service { name, target })
    }

    /// The application that answers for the service, of its row.
    fn application(&self, name: &ServiceName, row: &SqliteRow) -> Result<Application, StoreError> {
        let damaged = |what| self.damaged(READ)(format!("service {name}: {what}"));
        let text = |column| {
            row.try_get::<Option<&str>, _>(column)
                .map_err(self.failed(READ))
        };
        let page = |url, method| {
            let (Some(url), Some(method)) = (text(url)?, text(method)?) else {
                return Ok(None);
            };
            let url = PageUrl::parse(url).map_err(|error| damaged(error.to_string()))?;
            let method = value::word(method, PageMethod::parse).map_err(damaged)?;
            Ok(Some(Page { url, method }))
        };
        let secret: Option<&[u8]> = row.try_get("secret").map_err(self.failed(READ))?;
        let secret = str::from_utf8(secret.unwrap_or_default()).unwrap_or_default();
        Ok(Application {
            first_page: page("first_url", "first_method")?
                .ok_or_else(|| damaged("an application has a first page".to_owned()))?,
            final_page: page("final_url", "final_method")?,
            error_page: page("error_url", "error_method")?,
            secret: Application::parse_secret(secret)
                .map_err(|error| damaged(error.to_string()))?,
        })
    }

    async fn insert_service(
        &self,
        connection: &mut SqliteConnection,
        id: AccountId,
        service: &Service,
    ) -> Result<(), ServiceError> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM services WHERE account_id = ?")
            .bind(id.0)
            .fetch_one(&mut *connection)
            .await
            .map_err(self.failed(PUT))?;
        if value::count(count).map_err(self.damaged(PUT))? >= limits::SERVICES_PER_ACCOUNT as u64 {
            return Err(ServiceError::TooMany(id));
        }
        let columns = Columns::of(&service.target);
        let row = sqlx::query_scalar(
            "INSERT INTO services (account_id, name, kind, ring_order, ring_s, first_url, first_method, \
             final_url, final_method, error_url, error_method, secret) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             RETURNING id",
        )
        .bind(id.0)
        .bind(service.name.as_str())
        .bind(columns.kind.as_str())
        .bind(columns.order())
        .bind(columns.ring_s())
        .bind(url(columns.first_page))
        .bind(method(columns.first_page))
        .bind(url(columns.final_page))
        .bind(method(columns.final_page))
        .bind(url(columns.error_page))
        .bind(method(columns.error_page))
        .bind(columns.secret)
        .fetch_one(&mut *connection)
        .await
        .map_err(self.failed(PUT))?;
        Ok(self.insert_clients(connection, row, columns.group).await?)
    }

    /// Gives what is kept then: the target with the secret that was there before, if there was one.
    async fn rewrite_service(
        &self,
        connection: &mut SqliteConnection,
        row: i64,
        target: &ServiceTarget,
    ) -> Result<ServiceTarget, StoreError> {
        let columns = Columns::of(target);
        let secret: Option<Vec<u8>> = sqlx::query_scalar(
            "UPDATE services SET kind = ?, ring_order = ?, ring_s = ?, first_url = ?, first_method = ?, \
             final_url = ?, final_method = ?, error_url = ?, error_method = ?, secret = coalesce(secret, ?) \
             WHERE id = ? RETURNING secret",
        )
        .bind(columns.kind.as_str())
        .bind(columns.order())
        .bind(columns.ring_s())
        .bind(url(columns.first_page))
        .bind(method(columns.first_page))
        .bind(url(columns.final_page))
        .bind(method(columns.final_page))
        .bind(url(columns.error_page))
        .bind(method(columns.error_page))
        .bind(columns.secret)
        .bind(row)
        .fetch_one(&mut *connection)
        .await
        .map_err(self.failed(PUT))?;
        sqlx::query("DELETE FROM service_clients WHERE service_id = ?")
            .bind(row)
            .execute(&mut *connection)
            .await
            .map_err(self.failed(PUT))?;
        self.insert_clients(connection, row, columns.group).await?;
        let mut kept = target.clone();
        if let (ServiceTarget::Application(application), Some(secret)) = (&mut kept, secret) {
            application.secret = SecretBytes::new(secret);
        }
        Ok(kept)
    }

    async fn insert_clients(
        &self,
        connection: &mut SqliteConnection,
        row: i64,
        group: Option<&ClientGroup>,
    ) -> Result<(), StoreError> {
        let clients = group.map_or(&[][..], ClientGroup::clients);
        for (position, client) in (0_u32..).zip(clients) {
            sqlx::query(
                "INSERT INTO service_clients (service_id, position, client) VALUES (?, ?, ?)",
            )
            .bind(row)
            .bind(position)
            .bind(client.as_str())
            .execute(&mut *connection)
            .await
            .map_err(self.failed(PUT))?;
        }
        Ok(())
    }
}

/// What stands in the row of a service beside account and name.
struct Columns<'a> {
    kind: Kind,
    group: Option<&'a ClientGroup>,
    first_page: Option<&'a Page>,
    final_page: Option<&'a Page>,
    error_page: Option<&'a Page>,
    secret: Option<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn of(target: &'a ServiceTarget) -> Self {
        match target {
            ServiceTarget::Clients(group) => Self {
                kind: Kind::Clients,
                group: Some(group),
                first_page: None,
                final_page: None,
                error_page: None,
                secret: None,
            },
            ServiceTarget::Application(application) => Self {
                kind: Kind::Application,
                group: None,
                first_page: Some(&application.first_page),
                final_page: application.final_page.as_ref(),
                error_page: application.error_page.as_ref(),
                secret: Some(application.secret.expose()),
            },
        }
    }

    fn order(&self) -> Option<&'static str> {
        self.group.map(|group| group.order().as_str())
    }

    fn ring_s(&self) -> Option<u16> {
        self.group.map(ClientGroup::ring_s)
    }
}

fn url(page: Option<&Page>) -> Option<&str> {
    page.map(|page| page.url.as_str())
}

fn method(page: Option<&Page>) -> Option<&'static str> {
    page.map(|page| page.method.as_str())
}

fn no_such_service(account: AccountId, name: &ServiceName) -> ServiceError {
    ServiceError::NoSuchService {
        account,
        name: name.clone(),
    }
}
