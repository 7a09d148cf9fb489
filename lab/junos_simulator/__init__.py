# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A Junos simulator: a NETCONF server with Junos's candidate, lock and commit, and FRR's bgpd behind it.

Test equipment of the lab. It is no Junos; lab/README.md says what it can't prove.
"""
