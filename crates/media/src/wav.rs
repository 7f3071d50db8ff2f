//! WAV files: the forms that people have lying about, read from bytes, and the head of the one form that is written.
//!
//! Never copies what it reads, and never trusts a length that a file states. RIFF/WAVE as in Microsoft's Multimedia Programming
//! Interface (1991) and RFC 2361 for the numbers of the forms.

use std::fmt;
use std::sync::Arc;

use audio_codec::Decoder as _;
use model::limits::PLAY_FILE_BYTES;

use crate::audio::{Rate, clip};
use crate::codec::{HIGHEST_HZ, LOWEST_HZ};

/// The head of a file that we write.
pub const HEAD_BYTES: usize = 44;
/// That of telephones.
pub(crate) const USUAL_HZ: u32 = 8_000;
/// More channels than anybody has; they are heard as one.
const CHANNELS: u16 = 8;

/// Why a file is not played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WavError {
    /// It does not begin as one.
    NoWav,
    /// Longer than what is taken.
    TooLong,
    /// It does not say what form its samples have, or says it after them.
    NoForm,
    /// A form that is not known.
    Form(u16, u16),
    /// None, or too many channels.
    Channels(u16),
    /// Too low or too high.
    Rate(u32),
    /// It has no samples.
    Empty,
}

impl fmt::Display for WavError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWav => {
                f.write_str(
                "the file is no WAV file, for it does not begin with RIFF and WAVE, and no MP3, FLAC or Ogg file either",
            )
            }
            Self::TooLong => write!(f, "the file is longer than {PLAY_FILE_BYTES} bytes"),
            Self::NoForm => f.write_str("the WAV file does not say what form its samples have"),
            Self::Form(form, bits) => write!(
                f,
                "the WAV file has form {form} with {bits} bits; linear samples (1) of 8 to 32 bits, floating point (3) of 32, A-law (6) and µ-law (7) are played"
            ),
            Self::Channels(count) => write!(
                f,
                "the WAV file has {count} channels; 1 to {CHANNELS} are played"
            ),
            Self::Rate(hz) => write!(
                f,
                "the WAV file has {hz} samples a second; {LOWEST_HZ} to {HIGHEST_HZ} are played"
            ),
            Self::Empty => f.write_str("the WAV file has no samples"),
        }
    }
}

impl std::error::Error for WavError {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    U8,
    I16,
    I24,
    I32,
    F32,
    ALaw,
    MuLaw,
}

/// A file that can be played.
#[derive(Clone)]
pub struct Wav {
    bytes: Arc<[u8]>,
    /// Where the samples begin, and how many of each channel there are.
    begins: usize,
    length: usize,
    form: Form,
    channels: usize,
    rate_hz: u32,
}

impl Wav {
    /// Finds form and samples.
    pub fn read(bytes: Arc<[u8]>) -> Result<Self, WavError> {
        if bytes.len() > PLAY_FILE_BYTES {
            return Err(WavError::TooLong);
        }
        let is_wav = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WAVE");
        if !is_wav {
            return Err(WavError::NoWav);
        }
        let (mut at, mut heading) = (12, None);
        // Each chunk moves `at` on by eight bytes at least.
        while let Some((name, size)) = chunk(&bytes, at) {
            let begins = at + 8;
            // A file that is still being written states no length, or too much of it.
            let ends = begins.saturating_add(size).min(bytes.len());
            match name {
                b"fmt " => heading = Some(Heading::read(&bytes[begins..ends])?),
                b"data" => {
                    let heading: Heading = heading.ok_or(WavError::NoForm)?;
                    let ends = if size == 0 { bytes.len() } else { ends };
                    return heading.wav(bytes, begins, ends);
                }
                _ => {}
            }
            at = ends.saturating_add(size & 1);
        }
        Err(if heading.is_some() {
            WavError::Empty
        } else {
            WavError::NoForm
        })
    }

    /// Samples of each channel in a second.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Samples of each channel.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Appends the samples from `from` on, at most so many; all channels as one.
    pub fn samples(&self, from: usize, most: usize, samples: &mut Vec<i16>) {
        let to = self.length.min(from.saturating_add(most));
        for at in from..to {
            let sum: i32 = (0..self.channels)
                .map(|channel| i32::from(self.sample(at * self.channels + channel)))
                .sum();
            samples.push((sum / self.channels as i32) as i16);
        }
    }

