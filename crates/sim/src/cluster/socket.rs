//! Pages and their connections: plain ones, and those of resuming sockets, which the balancer may send to any node.

use model::ConnectionId;

use super::{Cluster, Event, LATENCY, Link};
use crate::browser::Happening;
use crate::clock::Rank;
use crate::resuming::{Act, Resuming};

impl Cluster {
    /// The connection that a page uses.
    pub(super) fn link_of(&self, page: usize) -> Option<ConnectionId> {
        let socket = self.pages[page].socket?;
        match self.resuming.get(&socket) {
            Some(resuming) => resuming.link(),
            None => Some(socket),
        }
    }

    /// Whether a server takes a connection of this page for open.
    pub(super) fn has_server(&self, page: usize) -> bool {
        let mut links = self.links.values();
        links.any(|link| link.page == page && (link.server_up || link.client_up))
    }

    /// A page's resuming socket.
    pub fn resuming(&self, page: usize) -> Option<&Resuming> {
        self.resuming.get(&self.pages[page].socket?)
    }

    /// Whether a page's session is on a connection to this node, as far as the page knows.
    pub fn is_at(&self, page: usize, node: usize) -> bool {
        let is_live = self.resuming(page).is_some_and(Resuming::is_live);
        let link = self.link_of(page).and_then(|link| self.links.get(&link));
        is_live && link.is_some_and(|link| link.node == node && link.client_up)
    }

    /// What a server answers to a connection that offers to resume, and whose first frame is this.
    #[cfg(test)]
    pub(super) fn shows(&mut self, page: usize, frame: &str) -> Vec<String> {
        let link = self.dial(page, None);
        self.adopt(link, link);
        self.run_for(std::time::Duration::from_millis(20));
        self.send_up(link, frame.as_bytes().to_vec());
        self.strange.insert(link, Vec::new());
        self.run_for(std::time::Duration::from_millis(200));
        self.strange.remove(&link).unwrap_or_default()
    }

    pub(super) fn open(&mut self, page: usize) {
        self.close(page);
        let link = self.dial(page, None);
        self.pages[page].socket = Some(link);
        if self.pages[page].resumes {
            self.adopt(link, link);
            let resuming = Resuming::new(link, self.clock.micros(), self.random.fork());
            self.resuming.insert(link, resuming);
            self.serve_socket(link);
        }
    }

    pub(super) fn close(&mut self, page: usize) {
        let now = self.clock.micros();
        let Some(socket) = self.pages[page].socket.take() else {
            return;
        };
        match self.resuming.get_mut(&socket) {
            Some(resuming) => resuming.close(now),
            None => return self.close_link(socket),
        }
        self.serve_socket(socket);
    }

    /// A page's app sends.
    pub(super) fn say(&mut self, page: usize, message: Vec<u8>) {
        let now = self.clock.micros();
        let Some(socket) = self.pages[page].socket else {
            return;
        };
        match self.resuming.get_mut(&socket) {
            Some(resuming) => resuming.send(now, &message),
            None => return self.send_up(socket, message),
        }
        self.serve_socket(socket);
    }

    pub(super) fn is_opened(&mut self, link: ConnectionId) {
        let now = self.clock.micros();
        let Some((session, resumes)) = self.links.get(&link).map(|of| (of.session, of.resumes))
        else {
            return;
        };
        let Some(session) = session else {
            return self.tell_socket(link, Happening::Opened);
        };
        if let Some(resuming) = self.resuming.get_mut(&session) {
            resuming.opened(now, link, resumes);
        }
        self.serve_socket(session);
    }

    pub(super) fn page_loses(&mut self, link: ConnectionId, what: Happening<'_>) {
        let now = self.clock.micros();
        let Some(known) = self.links.get_mut(&link) else {
            return;
        };
        known.client_up = false;
        let (page, session) = (known.page, known.session);
        if let Some(session) = session {
            if let Some(resuming) = self.resuming.get_mut(&session) {
                resuming.lost(now, link);
            }
            return self.serve_socket(session);
        }
        if self.pages[page].socket == Some(link) {
            self.pages[page].socket = None;
            self.tell(page, what);
        }
    }

