"""The events: the database that holds them, and the generator that makes them."""
