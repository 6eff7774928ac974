"""The service's own routes: request JSON read, turned into SQL, answered as JSON."""
