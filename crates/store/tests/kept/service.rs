//! Services: what is kept of them, their bound, and what another process sees.

use model::{
    AccountId, Application, ClientGroup, ClientId, InvalidGroup, Page, PageMethod, PageUrl,
    RingOrder, SecretBytes, Service, ServiceCallers, ServiceName, ServiceTarget, limits,
};
use store::{AccountChange, Put, ServiceError, Store, StoreError};

use crate::home::{self, Connection};
use crate::sample::{self, NOW};

fn name(text: &str) -> ServiceName {
    ServiceName::parse(text).unwrap()
}

fn service(text: &str, clients: &[&str], order: RingOrder, ring_s: u16) -> Service {
    let clients = clients.iter().map(|id| ClientId::parse(id).unwrap());
    let group = ClientGroup::new(clients.collect(), order, ring_s).unwrap();
    Service {
        name: name(text),
        target: ServiceTarget::Clients(group),
    }
}

fn support() -> Service {
    service("support", &["bob", "ann", "carol"], RingOrder::InOrder, 15)
}

fn page(url: &str, method: PageMethod) -> Page {
    let url = PageUrl::parse(url).unwrap();
    Page { url, method }
}

fn secret(letter: char) -> SecretBytes {
    Application::parse_secret(&letter.to_string().repeat(43)).unwrap()
}

/// An application whose secret is made of this letter.
fn ivr(letter: char) -> Service {
    Service {
        name: name("ivr"),
        target: ServiceTarget::Application(Application {
            first_page: page("https://app.example.com/first?a=1", PageMethod::Post),
            final_page: Some(page("http://127.0.0.1:8000/final", PageMethod::Get)),
            error_page: Some(page("https://app.example.com/error", PageMethod::Post)),
            secret: secret(letter),
        }),
    }
}

async fn renew(store: &Store, id: AccountId, letter: char) {
    store
        .renew_service_secret(id, &name("ivr"), &secret(letter))
        .await
        .unwrap();
}

fn group(service: &Service) -> &ClientGroup {
    let ServiceTarget::Clients(group) = &service.target else {
        panic!("clients answer for {service:?}");
    };
    group
}

async fn services(store: &Store, id: AccountId) -> Vec<Service> {
    let account = sample::loaded(store, id, NOW).await;
    account
        .services
        .into_iter()
        .map(|(name, service)| {
            assert_eq!(name, service.name);
            service
        })
        .collect()
}

async fn execute(connection: &mut Connection, statement: &'static str) {
    sqlx::query(statement).execute(connection).await.unwrap();
}

#[tokio::test]
async fn a_service_is_created_replaced_and_removed() {
    let (home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    assert_eq!(services(&store, id).await, []);

    assert_eq!(
        store.put_service(id, &support()).await.unwrap(),
        Put::Created
    );
    let sales = service("Sales", &["dave"], RingOrder::All, 20);
    assert_eq!(store.put_service(id, &sales).await.unwrap(), Put::Created);
    assert_eq!(services(&store, id).await, [sales.clone(), support()]);

    let fewer = service("support", &["carol", "bob"], RingOrder::RoundRobin, 60);
    assert_eq!(store.put_service(id, &fewer).await.unwrap(), Put::Replaced);
    assert_eq!(services(&store, id).await, [sales.clone(), fewer.clone()]);

    store.close().await;
    let store = home.open().await;
    assert_eq!(services(&store, id).await, [sales.clone(), fewer]);
    store.remove_service(id, &name("support")).await.unwrap();
    assert_eq!(services(&store, id).await, [sales]);
}

#[tokio::test]
async fn accounts_have_services_of_their_own() {
    let (_home, store) = sample::fresh().await;
    let ann = store.create_account(sample::account("ann")).await.unwrap();
    let ben = store.create_account(sample::account("ben")).await.unwrap();
    let of_ben = service("support", &["eve"], RingOrder::All, 1);
    store.put_service(ann, &support()).await.unwrap();
    assert_eq!(store.put_service(ben, &of_ben).await.unwrap(), Put::Created);
    store.remove_service(ann, &name("support")).await.unwrap();
    assert_eq!(services(&store, ann).await, []);
    assert_eq!(services(&store, ben).await, [of_ben]);
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let error = store.remove_service(id, &name("sales")).await.unwrap_err();
    assert!(
        matches!(&error, ServiceError::NoSuchService { account, name } if *account == id && name.as_str() == "sales"),
        "{error:?}"
    );
    assert!(error.to_string().contains("no service sales"), "{error}");
    let error = store
        .change_service(id, &name("sales"), |service| Ok::<_, ()>(service.clone()))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ServiceError::NoSuchService { .. }),
        "{error:?}"
    );
    let nobody = AccountId(4711);
    let error = store.put_service(nobody, &support()).await.unwrap_err();
    assert!(matches!(error, ServiceError::NoSuchAccount(id) if id == nobody));
}

