"""What Airflow asks at discovery. No import at all: Airflow runs this while it reads its own configuration."""

_PACKAGE = "airflow_provider_vectorshift"
_INTEGRATION = "VectorShift"


def get_provider_info() -> dict[str, object]:
    """The provider's description, as Airflow's `provider_info.schema.json` wants it."""
    return {
        "package-name": "vectorshift-orchestration",
        "name": _INTEGRATION,
        "description": "Analytics events of `VectorShift <https://vectorshift.ai/>`__: exported, landed, watched.",
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://docs.vectorshift.ai/",
                "tags": ["service"],
            }
        ],
        "operators": _modules("operators", "aggregate", "export", "report", "threshold"),
        "sensors": _modules("sensors", "error_count", "export"),
        "hooks": [{"integration-name": _INTEGRATION, "python-modules": [f"{_PACKAGE}.hooks"]}],
        "triggers": _modules("triggers", "breach", "error_count", "export"),
        "extra-links": [f"{_PACKAGE}.links.VectorShiftExportLink"],
        "connection-types": [
            {
                "connection-type": "vectorshift",
                "hook-class-name": f"{_PACKAGE}.hooks.VectorShiftHook",
                "hook-name": _INTEGRATION,
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "login", "port"],
                    "relabeling": {"host": "Base URL", "password": "API key"},
                    "placeholders": {
                        "host": "https://api.vectorshift.ai/v1",
                        "password": "sk_...",
                    },
                },
                "conn-fields": {
                    "timeout": {
                        "label": "Timeout (s)",
                        "description": "Seconds to wait for the next bytes of an answer; 60 when empty.",
                        "schema": {"type": ["number", "null"], "minimum": 1},
                    },
                    "retries": {
                        "label": "Retries",
                        "description": "How often a failed request is tried again; 4 when empty.",
                        "schema": {"type": ["integer", "null"], "minimum": 0, "maximum": 100},
                    },
                    "verify": {
                        "label": "CA bundle",
                        "description": "Path of the authorities to trust; the usual ones when empty.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "rate_limit": {
                        "label": "Requests per second",
                        "description": "The most that one client sends; no limit when empty.",
                        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
                    },
                    "time_precision": {
                        "label": "Time precision",
                        "description": "How finely the service compares times; found out when empty.",
                        "schema": {"type": ["string", "null"], "enum": ["us", "ms", "s", None]},
                    },
                    "proxied_downloads": {
                        "label": "Files by proxy",
                        "description": "Whether files take the proxy of HTTPS_PROXY as calls do; true when empty.",
                        "schema": {"type": ["string", "null"], "enum": ["true", "false", None]},
                    },
                },
            }
        ],
    }


def _modules(kind: str, *names: str) -> list[dict[str, object]]:
    return [
        {
            "integration-name": _INTEGRATION,
            "python-modules": [f"{_PACKAGE}.{kind}.{name}" for name in names],
        }
    ]
