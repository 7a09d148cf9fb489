# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys as Junos shows them: read, compared, and never shown."""

import pytest
from ansible_collections.vmcluster.network.plugins.module_utils.junos_secret import (
    ALPHABET,
    SecretError,
    decode_secret,
    is_readable,
    is_same_secret,
    mask_secrets,
)


@pytest.mark.parametrize(("shown", "secret"), [
    # Published with Crypt::Juniper and its ports.
    ("$9$LbHX-wg4Z", "lc"),
    ("$9$41JDk5T3CpBFnCuB1rl8X7-VYq.5", "netscreen"),
])
def test_a_scrambled_secret_is_read(shown, secret):
    assert decode_secret(shown) == secret


def test_the_alphabet_has_65_characters_each_once():
    assert len(ALPHABET) == len(set(ALPHABET)) == 65


@pytest.mark.parametrize("shown", ["", "$9$", "plainkey", "$8$aes256-gcm$hmac", "$9$Lb HX", "$9$LbHX-wg4"])
def test_what_is_no_scrambled_secret_is_told_without_repeating_it(shown):
    with pytest.raises(SecretError) as error:
        decode_secret(shown)
    assert shown[3:] == "" or shown[3:] not in str(error.value)


def test_a_key_is_compared_by_what_it_says_not_by_how_it_looks():
    assert is_same_secret("$9$LbHX-wg4Z", "lc")
    assert not is_same_secret("$9$LbHX-wg4Z", "ld")
    assert not is_same_secret("$8$crypt", "lc")
    assert is_readable("$9$LbHX-wg4Z")
    assert not is_readable("$8$aes256-gcm$hmac-sha2-256$100$abc")


def test_no_form_of_a_secret_is_shown():
    text = (
        'authentication-key "$9$LbHX-wg4Z"; ## SECRET-DATA\n'
        "set protocols bgp group X authentication-key s3cretpw\n"
        'encrypted-password "$6$salt$hash"; key is s3cretpw, once $9$LbHX-wg4Z\n')
    shown = mask_secrets(text, ["s3cretpw"])
    for secret in ("LbHX", "s3cretpw", "$6$", "hash"):
        assert secret not in shown
    assert "## SECRET-DATA" in shown
    assert shown.count("\n") == 3


def test_text_without_secrets_stays_as_it_is():
    text = "[edit policy-options community VMC-alpha]\n+    members [ 65010:100 ];\nthe key of group X\n"
    assert mask_secrets(text, ["", "s3cretpw"]) == text
