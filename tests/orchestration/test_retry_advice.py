"""Each error of the SDK and of the core says what trying again can do about it, also after a process boundary."""

import pickle

import pytest

from tests.sdk.test_no_silent_wrong_answer import EXAMPLES
from vectorshift import errors as sdk
from vectorshift.errors import RetryAdvice, VectorshiftError
from vectorshift_orchestration import errors as core

ADVICE = {
    RetryAdvice.PERMANENT: {
        sdk.ConfigurationError,
        sdk.BadRequestError,
        sdk.AuthenticationError,
        sdk.MissingApiKeyError,
        sdk.PermissionDeniedError,
        sdk.NotFoundError,
        sdk.UnprocessableEntityError,
        sdk.AnalyticsInvalidQuery,
        sdk.AnalyticsTypeError,
        sdk.AnalyticsUnsupported,
        core.WindowError,
        core.SpecError,
        core.MergeError,
        core.AggregationShapeError,
        core.EventShapeError,
        core.ExportFormatError,
        core.SchemaMismatch,
        core.UnstorableValue,
        core.RowOutsideWindow,
        core.WindowTakenError,
    },
    RetryAdvice.ASK_ANEW: {
        sdk.AnalyticsNotFound,
        sdk.AnalyticsRouteNotFound,
        sdk.AnalyticsExportFailed,
        sdk.AnalyticsDownloadFailed,
        core.ExportStateError,
        core.ExportFileError,
        core.ExportIncomplete,
        core.StaleWriterError,
    },
    RetryAdvice.MAY_PASS: {
        sdk.VectorshiftError,
        sdk.VectorshiftApiError,
        sdk.RateLimitError,
        sdk.InternalServerError,
        sdk.InvalidResponseError,
        sdk.ApiConnectionError,
        sdk.ApiTimeoutError,
        sdk.AnalyticsError,
        sdk.AnalyticsRequestFailed,
        sdk.AnalyticsIncomplete,
        sdk.AnalyticsExportTimeout,
        core.OrchestrationError,
        core.ExtractIncomplete,
        core.PublishError,
        core.StorageError,
        core.CommitUnknownError,
    },
}


def classes(*modules):
    """Every class of errors in the modules."""
    result = (each for module in modules for each in vars(module).values())
    return {
        each for each in result if isinstance(each, type) and issubclass(each, VectorshiftError)
    }


def test_each_error_class_has_its_advice():
    """A new class is put into the table, so that its advice is chosen and not inherited by chance."""
    assert {each: each.retry_advice for each in classes(sdk, core)} == {
        each: advice for advice, members in ADVICE.items() for each in members
    }


OWN = [each("x") for each in sorted(classes(core) - classes(sdk), key=lambda each: each.__name__)]


@pytest.mark.parametrize("error", [*EXAMPLES, *OWN], ids=lambda error: type(error).__name__)
def test_the_advice_crosses_a_process_boundary(error):
    """A pickled error is of the same class, with the same text, attributes and advice."""
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
    assert again.retry_advice is error.retry_advice
