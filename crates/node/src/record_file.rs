//! The file of call records that the store has not taken: a bounded queue in the data folder, so that a killed server loses none of them.
//!
//! It is there where it is needed alone; what it holds is on the disk when `append` has returned. Records are written to the store in the
//! order in which they came, and as often as it takes: each has its number, under which it is kept once. What a killed process has left
//! half written at the end is cut off. It waits for the disk: never for a thread of connections.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use model::{CallRecord, limits};

use crate::record_line;

/// Between these stands which store its records are for: what they name by number is another account in another store.
const NAME: [&str; 2] = ["call-records-", ".waiting"];
/// Bytes of that.
const STORE_BYTES: usize = 4;
/// Records that are read, and written to the store, at a time.
const AT_ONCE: usize = 1_000;

/// Where in the file some of its records end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    lines: usize,
    end: u64,
}

/// Records that were read.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) records: Vec<CallRecord>,
    /// Lines that were no records.
    pub(crate) damaged: usize,
    pub(crate) mark: Mark,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct RecordFile {
    path: PathBuf,
    /// None until it is needed.
    file: Option<File>,
    /// Where its last whole line ends.
    len: u64,
    /// Where the first line begins that the store has not taken.
    read: u64,
    /// Lines in it.
    lines: usize,
    /// Of these, lines that the store has not taken.
    waiting: usize,
    bound: usize,
}

impl RecordFile {
    /// What waits in this folder for the store with this secret, and how many bytes of half a record were cut off.
    pub(crate) fn open(data: &Path, pepper: &[u8]) -> io::Result<(Self, u64)> {
        Self::bounded(data, pepper, limits::RECORDS_IN_FILE)
    }

    fn bounded(data: &Path, pepper: &[u8], bound: usize) -> io::Result<(Self, u64)> {
        let mut own = Self {
            path: data.join(name(pepper)),
            file: None,
            len: 0,
            read: 0,
            lines: 0,
            waiting: 0,
            bound,
        };
        let opened = OpenOptions::new().read(true).write(true).open(&own.path);
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((own, 0)),
            opened => opened?,
        };
        let mut reader = BufReader::new(&file);
        let mut line = Vec::new();
        let torn = loop {
            line.clear();
            let bytes = reader.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                break bytes as u64;
            }
            own.len += bytes as u64;
            own.lines += 1;
        };
        if torn > 0 {
            file.set_len(own.len)?;
        }
        own.waiting = own.lines;
        own.file = Some(file);
        Ok((own, torn))
    }

    /// Files in which records wait for other stores.
    pub(crate) fn others(&self) -> io::Result<Vec<PathBuf>> {
        let [first, last] = NAME;
        let mut others = Vec::new();
        for entry in std::fs::read_dir(self.path.parent().unwrap_or(Path::new(".")))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_one = name.starts_with(first) && name.ends_with(last);
            if is_one && entry.path() != self.path && entry.metadata()?.len() > 0 {
                others.push(entry.path());
            }
        }
        Ok(others)
    }

    /// Lines that the store has not taken.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Puts records at the end, all or none; `None`: they are too many.
    pub(crate) fn append(&mut self, records: &[CallRecord]) -> io::Result<Option<Mark>> {
        if self.lines + records.len() > self.bound {
            return Ok(None);
        }
        let mut lines = Vec::new();
        for record in records {
            record_line::write(record, &mut lines);
        }
        let (len, is_new) = (self.len, self.file.is_none());
        let file = self.file()?;
        let written = file
            .write_all_at(&lines, len)
            .and_then(|()| file.sync_data());
        if let Err(error) = written {
            // What is there of it would be read as half a record.
            let _ = file.set_len(len);
            return Err(error);
        }
        if is_new {
            // The file's name is to survive as well.
            File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
        }
        self.len += lines.len() as u64;
        self.lines += records.len();
        self.waiting += records.len();
        Ok(Some(Mark {
            lines: records.len(),
            end: self.len,
        }))
    }

    /// The first that the store has not taken; `None`: there are none.
    pub(crate) fn first(&mut self) -> io::Result<Option<Chunk>> {
        let (read, len) = (self.read, self.len);
        if read == len {
            return Ok(None);
        }
        let mut file = self.file()?;
        file.seek(SeekFrom::Start(read))?;
        let mut reader = BufReader::new(file);
        let mut chunk = Chunk {
            records: Vec::new(),
            damaged: 0,
            mark: Mark {
                lines: 0,
                end: read,
            },
        };
        let mut line = Vec::new();
        while chunk.mark.end < len && chunk.mark.lines < AT_ONCE {
            line.clear();
            let bytes = reader.read_until(b'\n', &mut line)?;
            let Some(text) = line.strip_suffix(b"\n") else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            chunk.mark.end += bytes as u64;
            chunk.mark.lines += 1;
            match record_line::read(text) {
                Some(record) => chunk.records.push(record),
                None => chunk.damaged += 1,
            }
        }
        Ok(Some(chunk))
    }

    /// The store has taken the first ones, up to this mark. When it has taken all, the file is emptied.
    pub(crate) fn taken(&mut self, mark: Mark) -> io::Result<()> {
        self.read = mark.end;
        self.waiting = self.waiting.saturating_sub(mark.lines);
        if self.read < self.len {
            return Ok(());
        }
        self.file()?.set_len(0)?;
        (self.len, self.read, self.lines, self.waiting) = (0, 0, 0, 0);
        Ok(())
    }

    /// Gives the file another name, because it cannot be read, and begins a new one. Says how it is called now.
    pub(crate) fn set_aside(&mut self) -> io::Result<PathBuf> {
        let aside = self.path.with_extension("unread");
        if aside.try_exists()? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        std::fs::rename(&self.path, &aside)?;
        self.file = None;
        (self.len, self.read, self.lines, self.waiting) = (0, 0, 0, 0);
        Ok(aside)
    }

    fn file(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).mode(0o600);
            self.file = Some(options.open(&self.path)?);
        }
        Ok(self.file.as_ref().expect("it was opened just now"))
    }
}