#[tokio::test]
async fn an_account_has_so_many_services_and_no_more() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let other = store.create_account(sample::account("ben")).await.unwrap();
    let numbered = |number| service(&format!("s{number}"), &["bob"], RingOrder::All, 20);
    for number in 0..limits::SERVICES_PER_ACCOUNT {
        store.put_service(id, &numbered(number)).await.unwrap();
    }
    let error = store.put_service(id, &support()).await.unwrap_err();
    assert!(
        matches!(error, ServiceError::TooMany(of) if of == id),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("has 1000 services already"),
        "{error}"
    );
    assert_eq!(
        services(&store, id).await.len(),
        limits::SERVICES_PER_ACCOUNT
    );
    let replaced = store.put_service(id, &numbered(7)).await.unwrap();
    assert_eq!(replaced, Put::Replaced, "it takes no further place");
    store.put_service(other, &support()).await.unwrap();
    store.remove_service(id, &name("s3")).await.unwrap();
    store.put_service(id, &support()).await.unwrap();
}

#[tokio::test]
async fn a_change_is_made_of_what_is_there_or_not_at_all() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    store.put_service(id, &support()).await.unwrap();
    let changed = store
        .change_service(id, &name("support"), |old| {
            assert_eq!(*old, support());
            // Its name is no part of what can be changed.
            Ok::<_, ()>(service("other", &["ann"], RingOrder::All, 5))
        })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(changed, service("support", &["ann"], RingOrder::All, 5));
    assert_eq!(services(&store, id).await, std::slice::from_ref(&changed));

    let version = store.directory_version().await.unwrap();
    let refused = store
        .change_service(id, &name("support"), |_| Err("not like this"))
        .await
        .unwrap();
    assert_eq!(refused, Err("not like this"));
    assert_eq!(services(&store, id).await, [changed]);
    assert_eq!(store.directory_version().await.unwrap(), version);
    store
        .put_service(id, &support())
        .await
        .expect("a refusal leaves nothing locked");
}

#[tokio::test]
async fn of_many_changes_at_once_none_is_lost() {
    let (home, store) = sample::fresh().await;
    let other = home.open().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let first = service("support", &["bob"], RingOrder::All, 20);
    store.put_service(id, &first).await.unwrap();
    let one_more = |old: &Service, number: usize| {
        let group = group(old);
        let mut clients = group.clients().to_vec();
        clients.push(ClientId::parse(&number.to_string()).unwrap());
        let group = ClientGroup::new(clients, group.order(), group.ring_s())?;
        Ok::<_, InvalidGroup>(Service {
            target: ServiceTarget::Clients(group),
            ..old.clone()
        })
    };
    let changes: Vec<_> = (0..10)
        .map(|number| {
            let store = [&store, &other][number % 2].clone();
            tokio::spawn(async move {
                let name = name("support");
                let change = store.change_service(id, &name, |old| one_more(old, number));
                change.await.unwrap().unwrap();
            })
        })
        .collect();
    for change in changes {
        change.await.unwrap();
    }
    assert_eq!(group(&services(&store, id).await[0]).clients().len(), 11);
}

