//! Asks DNS where a peer of a trunk is (RFC 3263 §4): NAPTR, SRV, and the addresses of hosts, by the transport of the trunk.
//!
//! Nothing is kept: how long an answer holds, and what becomes of the one before, the line knows. Never waits for longer than
//! [`limits::TRUNK_NAME_PATIENCE`].

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::rdata::{NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use model::{PeerName, TrunkTransport, limits};
use switch::trunk::{Answer, NameFault, Target};

/// How long one server of DNS may take, so that the next one can be asked in time.
const TRY_TIME: Duration = Duration::from_millis(1_500);
/// How long NAPTR may take: it mostly says what is usual anyway, and there are servers that drop what asks for it.
const RULES_TIME: Duration = Duration::from_millis(1_500);
/// How long the addresses of one host of a service may take, so that those of the others are not lost over it.
const HOST_TIME: Duration = Duration::from_millis(2_000);

/// Which addresses can be reached from where peers reach us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Families {
    pub(super) v4: bool,
    pub(super) v6: bool,
}

impl Families {
    /// One for all addresses of IPv6 is one for all of IPv4 as well.
    pub(super) fn of(local: IpAddr) -> Self {
        let is_v4 = local.to_canonical().is_ipv4();
        Self {
            v4: is_v4 || local.is_unspecified(),
            v6: !is_v4,
        }
    }
}

/// What is asked for a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) name: PeerName,
    pub(super) transport: TrunkTransport,
    pub(super) families: Families,
}

/// What was found, and for how long it holds.
type Found<T> = Result<(T, Duration), NameFault>;

/// Asks these servers; where there are none, those of the system.
pub(super) async fn resolve(
    servers: Vec<SocketAddr>,
    question: Question,
) -> Result<Answer, NameFault> {
    // Anew each time: /etc/resolv.conf may have changed.
    let resolver = resolver(&servers).map_err(|error| {
        tracing::debug!(%error, "DNS cannot be asked");
        NameFault::Failed
    })?;
    let asking = Asking { resolver, question };
    let found = tokio::time::timeout(limits::TRUNK_NAME_PATIENCE, asking.find()).await;
    found.unwrap_or(Err(NameFault::NoAnswer))
}

fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    let mut builder = match servers.is_empty() {
        true => TokioResolver::builder_tokio()?,
        false => {
            let servers = servers.iter().map(|server| {
                let mut ways = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
                for way in &mut ways {
                    way.port = server.port();
                }
                NameServerConfig::new(server.ip(), true, ways.into())
            });
            let config = ResolverConfig::from_name_servers(servers.collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        }
    };
    let options = builder.options_mut();
    options.timeout = TRY_TIME;
    options.attempts = 1;
    options.cache_size = 0;
    builder.build()
}

struct Asking {
    resolver: TokioResolver,
    question: Question,
}

impl Asking {
    async fn find(&self) -> Result<Answer, NameFault> {
        let name = &self.question.name;
        let host = absolute(name.host())?;
        if let Some(port) = name.port() {
            return self.host(host, port).await;
        }
        for service in self.services(&host).await {
            if let Some(answer) = self.service(service).await? {
                return Ok(answer);
            }
        }
        self.host(host, self.question.transport.port()).await
    }

    /// What to ask SRV for, the best first: as NAPTR says, and as is usual. Servers that know no NAPTR are no reason to give up.
    async fn services(&self, host: &Name) -> Vec<Name> {
        let mut services = Vec::new();
        let asked = self.records(host.clone(), RecordType::NAPTR);
        if let Ok(Ok((records, _))) = tokio::time::timeout(RULES_TIME, asked).await {
            let mut rules: Vec<NAPTR> = records
                .into_iter()
                .filter_map(|record| naptr(record, self.question.transport))
                .collect();
            rules.sort_by_key(|rule| (rule.order, rule.preference));
            services.extend(rules.into_iter().map(|rule| rule.replacement));
        }
        let usual = format!("{}.{host}", usual(self.question.transport));
        if let Ok(usual) = absolute(&usual)
            && !services.contains(&usual)
        {
            services.push(usual);
        }
        services
    }

