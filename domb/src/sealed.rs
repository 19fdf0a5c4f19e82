// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Bytes that nobody can change any more, this process included.
//!
//! A memfd sealed with WRITE, GROW, SHRINK and SEAL (memfd_create(2),
//! fcntl(2) `F_ADD_SEALS`): a write through a second descriptor, opened by
//! way of `/proc/self/fd`, fails as well. What was measured is what is booted because
//! both read this.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// An unchangeable copy of some bytes, in memory, with a path.
#[derive(Debug)]
pub struct Sealed {
    file: File,
    bytes: u64,
}

impl Sealed {
    /// Copies `bytes` and seals the copy. `name` shows in `/proc/self/fd`.
    ///
    /// # Errors
    /// No memory or descriptors are left, or the kernel has no sealing.
    pub fn new(name: &str, bytes: &[u8]) -> io::Result<Sealed> {
        let name: String = name.chars().filter(|c| *c != '\0').take(100).collect();
        let flags = MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
        let mut file = File::from(memfd_create(name, flags)?);
        file.write_all(bytes)?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        fcntl_add_seals(&file, seals)?;
        Ok(Sealed {
            file,
            bytes: bytes.len() as u64,
        })
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// A path under which this process, and C code in it, can open the bytes.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// Calls `each` with the bytes from first to last, in pieces of at most
    /// 256 KiB. May be called from several threads at once.
    ///
    /// # Errors
    /// The memfd could not be read.
    pub fn stream(&self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let mut piece = vec![0; 256 * 1024];
        let mut offset = 0;
        while offset < self.bytes {
            let read = self.file.read_at(&mut piece, offset)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            each(&piece[..read]);
            offset += read as u64;
        }
        Ok(())
    }

    /// All of the bytes, copied.
    ///
    /// # Errors
    /// The memfd could not be read.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut all = Vec::with_capacity(usize::try_from(self.bytes).unwrap_or(0));
        self.stream(|piece| all.extend_from_slice(piece))?;
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    #[test]
    fn the_bytes_come_back_whole() {
        let bytes: Vec<u8> = (0..1_000_000u32).map(|i| (i % 251) as u8).collect();
        let sealed = Sealed::new("kernel", &bytes).unwrap();
        assert_eq!(sealed.len(), 1_000_000);
        assert_eq!(sealed.read().unwrap(), bytes);
        assert_eq!(std::fs::read(sealed.path()).unwrap(), bytes);
    }

    #[test]
    fn neither_the_owner_nor_a_second_opener_can_change_them() {
        let sealed = Sealed::new("kernel", b"measured").unwrap();
        assert!((&sealed.file).write_all(b"other").is_err());
        assert!(sealed.file.write_at(b"x", 0).is_err());
        assert!(sealed.file.set_len(3).is_err());
        // Root may open it for writing; no write gets through even so.
        if let Ok(mut second) = OpenOptions::new().write(true).open(sealed.path()) {
            assert!(second.write_all(b"other").is_err());
            assert!(second.set_len(0).is_err());
        }
        assert_eq!(sealed.read().unwrap(), b"measured");
    }
}