#[tokio::test]
async fn each_change_of_services_grows_the_version_as_other_handles_see_it() {
    let (home, store) = sample::fresh().await;
    let other = home.open().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let mut version = other.directory_version().await.unwrap();
    let mut grown = async |what: &str| {
        let now = other.directory_version().await.unwrap();
        assert!(now > version, "{what}");
        assert_eq!(other.directory(NOW).await.unwrap().1, now, "{what}");
        version = now;
    };
    store.put_service(id, &support()).await.unwrap();
    grown("a service was created").await;
    store.put_service(id, &support()).await.unwrap();
    grown("it was replaced").await;
    let change = AccountChange {
        service_callers: Some(ServiceCallers::Proven),
        ..AccountChange::default()
    };
    store.update_account(id, change).await.unwrap();
    grown("strangers were shut out").await;
    execute(
        &mut home.raw().await,
        "UPDATE service_clients SET client = 'eve' WHERE position = 0",
    )
    .await;
    grown("another program changed a client").await;
    store.remove_service(id, &name("support")).await.unwrap();
    grown("it was removed").await;
    store.put_service(id, &ivr('a')).await.unwrap();
    grown("one was created for an application").await;
    renew(&store, id, 'b').await;
    grown("it has a new secret").await;
    execute(
        &mut home.raw().await,
        "UPDATE services SET final_url = 'https://b.example.com/'",
    )
    .await;
    grown("another program changed a page").await;
    store
        .remove_service(id, &name("support"))
        .await
        .expect_err("it is gone");
    assert_eq!(other.directory_version().await.unwrap(), version);
}

#[tokio::test]
async fn an_application_is_kept_with_all_its_pages_or_the_first_alone() {
    let (home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    assert_eq!(
        store.put_service(id, &ivr('a')).await.unwrap(),
        Put::Created
    );
    store.put_service(id, &support()).await.unwrap();
    store.close().await;
    let store = home.open().await;
    assert_eq!(services(&store, id).await, [ivr('a'), support()]);

    let short = Service {
        target: ServiceTarget::Application(Application {
            first_page: page("http://a", PageMethod::Get),
            final_page: None,
            error_page: None,
            secret: secret('a'),
        }),
        ..ivr('a')
    };
    assert_eq!(store.put_service(id, &short).await.unwrap(), Put::Replaced);
    assert_eq!(services(&store, id).await, [short, support()]);
    store.remove_service(id, &name("ivr")).await.unwrap();
    assert_eq!(services(&store, id).await, [support()]);
}

#[tokio::test]
async fn a_secret_stays_through_every_change_until_another_is_wanted() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    store.put_service(id, &ivr('a')).await.unwrap();
    assert_eq!(
        store.put_service(id, &ivr('b')).await.unwrap(),
        Put::Replaced
    );
    assert_eq!(services(&store, id).await, [ivr('a')]);
    let changed = store
        .change_service(id, &name("ivr"), |_| Ok::<_, ()>(ivr('c')))
        .await
        .unwrap();
    assert_eq!(changed, Ok(ivr('a')), "it tells what is kept");

    // Clients take over for a while.
    let clients = service("ivr", &["bob", "eve"], RingOrder::All, 20);
    store.put_service(id, &clients).await.unwrap();
    assert_eq!(services(&store, id).await, [clients]);
    store.put_service(id, &ivr('d')).await.unwrap();
    assert_eq!(services(&store, id).await, [ivr('a')]);

    renew(&store, id, 'e').await;
    assert_eq!(services(&store, id).await, [ivr('e')]);
    store.remove_service(id, &name("ivr")).await.unwrap();
    store.put_service(id, &ivr('f')).await.unwrap();
    assert_eq!(services(&store, id).await, [ivr('f')]);
}

