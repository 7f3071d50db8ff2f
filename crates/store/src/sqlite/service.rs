//! Services of accounts: put, changed, removed, and read with the directory.

use std::collections::BTreeMap;

use model::{
    Account, AccountId, ClientGroup, ClientId, RingOrder, Service, ServiceName, ServiceTarget,
    limits,
};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{Sqlite, value};
use crate::{Put, ServiceError, StoreError};

const PUT: &str = "keep a service";
const REMOVE: &str = "remove a service";
const READ: &str = "read services";

/// `services.kind` of a service whose clients stand in `service_clients`.
const CLIENTS: &str = "clients";
/// One row for each client, or one without a client where somebody has deleted them all: that is told, not left out.
const COLUMNS: &str = "SELECT services.id, account_id, name, kind, ring_order, ring_s, client \
                       FROM services LEFT JOIN service_clients ON service_id = services.id";

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
                self.rewrite_service(&mut transaction, row, service).await?;
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
            Ok(changed) => Service {
                name: name.clone(),
                ..changed
            },
            Err(refusal) => return Ok(Err(refusal)),
        };
        self.rewrite_service(&mut transaction, row, &changed)
            .await?;
        transaction.commit().await.map_err(self.failed(PUT))?;
        Ok(Ok(changed))
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
        value::word(text("kind")?, |kind| (kind == CLIENTS).then_some(())).map_err(&damaged)?;
        let order = value::word(text("ring_order")?, RingOrder::parse).map_err(&damaged)?;
        let ring_s = first.try_get("ring_s").map_err(&failed)?;
        let mut clients = Vec::with_capacity(rows.len());
        for row in rows {
            let client: Option<&str> = row.try_get("client").map_err(&failed)?;
            let client = client.map(ClientId::parse).transpose();
            clients.extend(client.map_err(|error| damaged(error.to_string()))?);
        }
        let group = ClientGroup::new(clients, order, ring_s);
        let group = group.map_err(|error| damaged(format!("service {name}: {error}")))?;
        Ok(Service {
            name,
            target: ServiceTarget::Clients(group),
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
        let ServiceTarget::Clients(group) = &service.target else {
            unimplemented!("applications")
        };
        let row = sqlx::query_scalar(
            "INSERT INTO services (account_id, name, kind, ring_order, ring_s) VALUES (?, ?, ?, ?, ?) \
             RETURNING id",
        )
        .bind(id.0)
        .bind(service.name.as_str())
        .bind(CLIENTS)
        .bind(group.order().as_str())
        .bind(group.ring_s())
        .fetch_one(&mut *connection)
        .await
        .map_err(self.failed(PUT))?;
        Ok(self.insert_clients(connection, row, group).await?)
    }

    async fn rewrite_service(
        &self,
        connection: &mut SqliteConnection,
        row: i64,
        service: &Service,
    ) -> Result<(), StoreError> {
        let ServiceTarget::Clients(group) = &service.target else {
            unimplemented!("applications")
        };
        sqlx::query("UPDATE services SET kind = ?, ring_order = ?, ring_s = ? WHERE id = ?")
            .bind(CLIENTS)
            .bind(group.order().as_str())
            .bind(group.ring_s())
            .bind(row)
            .execute(&mut *connection)
            .await
            .map_err(self.failed(PUT))?;
        sqlx::query("DELETE FROM service_clients WHERE service_id = ?")
            .bind(row)
            .execute(&mut *connection)
            .await
            .map_err(self.failed(PUT))?;
        self.insert_clients(connection, row, group).await
    }

    async fn insert_clients(
        &self,
        connection: &mut SqliteConnection,
        row: i64,
        group: &ClientGroup,
    ) -> Result<(), StoreError> {
        for (position, client) in (0_u32..).zip(group.clients()) {
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

fn no_such_service(account: AccountId, name: &ServiceName) -> ServiceError {
    ServiceError::NoSuchService {
        account,
        name: name.clone(),
    }
}
