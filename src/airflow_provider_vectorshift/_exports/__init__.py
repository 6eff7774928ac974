"""One export as Airflow sees it: its arguments, its tries, what is remembered and told of it."""
