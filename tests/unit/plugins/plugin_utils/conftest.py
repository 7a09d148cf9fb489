# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories as Ansible reads them."""

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.vars.manager import VariableManager
from ansible_collections.vmcluster.network.plugins.plugin_utils.cluster import GROUPS
from ansible_collections.vmcluster.network.plugins.plugin_utils.hostvars import read_groups, read_hostvars


def read_inventory(path):
    """Return (groups, plain variables by host) of an inventory, as the action plugin hands them to the checks."""
    loader = DataLoader()
    inventory = InventoryManager(loader=loader, sources=[str(path)])
    manager = VariableManager(loader=loader, inventory=inventory)
    groups = read_groups(inventory.get_groups_dict())
    members = dict.fromkeys(host for group in GROUPS for host in groups.get(group, ()))
    return groups, read_hostvars(
        members,
        lambda host: manager.get_vars(host=inventory.get_host(host)),
        lambda variables: Templar(loader=loader, variables=variables).template,
    )


@pytest.fixture(name="read_inventory")
def fixture_read_inventory():
    return read_inventory
