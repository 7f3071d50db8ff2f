//! A telephone whose packets are protected: offers and answers, who is heard, holding and new keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use media::codec::Encoding;
use media::rtp::RtpPort;
use media::srtp::{MasterKey, Opener, Sealer, Suite};
use media::{Counter, Input};
use model::media::{LegId, LegKind, MediaCommand, MediaEvent, Network, Play, Sound, Tone};

use crate::phone::Phone;
use crate::world::{LEG, OURS, World, address, sine, tone_share};

const PHONE: LegId = LegId {
    session: LEG.session,
    place: 1,
};
const AT: &str = "192.0.2.7:7000";

fn srtp(allowed: Vec<Network>) -> LegKind {
    LegKind::Srtp {
        allowed,
        is_required: true,
    }
}

fn key(suite: Suite, byte: u8) -> MasterKey {
    MasterKey::drawn(suite, &[byte; MasterKey::BYTES])
}

/// A telephone's SDP with this key.
fn sdp(phone: &Phone, tag: &str, key: &MasterKey) -> String {
    let keys = STANDARD.encode(key.expose());
    let plain = phone.sdp().replace("RTP/AVP", "RTP/SAVP");
    format!(
        "{plain}a=crypto:{tag} {} inline:{keys}\r\n",
        key.suite().as_str()
    )
}

/// The tags and keys of an SDP of ours.
fn rows(sdp: &str) -> Vec<(String, MasterKey)> {
    let rows = sdp
        .lines()
        .filter_map(|line| line.strip_prefix("a=crypto:"));
    rows.map(|row| {
        let words: Vec<&str> = row.split(' ').collect();
        let suite = Suite::parse(words[1]).unwrap();
        let bytes = STANDARD
            .decode(words[2].strip_prefix("inline:").unwrap())
            .unwrap();
        (words[0].to_owned(), MasterKey::read(suite, &bytes).unwrap())
    })
    .collect()
}

fn pair(theirs: &MasterKey, ours: &MasterKey) -> Option<(Sealer, Opener)> {
    Some((Sealer::new(theirs)?, Opener::new(ours)?))
}

fn tone() -> Play {
    Play {
        sounds: vec![Sound::Tone(Tone {
            frequencies_hz: vec![1_000],
            level_db: 10,
            rhythm_ms: Vec::new(),
            lasts: None,
        })],
        times: None,
        until_digit: false,
    }
}

fn ask(world: &mut World, offer: &str, kind: LegKind) -> Result<String, String> {
    world.command(MediaCommand::Answer {
        leg: PHONE,
        kind,
        offer: offer.into(),
    });
    if world.opening.pop().is_some() {
        world.give(Input::RtpOpened {
            leg: PHONE,
            address: Some(address(OURS)),
        });
    }
    match world.events.pop() {
        Some(MediaEvent::Answered { answer, .. }) => Ok(answer.to_string()),
        Some(MediaEvent::Refused { sentence, .. }) => Err(sentence),
        other => panic!("neither answered nor refused: {other:?}"),
    }
}

/// A telephone that called with a key, and hears 1 kHz.
fn dialled(suite: Suite, allowed: Vec<Network>) -> (World, Phone, MasterKey) {
    let mut world = World::new(&[Encoding::Pcma]);
    let mut phone = Phone::new(PHONE, AT, Encoding::Pcma);
    let theirs = key(suite, 7);
    let answer = ask(&mut world, &sdp(&phone, "4", &theirs), srtp(allowed)).unwrap();
    assert!(answer.contains("RTP/SAVP 8 101"), "{answer}");
    let (tag, ours) = rows(&answer).pop().unwrap();
    assert_eq!((tag.as_str(), ours.suite()), ("4", suite));
    phone.srtp = pair(&theirs, &ours);
    world.command(MediaCommand::Play {
        leg: PHONE,
        play: tone(),
    });
    (world, phone, ours)
}

fn hears(world: &mut World, phone: &mut Phone) {
    phone.heard.clear();
    phone.run(world, 1_000);
    assert!(phone.heard.len() > 7_000, "{}", phone.heard.len());
    let share = tone_share(&phone.heard, 8_000, 1_000.0);
    assert!(share > 0.9, "{share}");
}

fn forged(world: &World) -> usize {
    let counts = world.counts.iter();
    counts.filter(|count| **count == Counter::Forged).count()
}

#[test]
fn a_telephone_with_a_key_is_heard_and_hears_and_so_do_reports() {
    for suite in Suite::ALL {
        let (mut world, mut phone, _) = dialled(suite, Vec::new());
        hears(&mut world, &mut phone);
        assert!(world.events.contains(&MediaEvent::Connected { leg: PHONE }));
        phone.run(&mut world, 10_000);
        assert!(phone.reports > 0, "{suite:?}");
        assert_eq!(forged(&world), 0);
    }
}

