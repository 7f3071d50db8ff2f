//! What happened in a run, and how to draw it: a column for each client and server, an arrow for each message.
//!
//! Everything is folded into a digest, whether it is kept or not: two runs of one seed have the same.

use std::fmt::Write as _;
use std::net::SocketAddr;

use model::ConnectionId;

use crate::clock::SECOND;

/// Who stands in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// A client, counted from 0.
    Client(usize),
    /// A server, counted from 0.
    Server(usize),
    /// A telephone behind a trunk, counted from 0.
    Phone(usize),
}

#[derive(Clone, Debug)]
enum Line {
    Arrow {
        from: Column,
        to: Column,
        label: String,
        connection: ConnectionId,
        is_lost: bool,
    },
    Note {
        at: Column,
        label: String,
    },
}

/// What happened.
#[derive(Clone, Debug)]
pub struct Trace {
    keeps: bool,
    lines: Vec<(u64, Line)>,
    digest: u64,
}

impl Trace {
    /// A trace that can be drawn, or one that is only digested.
    pub fn new(keeps: bool) -> Self {
        Self {
            keeps,
            lines: Vec::new(),
            digest: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// A message arrived, or got lost on its way.
    pub fn message(
        &mut self,
        at: u64,
        ends: (Column, Column),
        connection: ConnectionId,
        message: &[u8],
        is_lost: bool,
    ) {
        self.fold(&at.to_le_bytes());
        self.fold(&connection.0.to_le_bytes());
        self.fold(message);
        self.fold(&[u8::from(is_lost)]);
        if self.keeps {
            let line = Line::Arrow {
                from: ends.0,
                to: ends.1,
                label: label(message),
                connection,
                is_lost,
            };
            self.lines.push((at, line));
        }
    }

    /// A datagram was sent: digested, and never drawn.
    pub fn packet(&mut self, at: u64, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        self.fold(&at.to_le_bytes());
        self.fold(&from.port().to_le_bytes());
        self.fold(&to.port().to_le_bytes());
        self.fold(payload);
    }

    /// Something else happened.
    pub fn note(&mut self, at: u64, who: Column, text: &str) {
        self.fold(&at.to_le_bytes());
        self.fold(text.as_bytes());
        if self.keeps {
            let label = text.to_owned();
            self.lines.push((at, Line::Note { at: who, label }));
        }
    }

    /// The same for two runs in which the same bytes went the same ways at the same times.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// FNV-1a.
    fn fold(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.digest = (self.digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Draws it; `names` are those of the clients.
    pub fn draw(&self, names: &[String], servers: usize, phones: usize) -> String {
        let columns = names.len() + servers + phones;
        let place = |column: Column| match column {
            // Servers stand in the middle, as on paper.
            Column::Client(at) if at < names.len().div_ceil(2) => at,
            Column::Client(at) => at + servers,
            Column::Server(at) => names.len().div_ceil(2) + at,
            // The networks of telephones are elsewhere.
            Column::Phone(at) => names.len() + servers + at,
        };
        let mut heads = vec![String::new(); columns];
        for (at, name) in names.iter().enumerate() {
            heads[place(Column::Client(at))].clone_from(name);
        }
        for at in 0..servers {
            heads[place(Column::Server(at))] = match servers {
                1 => "server".to_owned(),
                _ => format!("server {at}"),
            };
        }
        for at in 0..phones {
            heads[place(Column::Phone(at))] = format!("telephone {at}");
        }
        let mut drawing = format!("{:>12}", "s");
        for head in &heads {
            _ = write!(drawing, "{head:^WIDTH$}");
        }
        drawing.push('\n');
        for (at, line) in &self.lines {
            _ = write!(drawing, "{:>5}.{:06}", at / SECOND, at % SECOND);
            let row = match line {
                Line::Arrow {
                    from,
                    to,
                    label,
                    connection,
                    is_lost,
                } => {
                    let row = arrow(columns, place(*from), place(*to), label, *is_lost);
                    format!("{row}  #{}", connection.0)
                }
                Line::Note { at, label } => note(columns, place(*at), label),
            };
            drawing.push_str(row.trim_end());
            drawing.push('\n');
        }
        drawing
    }
}

const WIDTH: usize = 26;

fn bars(columns: usize) -> Vec<char> {
    let mut row = vec![' '; columns * WIDTH];
    for column in 0..columns {
        row[column * WIDTH + WIDTH / 2] = '|';
    }
    row
}

fn arrow(columns: usize, from: usize, to: usize, label: &str, is_lost: bool) -> String {
    let mut row = bars(columns);
    let (left, right) = (
        from.min(to) * WIDTH + WIDTH / 2,
        from.max(to) * WIDTH + WIDTH / 2,
    );
    for cell in &mut row[left + 1..right] {
        *cell = '-';
    }
    let head = match (from < to, is_lost) {
        (_, true) => 'x',
        (true, false) => '>',
        (false, false) => '<',
    };
    let tip = if from < to { right - 1 } else { left + 1 };
    let room = right.saturating_sub(left + 5);
    let label: String = label.chars().take(room).collect();
    let begin = left + 1 + (right - left - 1).saturating_sub(label.chars().count()) / 2;
    for (at, letter) in label.chars().enumerate() {
        row[begin + at] = letter;
    }
    row[tip] = head;
    row.into_iter().collect()
}

fn note(columns: usize, column: usize, label: &str) -> String {
    let mut row = bars(columns);
    let begin = column * WIDTH + WIDTH / 2 + 2;
    for (at, letter) in label.chars().enumerate() {
        match row.get_mut(begin + at) {
            Some(cell) => *cell = letter,
            None => row.push(letter),
        }
    }
    row.into_iter().collect()
}

/// A message in a few words.
pub fn label(message: &[u8]) -> String {
    if let Some((head, message)) = crate::resuming::without_head(message) {
        return format!("{head} {}", label(message));
    }
    let text = String::from_utf8_lossy(message);
    let row = |name: &str| crate::raw::row(&text, name).unwrap_or_default().to_owned();
    let first = text.lines().next().unwrap_or_default();
    if first.is_empty() {
        return "keep-alive".to_owned();
    }
    if first.starts_with("ACK ") && !text.contains("\r\n") {
        return first.to_owned();
    }
    if let Some(rest) = first.strip_prefix("SIP/2.0 ") {
        let cseq = row("CSeq");
        let method = cseq.split(' ').nth(1).unwrap_or_default();
        let status: String = rest.chars().take(3).collect();
        return format!("{status} {method}");
    }
    let method = first.split(' ').next().unwrap_or_default();
    let is_inside = row("To").contains(";tag=");
    match method {
        "INVITE" if is_inside => "re-INVITE".to_owned(),
        "REGISTER" if row("Contact").contains("expires=0") => "REGISTER (end)".to_owned(),
        "BYE" | "CANCEL" => {
            let reason = row("Reason");
            let cause = reason.split("cause=").nth(1).unwrap_or_default();
            let cause: String = cause.chars().take_while(char::is_ascii_digit).collect();
            match cause.as_str() {
                "" => method.to_owned(),
                cause => format!("{method} ({cause})"),
            }
        }
        method => method.chars().take(20).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_drawn_between_their_columns() {
        let mut trace = Trace::new(true);
        let (alice, server) = (Column::Client(0), Column::Server(0));
        let invite = b"INVITE sip:bob@x SIP/2.0\r\nTo: <sip:bob@x>\r\n\r\n";
        trace.message(1_500_000, (alice, server), ConnectionId(3), invite, false);
        trace.message(
            1_600_000,
            (server, Column::Client(1)),
            ConnectionId(4),
            invite,
            true,
        );
        let drawing = trace.draw(&["alice".to_owned(), "bob".to_owned()], 1, 0);
        let lines: Vec<&str> = drawing.lines().collect();
        assert!(lines[1].starts_with("    1.500000"), "{drawing}");
        assert!(
            lines[1].contains("|---------INVITE--------->|"),
            "{drawing}"
        );
        assert!(lines[2].contains("INVITE---------x|"), "{drawing}");
    }
}