/// The name of the file for the store with this secret, which it does not give away.
fn name(pepper: &[u8]) -> String {
    let sum = digest(&SHA256, &[b"call records for ", pepper].concat());
    let bytes = sum.as_ref().iter().take(STORE_BYTES);
    let store: String = bytes.map(|byte| format!("{byte:02x}")).collect();
    let [first, last] = NAME;
    format!("{first}{store}{last}")
}

#[cfg(test)]
mod tests {
    use model::AccountId;
    use tempfile::TempDir;

    use super::*;
    use crate::record_line::tests::{ended, record};

    fn records(ids: std::ops::Range<u128>) -> Vec<CallRecord> {
        ids.map(|id| ended(&record(id, AccountId(1)))).collect()
    }

    const PEPPER: &[u8] = b"one";

    fn open(dir: &TempDir) -> (RecordFile, u64) {
        RecordFile::open(dir.path(), PEPPER).unwrap()
    }

    /// What is in it, taken out in its order.
    fn all(file: &mut RecordFile) -> Vec<CallRecord> {
        let mut all = Vec::new();
        while let Some(chunk) = file.first().unwrap() {
            file.taken(chunk.mark).unwrap();
            all.extend(chunk.records);
        }
        all
    }

    #[test]
    fn what_was_put_in_is_there_after_a_kill_and_goes_when_it_was_taken() {
        let dir = TempDir::new().unwrap();
        let (mut file, _) = open(&dir);
        assert_eq!((file.waiting(), all(&mut file)), (0, vec![]));
        assert!(!dir.path().join(name(PEPPER)).exists(), "nobody needed it");
        assert!(file.append(&records(0..2_500)).unwrap().is_some());
        drop(file);
        let (mut file, torn) = open(&dir);
        assert_eq!((file.waiting(), torn), (2_500, 0));
        let first = file.first().unwrap().unwrap();
        assert_eq!(first.records, records(0..1_000));
        file.taken(first.mark).unwrap();
        assert_eq!(file.waiting(), 1_500);
        drop(file);
        // What was taken may be read again: the store keeps it once.
        let (mut file, _) = open(&dir);
        assert_eq!(all(&mut file), records(0..2_500));
        let left = std::fs::metadata(dir.path().join(name(PEPPER)))
            .unwrap()
            .len();
        assert_eq!((left, file.waiting()), (0, 0));
        assert!(file.append(&records(0..1)).unwrap().is_some());
        assert_eq!(all(&mut open(&dir).0), records(0..1));
    }

