//! Header names: the standard ones with their compact forms (RFC 3261 §7.3.3 and §20, and the registry that it opened),
//! any other as it came. Never allocates: a name is found by its length, its first letter, then a comparison.

use std::fmt;

macro_rules! names {
    ($($length:literal => $($variant:ident $text:literal),+;)+) => {
        /// The name of a header row.
        ///
        /// Make one from text with [`Name::of`], which knows compact forms. Two names are equal if they name the same
        /// header: case never matters.
        #[derive(Clone, Copy, Debug)]
        pub enum Name<'a> {
            $($(
                #[doc = concat!("`", $text, "`.")]
                $variant,
            )+)+
            /// A header that is not in this list, as it was written.
            Other(&'a str),
        }

        impl<'a> Name<'a> {
            /// The header of this name, long or compact, in any case.
            pub fn of(text: &'a str) -> Self {
                let Some(&first) = text.as_bytes().first() else {
                    return Self::Other(text);
                };
                let first = first.to_ascii_lowercase();
                match text.len() {
                    1 => Self::compact(first).unwrap_or(Self::Other(text)),
                    $($length => {
                        $(
                            if first == const { $text.as_bytes()[0].to_ascii_lowercase() }
                                && (text == $text || text.eq_ignore_ascii_case($text))
                            {
                                return Self::$variant;
                            }
                        )+
                        Self::Other(text)
                    })+
                    _ => Self::Other(text),
                }
            }

            /// The long name in its usual spelling; of other headers, the name as it was written.
            pub fn as_str(&self) -> &'a str {
                match self {
                    $($(Self::$variant => $text,)+)+
                    Self::Other(text) => text,
                }
            }

            /// Every standard name with the length it is filed under.
            #[cfg(test)]
            const FILED: &'static [(usize, &'static str, Name<'static>)] =
                &[$($(($length, $text, Name::$variant),)+)+];
        }
    };
}

names! {
    2 => To "To";
    3 => Via "Via";
    4 => From "From", CSeq "CSeq", Date "Date", Path "Path", Join "Join", RSeq "RSeq", RAck "RAck";
    5 => Allow "Allow", Route "Route", Event "Event";
    6 => Accept "Accept", Reason "Reason", Server "Server", MinSe "Min-SE";
    7 => CallId "Call-ID", Contact "Contact", Expires "Expires", Subject "Subject", Warning "Warning",
        Require "Require", Privacy "Privacy";
    8 => Priority "Priority", ReplyTo "Reply-To", ReferTo "Refer-To", Replaces "Replaces", Identity "Identity",
        SipEtag "SIP-ETag";
    9 => Supported "Supported", Timestamp "Timestamp", Diversion "Diversion", CallInfo "Call-Info";
    10 => UserAgent "User-Agent", AlertInfo "Alert-Info", ErrorInfo "Error-Info";
    11 => RetryAfter "Retry-After", MinExpires "Min-Expires", Unsupported "Unsupported", InReplyTo "In-Reply-To",
        ReferredBy "Referred-By";
    12 => MaxForwards "Max-Forwards", ContentType "Content-Type", RecordRoute "Record-Route",
        MimeVersion "MIME-Version", Organization "Organization", AllowEvents "Allow-Events",
        SipIfMatch "SIP-If-Match", HistoryInfo "History-Info";
    13 => Authorization "Authorization", ProxyRequire "Proxy-Require", ServiceRoute "Service-Route";
    14 => ContentLength "Content-Length", AcceptContact "Accept-Contact", RejectContact "Reject-Contact";
    15 => SessionExpires "Session-Expires", AcceptEncoding "Accept-Encoding", AcceptLanguage "Accept-Language";
    16 => ContentEncoding "Content-Encoding", ContentLanguage "Content-Language",
        WwwAuthenticate "WWW-Authenticate";
    18 => ProxyAuthenticate "Proxy-Authenticate", SubscriptionState "Subscription-State";
    19 => ProxyAuthorization "Proxy-Authorization", AuthenticationInfo "Authentication-Info",
        ContentDisposition "Content-Disposition", PAssertedIdentity "P-Asserted-Identity",
        RequestDisposition "Request-Disposition";
    20 => PPreferredIdentity "P-Preferred-Identity";
}

impl Name<'_> {
    /// The header of a compact form: the registered single letters.
    fn compact(letter: u8) -> Option<Self> {
        Some(match letter {
            b'a' => Self::AcceptContact,
            b'b' => Self::ReferredBy,
            b'c' => Self::ContentType,
            b'd' => Self::RequestDisposition,
            b'e' => Self::ContentEncoding,
            b'f' => Self::From,
            b'i' => Self::CallId,
            b'j' => Self::RejectContact,
            b'k' => Self::Supported,
            b'l' => Self::ContentLength,
            b'm' => Self::Contact,
            b'o' => Self::Event,
            b'r' => Self::ReferTo,
            b's' => Self::Subject,
            b't' => Self::To,
            b'u' => Self::AllowEvents,
            b'v' => Self::Via,
            b'x' => Self::SessionExpires,
            b'y' => Self::Identity,
            _ => return None,
        })
    }

    /// The same name with a variant of its own where it has one, for callers that built an `Other` by hand.
    pub(crate) fn settled(self) -> Self {
        if let Self::Other(text) = self {
            Name::of(text)
        } else {
            self
        }
    }
}

impl PartialEq for Name<'_> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        if let (Self::Other(a), Self::Other(b)) = (self, other) {
            a.eq_ignore_ascii_case(b)
        } else {
            std::mem::discriminant(self) == std::mem::discriminant(other)
        }
    }
}

impl Eq for Name<'_> {}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case() {
        for (length, text, name) in Name::FILED {
            assert_eq!(
                text.len(),
                *length,
                "{text} is filed under the wrong length"
            );
            for spelling in [text.to_string(), text.to_lowercase(), text.to_uppercase()] {
                assert!(
                    !matches!(Name::of(&spelling), Name::Other(_)),
                    "{spelling} is not found"
                );
                assert_eq!(Name::of(&spelling), *name);
                assert_eq!(Name::of(&spelling).as_str(), *text);
            }
        }
    }

    #[test]
    fn compact_forms_name_the_long_ones() {
        assert_eq!(Name::of("i"), Name::CallId);
        assert_eq!(Name::of("V"), Name::Via);
        assert_eq!(Name::of("l").as_str(), "Content-Length");
        assert_eq!(Name::of("q"), Name::Other("Q"));
    }

    #[test]
    fn unknown_names_compare_without_case() {
        assert_eq!(Name::of("X-Ring-Tone"), Name::Other("x-ring-tone"));
        assert_ne!(Name::of("X-One"), Name::Other("X-Two"));
        assert_eq!(Name::Other("via").settled(), Name::Via);
    }
}
