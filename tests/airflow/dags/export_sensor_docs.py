"""The DAG that docs/airflow-waiting.md shows for the export sensor, with its file where the test wants it."""

import os
from pathlib import Path

SECTION = "## VectorShiftExportSensor"

text = (Path(__file__).parents[3] / "docs" / "airflow-waiting.md").read_text(encoding="utf-8")
code = text.partition(SECTION)[2].partition("```python\n")[2].partition("```")[0]
exec(code.replace("/data", os.environ.get("EXPORT_SENSOR_FOLDER", "/data")))
