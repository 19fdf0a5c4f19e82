// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Files that a domain can boot instead of its own, by name: what the file
//! says and what it means. Which of them boots is the launch script's choice;
//! without one it is the domain's own.

use super::artefact::{Artefact, ArtefactKind};
use super::faults::{Faults, Field, quote};
use super::meaning::note;
use super::table::Table;
use super::{DomainName, Image, values};
use crate::explain::Code;

/// One `[[domain.images]]`.
pub(super) struct RawImage<'t> {
    name: Option<Field<&'t str>>,
    kernel: Option<Field<&'t str>>,
    ramdisk: Option<Field<&'t str>>,
}

impl<'t> RawImage<'t> {
    pub(super) fn read(table: &Table<'t>, faults: &mut Faults<'_>) -> RawImage<'t> {
        for (key, example) in REQUIRED {
            table.require(key, "an image", example, faults);
        }
        RawImage {
            name: table.text("name", faults),
            kernel: table.text("kernel", faults),
            ramdisk: table.text("ramdisk", faults),
        }
    }
}

/// The keys every image must have, each with an example.
pub(super) const REQUIRED: [(&str, &str); 2] =
    [("name", "\"fallback\""), ("kernel", "\"vmlinuz\"")];

/// What the images of the domain `of` mean. None if one is wrong; that is
/// reported.
pub(super) fn meaning(
    raw: &[RawImage<'_>],
    of: Option<&DomainName>,
    artefacts: &mut Vec<Artefact>,
    faults: &mut Faults<'_>,
) -> Option<Vec<Image>> {
    let mut images: Vec<Image> = Vec::new();
    let mut all = true;
    for raw in raw {
        let name = raw
            .name
            .as_ref()
            .and_then(|field| name(field, &images, faults));
        let kernel = raw.kernel.as_ref().and_then(|f| values::path(f, faults));
        let ramdisk = raw.ramdisk.as_ref().map(|f| values::path(f, faults));
        let (Some(name), Some(kernel), Some(ramdisk), Some(of)) = (
            name,
            kernel,
            ramdisk.map_or(Some(None), |path| path.map(Some)),
            of,
        ) else {
            all = false;
            continue;
        };
        if let Some(field) = &raw.kernel {
            note(
                artefacts,
                ArtefactKind::Kernel(of.clone()),
                kernel.clone(),
                field,
            );
        }
        if let (Some(path), Some(field)) = (&ramdisk, &raw.ramdisk) {
            note(
                artefacts,
                ArtefactKind::Ramdisk(of.clone()),
                path.clone(),
                field,
            );
        }
        images.push(Image {
            name,
            kernel,
            ramdisk,
        });
    }
    all.then_some(images)
}

fn name(field: &Field<&str>, before: &[Image], faults: &mut Faults<'_>) -> Option<String> {
    let text = field.value;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let shown = quote(text);
    let fault = if !(1..=64).contains(&text.len()) || !text.chars().all(allowed) {
        faults
            .at(
                field,
                Code::Image,
                format!("\"{shown}\" is no name for an image"),
            )
            .hint("use 1 to 64 letters, digits, and - _ .")
    } else if before.iter().any(|image| image.name == text) {
        faults
            .at(
                field,
                Code::Image,
                format!("two images of the domain are called {shown}"),
            )
            .because("the launch script could mean either")
            .hint("give one of the two another name")
    } else {
        return Some(text.to_owned());
    };
    faults.add(fault);
    None
}