    fn sample(&self, at: usize) -> i16 {
        let width = self.form.width();
        let begins = self.begins + at * width;
        match (self.form, self.bytes.get(begins..begins + width)) {
            (Form::U8, Some(&[byte])) => (i16::from(byte) - 128) << 8,
            (Form::I16, Some(&[low, high])) => i16::from_le_bytes([low, high]),
            (Form::I24, Some(&[_, low, high])) => i16::from_le_bytes([low, high]),
            (Form::I32, Some(&[_, _, low, high])) => i16::from_le_bytes([low, high]),
            (Form::F32, Some(&[a, b, c, d])) => clip(f32::from_le_bytes([a, b, c, d]) * 32_768.0),
            (Form::ALaw, Some(byte)) => {
                let mut sample = [0];
                let _ = audio_codec::pcma::PcmaDecoder::new().decode_into(byte, &mut sample);
                sample[0]
            }
            (Form::MuLaw, Some(byte)) => {
                let mut sample = [0];
                let _ = audio_codec::pcmu::PcmuDecoder::new().decode_into(byte, &mut sample);
                sample[0]
            }
            _ => 0,
        }
    }
}

impl fmt::Debug for Wav {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wav")
            .field("form", &self.form)
            .field("channels", &self.channels)
            .field("rate_hz", &self.rate_hz)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// The head of a file with so many samples of 16 bits, one channel.
pub fn head(rate: Rate, samples: usize) -> Vec<u8> {
    head_of(rate.hz(), samples)
}

/// The same, at any rate.
pub(crate) fn head_of(rate_hz: u32, samples: usize) -> Vec<u8> {
    let bytes = u32::try_from(samples * 2).unwrap_or(u32::MAX);
    let mut head = Vec::with_capacity(HEAD_BYTES);
    head.extend_from_slice(b"RIFF");
    head.extend_from_slice(&bytes.saturating_add(36).to_le_bytes());
    head.extend_from_slice(b"WAVEfmt ");
    head.extend_from_slice(&16_u32.to_le_bytes());
    for word in [1_u16, 1] {
        head.extend_from_slice(&word.to_le_bytes());
    }
    for word in [rate_hz, rate_hz.saturating_mul(2)] {
        head.extend_from_slice(&word.to_le_bytes());
    }
    for word in [2_u16, 16] {
        head.extend_from_slice(&word.to_le_bytes());
    }
    head.extend_from_slice(b"data");
    head.extend_from_slice(&bytes.to_le_bytes());
    head
}

impl Form {
    fn width(self) -> usize {
        match self {
            Self::U8 | Self::ALaw | Self::MuLaw => 1,
            Self::I16 => 2,
            Self::I24 => 3,
            Self::I32 | Self::F32 => 4,
        }
    }
}

#[derive(Clone, Copy)]
struct Heading {
    form: Form,
    channels: u16,
    rate_hz: u32,
}

impl Heading {
    fn read(chunk: &[u8]) -> Result<Self, WavError> {
        let word = |at: usize| {
            let pair = chunk.get(at..at + 2)?;
            Some(u16::from_le_bytes([pair[0], pair[1]]))
        };
        let (Some(form), Some(channels), Some(low), Some(high), Some(bits)) =
            (word(0), word(2), word(4), word(6), word(14))
        else {
            return Err(WavError::NoForm);
        };
        // The extensible form says what it is further down.
        let form = if form == 0xfffe {
            word(24).unwrap_or(form)
        } else {
            form
        };
        let known = match (form, bits) {
            (1, 8) => Form::U8,
            (1, 16) => Form::I16,
            (1, 24) => Form::I24,
            (1, 32) => Form::I32,
            (3, 32) => Form::F32,
            (6, 8) => Form::ALaw,
            (7, 8) => Form::MuLaw,
            _ => return Err(WavError::Form(form, bits)),
        };
        if !(1..=CHANNELS).contains(&channels) {
            return Err(WavError::Channels(channels));
        }
        let rate_hz = u32::from(high) << 16 | u32::from(low);
        if !(LOWEST_HZ..=HIGHEST_HZ).contains(&rate_hz) {
            return Err(WavError::Rate(rate_hz));
        }
        Ok(Self {
            form: known,
            channels,
            rate_hz,
        })
    }

