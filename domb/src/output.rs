// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How the verbs of a host speak: data on standard output, everything else on
//! standard error.

use std::error::Error;
use std::io::{self, Write};

use crate::exit::Exit;
use crate::report;

/// Writes data to standard output.
#[must_use]
pub fn write(text: &str, exit: Exit) -> Exit {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => exit,
        // Whoever closed the pipe does not want the rest, only the answer.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit,
        Err(error) => fail(&error, Exit::Internal),
    }
}

/// Says on standard error what went wrong, and what to do about it.
#[must_use]
pub fn fail(error: &dyn Error, exit: Exit) -> Exit {
    eprintln!("error: {}", report::chain(error).join(": "));
    if let Some(hint) = report::hint(error) {
        eprintln!("hint: {hint}");
    }
    exit
}
