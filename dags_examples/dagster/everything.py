"""All examples in one code location, as `make up` loads them: one process reads them, one run can take all of their assets.

dagster dev -d dags_examples/dagster -m everything
"""

import alerts
import dagster as dg
import definitions
import exports

PARTS = [module.defs for module in (definitions, alerts, exports)]

defs = dg.Definitions(
    assets=[asset for part in PARTS for asset in part.assets or ()],
    asset_checks=[check for part in PARTS for check in part.asset_checks or ()],
    schedules=[schedule for part in PARTS for schedule in part.schedules or ()],
    sensors=[sensor for part in PARTS for sensor in part.sensors or ()],
    executor=definitions.defs.executor,
    resources=definitions.defs.resources,  # all three have the same
)
