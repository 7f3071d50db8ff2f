//! Services of accounts: put, changed, removed, and read with the directory.

use model::{
    AccountId, Application, ClientGroup, ClientId, Page, PageMethod, PageUrl, RingOrder,
    SecretBytes, Service, ServiceName, ServiceTarget, limits,
};

use super::account::Accounts;
use super::has_account;
use crate::session::{Purpose, Session};
use crate::statement::{Row, Statement};
use crate::value::{self, Unfit};
use crate::{Put, ServiceError, Store, StoreError};

const PUT: &str = "keep a service";
const REMOVE: &str = "remove a service";
const RENEW: &str = "keep a signing secret";

/// One row for each client, or one without a client: for an application, and where somebody has deleted all clients, which is told
/// and not left out.
const COLUMNS: &str = "SELECT services.id AS id, account_id, name, kind, ring_order, ring_s, first_url, first_method, \
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

impl Store {
    /// Keeps a service of the account, in place of the one of that name if there is one. An account has at most
    /// [`limits::SERVICES_PER_ACCOUNT`](model::limits::SERVICES_PER_ACCOUNT). A service keeps its signing secret as long as it is there,
    /// even where clients answer for it meanwhile: the one that comes with `service` counts only if it has none.
    pub async fn put_service(&self, id: AccountId, service: &Service) -> Result<Put, ServiceError> {
        let mut session = self.session(Purpose::Change, PUT).await?;
        if !has_account(&mut session, id).await? {
            return Err(ServiceError::NoSuchAccount(id));
        }
        let find = Statement::new("SELECT id FROM services WHERE account_id = $1 AND name = $2");
        let find = find.bind(id.0).bind(service.name.as_str());
        let put = match session.row(find).await? {
            Some(row) => {
                let row = row.get("id").map_err(|what| session.damaged(what))?;
                rewrite_service(&mut session, row, &service.target).await?;
                Put::Replaced
            }
            None => {
                insert_service(&mut session, id, service).await?;
                Put::Created
            }
        };
        session.commit().await?;
        Ok(put)
    }

