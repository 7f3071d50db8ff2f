//! Connections to the bus, wherever its address says that it is: a host, the master that Sentinel names, a cluster.
//!
//! Each is made once and tried once; who needs another asks again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::limits;
use redis::aio::{AsyncPushSender, ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    Pipeline, ProtocolVersion, RedisConnectionInfo, RedisError, RedisFuture, RedisResult,
    TlsCertificates, Value, cmd,
};
use tokio::time::timeout;

use super::error::explain;
use super::sentinel::{self, Named};
use super::url::{Host, Kind, Login};
use super::{BusError, BusUrl};

/// The way to the bus.
pub(super) struct Way {
    url: BusUrl,
    place: String,
    /// Who is trusted, where those of the system are not asked.
    authorities: Option<Vec<u8>>,
    cluster: Option<ClusterClient>,
    named: Mutex<Named>,
}

/// A connection, or one to each server of a cluster. Clones are the same.
#[derive(Clone)]
pub(super) enum Link {
    /// To one server.
    One(MultiplexedConnection),
    /// To all of a cluster.
    Cluster(ClusterConnection),
}

impl Way {
    /// Reads the file of the authorities, and goes nowhere.
    pub(super) fn new(url: BusUrl) -> Result<Self, BusError> {
        let place = url.to_string();
        let authorities = match &url.ca {
            None => None,
            Some(path) => {
                let wrong = |cause: String| BusError::Authority {
                    path: path.display().to_string(),
                    cause,
                };
                let pem = std::fs::read(path)
                    .map_err(|error| wrong(format!("cannot be read ({error})")))?;
                if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
                    return Err(wrong("holds no certificate".to_owned()));
                }
                Some(pem)
            }
        };
        let mut way = Self {
            url,
            place,
            authorities,
            cluster: None,
            named: Mutex::default(),
        };
        way.cluster = match way.url.kind {
            Kind::Cluster => Some(way.cluster_client()?),
            Kind::Single | Kind::Sentinel(_) => None,
        };
        Ok(way)
    }

    /// In words, and without what opens it.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Whether there are several servers, each of which knows its own listeners only.
    pub(super) fn is_cluster(&self) -> bool {
        self.cluster.is_some()
    }

    /// Whose turn it is to be the master. Who connected in another is to connect anew.
    pub(super) fn turn(&self) -> u64 {
        self.named().turn
    }

    /// A connection for commands. `ear` hears when it is lost; one to a cluster mends itself.
    pub(super) async fn connect(
        &self,
        operation: &'static str,
        ear: impl AsyncPushSender,
    ) -> Result<Link, BusError> {
        let connecting = async {
            match &self.cluster {
                None => {
                    let config = config().set_push_sender(ear);
                    self.connect_one(operation, config).await.map(Link::One)
                }
                Some(client) => {
                    let connection = client.get_async_connection().await;
                    let connection =
                        connection.map_err(|error| explain(operation, &self.place, &error))?;
                    Ok(Link::Cluster(connection))
                }
            }
        };
        self.in_time(operation, connecting).await
    }

    /// A connection by which `ear` hears. Each server of a cluster passes on what any other is told.
    pub(super) async fn listen(
        &self,
        operation: &'static str,
        ear: impl AsyncPushSender,
    ) -> Result<MultiplexedConnection, BusError> {
        let config = config().set_push_sender(ear);
        self.in_time(operation, self.connect_one(operation, config))
            .await
    }

    /// Asks whether that, which was connected to in this turn, is still the server to listen to.
    pub(super) async fn ping(
        &self,
        operation: &'static str,
        connection: &mut MultiplexedConnection,
        turn: u64,
    ) -> Result<(), BusError> {
        let failed = |error: RedisError| explain(operation, &self.place, &error);
        match &self.url.kind {
            Kind::Single => cmd("PING").exec_async(connection).await.map_err(failed),
            Kind::Sentinel(service) => {
                self.check_master(operation, connection).await?;
                // As long as no Sentinel answers there is no other.
                let asking = self.master(operation, service, false);
                let _ = timeout(limits::BUS_PING / 2, asking).await;
                if self.turn() == turn {
                    return Ok(());
                }
                Err(self.not_ready(operation, "Sentinel names another master now".to_owned()))
            }
            Kind::Cluster => {
                let info: String = cmd("CLUSTER")
                    .arg("INFO")
                    .query_async(connection)
                    .await
                    .map_err(failed)?;
                if info.contains("cluster_state:ok") {
                    return Ok(());
                }
                Err(self.not_ready(operation, "the state of the cluster is not ok".to_owned()))
            }
        }
    }

    async fn connect_one(
        &self,
        operation: &'static str,
        config: AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, BusError> {
        let failed = |error: RedisError| explain(operation, &self.place, &error);
        let host = match &self.url.kind {
            Kind::Single => self.url.hosts.first().cloned(),
            Kind::Sentinel(service) => Some(self.master(operation, service, true).await?),
            Kind::Cluster => return self.connect_any(operation, config).await,
        };
        let host = host.ok_or_else(|| self.not_ready(operation, "it has no host".to_owned()))?;
        let client = self.client(&host, self.info()).map_err(failed)?;
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(failed)?;
        if let Kind::Sentinel(_) = self.url.kind {
            self.check_master(operation, &mut connection).await?;
        }
        Ok(connection)
    }

    /// To whichever of the hosts is first to say that its cluster is well.
    async fn connect_any(
        &self,
        operation: &'static str,
        config: AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, BusError> {
        let mut fault = None;
        // The one that hangs must leave time for the next.
        let turns = u32::try_from(self.url.hosts.len()).unwrap_or(1);
        let turn = limits::BUS_CONNECT_TIME / turns;
        for host in &self.url.hosts {
            let connecting = async {
                let client = self.client(host, self.info())?;
                client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await
            };
            let wrong = match timeout(turn, connecting).await {
                Ok(Ok(mut connection)) => match self.ping(operation, &mut connection, 0).await {
                    Ok(()) => return Ok(connection),
                    Err(error) => error,
                },
                Ok(Err(error)) => explain(operation, &self.place, &error),
                Err(_) => self.too_late(operation),
            };
            fault.get_or_insert(wrong);
        }
        Err(fault.unwrap_or_else(|| self.too_late(operation)))
    }

    /// What Sentinel says. It is old news, at times: to be taken by who needs a master, and not by who has one.
    async fn master(
        &self,
        operation: &'static str,
        service: &str,
        needs_one: bool,
    ) -> Result<Host, BusError> {
        let login = self.url.sentinel_login.as_ref();
        let clients = self.url.hosts.iter().map(|host| {
            // A Sentinel before 6.2 knows the older protocol only.
            self.client(host, with_login(RedisConnectionInfo::default(), login))
        });
        let failed = |error: RedisError| explain(operation, &self.place, &error);
        let clients = clients.collect::<RedisResult<Vec<_>>>().map_err(failed)?;
        let master = sentinel::ask(clients, service).await.map_err(failed)?;
        let master = master.ok_or_else(|| {
            let cause = format!("no Sentinel knows a master of the name {service}");
            self.not_ready(operation, cause)
        })?;
        self.named().note(&master, needs_one);
        Ok(master.host)
    }

    fn named(&self) -> MutexGuard<'_, Named> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn check_master(
        &self,
        operation: &'static str,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), BusError> {
        let role: Vec<Value> = cmd("ROLE")
            .query_async(connection)
            .await
            .map_err(|error| explain(operation, &self.place, &error))?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(()),
            _ => {
                let cause = "whom Sentinel named as the master says that it is none".to_owned();
                Err(self.not_ready(operation, cause))
            }
        }
    }

    fn client(&self, host: &Host, redis: RedisConnectionInfo) -> RedisResult<Client> {
        let info = self.host_info(host)?.set_redis_settings(redis);
        if self.url.is_tls {
            Client::build_with_tls(info, self.certificates())
        } else {
            Client::open(info)
        }
    }

    fn cluster_client(&self) -> Result<ClusterClient, BusError> {
        let build = || {
            let hosts = self.url.hosts.iter().map(|host| {
                let info = self.host_info(host)?;
                Ok(info.set_redis_settings(self.info()))
            });
            let hosts: Vec<ConnectionInfo> = hosts.collect::<RedisResult<_>>()?;
            let mut builder = ClusterClient::builder(hosts)
                .tcp_settings(tcp())
                .use_protocol(ProtocolVersion::RESP3)
                // A server that hangs must leave time for the others.
                .connection_timeout(limits::BUS_CONNECT_TIME / 4)
                // Who asks waits no longer than it says.
                .response_timeout(limits::BUS_LOAD_TIME)
                .retries(3)
                .min_retry_wait(20)
                .max_retry_wait(200);
            if self.url.is_tls {
                builder = builder.certs(self.certificates());
            }
            builder.build()
        };
        build().map_err(|error| explain("use the bus", &self.place, &error))
    }

    fn host_info(&self, host: &Host) -> RedisResult<ConnectionInfo> {
        let (name, port) = (host.name.clone(), host.port);
        let address = if self.url.is_tls {
            ConnectionAddr::TcpTls {
                host: name,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(name, port)
        };
        Ok(address.into_connection_info()?.set_tcp_settings(tcp()))
    }

    fn info(&self) -> RedisConnectionInfo {
        let info = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_db(self.url.database.into())
            .set_lib_name("offhook", env!("CARGO_PKG_VERSION"));
        with_login(info, self.url.login.as_ref())
    }

    fn certificates(&self) -> TlsCertificates {
        TlsCertificates {
            client_tls: None,
            root_cert: self.authorities.clone(),
        }
    }

    async fn in_time<T>(
        &self,
        operation: &'static str,
        connecting: impl Future<Output = Result<T, BusError>>,
    ) -> Result<T, BusError> {
        match timeout(limits::BUS_CONNECT_TIME, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(self.too_late(operation)),
        }
    }

    /// There was no connection in time.
    pub(super) fn too_late(&self, operation: &'static str) -> BusError {
        let most = limits::BUS_CONNECT_TIME.as_millis();
        BusError::Unreachable {
            operation,
            place: self.place.clone(),
            cause: format!("no connection within {most} ms"),
        }
    }

    fn not_ready(&self, operation: &'static str, cause: String) -> BusError {
        BusError::NotReady {
            operation,
            place: self.place.clone(),
            cause,
        }
    }
}

