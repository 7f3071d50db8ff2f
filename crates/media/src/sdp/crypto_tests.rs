//! Rows of keys, well-formed and not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::srtp::{MasterKey, Suite};

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 8\r\n";
const CODECS: [Encoding; 1] = [Encoding::Pcma];
const GCM: &str = "AEAD_AES_128_GCM";
const CM_80: &str = "AES_CM_128_HMAC_SHA1_80";
const CM_32: &str = "AES_CM_128_HMAC_SHA1_32";

fn base64(byte: u8, length: usize) -> String {
    STANDARD.encode(vec![byte; length])
}

fn row(rest: &str) -> String {
    format!("a=crypto:{rest}\r\n")
}

/// A row that is well-formed.
fn good(tag: u32, suite: &str, byte: u8) -> String {
    let length = if suite == GCM { 28 } else { 30 };
    row(&format!("{tag} {suite} inline:{}", base64(byte, length)))
}

fn offer(rows: &str) -> Result<Offer, String> {
    Offer::read(&format!("{HEAD}{rows}"), &CODECS, Profile::Protected)
}

fn crypto(rows: &str) -> Crypto {
    offer(rows).unwrap().crypto.unwrap()
}

fn own() -> Own {
    Own {
        session: 9,
        version: 1,
        local: "198.51.100.1:30000".parse().unwrap(),
    }
}

fn key(suite: Suite, byte: u8) -> MasterKey {
    MasterKey::drawn(suite, &[byte; MasterKey::BYTES])
}

#[test]
fn the_first_row_that_can_be_used_is_taken_and_answered_with_its_tag() {
    let unknown = good(1, "AES_256_CM_HMAC_SHA1_80", 1);
    let rows = format!("{unknown}{}{}", good(2, CM_32, 2), good(3, GCM, 3));
    let offer = offer(&rows).unwrap();
    let theirs = offer.crypto.clone().unwrap();
    assert_eq!(
        (theirs.tag, theirs.key.suite()),
        (2, Suite::AesCm128HmacSha1_32)
    );
    assert_eq!(theirs.key.expose(), [2; 30]);
    let ours = Crypto {
        tag: theirs.tag,
        key: key(theirs.key.suite(), 9),
    };
    let answer = offer.answer(&own(), Some(&ours));
    assert!(answer.contains("m=audio 30000 RTP/SAVP 8\r\n"), "{answer}");
    assert!(answer.ends_with(&good(2, CM_32, 9)), "{answer}");
    let read = Offer::read_answer(&answer, &CODECS, Profile::Protected).unwrap();
    assert_eq!(read.crypto, Some(ours));
}

#[test]
fn feedback_is_answered_as_it_was_offered() {
    let text = format!("{HEAD}{}", good(1, GCM, 1)).replace("RTP/SAVP", "RTP/SAVPF");
    let offer = Offer::read(&text, &CODECS, Profile::Either).unwrap();
    assert!(
        offer
            .answer(&own(), None)
            .contains("m=audio 30000 RTP/SAVPF 8")
    );
}

#[test]
fn our_offer_has_a_key_for_each_suite_and_the_answer_chooses_one() {
    let rows: Vec<Crypto> = (1..)
        .zip(Suite::OFFERED)
        .map(|(tag, suite)| Crypto {
            tag,
            key: key(suite, tag as u8),
        })
        .collect();
    let text = super::offer(&own(), &CODECS, &rows);
    assert!(text.contains("m=audio 30000 RTP/SAVP 8 101\r\n"), "{text}");
    let expected = format!("{}{}", good(1, GCM, 1), good(2, CM_80, 2));
    assert!(text.ends_with(&expected), "{text}");
    let chosen = |row: &str| {
        let answer = Offer::read_answer(&format!("{HEAD}{row}"), &CODECS, Profile::Protected)?;
        let theirs = answer.crypto.expect("a protected answer has a key");
        theirs.chosen(&rows).cloned()
    };
    assert_eq!(chosen(&good(2, CM_80, 7)).unwrap(), rows[1]);
    let refused = |row: &str, words: &str| {
        let sentence = chosen(row).unwrap_err();
        assert!(sentence.contains(words), "{row}: {sentence}");
    };
    refused(&good(1, CM_80, 7), "the tag and the suite");
    refused(&good(3, GCM, 7), "the tag and the suite");
    refused(&good(2, CM_80, 2), "our own");
    refused(&good(1, GCM, 7).repeat(2), "more than one a=crypto row");
    refused("", "has no a=crypto row");
    // What was asked for protected is not taken plain.
    let plain = HEAD.replace("SAVP", "AVP");
    let sentence = Offer::read_answer(&plain, &CODECS, Profile::Protected).unwrap_err();
    assert!(sentence.contains("where RTP/SAVP is spoken"), "{sentence}");
}

