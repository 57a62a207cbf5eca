"""Task cards: the TOML files that tasks are declared by, and the data beside them."""