impl Link {
    /// The same, going to where this key is.
    pub(super) fn at<'a>(&'a mut self, key: &'a str) -> At<'a> {
        At { link: self, key }
    }
}

/// A connection to where a key is: what goes by it belongs there, channels among it.
pub(super) struct At<'a> {
    link: &'a mut Link,
    key: &'a str,
}

impl ConnectionLike for At<'_> {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self.link {
            Link::One(connection) => connection.req_packed_command(command),
            Link::Cluster(connection) => {
                let route = redis::cluster_routing::RoutingInfo::SingleNode(route(self.key));
                Box::pin(connection.route_command(command.clone(), route))
            }
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self.link {
            Link::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Link::Cluster(connection) => {
                let route = route(self.key);
                Box::pin(connection.route_pipeline(pipeline.clone(), offset, count, route))
            }
        }
    }

    fn get_db(&self) -> i64 {
        match &*self.link {
            Link::One(connection) => connection.get_db(),
            Link::Cluster(connection) => connection.get_db(),
        }
    }
}

fn route(key: &str) -> SingleNodeRoutingInfo {
    SingleNodeRoutingInfo::SpecificNode(Route::with_key(key, SlotAddr::Master))
}

/// Whoever asks has a bound of its own.
fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
}

fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true)
}

fn with_login(info: RedisConnectionInfo, login: Option<&Login>) -> RedisConnectionInfo {
    let Some(login) = login else {
        return info;
    };
    let info = match &login.user {
        Some(user) => info.set_username(user),
        None => info,
    };
    info.set_password(String::from_utf8_lossy(login.password.expose()))
}

/// Whoever shares it.
pub(super) type SharedWay = Arc<Way>;
