// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A domain's configuration, in libxl's own structure but read and written as
//! libxl's own JSON: no field is mirrored by hand, and every option libxl has
//! can be reached. Only three are looked at here: name, domid and UUID.

use std::mem::MaybeUninit;
use std::ptr;

use crate::context::Context;
use crate::error::{Error, Result, check};
use crate::ffi;
use crate::lost::lost;

/// A `libxl_domain_config` that libxl's parser accepted.
///
/// Holding one also proves that libxl's parser dropped nothing of the text.
pub struct DomainConfig {
    raw: Box<libxl_sys::libxl_domain_config>,
}

impl DomainConfig {
    /// Reads libxl's JSON (`libxl_domain_config_from_json`).
    ///
    /// # Errors
    /// The text is not JSON, libxl refuses a value (the error has libxl's words
    /// for it), or libxl would ignore a part of the text.
    pub fn from_json(context: &Context, text: &str) -> Result<DomainConfig> {
        let json = ffi::c_string(text, || "the domain configuration".to_owned())?;
        let mark = context.logger().mark();
        let mut config = Self::empty();
        // SAFETY: the context is alive, as the reference proves; the structure
        // was initialised by libxl; the text outlives the call.
        let rc = unsafe {
            libxl_sys::libxl_domain_config_from_json(context.raw(), config.raw_mut(), json.as_ptr())
        };
        // A half-filled structure is still one to dispose of: Drop does.
        check(
            rc,
            || "read the domain configuration".to_owned(),
            || context.logger().errors_since(mark),
        )?;
        config.refuse_if_lossy(text, &config.to_json(context)?)?;
        Ok(config)
    }

    /// libxl skips in silence what it does not know or cannot use.
    fn refuse_if_lossy(&self, given: &str, kept: &str) -> Result<()> {
        let value = |json| {
            serde_json::from_str(json).map_err(|source| Error::Json {
                name: self.name(),
                source,
            })
        };
        let fields = lost(&value(given)?, &value(kept)?);
        if fields.is_empty() {
            return Ok(());
        }
        Err(Error::Ignored {
            name: self.name(),
            fields,
        })
    }

    /// The configuration as libxl's JSON; fields at their default are left out.
    ///
    /// # Errors
    /// libxl ran out of memory.
    pub fn to_json(&self, context: &Context) -> Result<String> {
        let mark = context.logger().mark();
        // SAFETY: the context is alive, as the reference proves.
        let json = unsafe { self.print(context.raw()) };
        json.ok_or_else(|| Error::System {
            doing: "write the domain configuration as JSON".to_owned(),
            source: ffi::errno(),
            log: context.logger().errors_since(mark),
        })
    }

    /// The domain's name (`c_info.name`).
    #[must_use]
    pub fn name(&self) -> String {
        // SAFETY: c_info.name is NULL or a C string that libxl's parser
        // allocated; this structure owns it and nobody else can change it.
        unsafe { ffi::copied(self.raw.c_info.name) }.unwrap_or_default()
    }

    /// The domid asked for (`c_info.domid`).
    ///
    /// # Errors
    /// It is missing, or one that Xen would silently replace (0, and from
    /// `DOMID_FIRST_RESERVED`, 0x7ff0, up).
    pub fn domid(&self) -> Result<u16> {
        let asked = self.raw.c_info.domid;
        u16::try_from(asked)
            .ok()
            .filter(|domid| (1..0x7ff0).contains(domid))
            .ok_or_else(|| Error::DomidUnusable {
                name: self.name(),
                domid: asked,
            })
    }

    /// The domain's UUID (`c_info.uuid`), all zero before libxl chose one.
    #[must_use]
    pub fn uuid(&self) -> [u8; 16] {
        self.raw.c_info.uuid.uuid
    }

    /// The structure, for the libxl call that fills its defaults in.
    pub(crate) fn raw_mut(&mut self) -> *mut libxl_sys::libxl_domain_config {
        ptr::from_mut(self.raw.as_mut())
    }

    /// libxl's printer; `None` if it ran out of memory.
    ///
    /// # Safety
    /// `context` is a live context or NULL, which libxl uses for error
    /// messages only.
    unsafe fn print(&self, context: *mut libxl_sys::libxl_ctx) -> Option<String> {
        let config = ptr::from_ref(self.raw.as_ref()).cast_mut();
        // SAFETY: the context is as this function requires; the printer only
        // reads the structure, although its parameter is not const.
        let json = unsafe { libxl_sys::libxl_domain_config_to_json(context, config) };
        // SAFETY: libxl gives NULL or a string from strdup, to its caller.
        unsafe { ffi::taken(json) }
    }

    fn empty() -> DomainConfig {
        let mut raw = Box::new(MaybeUninit::<libxl_sys::libxl_domain_config>::zeroed());
        // SAFETY: init takes any memory of the structure's size and alignment
        // and writes all of it.
        unsafe { libxl_sys::libxl_domain_config_init(raw.as_mut_ptr()) };
        // SAFETY: zeroed, then initialised by libxl; integers, pointers and
        // newtype enums have no invalid values, and libxl writes 0 or 1 to
        // its bools.
        let raw = unsafe { raw.assume_init() };
        DomainConfig { raw }
    }
}

impl Drop for DomainConfig {
    fn drop(&mut self) {
        // SAFETY: the structure was initialised by libxl_domain_config_init
        // and is disposed of once; it is not used again.
        unsafe { libxl_sys::libxl_domain_config_dispose(self.raw_mut()) };
    }
}

impl std::fmt::Debug for DomainConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DomainConfig")
            .field("name", &self.name())
            .field("domid", &self.raw.c_info.domid)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // libxl prints without Xen: the context serves its error messages only.
    // Parsing needs a context, so a platform.
    fn print(config: &DomainConfig) -> serde_json::Value {
        // SAFETY: NULL is allowed.
        let json = unsafe { config.print(ptr::null_mut()) }.unwrap();
        serde_json::from_str(&json).unwrap()
    }

    fn asking_for(domid: u32) -> DomainConfig {
        let mut config = DomainConfig::empty();
        config.raw.c_info.domid = domid;
        config
    }

    #[test]
    fn a_field_that_is_set_is_printed_by_libxls_name() {
        let mut config = asking_for(7);
        config.raw.c_info.uuid.uuid[15] = 9;
        config.raw.b_info.max_memkb = 98304;
        let printed = print(&config);
        assert_eq!(printed["c_info"]["domid"], 7);
        assert_eq!(
            printed["c_info"]["uuid"],
            "00000000-0000-0000-0000-000000000009"
        );
        assert_eq!(printed["b_info"]["max_memkb"], 98304);
        assert_eq!(config.uuid()[15], 9);
        assert_eq!(config.name(), "");
    }

    #[test]
    fn a_domid_that_xen_would_replace_is_refused() {
        for bad in [0, 0x7ff0, 65541, u32::MAX] {
            let refused = asking_for(bad).domid();
            assert!(matches!(refused, Err(Error::DomidUnusable { domid, .. }) if domid == bad));
        }
        assert_eq!(asking_for(1).domid().unwrap(), 1);
        assert_eq!(asking_for(32751).domid().unwrap(), 32751);
    }

    #[test]
    fn a_configuration_that_asks_for_no_domid_is_refused() {
        let refused = DomainConfig::empty().domid().unwrap_err();
        assert!(matches!(refused, Error::DomidUnusable { .. }), "{refused}");
    }
}
