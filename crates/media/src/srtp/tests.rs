//! The vectors of the standards, and what a hostile network does to packets.

use super::cipher::Cipher;
use super::keys::{Label, SALT_BYTES, count, counter_key};
use super::*;
use model::limits::SRTP_SOURCES;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn key(suite: Suite, seed: u8) -> MasterKey {
    MasterKey::drawn(
        suite,
        &std::array::from_fn(|at| seed.wrapping_add(at as u8)),
    )
}

fn pair(suite: Suite) -> (Sealer, Opener) {
    let key = key(suite, 7);
    (Sealer::new(&key).unwrap(), Opener::new(&key).unwrap())
}

fn packet(ssrc: u32, number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend_from_slice(&number.to_be_bytes());
    packet.extend_from_slice(&(u32::from(number) * 160).to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[number as u8; 160]);
    packet
}

fn report(ssrc: u32) -> Vec<u8> {
    let mut report = vec![0x80, 201, 0, 1];
    report.extend_from_slice(&ssrc.to_be_bytes());
    report.extend_from_slice(&[0x81, 202, 0, 1, 1, 2, 3, 4]);
    report
}

fn sealed(sealer: &mut Sealer, number: u16) -> Vec<u8> {
    let mut packet = packet(5, number);
    sealer.seal(&mut packet).unwrap();
    packet
}

fn open(opener: &mut Opener, packet: &[u8]) -> Result<Vec<u8>, Closed> {
    let mut clear = Vec::new();
    opener.open(packet, &mut clear).map(|()| clear)
}