#[test]
fn a_browser_and_a_telephone_with_a_key_hear_each_other() {
    let mut world = World::new(&[Encoding::Pcma]);
    world.call(LEG, "192.0.2.1:50000");
    world.until(5, |event| matches!(event, MediaEvent::Connected { .. }));
    world.peer().speak(Encoding::Pcma);
    let mut phone = Phone::new(PHONE, AT, Encoding::Pcma);
    let offer = world.offer(PHONE, srtp(Vec::new()));
    let ours = rows(&offer);
    let suites: Vec<Suite> = ours.iter().map(|(_, key)| key.suite()).collect();
    assert_eq!(suites, Suite::OFFERED);
    assert!(offer.contains("RTP/SAVP 8 101"), "{offer}");
    // It takes the second.
    let theirs = key(Suite::AesCm128HmacSha1_80, 3);
    world.accept(PHONE, &sdp(&phone, &ours[1].0, &theirs));
    phone.srtp = pair(&theirs, &ours[1].1);
    world.command(MediaCommand::Join { leg: LEG, other: 1 });
    world.peer().says = sine(8_000, 500.0, 8_000);
    phone.says = sine(8_000, 700.0, 8_000);
    phone.run(&mut world, 3_000);
    let heard = std::mem::take(&mut world.peer().heard);
    assert!(tone_share(&heard[heard.len() / 2..], 8_000, 700.0) > 0.99);
    assert!(tone_share(&phone.heard[phone.heard.len() / 2..], 8_000, 500.0) > 0.99);
}

#[test]
fn an_offer_without_a_key_is_refused_and_one_leg_may_take_both() {
    let phone = Phone::new(PHONE, AT, Encoding::Pcma);
    let mut world = World::new(&[Encoding::Pcma]);
    let sentence = ask(&mut world, &phone.sdp(), srtp(Vec::new())).unwrap_err();
    assert!(sentence.contains("RTP/SAVP is spoken"), "{sentence}");
    let keyless = phone.sdp().replace("RTP/AVP", "RTP/SAVP");
    let sentence = ask(&mut world, &keyless, srtp(Vec::new())).unwrap_err();
    assert!(sentence.contains("has no a=crypto row"), "{sentence}");
    let either = LegKind::Srtp {
        allowed: Vec::new(),
        is_required: false,
    };
    let answer = ask(&mut world, &phone.sdp(), either.clone()).unwrap();
    assert!(answer.contains("RTP/AVP 8") && !answer.contains("crypto"));
    // A leg stays what it has become.
    let secret = sdp(&phone, "1", &key(Suite::AeadAes128Gcm, 1));
    assert!(world.reoffer(PHONE, &secret).is_err());
    let mut world = World::new(&[Encoding::Pcma]);
    assert!(
        ask(&mut world, &secret, either)
            .unwrap()
            .contains("a=crypto:1 ")
    );
    assert!(world.reoffer(PHONE, &phone.sdp()).is_err());
}

#[test]
fn a_packet_that_is_not_authentic_moves_nothing_and_is_counted() {
    let network = Network::new("198.51.100.0".parse().unwrap(), 24).unwrap();
    let (mut world, mut phone, _) = dialled(Suite::AeadAes128Gcm, vec![network]);
    let mut stranger = Phone::new(PHONE, "198.51.100.9:4000", Encoding::Pcma);
    let give = |world: &mut World, from: &str, port, bytes: &[u8]| {
        world.give(Input::Rtp {
            leg: PHONE,
            port,
            from: address(from),
            bytes,
        });
    };
    // Plain, of another key, and a report: from where the peer may be, before the peer has come.
    let plain = stranger.next(&world);
    give(&mut world, "198.51.100.9:4000", RtpPort::Rtp, &plain);
    let other = key(Suite::AeadAes128Gcm, 99);
    stranger.srtp = pair(&other, &other);
    let sealed = stranger.next(&world);
    give(&mut world, "198.51.100.9:4000", RtpPort::Rtp, &sealed);
    let mut report = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
    let (sealer, _) = stranger.srtp.as_mut().unwrap();
    sealer.seal_report(&mut report).unwrap();
    give(&mut world, "198.51.100.9:4001", RtpPort::Rtcp, &report);
    assert_eq!(forged(&world), 3);
    assert_eq!(world.events, []);
    // From elsewhere it is not so much as looked at.
    give(&mut world, "203.0.113.9:4000", RtpPort::Rtp, &sealed);
    assert_eq!(forged(&world), 3);
    // The peer itself, from behind its NAT.
    phone.address = address("198.51.100.7:9000");
    hears(&mut world, &mut phone);
    // What it sent, sent again from beside it, or from where it is.
    let mut sent = phone.next(&world);
    give(&mut world, "198.51.100.7:9000", RtpPort::Rtp, &sent);
    let connected = world.events.len();
    give(&mut world, "198.51.100.8:9000", RtpPort::Rtp, &sent);
    give(&mut world, "198.51.100.7:9000", RtpPort::Rtp, &sent);
    sent[20] ^= 1;
    give(&mut world, "198.51.100.7:9000", RtpPort::Rtp, &sent);
    assert_eq!((world.events.len(), forged(&world)), (connected, 3));
    hears(&mut world, &mut phone);
}

