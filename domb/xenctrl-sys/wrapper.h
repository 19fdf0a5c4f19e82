/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What bindgen reads. */
#include <xenctrl.h>
