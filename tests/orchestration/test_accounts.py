"""Settings of an account that a form, JSON or an address states, where any of them may be text."""

import pytest

from vectorshift.errors import ConfigurationError
from vectorshift_orchestration.accounts import SETTINGS, Account, settings_of

AS_TEXT = {
    "timeout": "5",
    "retries": "2",
    "verify": "true",
    "rate_limit": "2.5",
    "time_precision": "ms",
    "proxied_downloads": "false",
}
AS_JSON = {
    "timeout": 5,
    "retries": 2,
    "verify": True,
    "rate_limit": 2.5,
    "time_precision": "ms",
    "proxied_downloads": False,
}


def test_text_and_json_mean_the_same():
    """Each setting says the same as a text, and what is not said is left out."""
    assert AS_TEXT.keys() == AS_JSON.keys() == SETTINGS.keys()
    assert settings_of(AS_TEXT, "it") == settings_of(AS_JSON, "it")
    assert settings_of(dict.fromkeys(SETTINGS, ""), "it") == {}


def test_they_are_an_accounts():
    """What is read is what an account takes, and all that it takes besides its key and address."""
    account = Account(api_key="sk_x", **settings_of(AS_TEXT, "it"))
    assert set(SETTINGS) == set(Account.__dataclass_fields__) - {"api_key", "base_url"}
    with account.client() as client:
        assert client._proxied_downloads is False


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"timout": 3}, "it has no field 'timout'"),
        ({"retries": "1.5"}, "retries must be a whole number from 0 to 100"),
        ({"verify": "no"}, "certificates are always checked"),
    ],
)
def test_what_cannot_be_is_named(stated, words):
    """An unknown name and a value that none can have are refused with the setting's name."""
    with pytest.raises(ConfigurationError, match=words):
        settings_of(stated, "it")
