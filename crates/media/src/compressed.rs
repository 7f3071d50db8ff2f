//! Compressed files, known by how they begin: MP3 (ISO/IEC 11172-3), FLAC (RFC 9639) and Ogg (RFC 3533) with Vorbis or Opus (RFC 7845). They
//! are decoded before they are heard, piece by piece, into what a WAV file has.
//!
//! Decoding takes a while: it is no work for a thread that drives sessions. Tags and pictures are not looked at. Some files that mean harm
//! make the decoders panic; that ends here, and they are refused like others that cannot be played. None makes more samples than a WAV file of the longest may have, or takes more memory than its own length and some 32 MiB.

use std::fmt;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use model::limits::{DECODER_HEAD_BYTES, DECODER_TABLE, PLAY_FILE_BYTES};
use ropus::{Channels, DecodeMode};
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_OPUS, CODEC_ID_VORBIS};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder};
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatReader, TrackType};
use symphonia::core::io::{MediaSourceStream, ReadOnlySource};
use symphonia::core::packet::Packet;
use symphonia::default::codecs::{FlacDecoder, MpaDecoder, VorbisDecoder};
use symphonia::default::formats::{FlacReader, MpaReader, OggReader};

use crate::wav::{self, HEAD_BYTES};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Mp3,
    Flac,
    Ogg,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mp3 => "MP3",
            Self::Flac => "FLAC",
            Self::Ogg => "Ogg",
        })
    }
}

impl Kind {
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [b'f', b'L', b'a', b'C', ..] => Some(Self::Flac),
            [b'O', b'g', b'g', b'S', ..] => Some(Self::Ogg),
            [b'I', b'D', b'3', ..] => Some(Self::Mp3),
            // A frame of layer III with a version, a bit rate and a sample rate.
            [0xff, second, third, ..]
                if second & 0xe6 == 0xe2
                    && second & 0x18 != 0x08
                    && third & 0xf0 != 0xf0
                    && third & 0x0c != 0x0c =>
            {
                Some(Self::Mp3)
            }
            _ => None,
        }
    }
}

enum Decoder {
    Known(Box<dyn AudioDecoder>),
    Opus(Box<ropus::Decoder>),
}

/// A file that is being decoded.
pub struct Decoding {
    kind: Kind,
    reader: Box<dyn FormatReader>,
    track: u32,
    decoder: Decoder,
    /// Known with the first samples.
    rate_hz: Option<u32>,
    /// Of a packet, all channels, one after the other.
    samples: Vec<i16>,
    /// Bytes that it would have as a WAV file so far.
    made: usize,
    kept: usize,
    is_broken: bool,
}

impl Decoding {
    /// Whether a file is compressed.
    pub fn is_for(bytes: &[u8]) -> bool {
        Kind::of(bytes).is_some()
    }