#[test]
fn plain_and_protected_are_taken_where_they_are_wanted() {
    let protected = format!("{HEAD}{}", good(1, GCM, 1));
    let plain = protected.replace("RTP/SAVP", "RTP/AVP");
    let read = |text: &str, profile| {
        let offer = Offer::read(text, &CODECS, profile)?;
        Ok::<_, String>(offer.crypto.is_some())
    };
    assert_eq!(read(&protected, Profile::Either), Ok(true));
    // Keys beside plain RTP are none that anybody has agreed on.
    assert_eq!(read(&plain, Profile::Either), Ok(false));
    assert_eq!(read(&plain, Profile::Plain), Ok(false));
    assert_eq!(
        read(&plain, Profile::Protected).unwrap_err(),
        "the offer asks for \"RTP/AVP\" where RTP/SAVP is spoken"
    );
    assert_eq!(
        read(&protected, Profile::Plain).unwrap_err(),
        "the offer asks for \"RTP/SAVP\" where RTP/AVP is spoken"
    );
    let dtls = protected.replace("RTP/SAVP", "UDP/TLS/RTP/SAVP");
    assert!(
        read(&dtls, Profile::Either)
            .unwrap_err()
            .contains("UDP/TLS")
    );
}

#[test]
fn what_may_stand_behind_a_key_is_read() {
    let key = base64(5, 30);
    for rest in [
        "",
        "|2^20",
        "|2^48",
        "|1048576",
        " WSH=64",
        " -UNKNOWN=1 WSH=1024",
    ] {
        let crypto = crypto(&row(&format!("1 {CM_80} inline:{key}{rest}")));
        assert_eq!(crypto.key.expose(), [5; 30], "{rest}");
    }
    // Capitals and padding do not count.
    let gcm = STANDARD.encode([6; 28]);
    for text in [gcm.as_str(), gcm.trim_end_matches('=')] {
        let crypto = crypto(&row(&format!("999999999 aead_aes_128_gcm INLINE:{text}")));
        assert_eq!(
            (crypto.tag, crypto.key.expose()),
            (999_999_999, &[6; 28][..])
        );
    }
}

