//! Everything that `/metrics` tells, read when it is asked: from the counters and meters that there are, the shards' census, and
//! the queues. Keeps no numbers of its own.
//!
//! No label names a client, an account, a trunk or an address: each has few values, which are the program's own words.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::{EndedBy, UnixTime, limits};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use switch::Census;

use super::page::{Page, bytes, family, seconds};
use crate::cluster::Cluster;
use crate::control::Answerer;
use crate::errand::Errands;
use crate::meter::{CAUSES, CLASSES, ENDERS, HTTP_METHODS, Meters, SIP_METHODS, StoreTask};
use crate::relay::UsageQueue;

/// What all names begin with.
const PREFIX: &str = "offhook";
/// Room for a page, which is some 40 KiB.
const PAGE_BYTES: usize = 64 * 1024;

/// What the figures are read from.
pub(crate) struct Source {
    pub(crate) node: Arc<Answerer>,
    pub(crate) errands: Arc<Errands>,
    pub(crate) usage: Arc<UsageQueue>,
    /// Whether this server ends TLS itself.
    pub(crate) is_tls: bool,
    /// How many WebSockets there may be.
    pub(crate) connections: usize,
    pub(crate) started: UnixTime,
}

/// The figures of a node that serves.
pub(crate) struct Figures {
    registry: Registry,
    source: Arc<Source>,
}

impl Figures {
    pub(crate) fn new(source: Source) -> Self {
        let source = Arc::new(source);
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(Arc::clone(&source)));
        Self { registry, source }
    }

    /// The page, as OpenMetrics has it.
    pub(super) fn text(&self) -> String {
        let mut page = String::with_capacity(PAGE_BYTES);
        text::encode(&mut page, &self.registry).expect("a string takes all that is written");
        page
    }

    /// What the store refused when it was asked last.
    pub(super) fn store_trouble(&self) -> Option<&'static str> {
        self.source.meters().store.trouble()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl Collector for Source {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        self.program(&mut page)?;
        self.connections(&mut page)?;
        self.calls(&mut page)?;
        self.messages(&mut page)?;
        self.queues(&mut page)?;
        self.media(&mut page)?;
        self.store(&mut page)?;
        self.events(&mut page)
    }
}

impl Source {
    fn meters(&self) -> &Meters {
        &self.node.signalling.counters.meters
    }

    fn program(&self, page: &mut Page<'_>) -> fmt::Result {
        page.info(
            family("build", "Which offhook this is."),
            &[("version", env!("CARGO_PKG_VERSION"))],
        )?;
        let started = self.started.as_millis() as f64 / 1_000.0;
        page.gauge(
            seconds("start_time", "When it began to serve, since 1970."),
            started,
        )?;
        if let Some(given_out) = self.node.heap {
            let help = "Memory that is given out, in a build that counts it.";
            page.gauge(bytes("heap", help), given_out() as f64)?;
        }
        let cluster = self.node.signalling.cluster();
        let reaches = cluster.and_then(Cluster::reaches);
        page.gauge(
            family(
                "nodes",
                "Servers that work as one now, this one among them.",
            ),
            (reaches.unwrap_or(0) + 1) as f64,
        )?;
        page.gauge(
            family("bus_up", "Whether the bus is there that the servers share."),
            f64::from(u8::from(reaches.is_some())),
        )?;
        let published = self.node.signalling.published();
        let accounts = published.snapshot.directory.accounts().count();
        page.gauge(
            family("accounts", "Accounts that are known."),
            accounts as f64,
        )
    }

    fn connections(&self, page: &mut Page<'_>) -> fmt::Result {
        let waiting = self.node.capacity.waiting();
        let websockets = self.node.signalling.session_count().saturating_sub(waiting);
        let others = self.node.capacity.taken().saturating_sub(websockets);
        let [socket, other] = if self.is_tls {
            ["wss", "https"]
        } else {
            ["ws", "http"]
        };
        page.gauges(
            family(
                "connections",
                "Connections that are open: WebSockets, and those that are none yet or never.",
            ),
            [
                ([("transport", socket)], websockets as f64),
                ([("transport", other)], others as f64),
            ],
        )?;
        page.gauge(
            family("connections_limit", "WebSockets that there may be."),
            self.connections as f64,
        )?;
        page.gauge(
            family(
                "sessions_waiting",
                "Resumable sessions whose client is away.",
            ),
            waiting as f64,
        )
    }

