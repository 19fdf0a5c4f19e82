// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Hash what was sealed: every distinct artefact once for each bank, spread
//! over the CPUs there are.
//!
//! SHA-256 is always among the digests, for the launch script and the report.
//! Where an image's manifest promises a SHA-256, another one is an error: the
//! image was damaged after it was made.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use domb_core::config::DomainName;
use domb_core::measure::{self, Artefacts, Bank, Digests, DomainArtefacts, Hasher};

use crate::load::{Artefact, Loaded};
use crate::sealed::Sealed;

/// The digests of everything that `loaded` holds, for `banks` and SHA-256.
///
/// # Errors
/// An artefact cannot be read back, or is not what the manifest promises.
pub fn artefacts(loaded: &Loaded, banks: &[Bank]) -> Result<Artefacts, Error> {
    let mut banks = banks.to_vec();
    if !banks.contains(&Bank::Sha256) {
        banks.push(Bank::Sha256);
    }
    let digests = Table::of(loaded, &banks)?;
    let optional = |artefact: Option<&Artefact>| -> Result<_, Error> {
        artefact.map(|artefact| digests.artefact(artefact, None)).transpose()
    };
    let mut domains = Vec::with_capacity(loaded.domains.len());
    for (name, files) in &loaded.domains {
        let one = |artefact: &Artefact| digests.artefact(artefact, Some(name));
        domains.push(DomainArtefacts {
            name: name.clone(),
            kernel: one(&files.kernel)?,
            ramdisk: files.ramdisk.as_deref().map(one).transpose()?,
        });
    }
    Ok(Artefacts {
        script: optional(loaded.script.as_deref())?,
        flask_policy: None,
        control_ramdisk: optional(loaded.control_ramdisk.as_deref())?,
        domains,
    })
}

/// Digests by the address of the sealed bytes they are of.
struct Table(BTreeMap<usize, Digests>);

impl Table {
    fn of(loaded: &Loaded, banks: &[Bank]) -> Result<Table, Error> {
        let sealed: BTreeMap<usize, &Sealed> =
            loaded.artefacts().map(|artefact| (key(&artefact.sealed), &artefact.sealed)).collect();
        let jobs = sealed
            .into_iter()
            .flat_map(|(key, sealed)| banks.iter().map(move |bank| (key, sealed, *bank)))
            .collect();
        run(jobs).map(Table).map_err(Error::Read)
    }

    fn artefact(
        &self,
        artefact: &Artefact,
        domain: Option<&DomainName>,
    ) -> Result<measure::Artefact, Error> {
        let digests = self.0[&key(&artefact.sealed)].clone();
        let sha256 = digests.bank(Bank::Sha256).expect("SHA-256 is always hashed").to_string();
        if let Some(promised) = artefact.promised_sha256.as_ref().filter(|it| **it != sha256) {
            return Err(Error::Damaged {
                path: artefact.written.clone(),
                domain: domain.cloned(),
                promised: promised.clone(),
                found: sha256,
            });
        }
        Ok(measure::Artefact {
            path: artefact.written.display().to_string(),
            bytes: artefact.sealed.len(),
            digests,
            original: artefact.original.clone(),
        })
    }
}

fn key(sealed: &Sealed) -> usize {
    std::ptr::from_ref(sealed).addr()
}

type Job<'a> = (usize, &'a Sealed, Bank);

/// Longest first, so that the last ones to finish are short.
fn run(mut jobs: Vec<Job<'_>>) -> io::Result<BTreeMap<usize, Digests>> {
    jobs.sort_by_key(|(_, sealed, bank)| sealed.len() * if *bank >= Bank::Sha384 { 2 } else { 1 });
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(jobs.len());
    let queue = Mutex::new(jobs);
    let done = Mutex::new(BTreeMap::<usize, Digests>::new());
    let work = || -> io::Result<()> {
        loop {
            let job = queue.lock().expect("no worker panics").pop();
            let Some((key, sealed, bank)) = job else { return Ok(()) };
            let mut hasher = Hasher::new(&[bank]);
            sealed.stream(|piece| hasher.update(piece))?;
            done.lock().expect("no worker panics").entry(key).or_default().extend(hasher.finish());
        }
    };
    thread::scope(|scope| {
        let helpers: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut result = work();
        for helper in helpers {
            result = result.and(helper.join().expect("no worker panics"));
        }
        result
    })?;
    Ok(done.into_inner().expect("no worker panics"))
}

/// Why there are no digests.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Sealed memory could not be read.
    #[error("hash the sealed artefacts")]
    Read(#[source] io::Error),
    /// The image is damaged.
    #[error("{} has SHA-256 {found} and the image's manifest promises {promised}\nhint: the image was changed after it was made; make it anew with `domb image`", path.display())]
    Damaged {
        /// The path as the configuration has it.
        path: PathBuf,
        /// The domain it belongs to, if to one.
        domain: Option<DomainName>,
        /// The manifest's digest.
        promised: String,
        /// The digest of the bytes.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_hashed_for_every_bank() {
        let files: Vec<Sealed> = (0u32..5)
            .map(|i| Sealed::new("file", &vec![u8::try_from(i).unwrap(); 300_000]).unwrap())
            .collect();
        let jobs = files
            .iter()
            .flat_map(|file| Bank::ALL.map(|bank| (key(file), file, bank)))
            .collect();
        let table = run(jobs).unwrap();
        for (i, file) in files.iter().enumerate() {
            let content = vec![u8::try_from(i).unwrap(); 300_000];
            assert_eq!(table[&key(file)], Digests::of(&Bank::ALL, &content));
        }
    }
}
