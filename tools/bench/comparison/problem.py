# SPDX-License-Identifier: Apache-2.0
class Problem(Exception):
    """Something that the user can do something about."""
