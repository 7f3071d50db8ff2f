//! What must hold in a cluster, by what servers read and pages are given.
//!
//! A call is known by its Call-ID. No INVITE is answered twice, nobody is rung whom nobody calls, and every call has one record.

use std::collections::BTreeMap;

use model::{CallRecord, ConnectionId};
use sip::{Message, Method};

use super::Cluster;

impl Cluster {
    /// A server is about to read a frame of a page.
    pub(super) fn server_reads(&mut self, link: ConnectionId, frame: &[u8]) {
        if let Some(what) = in_short(frame) {
            let client = self.client_of(link);
            self.note(format!("{client} -> {what}"));
        }
    }

    /// A page is about to read a frame.
    pub(super) fn page_reads(&mut self, link: ConnectionId, frame: &[u8]) {
        let client = self.client_of(link);
        if let Some(what) = in_short(frame) {
            self.note(format!("{client} <- {what}"));
        }
        let Ok(message) = sip::parse(frame) else {
            self.fail(format!("{client} is sent what is no SIP"));
            return;
        };
        let Message::Response(response) = message else {
            return;
        };
        let is_answer = response.headers.cseq().method == Method::Invite && response.status >= 200;
        let branch = response
            .headers
            .via()
            .branch()
            .unwrap_or_default()
            .to_owned();
        if is_answer && let Some(before) = self.answered.insert(branch, response.status) {
            let is_again = before == response.status;
            if !is_again {
                let status = response.status;
                self.fail(format!(
                    "an INVITE of {client} is answered {before}, then {status}"
                ));
            }
        }
    }

    /// A server writes a record.
    pub(super) fn records_change(&mut self, record: &CallRecord) {
        let before = self.records.get(&record.id);
        if before.is_some_and(|before| before.outcome.is_some() && record.outcome.is_none()) {
            self.fail("a record that had an outcome has none any more");
        }
    }

    /// Every call has one record, which says how it ended; those of nodes that were killed need not.
    pub fn check_records(&self, may_be_open: bool) -> Result<(), String> {
        let mut calls: BTreeMap<&str, usize> = BTreeMap::new();
        for record in self.records.values() {
            *calls.entry(&record.call_id).or_default() += 1;
            if record.outcome.is_none() && !may_be_open {
                return Err(format!("the record of {} has no outcome", record.call_id));
            }
        }
        match calls.iter().find(|(_, count)| **count > 1) {
            Some((call, count)) => Err(format!("{call} has {count} records")),
            None => Ok(()),
        }
    }

    /// Who should be registered: every page that believes it is.
    pub fn believers(&self) -> Vec<String> {
        let registered = self
            .pages
            .iter()
            .filter(|page| page.browser.is_registered());
        let mut clients: Vec<_> = registered.map(|page| page.browser.client.clone()).collect();
        clients.sort();
        clients.dedup();
        clients
    }

    fn client_of(&self, link: ConnectionId) -> String {
        self.links.get(&link).map_or_else(String::new, |link| {
            format!("{}@{}", self.pages[link.page].browser.client, link.node)
        })
    }
}

/// A message's first line, without what keeps a page alive.
fn in_short(frame: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(frame);
    let line = text.lines().next()?;
    let cseq = text.lines().find(|line| line.starts_with("CSeq"))?;
    (!cseq.contains("OPTIONS")).then(|| format!("{line} ({cseq})"))
}
