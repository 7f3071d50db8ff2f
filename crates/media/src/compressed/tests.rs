//! Half a second of 1,000 Hz, as lame, flac, oggenc and opusenc have made it; and files that mean harm.

use super::*;
use crate::audio::Rate;
use crate::player::Player;
use crate::tests::tone_share;
use crate::wav::Wav;
use model::media::{Play, Sound};

const MP3: &[u8] = include_bytes!("../../../../fuzz/corpus/compressed/tone.mp3");
const BARE_MP3: &[u8] = include_bytes!("../../../../fuzz/corpus/compressed/bare.mp3");
const FLAC: &[u8] = include_bytes!("../../../../fuzz/corpus/compressed/tone.flac");
const VORBIS: &[u8] = include_bytes!("../../../../fuzz/corpus/compressed/vorbis.ogg");
const OPUS: &[u8] = include_bytes!("../../../../fuzz/corpus/compressed/opus.ogg");
/// A code of its tables is longer than any may be, at which the decoder panics.
const LONG_CODE: &[u8] = include_bytes!("../../../../fuzz/corpus/compressed/vorbis-long-code");
const ALL: [&[u8]; 5] = [MP3, BARE_MP3, FLAC, VORBIS, OPUS];

fn whole(mut decoding: Decoding) -> Result<Vec<u8>, String> {
    let mut wav = vec![0; HEAD_BYTES];
    while decoding.more(&mut wav)? {}
    wav[..HEAD_BYTES].copy_from_slice(&decoding.head());
    Ok(wav)
}

fn decoded(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let decoding = Decoding::begin(bytes.into())?;
    whole(decoding.expect("it is a compressed file"))
}

#[test]
fn each_form_is_heard_at_its_pitch() {
    for bytes in ALL {
        let wav: Arc<[u8]> = decoded(bytes).unwrap().into();
        let read = Wav::read(wav.clone()).unwrap();
        let seconds = read.length() as f64 / f64::from(read.rate_hz());
        assert!((0.45..0.65).contains(&seconds), "{seconds}");
        let play = Play {
            sounds: vec![Sound::File(wav)],
            times: Some(1),
            until_digit: false,
        };
        let mut player = Player::new(&play, Rate::Hz8000).unwrap();
        let (mut frame, mut heard) = (Vec::new(), Vec::new());
        while player.frame(&mut frame) {
            heard.extend_from_slice(&frame);
        }
        let share = tone_share(&heard[1_200..3_200], Rate::Hz8000, 1_000.0);
        assert!(share > 0.95, "{share}");
    }
}

#[test]
fn what_is_none_of_them_is_left_to_others() {
    let wav = wav::head(Rate::Hz8000, 0);
    let second_layer: &[u8] = &[0xff, 0xfd, 0x90, 0x00];
    for other in [&wav[..], b"", b"fLa", b"\xff", b"MZ\x90\x00", second_layer] {
        assert!(
            Decoding::begin(other.into()).unwrap().is_none(),
            "{other:?}"
        );
    }
}

#[test]
fn a_file_that_was_cut_off_is_heard_as_far_as_it_goes() {
    // Those of Ogg have one page of sound, which is there or not.
    for bytes in [MP3, BARE_MP3, FLAC] {
        let all = decoded(bytes).unwrap().len();
        let half = decoded(&bytes[..bytes.len() * 2 / 3]).unwrap().len();
        assert!((all / 4..all).contains(&half), "{half} of {all}");
    }
}

#[test]
fn what_cannot_be_decoded_is_named() {
    for (bytes, form) in [
        (&b"fLaC\x80\x00\x00\x22"[..], "FLAC"),
        (b"OggS", "Ogg"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x00", "MP3"),
        (&FLAC[..200], "FLAC"),
    ] {
        let why = decoded(bytes).unwrap_err();
        let words = format!("the {form} file cannot be played: ");
        assert!(why.starts_with(&words), "{why}");
    }
}

#[test]
fn a_decoder_that_panics_is_heard_of_no_more() {
    let why = decoded(LONG_CODE).unwrap_err();
    assert!(why.ends_with("it breaks the rules of its form"), "{why}");
    let mut decoding = Decoding::begin(VORBIS.into()).unwrap().unwrap();
    decoding.is_broken = true;
    assert!(decoding.more(&mut Vec::new()).is_err());
}

#[test]
fn nothing_is_longer_than_a_wav_file_may_be() {
    let mut decoding = Decoding::begin(VORBIS.into()).unwrap().unwrap();
    decoding.made = PLAY_FILE_BYTES - HEAD_BYTES - 10_000;
    let why = whole(decoding).unwrap_err();
    assert!(why.contains("more than 134217728 bytes"), "{why}");
}

#[test]
fn tables_have_a_bound_wherever_they_stand() {
    // One of 32 values for each of 128 Ki entries, at any bit, and some of them.
    let table: u128 = 0x56_4342 | (32 << 24) | ((128 * 1_024) << 40);
    for shift in 0..8 {
        let one = (table << shift).to_le_bytes();
        assert!(check_tables(&one).is_err(), "{shift}");
    }
    let small: u128 = 0x56_4342 | (8 << 24) | (256 << 40);
    assert_eq!(check_tables(&small.to_le_bytes().repeat(20)), Ok(()));
    assert!(check_tables(&small.to_le_bytes().repeat(2_000)).is_err());
    assert!(check_tables(&vec![0; DECODER_HEAD_BYTES + 1]).is_err());
}

#[test]
fn files_with_errors_are_heard_or_refused() {
    // Splitmix.
    let mut state = 7_u64;
    let mut draw = move |below: usize| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 33) as usize % below
    };
    for bytes in ALL {
        for _ in 0..60 {
            let mut wrong = bytes.to_vec();
            for _ in 0..=draw(8) {
                let at = draw(wrong.len());
                wrong[at] = draw(256) as u8;
            }
            if let Ok(Some(decoding)) = Decoding::begin(wrong.into())
                && let Ok(wav) = whole(decoding)
            {
                assert!(wav.len() > HEAD_BYTES);
            }
        }
    }
}

#[test]
fn a_compressed_file_has_the_media_type_of_its_form() {
    for (bytes, expected) in [
        (&b"OggS"[..], Some("audio/ogg")),
        (b"fLaC", Some("audio/flac")),
        (b"ID3\x04", Some("audio/mpeg")),
        (b"\xff\xfb\x90\x00", Some("audio/mpeg")),
        (b"RIFF", None),
        (b"", None),
    ] {
        assert_eq!(Decoding::media_type(bytes), expected, "{bytes:?}");
    }
}
