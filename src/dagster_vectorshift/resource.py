"""The account as a Dagster resource.

Give the key as `dg.EnvVar`: Dagster keeps only the variable's name then. A literal key is copied
into the definitions' snapshot and shown by GraphQL, whatever the field says.
"""

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, ClassVar

import dagster as dg
from pydantic import Field, PrivateAttr

from dagster_vectorshift._documents import FROM_ENVIRONMENT, Document, Secret, resolved
from vectorshift_orchestration.accounts import Account

if TYPE_CHECKING:
    from vectorshift import Client


class VectorShiftResource(dg.ConfigurableResource, Document):  # type: ignore[type-arg]  # yields itself
    """One VectorShift account, for assets, checks and sensors.

    Times are seconds. The client connects on first use and is closed when the run ends. In your own
    assets call the API inside `with as_dagster_failures():`.
    """

    pool: ClassVar[str] = "vectorshift"
    """The pool of every asset and check that talks to an account, unless you name another."""

    api_key: Secret = Field(
        repr=False,
        json_schema_extra={"dagster__is_secret": True},
        description='The API key. Always dg.EnvVar("VECTORSHIFT_API_KEY"), never the key itself.',
    )
    base_url: Annotated[str | None, FROM_ENVIRONMENT] = Field(
        default=None,
        description="The API's address with its /v1. None reads VECTORSHIFT_BASE_URL where the run "
        "executes, and is the hosted service when that is not set either.",
    )
    timeout: float = Field(
        default=60.0, description="Seconds to wait for the next bytes of an answer."
    )
    connect_timeout: float = Field(default=10.0, description="Seconds to connect.")
    total_timeout: float = Field(
        default=300.0, description="Seconds for one call with all its retries."
    )
    retries: int | None = Field(
        default=None,
        description="How often a failed call is tried again by the client, before the step's own "
        "retries. None is the client's own number, 4.",
    )
    rate_limit: float | None = Field(
        default=None,
        description="The most requests per second of each process that uses the account. None is "
        "no limit.",
    )
    time_precision: str | None = Field(
        default=None,
        description="How finely the service compares times: us, ms or s. None finds it out, once in "
        "each process that measures.",
    )
    proxied_downloads: bool | None = Field(
        default=None,
        description="Whether files take the proxy of the environment as calls do. None is the "
        "client's own answer, yes.",
    )
    verify: Annotated[str | None, FROM_ENVIRONMENT] = Field(
        default=None,
        description="The path of a CA bundle (PEM) to trust in place of the usual authorities. "
        "Verification cannot be switched off.",
    )
    ui_url: Annotated[str | None, FROM_ENVIRONMENT] = Field(
        default=None,
        description="A page about this account in VectorShift's own interface, for a link in "
        "metadata. None shows no link.",
    )

    _client: "Client | None" = PrivateAttr(default=None)

    def get_client(self) -> "Client":
        """The client of this account, the same one until the run ends.

        Works outside of Dagster too, where a `dg.EnvVar` is read from the environment here.
        Raises `ConfigurationError` for a variable that is not set and for a setting that cannot be
        used.
        """
        if self._client is None:
            settings = {each.name: resolved(getattr(self, each.name)) for each in fields(Account)}
            self._client = Account(**settings).client(
                connect_timeout=self.connect_timeout, total_timeout=self.total_timeout
            )
        return self._client

    def close(self) -> None:
        """Close the connections. Dagster does this by itself; a later call reconnects."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Dagster's call at the end of a run: closes the client."""
        self.close()
