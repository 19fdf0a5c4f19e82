// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Writing the image: under another name in the same directory, then renamed.
//! Whatever goes wrong before the rename leaves nothing behind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Error;

/// Refuses an output that is one of the inputs, under whatever name.
pub(super) fn refuse_inputs<'a>(
    output: &Path,
    mut inputs: impl Iterator<Item = &'a Path>,
) -> Result<(), Error> {
    let identity = |path: &Path| fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    let Some(there) = identity(output) else {
        return Ok(());
    };
    if inputs.any(|input| identity(input) == Some(there)) {
        return Err(Error::OverInput {
            path: output.to_path_buf(),
        });
    }
    Ok(())
}

/// Makes the file `output` with what `fill` writes and returns its length.
pub(super) fn write(
    output: &Path,
    fill: impl FnOnce(BufWriter<File>) -> io::Result<BufWriter<File>>,
) -> Result<u64, Error> {
    let failed = |source| Error::Write {
        path: output.to_path_buf(),
        source,
    };
    let (temporary, file) = Temporary::beside(output).map_err(failed)?;
    let bytes = fill(BufWriter::with_capacity(1 << 20, file))
        .and_then(finish)
        .and_then(|bytes| fs::rename(&temporary.path, output).map(|()| bytes))
        .map_err(failed)?;
    temporary.keep();
    Ok(bytes)
}

fn finish(mut out: BufWriter<File>) -> io::Result<u64> {
    out.flush()?;
    let file = out.get_ref();
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// A file that is removed unless it was kept.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    fn beside(output: &Path) -> io::Result<(Temporary, File)> {
        let name = output.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        if output.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let name = format!(".{}.{}", name.to_string_lossy(), std::process::id());
        let path = output.with_file_name(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path)?;
        Ok((Temporary { path }, file))
    }

    fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            eprintln!("warning: {} stays behind: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        super::super::host::names(directory)
    }

    #[test]
    fn a_failure_leaves_nothing_behind_and_what_was_there_alone() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("domb.img");
        fs::write(&output, b"before").unwrap();
        let result = write(&output, |mut out| {
            out.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(matches!(result, Err(Error::Write { .. })));
        assert_eq!(names(directory.path()), ["domb.img"]);
        assert_eq!(fs::read(&output).unwrap(), b"before");
    }

    #[test]
    fn a_whole_image_replaces_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("domb.img");
        fs::write(&output, b"before, and longer").unwrap();
        let fill = |mut out: BufWriter<File>| out.write_all(b"after").map(|()| out);
        assert_eq!(write(&output, fill).unwrap(), 5);
        assert_eq!(names(directory.path()), ["domb.img"]);
        assert_eq!(fs::read(&output).unwrap(), b"after");
    }

    #[test]
    fn an_input_is_not_an_output_under_any_name() {
        let directory = tempfile::tempdir().unwrap();
        let (input, link) = (
            directory.path().join("kernel"),
            directory.path().join("link"),
        );
        fs::write(&input, b"kernel").unwrap();
        std::os::unix::fs::symlink(&input, &link).unwrap();
        let refused = |output: &Path| refuse_inputs(output, [input.as_path()].into_iter()).is_err();
        assert!(refused(&input) && refused(&link));
        assert!(!refused(&directory.path().join("new")));
    }

    #[test]
    fn a_directory_is_not_an_output() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(
            write(directory.path(), Ok),
            Err(Error::Write { .. })
        ));
    }
}
