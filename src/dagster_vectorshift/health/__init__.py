"""Tables of pipeline health: what is kept, how it is measured, and the assets that do it."""