/// RFC 3711 B.2.
#[test]
fn the_key_stream_is_that_of_the_standard() {
    let key = counter_key(&hex("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap();
    let salt: [u8; 16] = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
    let mut stream = vec![0; 16 * 0xff02];
    count(&key, salt, &mut stream).unwrap();
    let block = |number: usize| &stream[16 * number..16 * (number + 1)];
    assert_eq!(block(0), hex("E03EAD0935C95E80E166B16DD92B4EB4"));
    assert_eq!(block(1), hex("D23513162B02D0F72A43A2FE4A5F97AB"));
    assert_eq!(block(2), hex("41E95B3BB0A2E8DD477901E4FCA894C0"));
    assert_eq!(block(0xfeff), hex("EC8CDF7398607CB0F2D21675EA9EA1E4"));
    assert_eq!(block(0xff00), hex("362B7C3C6773516318A077D7FC5073AE"));
    assert_eq!(block(0xff01), hex("6A2CC3787889374FBEB4C81B17BA6C44"));
}

/// RFC 3711 B.3.
#[test]
fn session_keys_are_those_of_the_standard() {
    let master = hex("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
    let master = MasterKey::read(Suite::AesCm128HmacSha1_80, &master).unwrap();
    let made = |label, length| {
        let mut made = vec![1; length];
        master.derive(label, &mut made).unwrap();
        made
    };
    assert_eq!(
        made(Label::RtpKey, 16),
        hex("C61E7A93744F39EE10734AFE3FF7A087")
    );
    assert_eq!(
        made(Label::RtpSalt, SALT_BYTES),
        hex("30CBBC08863D8C85D49DB34A9AE1")
    );
    assert_eq!(
        made(Label::RtpAuthentication, 94),
        hex(
            "CEBE321F6FF7716B6FD4AB49AF256A15 6D38BAA48F0A0ACF3C34E2359E6CDBCE
             E049646C43D9327AD175578EF7227098 6371C10C9A369AC2F94A8C5FBCDDDC25
             6D6E919A48B610EF17C2041E47403576 6B68642C59BBFC2F34DB60DBDFB2"
        )
    );
}

/// RFC 7714 §16.1.1 and §17.1: their keys are session keys.
#[test]
fn packets_and_reports_of_aes_gcm_are_those_of_the_standard() {
    let key: [u8; 16] = std::array::from_fn(|at| at as u8);
    let salt = hex("517569642070726f2071756f 0000").try_into().unwrap();
    let cipher = Cipher::gcm(&key, &salt).unwrap();

    let clear = hex(
        "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
         69736120 696e2070 61727465 73207472 6573",
    );
    let expected = hex(
        "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a
         51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
    );
    let mut packet = clear.clone();
    cipher.seal(&mut packet, 12, 0xf17b).unwrap();
    assert_eq!(packet, expected);
    let mut opened = Vec::new();
    cipher.open(&packet, 12, 0xf17b, &mut opened).unwrap();
    assert_eq!(opened, clear);
    assert_eq!(cipher.open(&packet, 12, 0x1_f17b, &mut opened), None);

    let clear = hex(
        "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
         deadbeef deadbeef deadbeef deadbeef deadbeef",
    );
    let expected = hex(
        "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda
         4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
    );
    let mut report = clear.clone();
    cipher.seal_report(&mut report, 0x5d4).unwrap();
    assert_eq!(report, expected);
    assert_eq!(cipher.report_index(&report), Some(0x5d4));
    cipher.open_report(&report, 0x5d4, &mut opened).unwrap();
    assert_eq!(opened, clear);
}

/// RFC 7714 §16.2.1: the same with a key of 256 bits.
#[test]
fn a_packet_of_aes_256_gcm_is_that_of_the_standard() {
    let key: [u8; 32] = std::array::from_fn(|at| at as u8);
    let salt = hex("517569642070726f2071756f 0000").try_into().unwrap();
    let cipher = Cipher::gcm(&key, &salt).unwrap();
    let clear = hex(
        "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
         69736120 696e2070 61727465 73207472 6573",
    );
    let mut packet = clear.clone();
    cipher.seal(&mut packet, 12, 0xf17b).unwrap();
    let expected = hex(
        "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02
         76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
    );
    assert_eq!(packet, expected);
    let mut opened = Vec::new();
    cipher.open(&packet, 12, 0xf17b, &mut opened).unwrap();
    assert_eq!(opened, clear);
}

/// RFC 7714 §17.3: authenticated, and not encrypted, which nobody has agreed on.
#[test]
fn a_report_that_is_not_encrypted_is_not_taken() {
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = pair(suite);
        let mut report = report(5);
        sealer.seal_report(&mut report).unwrap();
        let behind = match suite {
            Suite::AeadAes128Gcm | Suite::AeadAes256Gcm => 4,
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => 14,
        };
        let at = report.len() - behind;
        report[at] &= 0x7f;
        let mut clear = Vec::new();
        assert_eq!(
            opener.open_report(&report, &mut clear),
            Err(Closed::Misformed)
        );
    }
}

#[test]
fn tags_are_as_long_as_each_suite_says() {
    for (suite, of_packet, of_report) in [
        (Suite::AeadAes128Gcm, 16, 20),
        (Suite::AesCm128HmacSha1_80, 10, 14),
        (Suite::AesCm128HmacSha1_32, 4, 14),
    ] {
        let (mut sealer, mut opener) = pair(suite);
        let packet = sealed(&mut sealer, 1);
        assert_eq!(packet.len(), 172 + of_packet);
        assert_eq!(sealer.tag_bytes(), of_packet);
        let mut sealed_report = report(5);
        sealer.seal_report(&mut sealed_report).unwrap();
        assert_eq!(sealed_report.len(), 16 + of_report);
        let mut clear = Vec::new();
        assert_eq!(opener.open_report(&sealed_report, &mut clear), Ok(()));
        assert_eq!(clear, report(5));
        assert_eq!(
            opener.open_report(&sealed_report, &mut clear),
            Err(Closed::Repeated)
        );
    }
}

#[test]
fn a_packet_comes_once_in_whatever_order_and_its_numbers_wrap() {
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = pair(suite);
        let first = 65_500_u16;
        let sent: Vec<(u16, Vec<u8>)> = (0..80_u16)
            .map(|at| first.wrapping_add(at))
            .map(|number| (number, sealed(&mut sealer, number)))
            .collect();
        for at in 0..80_usize {
            // Each four in the order 2, 1, 4, 3.
            let (number, packet) = &sent[at ^ 1];
            assert_eq!(
                open(&mut opener, packet),
                Ok(super::tests::packet(5, *number)),
                "{number}"
            );
            assert_eq!(open(&mut opener, packet), Err(Closed::Repeated));
        }
        for (_, packet) in &sent {
            assert_eq!(open(&mut opener, packet), Err(Closed::Repeated));
        }
    }
}

#[test]
fn numbers_wrap_more_than_once() {
    let (mut sealer, mut opener) = pair(Suite::AesCm128HmacSha1_80);
    let mut number = 1_u16;
    for _ in 0..250 {
        assert!(open(&mut opener, &sealed(&mut sealer, number)).is_ok());
        number = number.wrapping_add(1_000);
    }
}

#[test]
fn what_was_changed_anywhere_is_forged_and_changes_nothing() {
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = pair(suite);
        let packet = sealed(&mut sealer, 9);
        for at in 0..packet.len() {
            for bit in [1, 0x80] {
                let mut changed = packet.clone();
                changed[at] ^= bit;
                assert!(open(&mut opener, &changed).is_err(), "{at}");
            }
        }
        for length in 0..packet.len() {
            assert!(open(&mut opener, &packet[..length]).is_err(), "{length}");
        }
        assert!(format!("{opener:?}").contains("sources: []"));
        assert!(open(&mut opener, &packet).is_ok());

        let mut sealed_report = report(5);
        sealer.seal_report(&mut sealed_report).unwrap();
        let mut clear = Vec::new();
        for at in 0..sealed_report.len() {
            let mut changed = sealed_report.clone();
            changed[at] ^= 0x40;
            assert!(opener.open_report(&changed, &mut clear).is_err(), "{at}");
        }
        assert!(format!("{opener:?}").contains("reporters: []"));
        assert_eq!(opener.open_report(&sealed_report, &mut clear), Ok(()));
    }
}