    /// Makes of the account's service of this name what `change` makes of it, under the same name; nobody else changes it
    /// meanwhile. What `change` refuses stays as it is, and its refusal is the inner error. Of the signing secret counts what counts for
    /// [`Store::put_service`]; what is returned has the one that is kept.
    pub async fn change_service<E>(
        &self,
        id: AccountId,
        name: &ServiceName,
        change: impl FnOnce(&Service) -> Result<Service, E>,
    ) -> Result<Result<Service, E>, ServiceError> {
        let mut session = self.session(Purpose::Change, PUT).await?;
        let mut find = Statement::new(COLUMNS);
        find.push(" WHERE account_id = $1 AND name = $2 ORDER BY position");
        let rows = session.rows(find.bind(id.0).bind(name.as_str())).await?;
        let Some(first) = rows.first() else {
            return Err(no_such_service(id, name));
        };
        let row = first.get("id").map_err(|what| session.damaged(what))?;
        let kept = service(&rows).map_err(|what| session.damaged(what))?;
        let changed = match change(&kept) {
            Ok(changed) => changed,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let target = rewrite_service(&mut session, row, &changed.target).await?;
        session.commit().await?;
        let name = name.clone();
        Ok(Ok(Service { name, target }))
    }

    /// Has requests to the application that answers for the account's service of this name signed with `secret`.
    pub async fn renew_service_secret(
        &self,
        id: AccountId,
        name: &ServiceName,
        secret: &SecretBytes,
    ) -> Result<(), ServiceError> {
        let renew = Statement::new(
            "UPDATE services SET secret = $1 WHERE account_id = $2 AND name = $3 AND kind = $4",
        )
        .bind(secret.expose())
        .bind(id.0)
        .bind(name.as_str())
        .bind(Kind::Application.as_str());
        let mut session = self.session(Purpose::Change, RENEW).await?;
        if session.execute(renew).await? == 0 {
            return Err(ServiceError::NoSuchApplication {
                account: id,
                name: name.clone(),
            });
        }
        Ok(session.commit().await?)
    }

    /// Removes the account's service of this name.
    pub async fn remove_service(
        &self,
        id: AccountId,
        name: &ServiceName,
    ) -> Result<(), ServiceError> {
        let remove = Statement::new("DELETE FROM services WHERE account_id = $1 AND name = $2");
        let mut session = self.session(Purpose::Change, REMOVE).await?;
        let removed = session
            .execute(remove.bind(id.0).bind(name.as_str()))
            .await?;
        if removed == 0 {
            return Err(no_such_service(id, name));
        }
        Ok(session.commit().await?)
    }
}

/// Gives each account its services.
pub(super) async fn add_services(
    session: &mut Session,
    accounts: &mut Accounts,
) -> Result<(), StoreError> {
    let mut statement = Statement::new(COLUMNS);
    statement.push(" ORDER BY services.id, position");
    let rows = session.rows(statement).await?;
    add(&rows, accounts).map_err(|what| session.damaged(what))
}

fn add(rows: &[Row], accounts: &mut Accounts) -> Result<(), Unfit> {
    let mut rest = rows;
    while let Some(first) = rest.first() {
        let id: i64 = first.get("id")?;
        let mut length = 1;
        while length < rest.len() && rest[length].get::<i64>("id")? == id {
            length += 1;
        }
        let (of_one, others) = rest.split_at(length);
        rest = others;
        let account = value::account_id(first.get("account_id")?)?;
        let service = service(of_one)?;
        if let Some(account) = accounts.get_mut(&account) {
            account.services.insert(service.name.clone(), service);
        }
    }
    Ok(())
}

/// The service whose rows these are: one at least, all of one service.
fn service(rows: &[Row]) -> Result<Service, Unfit> {
    let first = &rows[0];
    let name = value::name(first.get("name")?, ServiceName::parse)?;
    let kind = value::word(first.get("kind")?, Kind::parse)?;
    let mut clients = Vec::with_capacity(rows.len());
    for row in rows {
        let client: Option<&str> = row.get("client")?;
        let client = client.map(|client| value::name(client, ClientId::parse));
        clients.extend(client.transpose()?);
    }
    let target = match kind {
        Kind::Clients => {
            let order = value::word(first.get("ring_order")?, RingOrder::parse)?;
            let ring_s = value::small(first.get("ring_s")?)?;
            let group = ClientGroup::new(clients, order, ring_s);
            let group = group.map_err(|error| format!("service {name}: {error}"))?;
            ServiceTarget::Clients(group)
        }
        Kind::Application if clients.is_empty() => {
            let application = application(first);
            let application = application.map_err(|what| format!("service {name}: {what}"))?;
            ServiceTarget::Application(application)
        }
        Kind::Application => {
            return Err(format!("service {name}: an application has no clients"));
        }
    };
    Ok(Service { name, target })
}

/// The application that answers for the service, of its row.
fn application(row: &Row) -> Result<Application, Unfit> {
    let page = |url, method| {
        let (Some(url), Some(method)) = (row.get(url)?, row.get(method)?) else {
            return Ok::<_, Unfit>(None);
        };
        let url = value::name(url, PageUrl::parse)?;
        let method = value::word(method, PageMethod::parse)?;
        Ok(Some(Page { url, method }))
    };
    let secret: Option<&[u8]> = row.get("secret")?;
    let secret = str::from_utf8(secret.unwrap_or_default()).unwrap_or_default();
    Ok(Application {
        first_page: page("first_url", "first_method")?
            .ok_or_else(|| "an application has a first page".to_owned())?,
        final_page: page("final_url", "final_method")?,
        error_page: page("error_url", "error_method")?,
        secret: value::name(secret, Application::parse_secret)?,
    })
}

async fn insert_service(
    session: &mut Session,
    id: AccountId,
    service: &Service,
) -> Result<(), ServiceError> {
    let count = Statement::new("SELECT count(*) AS found FROM services WHERE account_id = $1");
    let count = session.number(count.bind(id.0)).await?;
    let count = value::count(count).map_err(|what| session.damaged(what))?;
    if count >= limits::SERVICES_PER_ACCOUNT as u64 {
        return Err(ServiceError::TooMany(id));
    }
    let columns = Columns::of(&service.target);
    let insert = columns
        .bound_to(Statement::new(
            "INSERT INTO services (kind, ring_order, ring_s, first_url, first_method, final_url, final_method, \
             error_url, error_method, secret, account_id, name) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id AS found",
        ))
        .bind(id.0)
        .bind(service.name.as_str());
    let row = session.number(insert).await?;
    Ok(insert_clients(session, row, columns.group).await?)
}

/// Gives what is kept then: the target with the secret that was there before, if there was one.
async fn rewrite_service(
    session: &mut Session,
    row: i64,
    target: &ServiceTarget,
) -> Result<ServiceTarget, StoreError> {
    let columns = Columns::of(target);
    let update = columns
        .bound_to(Statement::new(
            "UPDATE services SET kind = $1, ring_order = $2, ring_s = $3, first_url = $4, first_method = $5, \
             final_url = $6, final_method = $7, error_url = $8, error_method = $9, secret = coalesce(secret, $10) \
             WHERE id = $11 RETURNING secret",
        ))
        .bind(row);
    let updated = session.row(update).await?;
    let secret: Option<Vec<u8>> = match updated {
        Some(updated) => updated
            .get("secret")
            .map_err(|what| session.damaged(what))?,
        None => None,
    };
    let delete = Statement::new("DELETE FROM service_clients WHERE service_id = $1");
    session.execute(delete.bind(row)).await?;
    insert_clients(session, row, columns.group).await?;
    let mut kept = target.clone();
    if let (ServiceTarget::Application(application), Some(secret)) = (&mut kept, secret) {
        application.secret = SecretBytes::new(secret);
    }
    Ok(kept)
}

async fn insert_clients(
    session: &mut Session,
    row: i64,
    group: Option<&ClientGroup>,
) -> Result<(), StoreError> {
    let clients = group.map_or(&[][..], ClientGroup::clients);
    for (position, client) in (0_u32..).zip(clients) {
        let insert = Statement::new(
            "INSERT INTO service_clients (service_id, position, client) VALUES ($1, $2, $3)",
        );
        session
            .execute(insert.bind(row).bind(position).bind(client.as_str()))
            .await?;
    }
    Ok(())
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

    /// From kind to secret, in the order of both statements that write them.
    fn bound_to(&self, statement: Statement) -> Statement {
        let mut bound = statement
            .bind(self.kind.as_str())
            .bind(self.group.map(|group| group.order().as_str()))
            .bind(self.group.map(ClientGroup::ring_s));
        for page in [self.first_page, self.final_page, self.error_page] {
            bound = bound
                .bind(page.map(|page| page.url.as_str()))
                .bind(page.map(|page| page.method.as_str()));
        }
        bound.bind(self.secret)
    }
}

fn no_such_service(account: AccountId, name: &ServiceName) -> ServiceError {
    ServiceError::NoSuchService {
        account,
        name: name.clone(),
    }
}
