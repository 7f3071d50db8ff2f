//! Comma lists (RFC 3261 §7.3.1): items are split at commas outside quoted strings and angle brackets.

use crate::bytes;

/// Takes the first item off a comma list: the item, trimmed, and what stands behind its comma, if there is one.
///
/// A quoted string without an end takes the rest of the text with it.
pub(crate) fn split_item(text: &str) -> (&str, Option<&str>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr::memchr3(b',', b'"', b'<', &bytes[at..]) {
        let mark = at + found;
        match bytes[mark] {
            b',' => return (bytes::trim(&text[..mark]), Some(&text[mark + 1..])),
            b'"' => match bytes::quoted_end(bytes, mark) {
                Some(end) => at = end,
                None => break,
            },
            _ => match memchr::memchr(b'>', &bytes[mark..]) {
                Some(close) => at = mark + close + 1,
                None => break,
            },
        }
    }
    (bytes::trim(text), None)
}

/// The items of one comma list.
pub(crate) struct Items<'a>(pub(crate) Option<&'a str>);

impl<'a> Iterator for Items<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        // Empty items, as in `a,,b`, mean nothing and are passed over.
        loop {
            let (item, rest) = split_item(self.0?);
            self.0 = rest;
            if !item.is_empty() {
                return Some(item);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Items;

    #[test]
    fn commas_part_items_only_outside_quotes_and_brackets() {
        let items = |text| Items(Some(text)).collect::<Vec<_>>();
        assert_eq!(
            items("outbound, path ,\r\n gruu"),
            ["outbound", "path", "gruu"]
        );
        assert_eq!(
            items("\"a, \\\"b\" <sip:c,d@e>;x=\"y,z\",<sip:f>"),
            ["\"a, \\\"b\" <sip:c,d@e>;x=\"y,z\"", "<sip:f>"]
        );
        assert_eq!(items(" ,,a,"), ["a"]);
        assert_eq!(items(""), Vec::<&str>::new());
        assert_eq!(items("a,\"b,c"), ["a", "\"b,c"]);
    }
}