#[test]
fn another_key_opens_nothing() {
    for (suite, other) in [
        (Suite::AeadAes128Gcm, Suite::AeadAes128Gcm),
        (Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_80),
        (Suite::AesCm128HmacSha1_80, Suite::AesCm128HmacSha1_32),
        (Suite::AeadAes128Gcm, Suite::AesCm128HmacSha1_80),
    ] {
        let mut sealer = Sealer::new(&key(suite, 7)).unwrap();
        let mut opener = Opener::new(&key(other, 8)).unwrap();
        assert_eq!(
            open(&mut opener, &sealed(&mut sealer, 1)),
            Err(Closed::Forged)
        );
    }
}

#[test]
fn a_source_is_not_forgotten_and_there_are_not_too_many() {
    let (mut sealer, mut opener) = pair(Suite::AeadAes128Gcm);
    let mut sent = Vec::new();
    for ssrc in 0..=SRTP_SOURCES as u32 {
        let mut packet = packet(ssrc, 1);
        sealer.seal(&mut packet).unwrap();
        sent.push(packet);
    }
    let last = sent.pop().unwrap();
    for packet in &sent {
        assert!(open(&mut opener, packet).is_ok());
    }
    for packet in &sent {
        assert_eq!(open(&mut opener, packet), Err(Closed::Repeated));
    }
    assert_eq!(open(&mut opener, &last), Err(Closed::Misformed));
}

#[test]
fn sources_and_extensions_are_no_payload() {
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = pair(suite);
        // Two sources, an extension of one word, and padding, which is encrypted.
        let mut packet = vec![0xb2, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5];
        packet.extend_from_slice(&[1; 8]);
        packet.extend_from_slice(&[0xbe, 0xde, 0, 1, 9, 9, 9, 9]);
        packet.extend_from_slice(b"sound\0\0\x03");
        let clear = packet.clone();
        sealer.seal(&mut packet).unwrap();
        assert_eq!(packet[..28], clear[..28]);
        assert_ne!(packet[28..36], clear[28..36]);
        assert_eq!(open(&mut opener, &packet), Ok(clear));
    }
}

#[test]
fn a_key_is_not_shown() {
    let key = MasterKey::read(Suite::AesCm128HmacSha1_80, &[0x42; 30]).unwrap();
    let (sealer, opener) = (Sealer::new(&key).unwrap(), Opener::new(&key).unwrap());
    let shown = format!("{key:?} {sealer:?} {opener:?}");
    assert!(!shown.contains("66") && !shown.contains("42"), "{shown}");
    for suite in Suite::ALL {
        assert_eq!(Suite::parse(&suite.as_str().to_lowercase()), Some(suite));
        assert_eq!(MasterKey::read(suite, &[1; 29]), None);
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_opened_or_not(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80),
        first in proptest::sample::select(vec![0x80_u8, 0x90, 0x8f, 0x81, 0x40]),
    ) {
        for suite in Suite::ALL {
            let (mut sealer, mut opener) = pair(suite);
            let mut bytes = bytes.clone();
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            let mut clear = Vec::new();
            proptest::prop_assert!(opener.open(&bytes, &mut clear).is_err());
            proptest::prop_assert!(opener.open_report(&bytes, &mut clear).is_err());
            let mut packet = bytes.clone();
            if sealer.seal(&mut packet).is_some() {
                proptest::prop_assert_eq!(opener.open(&packet, &mut clear), Ok(()));
                proptest::prop_assert_eq!(&clear, &bytes);
            }
            let mut report = bytes.clone();
            if sealer.seal_report(&mut report).is_some() {
                proptest::prop_assert_eq!(opener.open_report(&report, &mut clear), Ok(()));
                proptest::prop_assert_eq!(&clear, &bytes);
            }
        }
    }
}
