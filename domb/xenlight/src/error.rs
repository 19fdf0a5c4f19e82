// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What can go wrong, and the one place where a libxl return code becomes a
//! `Result`. A code this crate has no name for keeps its number.

use std::fmt;
use std::io;

use libxl_sys::libxl_error as xl;

/// `errno` of Linux (`asm-generic/errno-base.h`), which Xen's are as well.
const EPERM: i32 = 1;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What was attempted, and how Xen's libraries refused it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A libxl function returned an error.
    #[error("cannot {doing}: libxl says {code}{}", Log(.log))]
    Libxl {
        /// What was attempted, as a verb with its object.
        doing: String,
        /// libxl's return code.
        code: Code,
        /// The errors libxl logged meanwhile, oldest first.
        log: Vec<String>,
    },
    /// A function that reports through errno failed: libxenstore, libxenctrl,
    /// or libxl where it returns a pointer.
    #[error("cannot {doing}{}", Log(.log))]
    System {
        /// What was attempted, as a verb with its object.
        doing: String,
        /// errno.
        source: io::Error,
        /// The errors libxl logged meanwhile, oldest first.
        log: Vec<String>,
    },
    /// A text with a NUL in it cannot be given to C.
    #[error("{what} has a NUL byte in it")]
    Nul {
        /// Which text.
        what: String,
    },
    /// libxl would ignore a part of the configuration without saying so.
    #[error(
        "libxl ignores {} of the configuration of {name:?}\nhint: each is unknown to this release of libxl, of the wrong kind, or at its default",
        .fields.join(", ")
    )]
    Ignored {
        /// The domain's name in the configuration.
        name: String,
        /// The keys, as paths.
        fields: Vec<String>,
    },
    /// The configuration is JSON to libxl but not to us, like one
    /// with comments.
    #[error("the configuration of {name:?} is not plain JSON")]
    Json {
        /// The domain's name in the configuration.
        name: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The configuration asks for no domid, or for one Xen would replace.
    #[error(
        "the configuration of {name:?} asks for domid {domid}, which Xen would replace by another one\nhint: choose 1 to 32751"
    )]
    DomidUnusable {
        /// The domain's name in the configuration.
        name: String,
        /// What `c_info.domid` says; 0 when it is left out.
        domid: u32,
    },
    /// There is a domain at that domid already.
    #[error("domid {domid} is in use by {owner}")]
    DomidInUse {
        /// The domid asked for.
        domid: u16,
        /// The name of the domain that has it, or its UUID.
        owner: String,
    },
    /// libxl created the domain somewhere else.
    #[error("asked for domid {asked}, libxl created domain {got}")]
    DomidDiffers {
        /// The domid asked for.
        asked: u16,
        /// The domid libxl reported. That domain was destroyed.
        got: u32,
    },
    /// libxl reported success, but the domain has no way to reach its store or
    /// its console.
    #[error(
        "domain {domid} was created without a usable {channel} event channel: {node} is {value:?}\nhint: the {channel} domain must exist before the domains it serves"
    )]
    Channel {
        /// The domid. That domain was destroyed.
        domid: u16,
        /// `"store"` or `"console"`.
        channel: &'static str,
        /// The XenStore node that says so.
        node: String,
        /// What it says, if it is there.
        value: Option<String>,
    },
    /// There is no such domain.
    #[error("there is no domain {domid}")]
    NoSuchDomain {
        /// The domid looked for.
        domid: u16,
    },
    /// The hypervisor is of another release than the libraries.
    #[error(
        "this program was built with the libraries of Xen {}.{}, the hypervisor is Xen {}.{}: the interface between them changes with each release\nhint: boot the hypervisor of the release the program was built for, or rebuild the program with the libxen-dev of the hypervisor that runs",
        .built.0, .built.1, .running.0, .running.1
    )]
    VersionMismatch {
        /// Release of the headers and the libraries.
        built: (u32, u32),
        /// Release of the hypervisor.
        running: (u32, u32),
    },
}

impl Error {
    /// Whether Xen itself refused (EPERM): the caller lacks what it asked for.
    #[must_use]
    pub fn is_not_permitted(&self) -> bool {
        self.errno() == Some(EPERM)
    }

