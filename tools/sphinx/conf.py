# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the HTML pages that `make docs` builds; no inventories of other sites, so it works without a network."""

project = title = html_short_title = "vmcluster.network"
author = "The vmcluster.network developers"
extensions = ["sphinx_antsibull_ext"]
pygments_style = "ansible"
highlight_language = "YAML+Jinja"
html_theme = "sphinx_ansible_theme"
html_show_sphinx = False
html_use_index = False
html_copy_source = False
# Labels of Ansible's own documentation are not known here; references inside the collection are checked by the lint.
suppress_warnings = ["ref.ref"]
