//! A telephone that has a call of its transferred, or calls to take the place of one (RFC 3515, RFC 3891).

use super::calling::push_rows;
use super::{Phone, Stand};

impl Phone {
    /// Wants whoever is at the other end of a call to have this one, an address, in its place.
    pub fn refer(&mut self, now: u64, call: usize, to: &str, rows: &str) {
        if self.calls[call].stand == Stand::Talking {
            let mut writer = self.request(call, "REFER");
            writer.header("Refer-To", format_args!("<{to}>"));
            push_rows(&mut writer, rows);
            let message = writer.finish();
            self.ask(now, message);
        }
    }

    /// An address at the server.
    pub fn at_server(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.server())
    }

    /// A call of its, as Replaces names it for the other side: nothing, if that has no tag yet.
    pub fn replaces(&self, call: usize) -> Option<String> {
        let call = &self.calls[call];
        let tag = |address: &str| Some(address.rsplit_once(";tag=")?.1.to_owned());
        let (own, other) = (tag(&call.own)?, call.remote_tag.clone());
        let other = other.or_else(|| tag(&call.remote))?;
        Some(format!("{};to-tag={other};from-tag={own}", call.call_id))
    }

    /// Wants the other ends of two calls to have each other.
    pub fn join(&mut self, now: u64, one: usize, other: usize) {
        let Some(replaces) = self.replaces(other) else {
            return;
        };
        let replaces = replaces.replace(';', "%3B").replace('=', "%3D");
        let to = format!("{}?Replaces={replaces}", self.at_server("+15550"));
        self.refer(now, one, &to, "");
    }

    /// Calls to take the place of a call, perhaps another telephone's.
    pub fn replace(&mut self, now: u64, replaces: &str) -> usize {
        self.call_with(now, "+15550", &format!("Replaces: {replaces}"))
    }
}
