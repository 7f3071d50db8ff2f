//! The open files of the process, dealt out: relayed addresses may have half of them, TURN's own connections a quarter, and
//! the rest is left for WebSockets, web services and the store, so that nobody can lock the others out by TURN alone.

/// What TURN may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileShare {
    /// Sockets of relayed addresses.
    pub(crate) relays: u32,
    /// TCP and TLS connections.
    pub(crate) streams: usize,
}

impl FileShare {
    /// Of so many; none: of as many as anybody wants.
    pub(crate) fn of(files: Option<u64>) -> Self {
        let files = files.unwrap_or(u64::MAX);
        Self {
            relays: u32::try_from(files / 2).unwrap_or(u32::MAX),
            streams: usize::try_from(files / 4).unwrap_or(usize::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_left_for_the_others_however_few_there_are() {
        for files in [4, 64, 1_024, 20_000, 1_048_576] {
            let share = FileShare::of(Some(files));
            let taken = u64::from(share.relays) + share.streams as u64;
            assert!(taken <= files - files / 4, "{files}: {share:?}");
        }
        assert_eq!(FileShare::of(None).relays, u32::MAX);
    }
}
