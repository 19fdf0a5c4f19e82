/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What bindgen reads. */
#include <sys/ioctl.h>
#include <sys/mman.h>
#define XC_WANT_COMPAT_MAP_FOREIGN_API
#include <xenctrl.h>
#include <xenguest.h>
#include <xen/version.h>
#include <xen/io/console.h>
#include <xen/xsm/flask_op.h>
/* A macro that calls a macro: bindgen takes only what it is worth. */
enum { DOMID_OF_CALLER = DOMID_SELF };
