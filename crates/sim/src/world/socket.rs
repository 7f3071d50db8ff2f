//! Clients and their connections: sockets that are opened, closed and lost, plain ones and resuming ones.
//!
//! Does for a resuming socket what it wants done, and tells the transcripts what its app said and heard.

use model::ConnectionId;

use super::{Event, Sleeper, World};
use crate::browser::Happening;
use crate::clock::Rank;
use crate::faults::{Cut, Loss};
use crate::ladder::Column;
use crate::net::{Payload, Way};
use crate::resuming::{Act, Resuming};

impl World {
    /// The connection that a client uses, if it has one.
    pub fn socket(&self, client: usize) -> Option<ConnectionId> {
        let socket = self.sockets[client]?;
        match self.resuming.get(&socket) {
            Some(resuming) => resuming.link(),
            None => Some(socket),
        }
    }

    /// The resuming socket of a client.
    pub fn resuming(&self, client: usize) -> Option<&Resuming> {
        self.resuming.get(&self.sockets[client]?)
    }

    /// Whether both ends of a client's session have been given all that the other has sent.
    pub fn is_settled(&self, client: usize) -> bool {
        self.sockets[client].is_some_and(|session| self.transcripts.is_settled(session))
    }

    /// Loses a client's connection so.
    pub fn cut(&mut self, client: usize, cut: Cut) {
        if let Some(connection) = self.socket(client) {
            self.cut_connection(connection, cut);
        }
    }

    /// Takes a client's network away; what is open is not touched.
    pub fn take_away(&mut self, client: usize, micros: u64) {
        self.away_until[client] = self.micros().saturating_add(micros);
    }

    /// Whether a client cannot connect.
    pub fn is_away(&self, client: usize) -> bool {
        self.micros() < self.away_until[client]
    }

    /// A hole in a client's network: nothing passes for a while, then everything arrives.
    pub fn hinder(&mut self, client: usize, micros: u64) {
        if let Some(connection) = self.socket(client) {
            let until = self.micros() + micros;
            self.net.hinder(connection, until);
            let note = format!("#{} is hindered", connection.0);
            self.trace
                .note(self.clock.micros(), Column::Client(client), &note);
        }
    }

    /// A connection is lost at a boundary, and perhaps others with it.
    pub(super) fn strike(&mut self, connection: ConnectionId, loss: Loss) {
        let Some(struck) = self.net.link(connection).map(|link| link.client) else {
            return;
        };
        self.cut_connection(connection, loss.cut);
        for client in 0..self.clients.len() {
            if client == struck || loss.is_for_all {
                self.cut(client, loss.cut);
                if loss.away > 0 {
                    self.take_away(client, loss.away);
                }
            }
        }
    }

    pub(super) fn blame(&mut self, result: Result<(), String>) {
        if let Err(sentence) = result {
            self.fail(sentence);
        }
    }

    pub(super) fn open(&mut self, client: usize, resumes: bool) {
        if !resumes {
            self.open_raw(client, false);
            return;
        }
        self.close(client, false);
        let link = self.dial(client, true);
        self.adopt(link, link);
        let resuming = Resuming::new(link, self.micros(), self.fate.fork());
        self.resuming.insert(link, resuming);
        self.transcripts.begins(link, self.node_of(client));
        self.sockets[client] = Some(link);
        self.serve_socket(link);
    }

    pub(super) fn open_raw(&mut self, client: usize, offers: bool) {
        self.close(client, false);
        let link = self.dial(client, offers);
        self.sockets[client] = Some(link);
    }

    pub(super) fn send(&mut self, client: usize, message: Vec<u8>) {
        let Some(socket) = self.sockets[client] else {
            return;
        };
        self.hear(&message);
        let now = self.micros();
        let Some(resuming) = self.resuming.get_mut(&socket) else {
            self.send_up(socket, message);
            return;
        };
        self.transcripts.client_hands(socket, &message);
        resuming.send(now, &message);
        self.serve_socket(socket);
    }

    /// A client closes its socket, or is gone with it.
    pub(super) fn close(&mut self, client: usize, is_gone: bool) {
        let now = self.micros();
        let Some(socket) = self.sockets[client].take() else {
            return;
        };
        match self.resuming.get_mut(&socket) {
            Some(resuming) if is_gone => resuming.leave(now),
            Some(resuming) => resuming.close(now),
            None => {
                self.close_link(socket);
                return;
            }
        }
        self.serve_socket(socket);
    }

