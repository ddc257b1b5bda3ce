/* SPDX-License-Identifier: Apache-2.0 */
#include "base/version.h"

#ifndef SLUICE_COMMIT
#define SLUICE_COMMIT "unknown"
#endif

const char sluice_version[] = SLUICE_VERSION;
const char sluice_commit[] = SLUICE_COMMIT;
