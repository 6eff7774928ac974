"""The Airflow provider for VectorShift Analytics: thin over `vectorshift_orchestration`.

    from airflow_provider_vectorshift.operators import VectorShiftExportOperator

Nothing is imported here, because Airflow imports this package to discover the provider.
"""