#[test]
fn a_row_that_cannot_be_used_is_refused_without_a_word_of_it() {
    let (key, short) = (base64(0x5a, 30), base64(0x5a, 29));
    let inline = format!("inline:{key}");
    let faulty = [
        (String::new(), "a tag is"),
        ("1".to_owned(), "the suites are"),
        (format!("x {CM_80} {inline}"), "a tag is"),
        (format!("1234567890 {CM_80} {inline}"), "a tag is"),
        (format!("-1 {CM_80} {inline}"), "a tag is"),
        (inline.clone(), "a tag is"),
        (format!("1 {inline}"), "the suites are"),
        (format!("1 F8_128_HMAC_SHA1_80 {inline}"), "the suites are"),
        (format!("1 AEAD_AES_256_GCM {inline}"), "a key is"),
        (format!("1 {CM_80}"), "a key is"),
        (format!("1 {CM_80} {key}"), "a key is"),
        (format!("1 {CM_80} uri:{key}"), "a key is"),
        (format!("1 {CM_80} inline:"), "a key is"),
        (format!("1 {CM_80} inline:{short}"), "a key is"),
        (format!("1 {GCM} {inline}"), "a key is"),
        (format!("1 {CM_80} inline:{key}{key}"), "a key is"),
        (
            format!("1 {CM_80} inline:{}", "A".repeat(4_000)),
            "a key is",
        ),
        (format!("1 {CM_80} inline:{}!", &key[..39]), "a key is"),
        (format!("1 {CM_80} {inline}|2^49"), "a lifetime is"),
        (format!("1 {CM_80} {inline}|2^64"), "a lifetime is"),
        (format!("1 {CM_80} {inline}|0"), "a lifetime is"),
        (format!("1 {CM_80} {inline}|+5"), "a lifetime is"),
        (format!("1 {CM_80} {inline}|"), "a lifetime is"),
        (format!("1 {CM_80} {inline}|2^20|1:4"), "without MKI"),
        (format!("1 {CM_80} {inline}|1:4"), "without MKI"),
        (format!("1 {CM_80} {inline};{inline}"), "without MKI"),
        (format!("1 {CM_80} {inline} UNENCRYPTED_SRTP"), "parameter"),
        (format!("1 {CM_80} {inline} UNENCRYPTED_SRTCP"), "parameter"),
        (
            format!("1 {CM_80} {inline} UNAUTHENTICATED_SRTP"),
            "parameter",
        ),
        (format!("1 {CM_80} {inline} KDR=1"), "parameter"),
        (
            format!("1 {CM_80} {inline} FEC_ORDER=FEC_SRTP"),
            "parameter",
        ),
        (format!("1 {CM_80} {inline} WSH=63"), "parameter"),
        (format!("1 {CM_80} {inline} WSH"), "parameter"),
        (format!("1 {CM_80} {inline} -"), "parameter"),
    ];
    for (faulty, words) in faulty {
        let sentence = offer(&row(&faulty)).unwrap_err();
        assert!(sentence.contains(words), "{faulty}: {sentence}");
        assert!(!sentence.contains("Wlpa"), "{sentence}");
        // A row that can be used makes good for it.
        let rows = format!("{}{}", row(&faulty), good(77, GCM, 1));
        assert_eq!(crypto(&rows).tag, 77, "{faulty}");
    }
    assert_eq!(
        offer("").unwrap_err(),
        "the offer asks for RTP/SAVP and has no a=crypto row"
    );
    assert!(offer("a=crypto\r\n").unwrap_err().contains("a tag is"));
    // The second of two with one tag is none.
    let twice = format!("{}{}", row(&format!("1 {CM_80} x")), good(1, CM_80, 1));
    assert!(offer(&twice).unwrap_err().contains("a key is"));
    let many: String = (1..=17).map(|tag| good(tag, CM_80, 1)).collect();
    assert!(offer(&many).unwrap_err().contains("more than 16"));
}

#[test]
fn a_key_is_not_shown() {
    let offer = offer(&good(1, CM_80, 0x5a)).unwrap();
    let shown = format!("{offer:?}");
    assert!(!shown.contains("90") && !shown.contains("Wlpa"), "{shown}");
}

proptest::proptest! {
    #[test]
    fn any_row_is_one_or_not(
        rows in proptest::collection::vec(
            "([0-9]{0,10}|[ -~]{0,3}) (AES_CM_128_HMAC_SHA1_80|AEAD_AES_128_GCM|[A-Z_]{0,9}) (inline:)?[A-Za-z0-9+/=|:;^ ]{0,50}",
            0..4,
        ),
    ) {
        let rows: String = rows.iter().map(|rest| row(rest)).collect();
        if let Ok(offer) = offer(&rows) {
            let theirs = offer.crypto.clone().unwrap();
            let ours = Crypto { tag: theirs.tag, key: key(theirs.key.suite(), 9) };
            let answer = offer.answer(&own(), Some(&ours));
            let read = Offer::read_answer(&answer, &CODECS, Profile::Protected).unwrap();
            proptest::prop_assert_eq!(read.crypto, Some(ours));
        }
    }
}
