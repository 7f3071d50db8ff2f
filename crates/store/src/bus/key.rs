//! The names of keys and channels. Those of one node have one hash tag, and so one place in a cluster, so that one step changes them;
//! what tells which nodes there are has another.

use model::NodeNumber;

/// The field that tells which version a node's bindings are.
pub(super) const VERSION: &str = "version";
/// The field that is there if nothing lacks: only who writes all anew sets it.
pub(super) const WHOLE: &str = "whole";
/// What the field of a binding begins with.
const BINDING: char = ':';

/// All names of one installation.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: String,
    /// A server has its channels for all its databases at once.
    channels: String,
}

impl Keys {
    pub(super) fn new(prefix: &str, database: u32) -> Self {
        let channels = match database {
            0 => prefix.to_owned(),
            database => format!("{prefix}{database}:"),
        };
        Self {
            prefix: prefix.to_owned(),
            channels,
        }
    }

    /// A hash: the bindings of a node, and what they are.
    pub(super) fn bindings(&self, node: NodeNumber) -> String {
        format!("{}{{n{node}}}:bindings", self.prefix)
    }

    /// The same hash while it is being written anew.
    pub(super) fn fresh(&self, node: NodeNumber) -> String {
        format!("{}{{n{node}}}:fresh", self.prefix)
    }

    /// The channel of one node.
    pub(super) fn posts(&self, node: NodeNumber) -> String {
        format!("{}{{n{node}}}:posts", self.channels)
    }

    /// The channel of all.
    pub(super) fn posts_to_all(&self) -> String {
        format!("{}{{nodes}}:posts", self.channels)
    }

    /// A set: numbers whose nodes may be alive.
    pub(super) fn nodes(&self) -> String {
        format!("{}{{nodes}}", self.prefix)
    }

    /// There for as long as the node is alive; says which process that is.
    pub(super) fn presence(&self, node: NodeNumber) -> String {
        format!("{}{{nodes}}:{node}", self.prefix)
    }

    /// How many nodes have started.
    pub(super) fn started(&self) -> String {
        format!("{}{{nodes}}:started", self.prefix)
    }
}

/// The field of a binding.
pub(super) fn field(name: &str) -> String {
    format!("{BINDING}{name}")
}

/// Whose binding that field is, if it is one.
pub(super) fn name(field: &str) -> Option<&str> {
    field.strip_prefix(BINDING)
}
