"""Where rows come to rest: a file that appears whole, a table whose window changes at once."""
