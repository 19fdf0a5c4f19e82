// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What PID 1 becomes when the launch has ended, well or badly.

use std::rc::Rc;

use domb_core::config::{self, AfterFailure, Config, Control, Reclaim};

use crate::load::{Artefact, Loaded, Unloaded};
use crate::sealed::Sealed;

/// What PID 1 is to become.
pub struct Next {
    /// How it leaves.
    pub exit: config::Exit,
    /// What becomes of this domain, where it halts.
    pub reclaim: Reclaim,
    /// `[control]`.
    pub control: Option<Control>,
    /// The control domain's root, sealed.
    pub ramdisk: Option<Rc<Artefact>>,
    /// The compiled Flask policy, sealed; it is left to the control domain.
    pub flask_policy: Option<Rc<Sealed>>,
    /// What to do when the launch did not succeed.
    pub after_failure: AfterFailure,
}

impl Next {
    pub(super) fn of(loaded: &Loaded) -> Next {
        let policy = loaded.flask_policy.as_ref();
        Next {
            flask_policy: policy.map(|policy| Rc::clone(&policy.file.sealed)),
            ..Next::new(&loaded.config, loaded.control_ramdisk.clone())
        }
    }

    /// A launch of which an artefact is missing or damaged did not succeed, as
    /// one that failed later did not. None where there is no configuration.
    pub(super) fn of_unloaded(unloaded: &Unloaded) -> Option<Next> {
        let config = unloaded.config.as_ref()?;
        Some(Next::new(config, unloaded.control_ramdisk.clone()))
    }

    fn new(config: &Config, ramdisk: Option<Rc<Artefact>>) -> Next {
        Next {
            exit: config.exit,
            reclaim: config.reclaim,
            control: config.control.clone(),
            ramdisk,
            flask_policy: None,
            after_failure: config.after_failure,
        }
    }

    /// Whether the control domain's root is there and whole, as far as the
    /// image can say. After a launch that failed that is not known yet: it may
    /// be what it failed on.
    #[must_use]
    pub fn has_root(&self) -> bool {
        let control = self.control.as_ref();
        let needed = control.is_some_and(|control| control.ramdisk.is_some());
        match &self.ramdisk {
            Some(ramdisk) => ramdisk.is_as_promised(),
            None => !needed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use tempfile::TempDir;

    use crate::exit::Exit;
    use crate::launch::{Ended, Options, launch};
    use crate::load::Source;
    use crate::manifest::{Entry, Manifest, Role, VERSION, sha256_hex};
    use crate::toolstack::DryRun;
    use crate::tpm::TpmDevice;

    use super::*;

    const TEXT: &str = "after_failure = \"continue\"\n[measure]\ntpm = \"off\"\n[control]\n\
                        ramdisk = \"control.cpio\"\n[[domain]]\nname = \"net\"\ndomid = 7\n\
                        type = \"pv\"\nkernel = \"vmlinuz\"\nmemory = \"96M\"\n";
    const ROOT: &[u8] = b"the control domain's root";

    /// Launches `text` from an image that lacks the kernel and has the control
    /// domain's root, with what the manifest promises of its bytes.
    fn ended(text: &str, promised: &[u8]) -> Ended {
        let directory = TempDir::new().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("launch.toml"), text).unwrap();
        fs::write(path("root"), ROOT).unwrap();
        let entry = |role, written: &str, stored: &str| Entry {
            path: written.to_owned(),
            role,
            stored: path(stored).display().to_string(),
            sha256: sha256_hex(promised),
            bytes: ROOT.len() as u64,
            original: None,
        };
        let manifest = Manifest {
            version: VERSION,
            kernel_release: String::new(),
            xenstored: String::new(),
            xenconsoled: String::new(),
            modules: Vec::new(),
            artefacts: vec![
                entry(Role::ControlRamdisk, "control.cpio", "root"),
                entry(Role::Kernel, "vmlinuz", "kernel"),
            ],
        };
        let options = Options {
            config: path("launch.toml"),
            tpm: TpmDevice::default(),
            event_log: path("eventlog"),
            report: path("report.json"),
            first_init: true,
        };
        let toolstack = DryRun::default();
        let ended = launch(&options, Source::Image(&manifest), &toolstack);
        assert_eq!(ended.exit(), Exit::Load);
        assert_eq!(toolstack.steps().len(), 0);
        ended
    }

    #[test]
    fn an_artefact_that_cannot_be_loaded_ends_as_the_configuration_says() {
        let next = ended(TEXT, ROOT).next.unwrap();
        assert_eq!(next.after_failure, AfterFailure::Continue);
        let root = next.ramdisk.as_ref().unwrap();
        assert_eq!(root.sealed.read().unwrap(), ROOT);
        assert!(next.has_root());
        let next = ended(&TEXT.replace("continue", "reboot"), ROOT)
            .next
            .unwrap();
        assert_eq!(next.after_failure, AfterFailure::Reboot);
    }

    #[test]
    fn a_damaged_or_missing_root_is_nothing_to_go_on_to() {
        assert!(!ended(TEXT, b"another").next.unwrap().has_root());
        let missing = TEXT.replace("control.cpio", "other.cpio");
        let next = ended(&missing, ROOT).next.unwrap();
        assert!(next.ramdisk.is_none());
        assert!(!next.has_root());
        let none = TEXT.replace("ramdisk = \"control.cpio\"", "init = \"/sbin/init\"");
        assert!(ended(&none, ROOT).next.unwrap().has_root());
    }

    #[test]
    fn of_a_configuration_that_is_none_nothing_is_known() {
        let path = Path::new("no/such/launch.toml");
        let unloaded = crate::load::load(path, Source::Files).unwrap_err();
        assert!(Next::of_unloaded(&unloaded).is_none());
    }
}