    #[test]
    fn half_a_record_at_the_end_is_cut_off() {
        let dir = TempDir::new().unwrap();
        assert!(open(&dir).0.append(&records(0..3)).unwrap().is_some());
        let path = dir.path().join(name(PEPPER));
        let whole = std::fs::read(&path).unwrap();
        let third = whole.len() / 3 * 2;
        for cut in [third + 1, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (mut file, torn) = open(&dir);
            assert_eq!((file.waiting(), torn), (2, (cut - third) as u64));
            assert!(file.append(&records(3..4)).unwrap().is_some());
            let expected = [records(0..2), records(3..4)].concat();
            assert_eq!(
                all(&mut open(&dir).0),
                expected,
                "it goes on behind the whole ones"
            );
        }
    }

    #[test]
    fn a_damaged_line_costs_itself_alone() {
        let dir = TempDir::new().unwrap();
        assert!(open(&dir).0.append(&records(0..3)).unwrap().is_some());
        let path = dir.path().join(name(PEPPER));
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let chunk = open(&dir).0.first().unwrap().unwrap();
        assert_eq!((chunk.records.len(), chunk.damaged), (2, 1));
    }

    #[test]
    fn what_waits_for_another_store_is_left_to_it() {
        let dir = TempDir::new().unwrap();
        let (mut file, _) = open(&dir);
        assert!(file.append(&records(0..2)).unwrap().is_some());
        let (mut other, _) = RecordFile::open(dir.path(), b"other").unwrap();
        assert_eq!((other.waiting(), file.others().unwrap()), (0, vec![]));
        assert_eq!(other.others().unwrap(), [dir.path().join(name(PEPPER))]);
        assert!(other.append(&records(2..3)).unwrap().is_some());
        assert_eq!(all(&mut other), records(2..3));
        assert_eq!(all(&mut file), records(0..2));
        assert!(other.others().unwrap().is_empty(), "nothing waits any more");
    }

    #[test]
    fn what_cannot_be_read_is_set_aside_and_nothing_is_written_over_it() {
        let dir = TempDir::new().unwrap();
        let (mut file, _) = open(&dir);
        assert!(file.append(&records(0..2)).unwrap().is_some());
        // Somebody has cut it.
        let path = dir.path().join(name(PEPPER));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..9]).unwrap();
        file.first().expect_err("it is shorter than it was");
        let aside = file.set_aside().unwrap();
        assert!(file.append(&records(2..3)).unwrap().is_some());
        assert_eq!(all(&mut file), records(2..3));
        assert_eq!(std::fs::read(aside).unwrap(), &bytes[..9]);
        assert!(file.append(&records(3..4)).unwrap().is_some());
        file.set_aside()
            .expect_err("nothing is written over the first");
        assert_eq!(all(&mut file), records(3..4));
    }

    #[test]
    fn it_is_bounded_and_all_or_nothing() {
        let dir = TempDir::new().unwrap();
        let (mut file, _) = RecordFile::bounded(dir.path(), PEPPER, 3).unwrap();
        assert!(file.append(&records(0..2)).unwrap().is_some());
        assert!(file.append(&records(2..4)).unwrap().is_none());
        assert!(file.append(&records(2..3)).unwrap().is_some());
        assert_eq!(all(&mut file), records(0..3));
        assert!(
            file.append(&records(3..6)).unwrap().is_some(),
            "there is room again"
        );
    }
}