    fn calls(&self, page: &mut Page<'_>) -> fmt::Result {
        let census = self.node.signalling.census();
        let sum = |part: fn(&Census) -> usize| census.iter().map(part).sum::<usize>() as f64;
        page.gauge(
            family("bindings", "Clients that are registered."),
            sum(|shard| shard.registrations),
        )?;
        let calls = [
            ("ringing", sum(|shard| shard.calls - shard.calls_answered)),
            ("answered", sum(|shard| shard.calls_answered)),
            ("lingering", sum(|shard| shard.calls_lingering)),
        ];
        page.gauges(
            family(
                "calls",
                "Calls now: being set up, answered, or ended and absorbing what comes late.",
            ),
            calls.map(|(state, count)| ([("state", state)], count)),
        )?;
        let ends = self.meters().ends.iter().zip(ENDERS);
        let ends = ends.flat_map(|(row, by)| labelled(row, &CAUSES).map(move |it| (by, it)));
        page.counters(
            family(
                "calls_ended",
                "Calls that ended, by who ended them and how.",
            ),
            ends.map(|(by, (cause, count))| {
                ([("by", EndedBy::as_str(by)), ("cause", cause)], count)
            }),
        )?;
        page.gauge(
            family(
                "answers_kept",
                "Clients that an answer is kept for, which may have got lost with its connection.",
            ),
            sum(|shard| shard.answers_kept),
        )?;
        page.gauge(
            family(
                "tokens_remembered",
                "Tokens that need not be verified again.",
            ),
            sum(|shard| shard.tokens_remembered),
        )?;
        page.gauge(
            family("timers", "What falls due at some time."),
            sum(|shard| shard.timers),
        )
    }

    fn messages(&self, page: &mut Page<'_>) -> fmt::Result {
        let meters = self.meters();
        page.counters(
            family(
                "sip_requests_sent",
                "SIP requests that left, to clients and to peers of trunks.",
            ),
            labelled(&meters.requests, &SIP_METHODS)
                .map(|(method, count)| ([("method", method)], count)),
        )?;
        page.counters(
            family(
                "sip_responses_sent",
                "SIP responses that left, by the method that they answer and the class of their status.",
            ),
            grid(&meters.responses, &SIP_METHODS),
        )?;
        page.counters(
            family(
                "http_requests",
                "HTTP requests that were answered, by method and class of status.",
            ),
            grid(&meters.http, &HTTP_METHODS),
        )?;
        let timed = [
            ("register", &meters.register),
            ("invite", &meters.invite),
            ("token", &meters.token),
        ];
        page.histograms(
            seconds(
                "request_duration",
                "From a REGISTER or INVITE that was read until all it leads to waits to be sent, and from a request for a token to its signature.",
            ),
            timed.map(|(request, histogram)| ([("request", request)], histogram)),
        )
    }

    fn queues(&self, page: &mut Page<'_>) -> fmt::Result {
        let gateway = self.node.gateway.as_ref();
        let lines = self.node.lines.as_ref();
        let lengths = [
            ("call_records", self.node.records.waiting()),
            ("call_records_in_file", self.node.records.waiting_in_file()),
            ("errands", self.errands.open()),
            ("media", gateway.map_or(0, |gateway| gateway.waiting())),
            ("relay_usage", self.usage.waiting()),
            ("trunks", lines.map_or(0, |lines| lines.waiting())),
        ];
        page.gauges(
            family("queue_length", "What waits, by what it waits for."),
            lengths.map(|(queue, length)| ([("queue", queue)], length as f64)),
        )?;
        let bounds = [
            ("call_records", limits::RECORDS_WAITING),
            ("call_records_in_file", limits::RECORDS_IN_FILE),
            ("media", limits::MEDIA_COMMANDS_WAITING),
            ("trunks", limits::TRUNK_MESSAGES_WAITING),
        ];
        page.gauges(
            family(
                "queue_limit",
                "How much may wait, where the queue has a bound of its own.",
            ),
            bounds.map(|(queue, bound)| ([("queue", queue)], bound as f64)),
        )?;
        page.counter(
            family(
                "call_records_lost",
                "Call records that were lost: too many waited for the store, their file was damaged, or their account is gone.",
            ),
            self.node.records.lost(),
        )
    }

