// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Hashing of everything that was loaded, on every processor there is.
//!
//! The sealed bytes are streamed, each file once per worker; a file that
//! several domains share is hashed once.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::thread;

use domb_core::config::DomainName;
use domb_core::measure::{
    Artefact, Artefacts, Bank, Digests, DomainArtefacts, Hasher, ImageArtefacts,
};

use super::Error;
use crate::load::{self, Loaded};
use crate::sealed::Sealed;

/// What was loaded, with the digests of each file in each of `banks`.
///
/// # Errors
/// A sealed file could not be read.
pub fn artefacts(loaded: &Loaded, banks: &[Bank]) -> Result<Artefacts, Error> {
    let digests = Hashed::of(loaded, banks);
    let script = |file: &load::Artefact| digests.artefact(file, "the launch script", None);
    let policy = |file: &load::Artefact| digests.artefact(file, "the Flask policy", None);
    let ramdisk = |file: &load::Artefact| digests.artefact(file, "the control ramdisk", None);
    let domains = loaded.domains.iter().map(|(name, files)| {
        let kernel = digests.artefact(&files.kernel, "the kernel", Some(name))?;
        let ramdisk = files
            .ramdisk
            .as_deref()
            .map(|file| digests.artefact(file, "the ramdisk", Some(name)));
        let images = files.images.iter().map(|(image, files)| {
            let kernel = digests.artefact(&files.kernel, "the kernel", Some(name))?;
            let ramdisk = files.ramdisk.as_deref();
            let ramdisk = ramdisk.map(|file| digests.artefact(file, "the ramdisk", Some(name)));
            let ramdisk = ramdisk.transpose()?;
            Ok((image.clone(), ImageArtefacts { kernel, ramdisk }))
        });
        Ok(DomainArtefacts {
            name: name.clone(),
            kernel,
            ramdisk: ramdisk.transpose()?,
            images: images.collect::<Result<_, Error>>()?,
        })
    });
    Ok(Artefacts {
        script: loaded.script.as_deref().map(script).transpose()?,
        flask_policy: loaded
            .flask_policy
            .as_ref()
            .map(|flask| policy(&flask.file))
            .transpose()?,
        control_ramdisk: loaded.control_ramdisk.as_deref().map(ramdisk).transpose()?,
        domains: domains.collect::<Result<_, Error>>()?,
    })
}

/// The digests of each sealed file, by its place in memory.
struct Hashed(BTreeMap<*const Sealed, io::Result<Digests>>);

impl Hashed {
    fn of(loaded: &Loaded, banks: &[Bank]) -> Hashed {
        let files: BTreeMap<*const Sealed, &Sealed> = loaded
            .artefacts()
            .map(|file| (std::ptr::from_ref(&*file.sealed), &*file.sealed))
            .collect();
        let (places, files): (Vec<_>, Vec<_>) = files.into_iter().unzip();
        Hashed(places.into_iter().zip(hash(&files, banks)).collect())
    }

    fn artefact(
        &self,
        file: &load::Artefact,
        what: &str,
        domain: Option<&DomainName>,
    ) -> Result<Artefact, Error> {
        let digests = match &self.0[&std::ptr::from_ref(&*file.sealed)] {
            Ok(digests) => digests.clone(),
            Err(source) => {
                let source = io::Error::new(source.kind(), source.to_string());
                let of = domain
                    .map(|name| format!(" of domain {name}"))
                    .unwrap_or_default();
                return Err(Error::Hash {
                    what: format!("{what}{of}"),
                    domain: domain.cloned(),
                    source,
                });
            }
        };
        Ok(Artefact {
            path: file.written.display().to_string(),
            bytes: file.sealed.len(),
            digests,
            original: file.original.clone(),
        })
    }
}

/// One worker's piece: a file, and the banks to hash it for.
struct Task<'a> {
    file: usize,
    sealed: &'a Sealed,
    banks: Vec<Bank>,
}

/// The digests of each of `files`. The longest files begin first; each is
/// hashed by two workers where there are several banks.
fn hash(files: &[&Sealed], banks: &[Bank]) -> Vec<io::Result<Digests>> {
    let shares = Bank::shares(banks);
    let mut tasks: Vec<Task<'_>> = files
        .iter()
        .enumerate()
        .flat_map(|(file, sealed)| {
            shares.iter().map(move |banks| Task {
                file,
                sealed,
                banks: banks.clone(),
            })
        })
        .filter(|task| !task.banks.is_empty())
        .collect();
    tasks.sort_by_key(|task| task.sealed.len());
    let workers = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(tasks.len());
    let tasks = Mutex::new(tasks);
    let results: Mutex<Vec<io::Result<Digests>>> =
        Mutex::new(files.iter().map(|_| Ok(Digests::default())).collect());
    thread::scope(|scope| {
        for _ in 1..workers {
            scope.spawn(|| work(&tasks, &results));
        }
        work(&tasks, &results);
    });
    results.into_inner().expect("a worker does not panic")
}

fn work(tasks: &Mutex<Vec<Task<'_>>>, results: &Mutex<Vec<io::Result<Digests>>>) {
    loop {
        let task = tasks.lock().expect("a worker does not panic").pop();
        let Some(task) = task else { return };
        let mut hasher = Hasher::new(&task.banks);
        let digests = task
            .sealed
            .stream(|piece| hasher.update(piece))
            .map(|()| hasher.finish());
        let mut results = results.lock().expect("a worker does not panic");
        match (&mut results[task.file], digests) {
            (Ok(all), Ok(share)) => all.extend(share),
            (result @ Ok(_), Err(error)) => *result = Err(error),
            (Err(_), _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_the_digests_of_its_bytes_in_every_bank() {
        let contents: Vec<Vec<u8>> = (0..5u8)
            .map(|n| vec![n; usize::from(n) * 300_000])
            .collect();
        let sealed: Vec<Sealed> = contents
            .iter()
            .map(|bytes| Sealed::new("file", bytes).unwrap())
            .collect();
        let files: Vec<&Sealed> = sealed.iter().collect();
        for banks in [&Bank::ALL[..], &[Bank::Sha256]] {
            for (digests, bytes) in hash(&files, banks).into_iter().zip(&contents) {
                assert_eq!(digests.unwrap(), Digests::of(banks, bytes));
            }
        }
    }

    #[test]
    fn nothing_to_hash_is_not_an_error() {
        assert!(hash(&[], &Bank::ALL).is_empty());
    }
}