    pub(super) fn is_opened(&mut self, link: ConnectionId) {
        let now = self.micros();
        let Some((session, resumes)) = self.net.link(link).map(|l| (l.session, l.resumes)) else {
            return;
        };
        match session {
            Some(session) => {
                if let Some(resuming) = self.resuming.get_mut(&session) {
                    resuming.opened(now, link, resumes);
                }
                self.serve_socket(session);
            }
            None => self.tell_client(link, Happening::Opened),
        }
    }

    pub(super) fn frame_comes(&mut self, link: ConnectionId, frame: &[u8]) {
        let now = self.micros();
        match self.net.link(link).and_then(|link| link.session) {
            Some(session) => {
                if let Some(resuming) = self.resuming.get_mut(&session) {
                    resuming.frame(now, link, frame);
                }
                self.serve_socket(session);
            }
            None => self.tell_client(link, Happening::Frame(frame)),
        }
    }

    pub(super) fn link_is_gone(&mut self, session: ConnectionId, link: ConnectionId) {
        let now = self.micros();
        if let Some(resuming) = self.resuming.get_mut(&session) {
            resuming.lost(now, link);
        }
        self.serve_socket(session);
    }

    pub(super) fn wake_socket(&mut self, session: ConnectionId) {
        let now = self.micros();
        if let Some(resuming) = self.resuming.get_mut(&session) {
            resuming.timeout(now);
        }
        self.serve_socket(session);
    }

    /// Does what a resuming socket wants done, until it wants nothing more.
    fn serve_socket(&mut self, session: ConnectionId) {
        let Some(client) = self.net.link(session).map(|link| link.client) else {
            return;
        };
        while let Some(act) = self.resuming.get_mut(&session).and_then(Resuming::poll_act) {
            self.act(session, client, act);
        }
        let Some(resuming) = self.resuming.get(&session) else {
            return;
        };
        let (due, is_over, was_gone) = (
            resuming.poll_timeout(),
            resuming.is_over(),
            resuming.was_gone,
        );
        let complaint = resuming.complaint.clone();
        if let Some(complaint) = complaint {
            self.fail(format!("{}: {complaint}", self.names[client]));
        }
        self.arm(Sleeper::Socket(session), due, 0);
        if is_over {
            self.resuming.remove(&session);
            let ended = self.transcripts.client_ends(session, was_gone);
            self.blame(ended);
        }
    }

    fn act(&mut self, session: ConnectionId, client: usize, act: Act) {
        let is_own = self.sockets[client] == Some(session);
        match act {
            Act::Open => {
                let link = self.dial(client, true);
                self.adopt(link, session);
                if let Some(resuming) = self.resuming.get_mut(&session) {
                    resuming.dials(link);
                }
            }
            Act::Send(link, frame) => self.send_up(link, frame),
            Act::Close(link) => self.close_link(link),
            Act::Withdraw(number) => self.transcripts.client_withdraws(session, number),
            Act::TellOpened if is_own => self.tell(client, Happening::Opened),
            Act::Tell(message) if is_own => {
                let given = self.transcripts.client_is_given(session, &message);
                self.blame(given);
                self.tell(client, Happening::Frame(&message));
            }
            Act::Acknowledge => {
                if let Some(resuming) = self.resuming.get_mut(&session) {
                    resuming.acknowledge();
                }
            }
            Act::TellLost if is_own => {
                self.sockets[client] = None;
                self.tell(client, Happening::Lost);
            }
            Act::TellOpened | Act::Tell(_) | Act::TellLost => {}
        }
    }

    fn adopt(&mut self, link: ConnectionId, session: ConnectionId) {
        if let Some(link) = self.net.link_mut(link) {
            link.session = Some(session);
        }
    }

    /// Begins to connect.
    fn dial(&mut self, client: usize, offers: bool) -> ConnectionId {
        let link = self.net.open(client, self.node_of(client));
        if let Some(link) = self.net.link_mut(link) {
            link.offers = offers;
        }
        let at = self.net.arrival(link, Way::Up, self.micros());
        self.agenda.at(at, Rank::Usual, Event::Connect(link));
        link
    }

    fn send_up(&mut self, link: ConnectionId, frame: Vec<u8>) {
        if let Some(loss) = self.faults.boundary(&mut self.fate) {
            self.strike(link, loss);
        }
        let at = self.net.arrival(link, Way::Up, self.micros());
        self.agenda
            .at(at, Rank::Usual, Event::ToServer(link, Payload::Text(frame)));
    }

    fn close_link(&mut self, link: ConnectionId) {
        if let Some(link) = self.net.link_mut(link) {
            link.client_up = false;
        }
        let at = self.net.arrival(link, Way::Up, self.micros());
        self.agenda
            .at(at, Rank::Usual, Event::ToServer(link, Payload::Close));
    }
}