    fn wav(self, bytes: Arc<[u8]>, begins: usize, ends: usize) -> Result<Wav, WavError> {
        let channels = usize::from(self.channels);
        let length = (ends - begins) / (self.form.width() * channels);
        if length == 0 {
            return Err(WavError::Empty);
        }
        Ok(Wav {
            bytes,
            begins,
            length,
            form: self.form,
            channels,
            rate_hz: self.rate_hz,
        })
    }
}

fn chunk(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let head = bytes.get(at..at.checked_add(8)?)?;
    let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    Some((&head[..4], usize::try_from(size).ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A file of any form.
    pub(crate) fn file(
        form: u16,
        bits: u16,
        channels: u16,
        rate_hz: u32,
        samples: &[u8],
    ) -> Arc<[u8]> {
        let mut file = b"RIFF\0\0\0\0WAVE".to_vec();
        // A chunk of odd length that nobody knows.
        file.extend_from_slice(b"LIST\x03\0\0\0abc\0");
        file.extend_from_slice(b"fmt \x10\0\0\0");
        file.extend_from_slice(&form.to_le_bytes());
        file.extend_from_slice(&channels.to_le_bytes());
        file.extend_from_slice(&rate_hz.to_le_bytes());
        file.extend_from_slice(&[0; 6]);
        file.extend_from_slice(&bits.to_le_bytes());
        file.extend_from_slice(b"data");
        file.extend_from_slice(&(samples.len() as u32).to_le_bytes());
        file.extend_from_slice(samples);
        file.into()
    }

    fn all(file: Arc<[u8]>) -> Vec<i16> {
        let wav = Wav::read(file).unwrap();
        let mut samples = Vec::new();
        wav.samples(0, usize::MAX, &mut samples);
        assert_eq!(samples.len(), wav.length());
        samples
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(
            all(file(1, 8, 1, 8_000, &[128, 255, 0])),
            [0, 32_512, -32_768]
        );
        assert_eq!(
            all(file(1, 16, 1, 8_000, &[1, 2, 0xff, 0xff])),
            [0x0201, -1]
        );
        assert_eq!(all(file(1, 24, 1, 8_000, &[9, 1, 2])), [0x0201]);
        assert_eq!(all(file(1, 32, 1, 8_000, &[9, 9, 1, 2])), [0x0201]);
        let half = 0.5_f32.to_le_bytes();
        let none = f32::NAN.to_le_bytes();
        assert_eq!(
            all(file(3, 32, 1, 8_000, &[half, none].concat())),
            [16_384, 0]
        );
        assert_eq!(all(file(6, 8, 1, 8_000, &[0xd5])), [8]);
        assert_eq!(all(file(7, 8, 1, 8_000, &[0xff, 0x80])), [0, 32_124]);
        // Two channels are heard as one; half of a sample is none.
        assert_eq!(all(file(1, 16, 2, 8_000, &[100, 0, 50, 0, 7])), [75]);
    }

    #[test]
    fn what_is_written_is_read() {
        let samples = [1_i16, -2, 3];
        let mut written = head(Rate::Hz16000, samples.len());
        assert_eq!(written.len(), HEAD_BYTES);
        written.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        let wav = Wav::read(written.clone().into()).unwrap();
        assert_eq!(wav.rate_hz(), 16_000);
        assert_eq!(all(written.into()), samples);
    }

    #[test]
    fn a_file_that_states_no_length_or_too_much_ends_where_it_ends() {
        let whole = file(1, 16, 1, 8_000, &[1, 0, 2, 0]);
        for stated in [0_u32, u32::MAX] {
            let mut bytes = whole.to_vec();
            let at = bytes.len() - 8;
            bytes[at..at + 4].copy_from_slice(&stated.to_le_bytes());
            assert_eq!(all(bytes.into()), [1, 2]);
        }
    }

    #[test]
    fn what_is_no_file_of_ours_is_refused_in_words() {
        let refused = |bytes: &[u8]| Wav::read(bytes.into()).unwrap_err();
        assert_eq!(refused(b""), WavError::NoWav);
        assert_eq!(refused(b"ID3"), WavError::NoWav);
        assert_eq!(refused(b"RIFF\0\0\0\0WAVE"), WavError::NoForm);
        assert_eq!(
            refused(b"RIFF\0\0\0\0WAVEdata\x02\0\0\0ab"),
            WavError::NoForm
        );
        assert_eq!(
            refused(&file(2, 4, 1, 8_000, &[0; 9])),
            WavError::Form(2, 4)
        );
        assert_eq!(
            refused(&file(1, 16, 0, 8_000, &[0; 9])),
            WavError::Channels(0)
        );
        assert_eq!(refused(&file(1, 16, 1, 100, &[0; 9])), WavError::Rate(100));
        assert_eq!(refused(&file(1, 16, 1, 8_000, &[0])), WavError::Empty);
        assert!(
            WavError::Form(2, 4)
                .to_string()
                .contains("form 2 with 4 bits")
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_file_or_not(rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let mut bytes = b"RIFF\0\0\0\0WAVE".to_vec();
            bytes.extend_from_slice(&rest);
            if let Ok(wav) = Wav::read(bytes.into()) {
                wav.samples(0, usize::MAX, &mut Vec::new());
            }
        }
    }
}
