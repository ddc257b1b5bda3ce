/* SPDX-License-Identifier: Apache-2.0 */
/* What this build is; the same for every binary. */
#pragma once

extern const char sluice_version[]; /* "0.1.0" */
extern const char sluice_commit[];  /* abbreviated git hash, or "unknown" */
