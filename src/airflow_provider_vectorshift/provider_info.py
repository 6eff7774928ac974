"""What Airflow asks at discovery. No import at all: Airflow runs this while it reads its own configuration."""


def get_provider_info() -> dict[str, object]:
    """The provider's description, as Airflow's `provider_info.schema.json` wants it."""
    integration = "VectorShift"
    return {
        "package-name": "vectorshift-orchestration",
        "name": integration,
        "description": "Analytics events of `VectorShift <https://vectorshift.ai/>`__: exported, landed, watched.",
        "integrations": [
            {
                "integration-name": integration,
                "external-doc-url": "https://docs.vectorshift.ai/",
                "tags": ["service"],
            }
        ],
        "operators": [
            {
                "integration-name": integration,
                "python-modules": ["airflow_provider_vectorshift.operators"],
            }
        ],
        "hooks": [
            {
                "integration-name": integration,
                "python-modules": ["airflow_provider_vectorshift.hooks"],
            }
        ],
        "triggers": [
            {
                "integration-name": integration,
                "python-modules": ["airflow_provider_vectorshift.triggers"],
            }
        ],
        "connection-types": [
            {
                "connection-type": "vectorshift",
                "hook-class-name": "airflow_provider_vectorshift.hooks.VectorShiftHook",
                "hook-name": integration,
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
                },
            }
        ],
    }
