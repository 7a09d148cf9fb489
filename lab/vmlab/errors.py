# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the lab says when it can't do what was asked."""


class LabError(Exception):
    """A failure the user can act on; its text names what failed and what to do."""