    /// The hosts of a service; nothing where there is no such service.
    async fn service(&self, service: Name) -> Result<Option<Answer>, NameFault> {
        let (records, mut lasts) = match self.records(service, RecordType::SRV).await {
            Ok(found) => found,
            Err(NameFault::NoSuchName | NameFault::NoAddress) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let mut hosts: Vec<SRV> = records.into_iter().filter_map(srv).collect();
        if hosts.is_empty() {
            return Ok(None);
        }
        // A single "." says that there is decidedly no such service (RFC 2782).
        hosts.retain(|host| !host.target.is_root());
        hosts.sort_by_key(|host| host.priority);
        let asked = hosts.iter().map(async |host| {
            let found = self.addresses(host.target.clone());
            let found = tokio::time::timeout(HOST_TIME, found).await;
            found.unwrap_or(Err(NameFault::NoAnswer))
        });
        let mut fault = NameFault::NoAddress;
        let mut targets = Vec::new();
        for (host, found) in hosts.iter().zip(join_all(asked).await) {
            match found {
                Ok((addresses, holds)) => {
                    lasts = lasts.min(holds);
                    targets.push(target(host, at(&addresses, host.port)));
                }
                // Asked for again soon.
                Err(why) => {
                    (fault, lasts) = (why, Duration::ZERO);
                    if matches!(why, NameFault::NoAnswer | NameFault::Failed) {
                        targets.push(target(host, Vec::new()));
                    }
                }
            }
        }
        let is_nowhere = |target: &Target| target.addresses.is_empty();
        match targets.iter().all(is_nowhere) {
            true => Err(fault),
            false => Ok(Some(Answer { targets, lasts })),
        }
    }

    async fn host(&self, host: Name, port: u16) -> Result<Answer, NameFault> {
        let (addresses, lasts) = self.addresses(host).await?;
        let target = Target {
            priority: 0,
            weight: 0,
            host: Box::default(),
            addresses: at(&addresses, port),
        };
        let targets = vec![target];
        Ok(Answer { targets, lasts })
    }

    /// IPv4 comes first: what has both is reached by it more often than not.
    async fn addresses(&self, host: Name) -> Found<Vec<IpAddr>> {
        let Families { v4, v6 } = self.question.families;
        let ask = async |is_wanted: bool, kind| match is_wanted {
            true => self.records(host.clone(), kind).await,
            false => Err(NameFault::NoAddress),
        };
        let (v4, v6) = tokio::join!(ask(v4, RecordType::A), ask(v6, RecordType::AAAA));
        let fault = match (&v4, &v6) {
            (Err(NameFault::NoAddress), Err(fault)) | (Err(fault), _) => *fault,
            (Ok(_), _) => NameFault::NoAddress,
        };
        let (mut addresses, mut lasts) = (Vec::new(), limits::TRUNK_NAME_TIME_MAX);
        for (records, holds) in [v4, v6].into_iter().flatten() {
            lasts = lasts.min(holds);
            addresses.extend(records.iter().filter_map(RData::ip_addr));
        }
        match addresses.is_empty() {
            true => Err(fault),
            false => Ok((addresses, lasts)),
        }
    }

    async fn records(&self, name: Name, kind: RecordType) -> Found<Vec<RData>> {
        let looked_up = self.resolver.lookup(name, kind).await;
        let lookup = looked_up.map_err(|error| fault(&error))?;
        let answers = lookup.answers().iter();
        let lasts = answers.clone().map(|record| record.ttl).min();
        let records = read(answers.map(|record| &record.data), kind);
        Ok((records, Duration::from_secs(lasts.unwrap_or(0).into())))
    }
}

/// The records of a kind; of too many the same ones each time, however servers of DNS turn them round.
fn read<'a>(all: impl Iterator<Item = &'a RData>, kind: RecordType) -> Vec<RData> {
    let of_kind = all.filter(|record| record.record_type() == kind);
    let mut records: Vec<RData> = of_kind.cloned().collect();
    if records.len() > limits::TRUNK_NAME_RECORDS {
        records.sort_by_cached_key(rank);
        records.truncate(limits::TRUNK_NAME_RECORDS);
    }
    records
}

/// Which of too many records are read: what is tried first, and else any order that stays.
fn rank(record: &RData) -> (u16, u16, String) {
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other has an order")]
    let (first, second) = match record {
        RData::SRV(host) => (host.priority, 0),
        RData::NAPTR(rule) => (rule.order, rule.preference),
        _ => (0, 0),
    };
    (first, second, record.to_string())
}

/// No domain of this machine's is tried behind it.
fn absolute(name: &str) -> Result<Name, NameFault> {
    let mut name = Name::from_ascii(name).map_err(|_| NameFault::NoSuchName)?;
    name.set_fqdn(true);
    Ok(name)
}

fn target(host: &SRV, addresses: Vec<SocketAddr>) -> Target {
    Target {
        priority: host.priority,
        weight: host.weight,
        host: format!("{}:{}", host.target.to_lowercase(), host.port).into(),
        addresses,
    }
}

fn at(addresses: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    let all = addresses.iter();
    all.map(|ip| SocketAddr::new(*ip, port)).collect()
}

/// What a service is called without NAPTR (RFC 3263 §4.1).
fn usual(transport: TrunkTransport) -> &'static str {
    match transport {
        TrunkTransport::Udp => "_sip._udp",
        TrunkTransport::Tcp => "_sip._tcp",
        TrunkTransport::Tls => "_sips._tcp",
    }
}

/// A rule that leads to SRV for this transport.
fn naptr(record: RData, transport: TrunkTransport) -> Option<NAPTR> {
    let service: &[u8] = match transport {
        TrunkTransport::Udp => b"SIP+D2U",
        TrunkTransport::Tcp => b"SIP+D2T",
        TrunkTransport::Tls => b"SIPS+D2T",
    };
    let RData::NAPTR(rule) = record else {
        return None;
    };
    let is_it = rule.flags.eq_ignore_ascii_case(b"s")
        && rule.services.eq_ignore_ascii_case(service)
        && !rule.replacement.is_root();
    is_it.then_some(rule)
}

fn srv(record: RData) -> Option<SRV> {
    let RData::SRV(host) = record else {
        return None;
    };
    Some(host)
}

fn fault(error: &NetError) -> NameFault {
    if error.is_nx_domain() {
        return NameFault::NoSuchName;
    }
    if error.is_no_records_found() {
        return NameFault::NoAddress;
    }
    let is_silent = matches!(
        error,
        NetError::Timeout | NetError::Io(_) | NetError::NoConnections
    );
    match is_silent {
        true => NameFault::NoAnswer,
        false => NameFault::Failed,
    }
}

#[cfg(test)]
#[path = "dns/tests.rs"]
mod tests;
