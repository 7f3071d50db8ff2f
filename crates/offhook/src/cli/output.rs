//! What a person or a script reads: aligned tables, words for times, JSON.
//!
//! Never prints a secret of its own accord: what is printed is handed in as text.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use node::model::UnixTime;
use serde_json::Value;

/// Prints text on stdout and hands it over at once; a reader that has gone away (`| head`) is no error.
pub(crate) fn print(text: impl fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Prints a JSON value on one line.
pub(crate) fn print_json(value: &Value) -> io::Result<()> {
    print(value)
}

/// Prints an error on stderr.
pub(crate) fn print_error(sentence: &str) {
    // If not even stderr can be written, there is nobody left to tell.
    let _ = writeln!(io::stderr(), "error: {sentence}");
}

/// Prints on stderr what should be known beside what was asked for.
pub(crate) fn print_note(sentence: &str) {
    let _ = writeln!(io::stderr(), "note: {sentence}");
}

/// Rows under headings, as wide as their widest text.
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(headings: [&'static str; N]) -> Self {
        Self {
            headings: headings.into(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; an empty cell is shown as a dash, and nothing in it can steer a terminal.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.headings.len(), "a row has a cell for each heading");
        let or_dash = |cell: String| {
            if cell.is_empty() {
                "-".to_owned()
            } else {
                cell.replace(char::is_control, " ")
            }
        };
        self.rows.push(cells.map(or_dash).into());
    }

    /// The table, or `sentence` if it has no rows.
    pub(crate) fn or(&self, sentence: &str) -> String {
        if self.rows.is_empty() {
            sentence.to_owned()
        } else {
            self.to_string()
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |at: usize| {
            let cells = self
                .rows
                .iter()
                .filter_map(|row| row.get(at))
                .map(|cell| printed_width(cell));
            cells
                .chain([printed_width(self.headings[at])])
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.headings.len()).map(width).collect();
        write_row(f, &widths, self.headings.iter().copied())?;
        for row in &self.rows {
            writeln!(f)?;
            write_row(f, &widths, row.iter().map(String::as_str))?;
        }
        Ok(())
    }
}

fn write_row<'a>(
    f: &mut fmt::Formatter<'_>,
    widths: &[usize],
    cells: impl Iterator<Item = &'a str>,
) -> fmt::Result {
    let mut line = String::new();
    for (cell, width) in cells.zip(widths) {
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', width - printed_width(cell) + 2));
    }
    f.write_str(line.trim_end())
}

/// Our texts are ASCII but for what users put into them; one column for each character is near enough.
fn printed_width(text: &str) -> usize {
    text.chars().count()
}

/// Labelled lines: `label: value`, values aligned.
pub(crate) fn labelled<'a>(lines: impl AsRef<[(&'a str, String)]>) -> String {
    let lines = lines.as_ref();
    let width = lines
        .iter()
        .map(|(label, _)| printed_width(label))
        .max()
        .unwrap_or(0)
        + 1;
    let line =
        |(label, value): &(&str, String)| format!("{:<width$}  {value}", format!("{label}:"));
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// `2026-01-31 08:56:24`, in UTC.
pub(crate) fn time(at: UnixTime) -> String {
    at.to_string().replace('_', " ")
}

/// `1 h 2 m 3 s`; parts that are zero are left out.
pub(crate) fn duration(length: Duration) -> String {
    let seconds = length.as_secs();
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let words: Vec<_> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    if words.is_empty() {
        "0 s".to_owned()
    } else {
        words.join(" ")
    }
}

/// `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The time of the machine's clock.
pub(crate) fn now() -> UnixTime {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime::default() + since_epoch.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_spaces() {
        let mut table = Table::new(["NAME", "STATE"]);
        table.row(["a".to_owned(), String::new()]);
        table.row(["longer".to_owned(), "on".to_owned()]);
        assert_eq!(table.or("none"), "NAME    STATE\na       -\nlonger  on");
        assert_eq!(
            Table::new(["NAME"]).or("There are none."),
            "There are none."
        );
    }

    #[test]
    fn labels_are_aligned() {
        let text = labelled([("login", "x".to_owned()), ("api key", "y".to_owned())]);
        assert_eq!(text, "login:    x\napi key:  y");
    }

    #[test]
    fn durations_are_said_in_words() {
        let said = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!(said(0), "0 s");
        assert_eq!(said(72), "1 m 12 s");
        assert_eq!(said(3_600), "1 h");
        assert_eq!(said(90_061), "1 d 1 h 1 m 1 s");
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        let texts: Vec<_> = [0, 999, 1_000, 1_234_567].into_iter().map(count).collect();
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn times_are_written_with_a_space() {
        assert_eq!(
            time(UnixTime::from_secs(1_610_700_984)),
            "2021-01-15 08:56:24"
        );
    }
}