    /// The media type of a compressed file, by its first bytes: those of MP3 (RFC 3003), FLAC (RFC 9639) and Ogg (RFC 5334).
    pub fn media_type(bytes: &[u8]) -> Option<&'static str> {
        Kind::of(bytes).map(|kind| match kind {
            Kind::Mp3 => "audio/mpeg",
            Kind::Flac => "audio/flac",
            Kind::Ogg => "audio/ogg",
        })
    }

    /// Begins with one that is compressed; nothing: it is none. The error is a sentence.
    pub fn begin(bytes: Arc<[u8]>) -> Result<Option<Self>, String> {
        let Some(kind) = Kind::of(&bytes) else {
            return Ok(None);
        };
        let wrong = |why: &dyn fmt::Display| format!("the {kind} file cannot be played: {why}");
        let reader = guarded(|| reader(kind, bytes)).map_err(|why| wrong(&why))?;
        let reader = reader.map_err(|error| wrong(&error))?;
        let track = reader.default_track(TrackType::Audio);
        let (id, parameters) = track
            .and_then(|track| match &track.codec_params {
                Some(CodecParameters::Audio(parameters)) => Some((track.id, parameters.clone())),
                Some(_) | None => None,
            })
            .ok_or_else(|| wrong(&"it has no sound that is known here"))?;
        let decoder = guarded(|| decoder(kind, &parameters)).and_then(|made| made);
        let decoder = decoder.map_err(|why| wrong(&why))?;
        Ok(Some(Self {
            kind,
            reader,
            track: id,
            decoder,
            rate_hz: None,
            samples: Vec::new(),
            made: 0,
            kept: 0,
            is_broken: false,
        }))
    }

    /// Appends what comes next, in 16 bits and one channel, as it stands in a WAV file. False: that was all.
    pub fn more(&mut self, wav: &mut Vec<u8>) -> Result<bool, String> {
        if self.is_broken {
            return Err(self.wrong(&BROKEN));
        }
        // What has panicked may be in any state, and is asked nothing more.
        self.is_broken = true;
        let more = guarded(|| self.next(wav));
        let more = more.map_err(|why| self.wrong(&why))?;
        self.is_broken = false;
        more
    }

    fn next(&mut self, wav: &mut Vec<u8>) -> Result<bool, String> {
        loop {
            let packet = match self.reader.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => return self.end(),
                // A file that was cut off is heard as far as it goes; a further stream behind the first is not.
                Err(Error::IoError(_) | Error::ResetRequired) => return self.end(),
                Err(error) => return Err(self.wrong(&error)),
            };
            if packet.track_id != self.track {
                continue;
            }
            if let Some(channels) = self.decode(&packet)? {
                let frames = self.samples.chunks_exact(channels);
                for frame in frames {
                    let sum: i32 = frame.iter().map(|sample| i32::from(*sample)).sum();
                    let mean = (sum / channels as i32) as i16;
                    wav.extend_from_slice(&mean.to_le_bytes());
                    self.kept += 1;
                }
                return Ok(true);
            }
        }
    }

    /// The head that stands before all of it.
    pub fn head(&self) -> Vec<u8> {
        wav::head_of(self.rate_hz.unwrap_or(wav::USUAL_HZ), self.kept)
    }

    /// Samples of a packet, and in how many channels; nothing: it has none that can be understood.
    fn decode(&mut self, packet: &Packet) -> Result<Option<usize>, String> {
        self.samples.clear();
        let (rate_hz, channels) = match &mut self.decoder {
            Decoder::Known(decoder) => match decoder.decode(packet) {
                Ok(decoded) => {
                    let spec = decoded.spec();
                    let known = (spec.rate(), spec.channels().count());
                    decoded.copy_to_vec_interleaved(&mut self.samples);
                    known
                }
                // Others may follow that are whole.
                Err(Error::DecodeError(_) | Error::IoError(_)) => return Ok(None),
                Err(error) => return Err(self.wrong(&error)),
            },
            Decoder::Opus(decoder) => {
                self.samples.resize(OPUS_FRAMES, 0);
                let decoded = decoder.decode(&packet.data, &mut self.samples, DecodeMode::Normal);
                self.samples.truncate(decoded.unwrap_or(0));
                (OPUS_HZ, 1)
            }
        };
        if self.samples.is_empty() || channels == 0 {
            return Ok(None);
        }
        if self.rate_hz.is_some_and(|known| known != rate_hz) {
            return Err(self.wrong(&"it changes its rate"));
        }
        self.rate_hz = Some(rate_hz);
        self.made += self.samples.len() * 2;
        if self.made > PLAY_FILE_BYTES - HEAD_BYTES {
            let why = format!("as a WAV file it would have more than {PLAY_FILE_BYTES} bytes");
            return Err(self.wrong(&why));
        }
        Ok(Some(channels))
    }

    fn end(&self) -> Result<bool, String> {
        match self.kept {
            0 => Err(self.wrong(&"it has no sound that can be understood")),
            _ => Ok(false),
        }
    }

    fn wrong(&self, why: &dyn fmt::Display) -> String {
        format!("the {} file cannot be played: {why}", self.kind)
    }
}

impl fmt::Debug for Decoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoding")
            .field("kind", &self.kind)
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

const BROKEN: &str = "it breaks the rules of its form";

/// What the decoders make of a file of any bytes, or that they did not know what to make of it.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| BROKEN.to_owned())
}

