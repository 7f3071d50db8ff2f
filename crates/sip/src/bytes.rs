//! Which bytes may stand where: one table of classes from the grammar of RFC 3261 §25.1, and the white space of folded
//! rows. Never looks at more than it is given; non-ASCII bytes belong to no class.

/// `token`: method and header names, tags, parameters.
pub(crate) const TOKEN: u16 = 1;
/// `user`, without the percent sign of an escape, which is checked apart.
pub(crate) const USER: u16 = 2;
/// `password`, likewise.
pub(crate) const PASSWORD: u16 = 4;
/// Host names and IPv4 addresses; `_` is tolerated, as resolvers do.
pub(crate) const HOST: u16 = 8;
/// `paramchar` of a URI.
pub(crate) const URI_PARAM: u16 = 16;
/// The name and value characters of a URI's header part, with `&` and `=` that join them.
pub(crate) const URI_HEADER: u16 = 32;
/// `word` of a Call-ID.
pub(crate) const WORD: u16 = 64;
/// `gen-value` of a header parameter that is no quoted string: a token or a host.
pub(crate) const VALUE: u16 = 128;
/// What neither ends the name of a parameter nor its value: for splitting what was checked before.
pub(crate) const UNSPLIT: u16 = 256;

/// Where the empty line stands that ends the rows of a head: rows are few, so looking at the end of each is the fastest.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes)
        .filter_map(|at| at.checked_sub(3))
        .find(|start| bytes[*start..].starts_with(b"\r\n\r\n"))
}

const CLASSES: [u16; 256] = classes();

const fn mark(mut table: [u16; 256], bytes: &[u8], classes: u16) -> [u16; 256] {
    let mut i = 0;
    while i < bytes.len() {
        table[bytes[i] as usize] |= classes;
        i += 1;
    }
    table
}

const fn classes() -> [u16; 256] {
    let everywhere = TOKEN | USER | PASSWORD | HOST | URI_PARAM | URI_HEADER | WORD | VALUE;
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        if !matches!(byte as u8, b';' | b'=' | b' ' | b'\t' | b'\r' | b'\n') {
            table[byte] = UNSPLIT;
        }
        byte += 1;
    }
    table = mark(table, b"abcdefghijklmnopqrstuvwxyz", everywhere);
    table = mark(table, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", everywhere);
    table = mark(table, b"0123456789", everywhere);
    table = mark(table, b"-.!%*_+`'~", TOKEN | VALUE);
    table = mark(table, b"[]:", VALUE);
    table = mark(
        table,
        b"-_.!~*'()",
        USER | PASSWORD | URI_PARAM | URI_HEADER,
    );
    table = mark(table, b"&=+$,;?/", USER);
    table = mark(table, b"&=+$,", PASSWORD);
    table = mark(table, b"-._", HOST);
    table = mark(table, b"[]/:&+$", URI_PARAM);
    table = mark(table, b"[]/?:+$&=", URI_HEADER);
    mark(table, b"-.!%*_+`'~()<>:\\\"/[]?{}", WORD)
}

/// Whether the byte belongs to the class.
#[inline]
pub(crate) fn is(byte: u8, class: u16) -> bool {
    CLASSES[byte as usize] & class != 0
}

/// How many bytes at the front belong to the class.
#[inline]
pub(crate) fn run(bytes: &[u8], class: u16) -> usize {
    let mut at = 0;
    // Four at a time without a branch, then one at a time to where it ends.
    while let Some([a, b, c, d]) = bytes.get(at..at + 4)
        && let [a, b, c, d] = [a, b, c, d].map(|byte| CLASSES[*byte as usize])
        && a & b & c & d & class != 0
    {
        at += 4;
    }
    while at < bytes.len() && is(bytes[at], class) {
        at += 1;
    }
    at
}

/// Likewise, with well-formed `%HH` escapes among them.
#[inline]
pub(crate) fn escaped_run(bytes: &[u8], class: u16) -> usize {
    let mut end = run(bytes, class);
    while let [b'%', high, low, rest @ ..] = &bytes[end..]
        && high.is_ascii_hexdigit()
        && low.is_ascii_hexdigit()
    {
        end += 3 + run(rest, class);
    }
    end
}

/// Whether this is a `token`: not empty, and of token characters only.
#[inline]
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && run(text.as_bytes(), TOKEN) == text.len()
}

/// Whether every byte belongs to the class or to a well-formed `%HH` escape.
#[inline]
pub(crate) fn is_escaped(text: &str, class: u16) -> bool {
    escaped_run(text.as_bytes(), class) == text.len()
}

/// White space inside a row, folds included.
#[inline]
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// The text without white space and folds at the front.
#[inline]
pub(crate) fn trim_start(text: &str) -> &str {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() && is_space(bytes[at]) {
        at += 1;
    }
    &text[at..]
}

/// The text without white space and folds at the end.
#[inline]
pub(crate) fn trim_end(text: &str) -> &str {
    let bytes = text.as_bytes();
    let mut end = bytes.len();
    while end > 0 && is_space(bytes[end - 1]) {
        end -= 1;
    }
    &text[..end]
}

/// The text without white space and folds at either end.
#[inline]
pub(crate) fn trim(text: &str) -> &str {
    trim_end(trim_start(text))
}

/// Where the quoted string that starts at `open` ends: the index behind its closing quote.
pub(crate) fn quoted_end(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[found] == b'"' {
            return Some(found + 1);
        }
        at = found + 2;
    }
}

/// Reads a decimal number of digits only. `None` for anything else, and for what is larger than `most`.
pub(crate) fn number(text: &str, most: u32) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for byte in text.bytes() {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(byte - b'0');
        if value > u64::from(most) {
            return None;
        }
    }
    u32::try_from(value).ok()
}
