"""From an Airflow connection to a client, and how the triggers of one process share it."""
