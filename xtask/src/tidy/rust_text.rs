//! Just enough of Rust's lexical grammar to tell code from comments and strings, and tests from the rest. It is no
//! parser: it never fails, and on text that is not Rust its answer is of no use.

/// A Rust file with everything that is not code blanked out, and its lines marked.
pub(super) struct RustText {
    /// The text with comments, strings and characters turned into spaces; lines and columns are kept.
    pub code: String,
    /// For each line, whether it belongs to an item under `#[cfg(test)]` or `#[test]`.
    pub is_test: Vec<bool>,
}

impl RustText {
    pub(super) fn read(text: &str) -> RustText {
        let code = blank(text);
        let is_test = test_lines(&code);
        RustText { code, is_test }
    }

    /// Every line of code with its number, from 1, and whether it is a test's.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str, bool)> {
        self.code
            .lines()
            .zip(&self.is_test)
            .enumerate()
            .map(|(index, (line, is_test))| (index + 1, line, *is_test))
    }
}

/// Replaces what is not code by spaces, byte for byte, except the ends of lines.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let length = not_code(bytes, at);
        let end = (at + length.max(1)).min(bytes.len());
        for byte in &bytes[at..end] {
            let keeps = *byte == b'\n' || (length == 0 && byte.is_ascii());
            code.push(if keeps { char::from(*byte) } else { ' ' });
        }
        at = end;
    }
    code
}

/// The length of the comment, string or character that begins at `at`; 0 where code begins.
fn not_code(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return rest
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return block_comment(rest);
    }
    if rest[0] == b'"' {
        return quoted(rest, b'"');
    }
    if rest[0] == b'\'' {
        // Otherwise it is a lifetime or a label.
        let is_character = rest.get(1) == Some(&b'\\') || closes_after_one_character(rest);
        return if is_character { quoted(rest, b'\'') } else { 0 };
    }
    let follows_a_name = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if follows_a_name { 0 } else { raw_string(rest) }
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn closes_after_one_character(rest: &[u8]) -> bool {
    let length = match rest.get(1) {
        Some(0x00..=0x7f) => 1,
        Some(0x80..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(_) => 4,
        None => return false,
    };
    rest.get(1 + length) == Some(&b'\'')
}

/// `r"…"`, `br#"…"#`, `cr"…"` and the like; 0 if it is none of them.
fn raw_string(rest: &[u8]) -> usize {
    let prefix = [&b"br"[..], b"cr", b"r"]
        .into_iter()
        .find(|prefix| rest.starts_with(prefix))
        .map_or(0, <[u8]>::len);
    if prefix == 0 {
        return 0;
    }
    let hashes = rest[prefix..]
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    let opened = prefix + hashes;
    if rest.get(opened) != Some(&b'"') {
        return 0;
    }
    let closing: Vec<u8> = std::iter::once(b'"')
        .chain(std::iter::repeat_n(b'#', hashes))
        .collect();
    rest[opened + 1..]
        .windows(closing.len())
        .position(|window| window == closing)
        .map_or(rest.len(), |found| opened + 1 + found + closing.len())
}

/// Marks the lines of each item that is compiled for tests only.
fn test_lines(code: &str) -> Vec<bool> {
    let mut is_test = vec![false; code.lines().count()];
    for (start, _) in code.match_indices("#[") {
        let Some(length) = code[start..].find(']') else {
            continue;
        };
        if !is_test_attribute(&code[start + 2..start + length]) {
            continue;
        }
        let end = item_end(code, start + length + 1);
        let first = line_of(code, start);
        let last = line_of(code, end);
        for mark in is_test.iter_mut().take(last + 1).skip(first) {
            *mark = true;
        }
    }
    is_test
}

fn is_test_attribute(attribute: &str) -> bool {
    let mut words = attribute
        .split(|character: char| !(character.is_alphanumeric() || character == '_'))
        .filter(|word| !word.is_empty());
    let is_condition = attribute.trim_start().starts_with("cfg(");
    let is_plain = attribute.trim() == "test" || attribute.trim_end().ends_with("::test");
    is_plain || (is_condition && !attribute.contains("not(") && words.any(|word| word == "test"))
}

/// The end of the item that follows: its closing brace, or the semicolon that comes before any brace.
fn item_end(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code[from..].bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return from + offset,
            b'}' => depth -= 1,
            b';' if depth == 0 => return from + offset,
            _ => {}
        }
    }
    code.len().saturating_sub(1)
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].bytes().filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_blanked_in_place() {
        let text = "let a = \"x // y\"; // said\nlet b = 'c'; /* one /* two */ */ b\n";
        let code = RustText::read(text).code;
        assert_eq!(code.len(), text.len());
        assert_eq!(code.lines().next().unwrap().trim_end(), "let a =         ;");
        assert_eq!(
            code.lines()
                .nth(1)
                .unwrap()
                .split_whitespace()
                .collect::<Vec<_>>(),
            ["let", "b", "=", ";", "b"]
        );
    }

    #[test]
    fn raw_strings_end_at_their_own_quotes() {
        let code =
            RustText::read("f(r#\"a \"quoted\" word\"#, br\"x\", \"\\\"\", '\\'', 'é').unwrap()")
                .code;
        assert_eq!(
            code.split_whitespace().collect::<String>(),
            "f(,,,,).unwrap()"
        );
    }

    #[test]
    fn a_lifetime_is_code() {
        let code = RustText::read("fn f<'a>(x: &'a str) -> &'a str { x }").code;
        assert_eq!(code, "fn f<'a>(x: &'a str) -> &'a str { x }");
    }

    #[test]
    fn the_lines_of_tests_are_marked() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { {} }\n}\nfn c() {}\n";
        assert_eq!(
            RustText::read(text).is_test,
            [false, true, true, true, true, false]
        );
        let text = "#[cfg(test)]\nmod tests;\nfn a() {}\n#[tokio::test]\nasync fn b() {\n}\n";
        assert_eq!(
            RustText::read(text).is_test,
            [true, true, false, true, true, true]
        );
    }

    #[test]
    fn what_is_compiled_when_not_testing_is_no_test() {
        let text = "#[cfg(not(test))]\nfn a() {}\n#[cfg(feature = \"latest\")]\nfn b() {}\n";
        assert_eq!(RustText::read(text).is_test, [false; 4]);
        assert_eq!(
            RustText::read("#[cfg(all(test, unix))]\nfn a() {}\n").is_test,
            [true; 2]
        );
    }
}