    /// Whether the hypervisor knows no such thing (EINVAL).
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        self.errno() == Some(EINVAL)
    }

    /// Whether Flask refused (EACCES).
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.errno() == Some(EACCES)
    }

    fn errno(&self) -> Option<i32> {
        match self {
            Error::System { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

/// A libxl return code, known or not (`libxl_error` in `libxl_types.idl`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Code(i32);

impl Code {
    /// The code with that number.
    #[must_use]
    pub fn new(number: i32) -> Code {
        Code(number)
    }

    /// libxl's number for it.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }

    /// libxl's name for it, if the release this was built against has one.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        NAMES
            .iter()
            .find(|(code, _)| code.0 == self.0)
            .map(|(_, name)| *name)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "{}, a code without a name", self.0),
        }
    }
}

/// The funnel: every libxl return code passes here.
///
/// libxl returns 0 for success and a negative code for failure; anything
/// positive is not in its contract and counts as failure.
pub(crate) fn check(
    rc: i32,
    doing: impl FnOnce() -> String,
    log: impl FnOnce() -> Vec<String>,
) -> Result<()> {
    if rc == 0 {
        return Ok(());
    }
    Err(Error::Libxl {
        doing: doing(),
        code: Code(rc),
        log: log(),
    })
}

macro_rules! names {
    ($($name:ident)*) => { &[$((xl::$name, stringify!($name))),*] };
}

/// The codes 4.14 and later have in common, and those of 4.17.
const NAMES: &[(xl, &str)] = names! {
    ERROR_NONSPECIFIC ERROR_VERSION ERROR_FAIL ERROR_NI ERROR_NOMEM ERROR_INVAL ERROR_BADFAIL
    ERROR_GUEST_TIMEDOUT ERROR_TIMEDOUT ERROR_NOPARAVIRT ERROR_NOT_READY ERROR_OSEVENT_REG_FAIL
    ERROR_BUFFERFULL ERROR_UNKNOWN_CHILD ERROR_LOCK_FAIL ERROR_JSON_CONFIG_EMPTY ERROR_DEVICE_EXISTS
    ERROR_CHECKPOINT_DEVOPS_DOES_NOT_MATCH ERROR_CHECKPOINT_DEVICE_NOT_SUPPORTED
    ERROR_VNUMA_CONFIG_INVALID ERROR_DOMAIN_NOTFOUND ERROR_ABORTED ERROR_NOTFOUND
    ERROR_DOMAIN_DESTROYED ERROR_FEATURE_REMOVED ERROR_PROTOCOL_ERROR_QMP ERROR_UNKNOWN_QMP_ERROR
    ERROR_QMP_GENERIC_ERROR ERROR_QMP_COMMAND_NOT_FOUND ERROR_QMP_DEVICE_NOT_ACTIVE
    ERROR_QMP_DEVICE_NOT_FOUND ERROR_QEMU_API
};

/// The logged lines, each on a line of its own below the message.
struct Log<'a>(&'a [String]);

impl fmt::Display for Log<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_code_has_libxls_name() {
        assert_eq!(Code::new(-3).to_string(), "ERROR_FAIL (-3)");
        assert_eq!(Code::new(-21).name(), Some("ERROR_DOMAIN_NOTFOUND"));
    }

    #[test]
    fn an_unknown_code_keeps_its_number() {
        assert_eq!(Code::new(-77).to_string(), "-77, a code without a name");
        let error = check(-77, || "do it".to_owned(), Vec::new).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot do it: libxl says -77, a code without a name"
        );
    }

    #[test]
    fn a_positive_code_is_not_success() {
        assert!(check(0, String::new, Vec::new).is_ok());
        assert!(check(1, String::new, Vec::new).is_err());
    }

    #[test]
    fn every_code_of_the_header_has_a_name() {
        // libxl's codes are consecutive: -1 to the last one of the release.
        let lowest = NAMES.iter().map(|(code, _)| code.0).min().unwrap();
        for number in lowest..0 {
            assert!(Code::new(number).name().is_some(), "{number}");
        }
    }

    #[test]
    fn what_libxl_logged_stands_below_the_message() {
        let error = check(
            -3,
            || "create domain 7".to_owned(),
            || vec!["xc: error: no".to_owned()],
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot create domain 7: libxl says ERROR_FAIL (-3)\n  xc: error: no"
        );
    }
}