#[tokio::test]
async fn only_an_application_gets_a_new_secret() {
    let (_home, store) = sample::fresh().await;
    let ann = store.create_account(sample::account("ann")).await.unwrap();
    let ben = store.create_account(sample::account("ben")).await.unwrap();
    store.put_service(ann, &support()).await.unwrap();
    store.put_service(ben, &ivr('a')).await.unwrap();
    let version = store.directory_version().await.unwrap();
    for (account, service) in [(ann, "support"), (ann, "ivr"), (ben, "sales")] {
        let error = store
            .renew_service_secret(account, &name(service), &secret('b'))
            .await
            .unwrap_err();
        assert!(
            matches!(error, ServiceError::NoSuchApplication { .. }),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(
            text.contains(&format!("no service {service} that an application")),
            "{text}"
        );
    }
    assert_eq!(services(&store, ben).await, [ivr('a')]);
    assert_eq!(store.directory_version().await.unwrap(), version);
}

#[tokio::test]
async fn anyone_may_call_services_until_an_account_says_otherwise() {
    let (_home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    let callers_after = async |change| {
        store.update_account(id, change).await.unwrap();
        sample::loaded(&store, id, NOW).await.service_callers
    };
    let nothing = AccountChange::default();
    let set = |callers| AccountChange {
        service_callers: Some(callers),
        ..nothing
    };
    assert_eq!(callers_after(nothing).await, ServiceCallers::Anyone);
    assert_eq!(
        callers_after(set(ServiceCallers::Proven)).await,
        ServiceCallers::Proven
    );
    assert_eq!(callers_after(nothing).await, ServiceCallers::Proven);
    assert_eq!(
        callers_after(set(ServiceCallers::Anyone)).await,
        ServiceCallers::Anyone
    );
}

#[tokio::test]
async fn services_go_with_their_account() {
    let (home, store) = sample::fresh().await;
    let ann = store.create_account(sample::account("ann")).await.unwrap();
    let ben = store.create_account(sample::account("ben")).await.unwrap();
    for id in [ann, ben] {
        store.put_service(id, &support()).await.unwrap();
    }
    let mut connection = home.raw().await;
    execute(
        &mut connection,
        "DELETE FROM accounts WHERE username = 'ann@example.com'",
    )
    .await;
    let left: (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM services), (SELECT count(*) FROM service_clients)",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(left, (1, 3));
    assert_eq!(services(&store, ben).await, [support()]);
}

#[tokio::test]
async fn rows_that_make_no_sense_cannot_be_written_or_are_reported() {
    let (home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    store.put_service(id, &support()).await.unwrap();
    let mut connection = home.raw().await;
    for statement in [
        "UPDATE services SET kind = 'robots'",
        "UPDATE services SET ring_order = 'both'",
        "UPDATE services SET ring_order = NULL",
        "UPDATE services SET ring_s = 0",
        "UPDATE services SET ring_s = 61",
        "UPDATE services SET name = ''",
        "UPDATE service_clients SET client = 'bob'",
        "UPDATE service_clients SET position = 32 WHERE position = 0",
        "UPDATE accounts SET service_callers = 'nobody'",
    ] {
        let done = sqlx::query(statement).execute(&mut connection).await;
        assert!(done.is_err(), "{statement}");
    }
    for (statement, word) in [
        ("UPDATE services SET name = 'a b'", "service name \"a b\""),
        (
            "UPDATE services SET name = 'support'; UPDATE service_clients SET client = 'b b' WHERE position = 0",
            "client id \"b b\"",
        ),
        ("DELETE FROM service_clients", "at least one client"),
    ] {
        sqlx::raw_sql(statement)
            .execute(&mut connection)
            .await
            .unwrap();
        let error = store.directory(NOW).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains(word), "{statement}: {error}");
    }
}

#[tokio::test]
async fn an_application_that_makes_no_sense_cannot_be_written_or_is_reported() {
    let (home, store) = sample::fresh().await;
    let id = store.create_account(sample::account("ann")).await.unwrap();
    store.put_service(id, &ivr('a')).await.unwrap();
    let mut connection = home.raw().await;
    for statement in [
        "UPDATE services SET kind = 'clients'",
        "UPDATE services SET ring_order = 'all', ring_s = 20",
        "UPDATE services SET kind = 'clients', ring_order = 'all', ring_s = 20",
        "UPDATE services SET first_url = NULL, first_method = NULL",
        "UPDATE services SET first_url = ''",
        "UPDATE services SET first_method = 'PUT'",
        "UPDATE services SET final_url = NULL",
        "UPDATE services SET error_method = NULL",
        "UPDATE services SET secret = NULL",
        home::SHORT_SECRET,
        home::WRONG_TYPE,
    ] {
        let done = sqlx::query(statement).execute(&mut connection).await;
        assert!(done.is_err(), "{statement}");
    }
    for (statement, word) in [
        (home::NO_TEXT_SECRET, "service ivr: a signing secret has 32"),
        (home::WRONG_PAGE, "service ivr: page address \"ftp://a\""),
        (
            "UPDATE services SET first_url = 'http://a', error_url = 'http://'",
            "service ivr: page address \"http://\"",
        ),
        (
            "UPDATE services SET error_url = 'http://a'; \
             INSERT INTO service_clients SELECT id, 0, 'bob' FROM services",
            "an application has no clients",
        ),
    ] {
        sqlx::raw_sql(statement)
            .execute(&mut connection)
            .await
            .unwrap();
        let error = store.directory(NOW).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
        assert!(error.to_string().contains(word), "{statement}: {error}");
    }
}