/// Of Opus files, whatever their sound was made from (RFC 7845 §5.1).
const OPUS_HZ: u32 = 48_000;
/// The longest packet, 120 ms.
const OPUS_FRAMES: usize = OPUS_HZ as usize / 1_000 * 120;

fn reader(kind: Kind, bytes: Arc<[u8]>) -> Result<Box<dyn FormatReader>, Error> {
    let begins = match kind {
        Kind::Mp3 => after_tags(&bytes),
        Kind::Flac | Kind::Ogg => 0,
    };
    let mut cursor = Cursor::new(bytes);
    cursor.set_position(begins as u64);
    // Nobody looks at its end before its beginning.
    let source = Box::new(ReadOnlySource::new(cursor));
    let stream = MediaSourceStream::new(source, Default::default());
    Ok(match kind {
        Kind::Mp3 => Box::new(MpaReader::try_new(stream, Default::default())?),
        Kind::Flac => Box::new(FlacReader::try_new(stream, Default::default())?),
        Kind::Ogg => Box::new(OggReader::try_new(stream, Default::default())?),
    })
}

fn decoder(kind: Kind, parameters: &AudioCodecParameters) -> Result<Decoder, String> {
    let options = Default::default();
    let decoder: Result<Box<dyn AudioDecoder>, Error> = match (kind, parameters.codec) {
        (Kind::Mp3, _) => {
            MpaDecoder::try_new(parameters, &options).map(|known| Box::new(known) as _)
        }
        (Kind::Flac, _) => {
            FlacDecoder::try_new(parameters, &options).map(|known| Box::new(known) as _)
        }
        (Kind::Ogg, CODEC_ID_VORBIS) => {
            check_tables(parameters.extra_data.as_deref().unwrap_or_default())?;
            VorbisDecoder::try_new(parameters, &options).map(|known| Box::new(known) as _)
        }
        (Kind::Ogg, CODEC_ID_OPUS) => {
            let decoder = ropus::Decoder::new(OPUS_HZ, Channels::Mono);
            let decoder = decoder.map_err(|error| error.to_string())?;
            return Ok(Decoder::Opus(Box::new(decoder)));
        }
        (Kind::Ogg, _) => return Err("Ogg files with Vorbis or Opus are played".to_owned()),
    };
    decoder
        .map(Decoder::Known)
        .map_err(|error| error.to_string())
}

/// Where the first frame of an MP3 file is: tags stand before it (ID3v2.4 §3.1).
fn after_tags(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some([b'I', b'D', b'3', _, _, flags, size @ ..]) = bytes.get(at..at + 10) {
        let size = size
            .iter()
            .fold(0, |size, byte| (size << 7) | usize::from(byte & 0x7f));
        let foot = if flags & 0x10 != 0 { 10 } else { 0 };
        at += 10 + size + foot;
    }
    at.min(bytes.len())
}

/// Vorbis files bring the tables that they are decoded by (Vorbis I §3.2.1), and some bits of them may ask for a lot of memory: so what all of
/// them have together is counted before any of it is made. Each begins with a pattern of its own, at any bit.
fn check_tables(head: &[u8]) -> Result<(), String> {
    const PATTERN: u64 = 0x56_4342;
    if head.len() > DECODER_HEAD_BYTES {
        return Err("its tables are longer than any".to_owned());
    }
    let mut values = 0;
    for bit in 0..head.len() * 8 {
        if bits(head, bit, 24) == PATTERN {
            let (dimensions, entries) = (bits(head, bit + 24, 16), bits(head, bit + 40, 24));
            values += dimensions.max(1) * entries;
        }
    }
    match values > DECODER_TABLE {
        true => Err("its tables are larger than any".to_owned()),
        false => Ok(()),
    }
}

/// The least significant first, as Vorbis packs them; 32 at most.
fn bits(bytes: &[u8], bit: usize, count: u32) -> u64 {
    let from = (bit / 8).min(bytes.len());
    let to = (from + 5).min(bytes.len());
    let mut word = [0; 8];
    word[..to - from].copy_from_slice(&bytes[from..to]);
    (u64::from_le_bytes(word) >> (bit % 8)) & ((1 << count) - 1)
}

#[cfg(test)]
mod tests;