#[test]
fn what_a_peer_said_is_not_heard_from_whoever_repeats_it_elsewhere() {
    let network = Network::new("198.51.100.0".parse().unwrap(), 24).unwrap();
    let (mut world, mut phone, _) = dialled(Suite::AesCm128HmacSha1_80, vec![network]);
    let first = phone.next(&world);
    let give = |world: &mut World, from: &str| {
        world.give(Input::Rtp {
            leg: PHONE,
            port: RtpPort::Rtp,
            from: address(from),
            bytes: &first,
        });
    };
    give(&mut world, AT);
    give(&mut world, "198.51.100.9:4000");
    hears(&mut world, &mut phone);
}

#[test]
fn keys_stay_while_a_telephone_holds_and_change_when_it_changes_its_own() {
    for suite in Suite::ALL {
        let (mut world, mut phone, ours) = dialled(suite, Vec::new());
        hears(&mut world, &mut phone);
        let theirs = key(suite, 7);
        let held = format!("{}a=sendonly\r\n", sdp(&phone, "9", &theirs));
        let answer = world.reoffer(PHONE, &held).unwrap();
        assert_eq!(rows(&answer), [("9".to_owned(), ours.clone())]);
        phone.run(&mut world, 100);
        let back = sdp(&phone, "4", &theirs);
        assert_eq!(rows(&world.reoffer(PHONE, &back).unwrap())[0].1, ours);
        // The same contexts at both ends: nothing that came before comes again.
        hears(&mut world, &mut phone);
        assert_eq!(forged(&world), 0);

        let fresh = key(Suite::AeadAes128Gcm, 8);
        let anew = sdp(&phone, "5", &fresh);
        let (tag, fresh_ours) = rows(&world.reoffer(PHONE, &anew).unwrap()).remove(0);
        assert_eq!(tag, "5");
        assert_ne!(fresh_ours, ours);
        phone.srtp = pair(&fresh, &fresh_ours);
        hears(&mut world, &mut phone);
        assert_eq!(forged(&world), 0);
        // Our own key back at us is none, and changes nothing.
        let mirrored = sdp(&phone, "5", &fresh_ours);
        let sentence = world.reoffer(PHONE, &mirrored).unwrap_err();
        assert!(sentence.contains("our own"), "{sentence}");
        hears(&mut world, &mut phone);
    }
}

#[test]
fn an_answer_that_is_said_again_may_choose_again() {
    let mut world = World::new(&[Encoding::Pcma]);
    let mut phone = Phone::new(PHONE, AT, Encoding::Pcma);
    let ours = rows(&world.offer(PHONE, srtp(Vec::new())));
    let early = key(ours[0].1.suite(), 3);
    world.accept(PHONE, &sdp(&phone, &ours[0].0, &early));
    phone.srtp = pair(&early, &ours[0].1);
    world.command(MediaCommand::Play {
        leg: PHONE,
        play: tone(),
    });
    hears(&mut world, &mut phone);
    let confirm = |answer: String| MediaCommand::Confirm {
        leg: PHONE,
        answer: answer.into(),
    };
    // As it was, and plain, which it must not be.
    world.command(confirm(sdp(&phone, &ours[0].0, &early)));
    hears(&mut world, &mut phone);
    world.command(confirm(phone.sdp()));
    assert!(matches!(
        world.events.pop(),
        Some(MediaEvent::Refused { .. })
    ));
    hears(&mut world, &mut phone);
    let late = key(ours[1].1.suite(), 4);
    world.command(confirm(sdp(&phone, &ours[1].0, &late)));
    phone.srtp = pair(&late, &ours[1].1);
    hears(&mut world, &mut phone);
    assert_eq!(forged(&world), 0);
}
