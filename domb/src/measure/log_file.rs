// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The event log as a file, and the same events as CEL-JSON beside it.
//!
//! Each entry is written and flushed before its event is extended. A log that
//! is there already is never touched: it may explain what the PCR holds.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use domb_core::measure::{Bank, Event, cel, event_log};

use super::Error;

/// How many logs of earlier launches may lie beside each other.
const EARLIER: u32 = 1000;

/// An event log that is being written.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// Creates the log with its header. Where `wanted` exists, `wanted.1` is
    /// created, and so on.
    pub(super) fn create(wanted: &Path, banks: &[Bank]) -> Result<LogFile, Error> {
        let failed = |source| Error::Log {
            path: wanted.to_owned(),
            source,
        };
        if let Some(folder) = wanted.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let (path, file) = unused(wanted).map_err(failed)?;
        let mut log = LogFile { path, file };
        log.append(&event_log::header(banks))?;
        Ok(log)
    }

    /// Writes the bytes behind what is there, and returns when they are where
    /// the file system keeps them.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self
            .file
            .write_all(bytes)
            .and_then(|()| self.file.sync_data());
        written.map_err(|source| Error::Log {
            path: self.path.clone(),
            source,
        })
    }

    /// Writes `events` as CEL-JSON to the log's name with `.cel.json`.
    pub(super) fn write_cel<'a>(
        &self,
        events: impl Iterator<Item = &'a Event>,
    ) -> Result<(), Error> {
        let path = with_suffix(&self.path, ".cel.json");
        let mut json = cel::to_json(events).to_string();
        json.push('\n');
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let written = options
            .open(&path)
            .and_then(|mut file| file.write_all(json.as_bytes()));
        written.map_err(|source| Error::Log { path, source })
    }

    /// From here on nothing can be written any more.
    #[cfg(test)]
    #[cfg(feature = "swtpm")]
    pub(super) fn break_it(&mut self) {
        let full = OpenOptions::new().append(true).open("/dev/full");
        self.file = full.expect("Linux has /dev/full");
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

fn unused(wanted: &Path) -> io::Result<(PathBuf, File)> {
    let mut options = OpenOptions::new();
    options.append(true).create_new(true).mode(0o600);
    for number in 0..EARLIER {
        let path = match number {
            0 => wanted.to_owned(),
            _ => with_suffix(wanted, &format!(".{number}")),
        };
        match options.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (path, file)),
        }
    }
    Err(io::Error::other(
        "the logs of a thousand launches lie there",
    ))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_is_there_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = folder.path().join("a/b/eventlog");
        let first = LogFile::create(&wanted, &[Bank::Sha256]).unwrap();
        let before = fs::read(&wanted).unwrap();
        let mut second = LogFile::create(&wanted, &[Bank::Sha1]).unwrap();
        second.append(b"more").unwrap();
        assert_eq!(first.path(), wanted);
        assert_eq!(second.path(), folder.path().join("a/b/eventlog.1"));
        assert_eq!(fs::read(&wanted).unwrap(), before);
    }

    #[test]
    fn a_log_that_cannot_be_written_is_an_error_that_names_it() {
        let error =
            LogFile::create(Path::new("/proc/nonexistent/log"), &[Bank::Sha256]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "write the event log /proc/nonexistent/log"
        );
    }

    #[test]
    fn a_full_device_is_noticed_at_the_entry() {
        let file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let mut log = LogFile {
            path: "/dev/full".into(),
            file,
        };
        assert!(matches!(log.append(b"entry"), Err(Error::Log { .. })));
    }
}
