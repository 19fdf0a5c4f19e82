/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What bindgen reads. libxl_json.h stays out: it would pull in yajl. */
#include <stdio.h>
#include <stdlib.h>
#include <libxl.h>
#include <libxl_event.h>
#include <libxl_utils.h>
#include <xenstore.h>
#include <xentoollog.h>