    pub(super) fn at_page(&mut self, link: ConnectionId, frame: &[u8]) {
        let now = self.clock.micros();
        let Some(known) = self.links.get(&link).filter(|known| known.client_up) else {
            return;
        };
        if let Some(heard) = self.strange.get_mut(&link) {
            return heard.push(String::from_utf8_lossy(frame).into_owned());
        }
        let Some(session) = known.session else {
            self.page_reads(link, frame);
            return self.tell_socket(link, Happening::Frame(frame));
        };
        if let Some(resuming) = self.resuming.get_mut(&session) {
            resuming.frame(now, link, frame);
        }
        self.serve_socket(session);
    }

    pub(super) fn wake_socket(&mut self, session: ConnectionId) {
        let now = self.clock.micros();
        let resuming = self.resuming.get_mut(&session);
        let Some(resuming) = resuming.filter(|of| of.poll_timeout().is_some_and(|at| at <= now))
        else {
            return;
        };
        resuming.timeout(now);
        self.serve_socket(session);
    }

    /// Does what a resuming socket wants done, until it wants nothing more.
    fn serve_socket(&mut self, session: ConnectionId) {
        let Some(page) = self.links.get(&session).map(|link| link.page) else {
            return;
        };
        while let Some(act) = self.resuming.get_mut(&session).and_then(Resuming::poll_act) {
            self.act(session, page, act);
        }
        let Some(resuming) = self.resuming.get(&session) else {
            return;
        };
        let (due, is_over) = (resuming.poll_timeout(), resuming.is_over());
        if let Some(complaint) = resuming.complaint.clone() {
            let client = self.pages[page].browser.client.clone();
            self.fail(format!("the socket of {client} complains: {complaint}"));
        }
        if is_over {
            self.resuming.remove(&session);
        } else if let Some(due) = due {
            let at = due.max(self.clock.micros());
            self.agenda.at(at, Rank::Wake, Event::WakeSocket(session));
        }
    }

    fn act(&mut self, session: ConnectionId, page: usize, act: Act) {
        let is_own = self.pages[page].socket == Some(session);
        match act {
            Act::Open => {
                let link = self.dial(page, Some(session));
                if let Some(resuming) = self.resuming.get_mut(&session) {
                    resuming.dials(link);
                }
            }
            Act::Send(link, frame) => self.send_up(link, frame),
            Act::Close(link) => self.close_link(link),
            Act::TellOpened if is_own => self.tell(page, Happening::Opened),
            Act::Tell(message) if is_own => {
                self.page_reads(session, &message);
                self.tell(page, Happening::Frame(&message));
            }
            Act::Acknowledge => {
                if let Some(resuming) = self.resuming.get_mut(&session) {
                    resuming.acknowledge();
                }
            }
            Act::TellLost if is_own => {
                self.note(format!("session #{} is lost", session.0));
                self.pages[page].socket = None;
                self.lost_sessions += 1;
                self.tell(page, Happening::Lost);
            }
            Act::Withdraw(_) | Act::TellOpened | Act::Tell(_) | Act::TellLost => {}
        }
    }

    /// Begins to connect, to where the balancer sends the page now.
    fn dial(&mut self, page: usize, session: Option<ConnectionId>) -> ConnectionId {
        let node = match self.pages[page].resumes {
            true => self.balance(page),
            false => self.pages[page].node,
        };
        let number = self.nodes[node].number;
        self.connections += 1;
        let link = ConnectionId::of_node(number, self.connections);
        self.links.insert(
            link,
            Link {
                page,
                node,
                number,
                session,
                resumes: false,
                client_up: true,
                server_up: false,
            },
        );
        let at = self.clock.micros() + LATENCY;
        self.agenda.at(at, Rank::Usual, Event::Connect(link));
        link
    }

    fn adopt(&mut self, link: ConnectionId, session: ConnectionId) {
        if let Some(link) = self.links.get_mut(&link) {
            link.session = Some(session);
        }
    }

    fn send_up(&mut self, link: ConnectionId, frame: Vec<u8>) {
        let at = self.clock.micros() + LATENCY;
        self.agenda
            .at(at, Rank::Usual, Event::ToServer(link, frame));
    }

    fn close_link(&mut self, link: ConnectionId) {
        if let Some(link) = self.links.get_mut(&link) {
            link.client_up = false;
        }
        let at = self.clock.micros() + LATENCY;
        self.agenda.at(at, Rank::Usual, Event::PageCloses(link));
    }
}