    fn media(&self, page: &mut Page<'_>) -> fmt::Result {
        let legs = self
            .node
            .gateway
            .as_ref()
            .map_or(0, |gateway| gateway.legs());
        page.gauge(
            family(
                "media_legs",
                "Sides of calls that the media gateway carries.",
            ),
            legs as f64,
        )?;
        let relay = self.node.turn.as_ref().map(|turn| &turn.relay);
        page.gauge(
            family("turn_allocations_open", "TURN allocations now."),
            relay.map_or(0, |relay| relay.allocations()) as f64,
        )?;
        let now = self.node.signalling.now().unix;
        page.gauge(
            bytes(
                "turn_month",
                "What was relayed in this calendar month (UTC), both directions together.",
            ),
            relay.map_or(0, |relay| relay.spent(now)) as f64,
        )?;
        let states = self.node.lines.as_ref().map(|lines| lines.states());
        let states = states.unwrap_or_default();
        let count = |wanted| {
            let states = states.iter().map(|(_, state, _)| {
                if state.peer.is_none() {
                    "down"
                } else if state.is_registered == Some(false) {
                    "unregistered"
                } else {
                    "up"
                }
            });
            states.filter(|state| *state == wanted).count() as f64
        };
        page.gauges(
            family(
                "trunks",
                "Trunks by state: none of its peers answers; its registrar has not taken us; all is well.",
            ),
            ["down", "unregistered", "up"].map(|state| ([("state", state)], count(state))),
        )
    }

    fn store(&self, page: &mut Page<'_>) -> fmt::Result {
        let store = &self.meters().store;
        let tasks = || StoreTask::ALL.into_iter();
        page.gauges(
            seconds(
                "store_last_success",
                "When the store last did what it was asked for, since 1970.",
            ),
            tasks().filter_map(|task| {
                let at = store.of(task).last_success()?;
                Some(([("task", task.as_str())], at.as_millis() as f64 / 1_000.0))
            }),
        )?;
        page.counters(
            family(
                "store_faults",
                "How often the store did not do what it was asked for.",
            ),
            tasks().map(|task| ([("task", task.as_str())], store.of(task).faults())),
        )?;
        let writes = tasks().filter(|task| task.is_write());
        page.histograms(
            seconds("store_write_duration", "How long the store took to write."),
            writes.map(|task| ([("task", task.as_str())], &store.of(task).took)),
        )
    }

    /// The counters of `offhook status`, each as a family of its own.
    fn events(&self, page: &mut Page<'_>) -> fmt::Result {
        for (name, meaning, count) in self.node.signalling.counters.explained() {
            page.counter(family(name, meaning), count)?;
        }
        Ok(())
    }
}

/// Numbers with the words that they belong to.
fn labelled<'a>(
    counts: &'a [AtomicU64],
    words: &'a [&'static str],
) -> impl Iterator<Item = (&'static str, u64)> + 'a {
    let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
    words.iter().copied().zip(counts)
}

/// Those of a table of methods and classes that were ever counted: most never are.
fn grid<'a, const ROWS: usize>(
    counts: &'a [[AtomicU64; CLASSES.len()]; ROWS],
    methods: &'a [&'static str],
) -> impl Iterator<Item = ([(&'static str, &'static str); 2], u64)> + 'a {
    let rows = methods.iter().copied().zip(counts);
    let cells = rows.flat_map(|(method, row)| {
        labelled(row, &CLASSES)
            .map(move |(class, count)| ([("method", method), ("status", class)], count))
    });
    cells.filter(|(_, count)| *count > 0)
}
