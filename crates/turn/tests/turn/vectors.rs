//! The test vectors of RFC 5769, as far as a server reads or writes such messages.

use stun_types::attribute::AttributeStaticType as _;
use stun_types::attribute::{Fingerprint, Nonce, Realm, Software, Username, XorMappedAddress};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass,
    MessageIntegrityCredentials, MessageWrite as _, MessageWriteExt as _, MessageWriteVec,
    ShortTermCredentials,
};

use crate::client::address;

/// Hexadecimal digits with anything between them.
fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn short_term() -> MessageIntegrityCredentials {
    ShortTermCredentials::new("VOkJxbRl1RmTxUk/WvJxBt".to_owned()).into()
}

#[test]
fn the_sample_request_is_read_and_its_proof_is_good() {
    let request = bytes(
        "00010058 2112a442 b7e7a701bc34d686fa87dfae 80220010 5354554e207465737420636c69656e74
         00240004 6e0001ff 80290008 932ff9b151263b36 00060009 6576746a3a68367659202020
         00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004 e57a3bcf",
    );
    let message = Message::from_bytes(&request).unwrap();
    assert_eq!(
        (message.class(), message.method()),
        (MessageClass::Request, BINDING)
    );
    assert_eq!(
        message.attribute::<Software>().unwrap().software(),
        "STUN test client"
    );
    assert_eq!(
        message.attribute::<Username>().unwrap().username(),
        "evtj:h6vY"
    );
    assert_eq!(
        message.validate_integrity(&short_term()).unwrap(),
        IntegrityAlgorithm::Sha1
    );
    assert!(message.has_attribute(Fingerprint::TYPE));
    let wrong: MessageIntegrityCredentials = ShortTermCredentials::new("wrong".to_owned()).into();
    assert!(message.validate_integrity(&wrong).is_err());
}

#[test]
fn the_sample_responses_are_read() {
    let head = "2112a442 b7e7a701bc34d686fa87dfae 8022000b 7465737420766563746f7220";
    for (first, rest, mapped) in [
        (
            "0101003c",
            "00200008 0001a147e112a643 00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004 c07d4c96",
            "192.0.2.1:32853",
        ),
        (
            "01010048",
            "00200014 0002a147 0113a9faa5d3f179bc25f4b5bed2b9d9
             00080014 a382954e4be67bf11784c97c8292c275bfe3ed41 80280004 c8fb0b4c",
            "[2001:db8:1234:5678:11:2233:4455:6677]:32853",
        ),
    ] {
        let response = bytes(&format!("{first}{head}{rest}"));
        let message = Message::from_bytes(&response).unwrap();
        assert_eq!(message.class(), MessageClass::Success);
        let xored = message.attribute::<XorMappedAddress>().unwrap();
        assert_eq!(xored.addr(message.transaction_id()), address(mapped));
        assert!(message.validate_integrity(&short_term()).is_ok());
    }
}

#[test]
fn the_long_term_request_is_read_and_written_the_same() {
    let request = bytes(
        "00010060 2112a442 78ad3433c6ad72c029da412e
         00060012 e3839ee38388e383aae38383e382afe382b9 0000
         0015001c 662f2f3439396b39353464364f4c33346f4c39465354767936347341
         0014000b 6578616d706c652e6f726700
         00080014 f67024656dd64a3e02b8e0712e85c9a28ca89666",
    );
    let message = Message::from_bytes(&request).unwrap();
    let user = "\u{30de}\u{30c8}\u{30ea}\u{30c3}\u{30af}\u{30b9}";
    assert_eq!(message.attribute::<Username>().unwrap().username(), user);
    assert_eq!(message.attribute::<Realm>().unwrap().realm(), "example.org");
    let nonce = "f//499k954d6OL34oL9FSTvy64sA";
    assert_eq!(message.attribute::<Nonce>().unwrap().nonce(), nonce);
    let credentials: MessageIntegrityCredentials = LongTermKeyCredentials::new(
        user.to_owned(),
        "TheMatrIX".to_owned(),
        "example.org".to_owned(),
    )
    .into();
    assert!(message.validate_integrity(&credentials).is_ok());

    let transaction = message.transaction_id();
    let mut written = Message::builder(message.get_type(), transaction, MessageWriteVec::new());
    written
        .add_attribute(&Username::new(user).unwrap())
        .unwrap();
    written.add_attribute(&Nonce::new(nonce).unwrap()).unwrap();
    written
        .add_attribute(&Realm::new("example.org").unwrap())
        .unwrap();
    written
        .add_message_integrity(&credentials, IntegrityAlgorithm::Sha1)
        .unwrap();
    assert_eq!(written.finish(), request);
}
