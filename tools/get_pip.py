# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the get-pip script that ansible-test wants to download before its sanity tests.

Called as that script is: the arguments are pip's options and the pinned packages. pip comes from the Python's own
ensurepip, and then fetches the pinned one from wherever pip is configured to look.
"""

import ensurepip
import os
import runpy
import sys

ensurepip.bootstrap()
os.environ.pop("PIP_CONFIG_FILE", None)  # ensurepip has set it to nothing, which would hide the configured index
packages = [argument for argument in sys.argv[1:] if argument not in ("--no-setuptools", "--no-wheel")]
sys.argv = ["pip", "install", "--quiet", "--upgrade", *packages]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
