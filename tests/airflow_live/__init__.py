"""A package, so that its Airflow ends with its tests, and takes nothing from those of other folders."""
