//! Which bytes may stand where: one table of classes from the grammar of RFC 3261 §25.1, and the white space of folded
//! rows. Never looks at more than it is given; non-ASCII bytes belong to no class.

/// `token`: method and header names, tags, parameters.
pub(crate) const TOKEN: u8 = 1;
/// `user`, without the percent sign of an escape, which is checked apart.
pub(crate) const USER: u8 = 2;
/// `password`, likewise.
pub(crate) const PASSWORD: u8 = 4;
/// Host names and IPv4 addresses; `_` is tolerated, as resolvers do.
pub(crate) const HOST: u8 = 8;
/// `paramchar` of a URI.
pub(crate) const URI_PARAM: u8 = 16;
/// The name and value characters of a URI's header part, with `&` and `=` that join them.
pub(crate) const URI_HEADER: u8 = 32;
/// `word` of a Call-ID.
pub(crate) const WORD: u8 = 64;
/// `gen-value` of a header parameter that is no quoted string: a token or a host.
pub(crate) const VALUE: u8 = 128;

/// Where the empty line stands that ends the rows of a head: rows are few, so looking at the end of each is the fastest.
pub(crate) fn head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes)
        .filter_map(|at| at.checked_sub(3))
        .find(|start| bytes[*start..].starts_with(b"\r\n\r\n"))
}

const CLASSES: [u8; 256] = classes();

const fn mark(mut table: [u8; 256], bytes: &[u8], classes: u8) -> [u8; 256] {
    let mut i = 0;
    while i < bytes.len() {
        table[bytes[i] as usize] |= classes;
        i += 1;
    }
    table
}

const fn classes() -> [u8; 256] {
    let everywhere = TOKEN | USER | PASSWORD | HOST | URI_PARAM | URI_HEADER | WORD | VALUE;
    let mut table = [0u8; 256];
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

/// Whether the byte belongs to one of the classes.
#[inline]
pub(crate) fn is(byte: u8, classes: u8) -> bool {
    CLASSES[byte as usize] & classes != 0
}

/// How many bytes at the front belong to one of the classes.
#[inline]
pub(crate) fn run(bytes: &[u8], classes: u8) -> usize {
    bytes
        .iter()
        .position(|&byte| !is(byte, classes))
        .unwrap_or(bytes.len())
}

/// Whether this is a `token`: not empty, and of token characters only.
#[inline]
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| is(byte, TOKEN))
}

/// Whether every byte belongs to one of the classes or to a well-formed `%HH` escape.
#[inline]
pub(crate) fn is_escaped(text: &str, classes: u8) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if is(bytes[at], classes) {
            at += 1;
        } else if bytes[at] == b'%'
            && bytes.get(at + 1).is_some_and(u8::is_ascii_hexdigit)
            && bytes.get(at + 2).is_some_and(u8::is_ascii_hexdigit)
        {
            at += 3;
        } else {
            return false;
        }
    }
    true
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
