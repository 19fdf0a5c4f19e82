// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The serial log of a machine: every line with the moment it came, kept in a
//! file and in memory. Waiting blocks on the next line until a deadline; it
//! never sleeps and hopes. A crash of Xen or of domain 0's kernel ends every
//! wait at once, because nothing a test waits for can come after it.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result, SerialError};

/// One line of the log.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    /// When it came, counted from the start of QEMU.
    pub at: Duration,
    /// Without its line end and without control characters.
    pub text: String,
}

/// Follows one machine's serial port.
#[derive(Debug)]
pub struct Serial {
    machine: String,
    log: PathBuf,
    started: Instant,
    incoming: Receiver<Line>,
    lines: Vec<Line>,
    next: usize,
    echo: Option<fn(&str) -> bool>,
    crash_expected: bool,
}

/// Gives the serial port's input to Xen, asks what each domain has, and gives
/// it back to the hardware domain (`xen/drivers/char/console.c`).
const DUMP: &[u8] = b"\x01\x01\x01q\x01\x01\x01";

impl Serial {
    /// Starts to follow `port` and to write all of it to `log`; with `keys`,
    /// presses those of [`DUMP`] at each line with that text.
    pub fn follow(
        machine: &str,
        port: impl Read + Send + 'static,
        log: &Path,
        mut keys: Option<(&'static str, ChildStdin)>,
    ) -> Result<Serial> {
        let mut file = File::create(log).map_err(Error::file("create", log))?;
        let (sender, incoming) = channel();
        let started = Instant::now();
        thread::spawn(move || {
            let mut port = BufReader::new(port);
            let mut raw = Vec::new();
            // The thread ends with QEMU's output, or when nobody listens any more.
            while port
                .read_until(b'\n', &mut raw)
                .is_ok_and(|length| length > 0)
            {
                let line = Line {
                    at: started.elapsed(),
                    text: plain(&raw),
                };
                if let Some((at, port)) = &mut keys
                    && line.text.contains(*at)
                    && port.write_all(DUMP).is_err()
                {
                    return;
                }
                let seconds = line.at.as_secs_f32();
                let written = writeln!(file, "{seconds:9.3} {}", line.text);
                if written.is_err() || sender.send(line).is_err() {
                    return;
                }
                raw.clear();
            }
        });
        Ok(Serial {
            machine: machine.to_owned(),
            log: log.to_owned(),
            started,
            incoming,
            lines: Vec::new(),
            next: 0,
            echo: None,
            crash_expected: false,
        })
    }

    /// From now on shows the lines that `wanted` picks to the person watching,
    /// on stderr.
    pub fn echo(&mut self, wanted: fn(&str) -> bool) {
        self.echo = Some(wanted);
    }

    /// From now on a crash is a line like any other.
    pub fn crash_is_expected(&mut self) {
        self.crash_expected = true;
    }

    /// The first line not yet passed by that contains `text`; those before it
    /// count as passed by. `deadline` runs from the start of QEMU, so that a
    /// chain of waits cannot add up to more than it.
    pub fn wait_for(&mut self, text: &str, deadline: Duration) -> Result<Line> {
        self.wait(&format!("a line with {text:?}"), deadline, |line| {
            line.contains(text)
        })
    }

    /// Like [`Serial::wait_for`], with a test of one's own; `what` describes
    /// it in the error.
    pub fn wait(
        &mut self,
        what: &str,
        deadline: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Line> {
        let from = self.started.elapsed();
        loop {
            while let Some(line) = self.lines.get(self.next).cloned() {
                self.next += 1;
                if wanted(&line.text) {
                    return Ok(line);
                }
                if let Some(end) = self.ends(&line.text) {
                    self.drain();
                    return Err(self.failed(what, from, &format!("{end}: {}", line.text)));
                }
            }
            if let Err(reason) = self.receive(deadline) {
                return Err(self.failed(what, from, reason));
            }
        }
    }

    /// Follows the log until QEMU closes it.
    pub fn wait_end(&mut self, deadline: Duration) -> Result<()> {
        let from = self.started.elapsed();
        loop {
            match self.receive(deadline) {
                Ok(()) => {}
                Err(ENDED) => return Ok(()),
                Err(reason) => return Err(self.failed("the end", from, reason)),
            }
        }
    }

    /// Every line so far.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Where the whole log is kept.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    fn receive(&mut self, deadline: Duration) -> Result<(), &'static str> {
        let left = deadline.saturating_sub(self.started.elapsed());
        match self.incoming.recv_timeout(left) {
            Ok(line) => {
                self.keep(line);
                Ok(())
            }
            Err(RecvTimeoutError::Timeout) => Err("the deadline passed"),
            Err(RecvTimeoutError::Disconnected) => Err(ENDED),
        }
    }

    /// Why nothing that is waited for can come after this line.
    fn ends(&self, line: &str) -> Option<&'static str> {
        if self.crash_expected {
            None
        } else if is_crash(line) {
            Some("crash")
        } else {
            lost_by_emulator(line).then_some("the emulator lost a PVH domain")
        }
    }

    /// Lets a crash finish what it has to say before it is reported.
    fn drain(&mut self) {
        while let Ok(line) = self.incoming.recv_timeout(Duration::from_secs(1)) {
            self.keep(line);
        }
    }

    fn keep(&mut self, line: Line) {
        if self.echo.is_some_and(|wanted| wanted(&line.text)) {
            eprintln!("  {:7.1} s  {}", line.at.as_secs_f32(), line.text);
        }
        self.lines.push(line);
    }

