//! DNS in the world: what it says of the name of each trunk, after which time, and whether it says anything.
//!
//! What is made of that the lines decide.

use std::net::SocketAddr;
use std::time::Duration;

use switch::trunk::{Answer, NameFault, Target};

use crate::clock::MILLI;
use crate::random::Random;

/// How long an answer holds.
const LASTS: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Clone, Debug)]
pub struct Dns {
    /// What is said of the name of each line's trunk.
    pub says: Vec<Result<Answer, NameFault>>,
    /// How long that takes, in microseconds.
    pub takes: u64,
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            says: Vec::new(),
            takes: 20 * MILLI,
        }
    }
}

impl Dns {
    /// The name leads there: each with its priority and weight.
    pub fn leads(&mut self, line: usize, to: &[(SocketAddr, u16, u16)]) {
        let target = |(address, priority, weight): &(SocketAddr, u16, u16)| Target {
            host: Box::default(),
            priority: *priority,
            weight: *weight,
            addresses: vec![*address],
        };
        let targets = to.iter().map(target).collect();
        let lasts = LASTS;
        self.says[line] = Ok(Answer { targets, lasts });
    }

    /// Something is another about a name: it leads to some of these peers, or nowhere.
    pub fn disturb(&mut self, random: &mut Random, line: usize, peers: &[SocketAddr]) {
        self.takes = random.below(5_000) * MILLI;
        let fault = match random.below(8) {
            0 => NameFault::NoAnswer,
            1 => NameFault::NoSuchName,
            2 => NameFault::Failed,
            _ => {
                let some: Vec<_> = peers.iter().filter(|_| random.happens(600)).collect();
                let mut to = Vec::new();
                for peer in some {
                    to.push((*peer, random.below(2) as u16, random.below(3) as u16));
                }
                return self.leads(line, &to);
            }
        };
        self.says[line] = Err(fault);
    }
}
