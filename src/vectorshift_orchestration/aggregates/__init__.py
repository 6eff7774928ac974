"""What an aggregation's figures allow: putting parts together, sharing a request, several windows."""