    fn failed(&self, what: &str, from: Duration, reason: &str) -> Error {
        let first = self.lines.len().saturating_sub(TAIL);
        let tail: Vec<_> = self.lines[first..]
            .iter()
            .map(|line| line.text.as_str())
            .collect();
        Error::Serial(Box::new(SerialError {
            machine: self.machine.clone(),
            what: what.to_owned(),
            waited: self.started.elapsed().saturating_sub(from),
            reason: reason.to_owned(),
            tail: tail.join("\n"),
            log: self.log.clone(),
        }))
    }
}

/// Whether Xen or domain 0 says that it is over. What a domain's console
/// brings (`roots/control.sh`) and what domb quotes is not about them.
fn is_crash(line: &str) -> bool {
    !line.contains("console ")
        && !line.contains("domb: ")
        && CRASHES.iter().any(|crash| line.contains(crash))
}

/// QEMU's emulated SVM delivers an interrupt to a PVH domain twice, about once
/// in some hundred seconds of a busy machine: early, Xen logs a triple fault
/// (`arch/x86/hvm/hvm.c`, `hvm_triple_fault`); later the domain's Linux faults
/// at the first instruction of an interrupt's entry, or is silent for good.
/// `xl` sees the same. By QEMU's source the vector that VMRUN injects stays in the
/// CPU's exception index (`helper_vmrun`), and a CPU that is asked to leave its loop
/// before anything else happened delivers it again (`cpu_handle_interrupt`). With one
/// CPU hardly anything asks it to: of 18 boots none lost a domain, where of 20 on two
/// CPUs four did. Domain 9 is the PVH domain of each boot that has one.
#[must_use]
pub fn lost_by_emulator(line: &str) -> bool {
    line.contains("Triple fault - invoking HVM shutdown")
        || line.contains("no heartbeat of domain 9 within")
        || line.contains("console ") && line.contains("RIP: 0010:asm_sysvec_xen_hvm_callback+0x0/")
}

/// Text without line end, escape sequences and other control characters.
fn plain(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' && chars.next_if_eq(&'[').is_some() {
            // A control sequence ends with its first letter (ECMA-48 5.4).
            for c in chars.by_ref() {
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else if c == '\t' || !c.is_control() {
            out.push(c);
        }
    }
    out
}

/// How many lines of the log an error shows.
const TAIL: usize = 60;

const ENDED: &str = "the machine ended";

/// What Xen and Linux print when they cannot go on. A machine that halts stays
/// there: QEMU does not end.
const CRASHES: [&str; 4] = [
    "Panic on CPU",
    "Kernel panic - not syncing",
    "Hardware Dom0 crashed",
    "Hardware Dom0 halted",
];

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn serial(text: &str) -> (tempfile::TempDir, Serial) {
        let dir = tempfile::tempdir().unwrap();
        let port = Cursor::new(text.as_bytes().to_vec());
        let serial = Serial::follow("m", port, &dir.path().join("serial.log"), None).unwrap();
        (dir, serial)
    }

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn a_wait_starts_after_the_line_found_before() {
        let (_dir, mut serial) = serial("one a\r\ntwo\n\u{1b}[1;31mone b\u{1b}[0m\n");
        assert_eq!(serial.wait_for("one", SOON).unwrap().text, "one a");
        assert_eq!(serial.wait_for("one", SOON).unwrap().text, "one b");
        let error = serial.wait_for("one", SOON).unwrap_err().chain();
        assert!(
            error.contains("the machine ended") && error.contains("two"),
            "{error}"
        );
    }

    #[test]
    fn a_crash_ends_the_wait_before_the_deadline() {
        let (_dir, mut serial) = serial("(XEN) Panic on CPU 0:\n(XEN) why\nnever\n");
        let error = serial.wait_for("never", SOON).unwrap_err().chain();
        assert!(error.contains("crash: (XEN) Panic on CPU 0:"), "{error}");
        assert!(error.contains("(XEN) why"), "{error}");
    }

    #[test]
    fn a_pvh_domain_that_the_emulator_lost_ends_the_wait() {
        let text = "console 9: [    1.0] RIP: 0010:asm_sysvec_xen_hvm_callback+0x0/0x20\nlater\n";
        let (_dir, mut waiting) = serial(text);
        let error = waiting.wait_for("later", SOON).unwrap_err().chain();
        assert!(error.contains("the emulator lost a PVH domain"), "{error}");
        let (_dir, mut expecting) = serial(text);
        expecting.crash_is_expected();
        expecting.wait_for("later", SOON).unwrap();
    }

    #[test]
    fn a_crash_of_a_domain_is_not_one_of_the_machine() {
        let (_dir, mut serial) =
            serial("console 9: [ 1.0] Kernel panic - not syncing: why\nlater\n");
        serial.wait_for("later", SOON).unwrap();
    }

    #[test]
    fn a_halted_machine_ends_the_wait_and_what_domb_quotes_does_not() {
        let quoted = "[ 3.0] domb: cause    [ 1.0] Kernel panic - not syncing: why\n";
        let (_dir, mut serial) = serial(&format!(
            "{quoted}last\n(XEN) Hardware Dom0 halted: halting machine\nnever\n"
        ));
        serial.wait_for("last", SOON).unwrap();
        let error = serial.wait_for("never", SOON).unwrap_err().chain();
        assert!(
            error.contains("crash: (XEN) Hardware Dom0 halted"),
            "{error}"
        );
    }

    #[test]
    fn a_deadline_ends_the_wait_while_the_machine_runs() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut serial = Serial::follow("m", reader, &dir.path().join("serial.log"), None).unwrap();
        let error = serial
            .wait_for("x", Duration::from_millis(50))
            .unwrap_err()
            .chain();
        assert!(error.contains("the deadline passed"), "{error}");
    }
}
