//! What a shard is told.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::media::MediaEvent;
use model::{
    AccountId, ClientId, ConnectionId, Directory, NodeNumber, Page, PageAnswer, QuestionId,
    RelayUsage, SoundAnswer, Start, Trunk, limits,
};

use crate::application::Control;
use crate::cluster::{Bindings, Moving, Published, Word};
use crate::token::{KeyRing, UnusableKey};
use crate::turn_grant::TurnOffer;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A message came in on a connection that the edge gave to this shard.
    Message {
        /// Where it came in, and where its answer goes.
        connection: ConnectionId,
        /// Whose connection that is.
        account: AccountId,
        /// The parsed message.
        message: &'a sip::Message<'a>,
        /// What the edge has made for a request for TURN credentials ([`Verdict::Deliver`](crate::edge::Verdict)).
        ice_servers: Option<&'a str>,
    },
    /// A relay tells what it did for a client.
    Relayed {
        /// For this one.
        connection: ConnectionId,
        /// In this call, by the number of [`TurnChange::Reach`](crate::turn_grant::TurnChange).
        call: u64,
        /// Since it last told.
        usage: RelayUsage,
    },
    /// A connection is gone, for whatever reason.
    Lost {
        /// Which one.
        connection: ConnectionId,
    },
    /// A session's client did not come back (docs/resume.md).
    Expired {
        /// Which one.
        connection: ConnectionId,
        /// For how long it was waited for.
        waited: Duration,
    },
    /// The gateway tells something of a session of this shard's.
    Media(MediaEvent),
    /// What came of [`Effect::Ask`](crate::Effect::Ask).
    Page {
        /// Which request.
        id: QuestionId,
        /// What.
        answer: PageAnswer,
    },
    /// What came of [`Effect::Bring`](crate::Effect::Bring).
    Sound {
        /// Which request.
        id: QuestionId,
        /// The sound, or why there is none.
        answer: SoundAnswer,
    },
    /// An application is to begin a call that [`Shard::check_starts`](crate::Shard::check_starts) lets it begin.
    Start(Start),
    /// The account wants an application to leave off what it does ([`Shard::application`](crate::Shard::application) says what).
    Interrupt {
        /// Whose application it must be.
        account: AccountId,
        /// Its `application_instance_id`.
        instance: &'a str,
        /// Asked next; without it the call ends.
        redirect: Option<Page>,
    },
    /// The account does something to one of its calls that [`Shard::check_control`](crate::Shard::check_control) allows.
    Control {
        /// Whose call it must be.
        account: AccountId,
        /// Its name.
        id: &'a str,
        /// What.
        control: &'a Control,
    },
    /// The peers of a trunk are elsewhere ([`LineEffect::Trunk`](crate::trunk::LineEffect::Trunk)): the line, and what it is now.
    Trunk(ConnectionId, Arc<Trunk>),
    /// A session of another node is about to be handed over: what comes of this is still for its client here.
    Leaving {
        /// Its connection.
        connection: ConnectionId,
    },
    /// A session is handed over to the node of `to`, which is told so with all that the shard knows of it. It is not here any more.
    Leaves {
        /// Its connection.
        connection: ConnectionId,
        /// What it is there.
        to: ConnectionId,
        /// What the shell knows of it.
        moving: Box<Moving>,
    },
    /// Another node says something ([`Effect::Tell`](crate::Effect::Tell)).
    Told {
        /// Which one.
        from: NodeNumber,
        /// What.
        word: Word,
    },
    /// Another node says where a client is there, in place of what it said before ([`Effect::Publish`](crate::Effect::Publish)).
    Published {
        /// On this node.
        node: NodeNumber,
        /// Whose client.
        account: AccountId,
        /// Which.
        client: &'a ClientId,
        /// Empty: nowhere.
        bindings: &'a [Published],
    },
    /// What came of [`Effect::Look`](crate::Effect::Look): where other nodes have the client, as the bus keeps it.
    Found {
        /// Which look.
        look: u64,
        /// By node.
        found: &'a [(NodeNumber, Bindings)],
    },
    /// What was on its way to or from a node is lost.
    Severed(NodeNumber),
    /// These other nodes are there from now on, and no others.
    Reach {
        /// All of them.
        nodes: Arc<[NodeNumber]>,
        /// Whether they can be reached; what is said to them meanwhile waits.
        has_bus: bool,
    },
    /// The directory or the keys have changed.
    Snapshot(Arc<Snapshot>),
    /// The instant of `poll_timeout` has come.
    Timeout,
    /// The server will go down: no call begins any more, those that are there go on, or go to another node, and connections without one are
    /// closed, some at a time. To be said again each second, until [`Census::calls`](crate::Census::calls) is none.
    Drain {
        /// Connections of sessions that can be resumed, perhaps at another node.
        resumable: &'a BTreeSet<ConnectionId>,
    },
    /// The server is going down: end every call.
    Stop,
}

/// What every shard reads and none writes: accounts, their keys parsed, and the operator's settings.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Who exists.
    pub directory: Directory,
    /// Their keys.
    pub keys: KeyRing,
    /// The operator's choices.
    pub settings: Settings,
}

impl Snapshot {
    /// Takes a directory in; keys that `previous` has parsed already are not parsed again.
    pub fn new(
        directory: Directory,
        settings: Settings,
        previous: &Self,
    ) -> (Self, Vec<UnusableKey>) {
        let (keys, unusable) = KeyRing::parse(&directory, &previous.keys);
        (
            Self {
                directory,
                keys,
                settings,
            },
            unusable,
        )
    }
}

/// The operator's choices that decide about messages.
#[derive(Clone, Debug)]
pub struct Settings {
    /// SIP domains of our own, beside those built into existing clients:
    /// an account's domain is `<key>.<one of these>`.
    pub domains: Vec<String>,
    /// How long a callee may ring.
    pub no_answer: Duration,
    /// How long a session waits for its client after its socket was lost; zero: no session is resumed.
    pub resume_window: Duration,
    /// The TURN server that clients are sent to; `None`: there is none, and nothing is learnt for it.
    pub turn: Option<Arc<TurnOffer>>,
    /// The trunks of all accounts, each with the connection that stands for its line ([`trunk::Line`](crate::trunk::Line)) for as
    /// long as the process lives. In the order of those connections: an account's first is used first. A shard reads them when it
    /// begins; where their names lead later [`Input::Trunk`] tells.
    pub trunks: Arc<[(ConnectionId, Arc<Trunk>)]>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            domains: Vec::new(),
            no_answer: limits::NO_ANSWER_TIME,
            resume_window: limits::RESUME_WINDOW,
            turn: None,
            trunks: Arc::default(),
        }
    }
}
